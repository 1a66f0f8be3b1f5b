//! NetworkSet and GlobalNetworkSet: labelled lists of prefixes.

use ipnet::IpNet;
use poplin_policy::model::NAMESPACE_LABEL;
use poplin_proto::v1::{self, Resource};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::super::envelope::{Envelope, Home};
use super::super::value::net_or_address;
use super::super::written::{Text, something};
use crate::field::{Findings, Invalid, Invalids};
use crate::policy::reserved_label;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(in crate::import) struct Spec {
    #[serde(deserialize_with = "something")]
    nets: Option<Vec<Text>>,
    allowed_egress_domains: Option<IgnoredAny>,
}

pub(in crate::import) fn import(document: &Envelope<Spec>, home: Home, source: String) -> Result<Resource, Invalids> {
    let mut findings = Findings::default();
    let nothing = Spec::default();
    let spec = document.spec.as_ref().unwrap_or(&nothing);
    let name = document.metadata.name().to_owned();
    let metadata = document.metadata.renamed(&mut findings, home, name, source);
    if metadata.labels.contains_key(NAMESPACE_LABEL) {
        findings.add(reserved_label());
    }
    if spec.allowed_egress_domains.is_some() {
        let message = "domain names are not supported";
        let advice = "list their addresses in nets";
        findings.add(Invalid::new("spec.allowedEgressDomains", "NOT_SUPPORTED", message).advice(advice));
    }
    let nets = spec.nets.iter().flatten().enumerate();
    let nets = findings.take_all(nets.map(|(index, text)| net_or_address(&format!("spec.nets[{index}]"), text)));
    let spec = v1::AddressSetSpec { nets: nets.iter().map(IpNet::to_string).collect() };
    let set = v1::AddressSet { metadata: Some(metadata), spec: Some(spec), ..v1::AddressSet::default() };
    findings.finish(Some(Resource::from(set)))
}
