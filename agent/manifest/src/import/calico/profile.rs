//! Profile: labels for endpoints that name it. Its rules, which Calico asks where no policy governs, are a policy's business here.

use std::collections::BTreeMap;

use poplin_proto::v1::{self, Resource};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::super::envelope::{Envelope, Home};
use super::super::written::{Text, something};
use crate::field::{Findings, Invalid, Invalids};

/// The kind that holds labels for others.
pub(in crate::import) const KIND: &str = "Profile";

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(in crate::import) struct Spec {
    #[serde(deserialize_with = "something")]
    labels_to_apply: Option<BTreeMap<String, Text>>,
    #[serde(deserialize_with = "something")]
    ingress: Option<Vec<IgnoredAny>>,
    #[serde(deserialize_with = "something")]
    egress: Option<Vec<IgnoredAny>>,
}

pub(in crate::import) fn import(document: &Envelope<Spec>, source: String) -> Result<Resource, Invalids> {
    let mut findings = Findings::default();
    let nothing = Spec::default();
    let spec = document.spec.as_ref().unwrap_or(&nothing);
    let name = document.metadata.name().to_owned();
    let metadata = document.metadata.renamed(&mut findings, Home::Fabric, name, source);
    for (field, rules) in [("spec.ingress", &spec.ingress), ("spec.egress", &spec.egress)] {
        if rules.as_ref().is_some_and(|rules| !rules.is_empty()) {
            let message = "a profile has no rules here";
            let advice = "write them as a policy in tier kube-baseline that selects a label of the profile";
            findings.add(Invalid::new(field, "NOT_SUPPORTED", message).advice(advice));
        }
    }
    let labels = spec.labels_to_apply.iter().flatten().map(|(key, value)| (key.clone(), value.to_string()));
    let spec = v1::ProfileSpec { endpoint_labels: labels.collect() };
    let profile = v1::Profile { metadata: Some(metadata), spec: Some(spec), ..v1::Profile::default() };
    // Labels and names have the same form there, so they are checked as ours.
    if findings.is_empty() {
        for invalid in crate::check_profile(&profile).err().into_iter().flat_map(|invalids| invalids.0) {
            let field = invalid.field.replace("spec.endpointLabels", "spec.labelsToApply");
            findings.add(Invalid { field, ..invalid });
        }
    }
    findings.finish(Some(Resource::from(profile)))
}
