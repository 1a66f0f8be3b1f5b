//! ClusterNetworkPolicy, v1alpha2.

use poplin_policy::model::{ADMIN_TIER, BASELINE_TIER};
use poplin_proto::v1::Resource;
use serde::Deserialize;

use super::super::envelope::{Envelope, Home};
use super::super::value::port;
use super::super::written::{Scalar, Text, something};
use super::admin::{empty_list, governing, named, order, span};
use super::peer::Peer;
use super::rules::{Dialect, Rule};
use super::subject::Subject;
use crate::field::{Findings, Invalid, Invalids, word};

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(in crate::import) struct Spec {
    tier: Text,
    priority: Option<Scalar>,
    subject: Subject,
    #[serde(deserialize_with = "something")]
    ingress: Option<Vec<IngressRule>>,
    #[serde(deserialize_with = "something")]
    egress: Option<Vec<EgressRule>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct IngressRule {
    name: Option<Text>,
    action: Text,
    #[serde(default, deserialize_with = "something")]
    from: Option<Vec<Peer>>,
    #[serde(default, deserialize_with = "something")]
    protocols: Option<Vec<Protocol>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct EgressRule {
    name: Option<Text>,
    action: Text,
    #[serde(default, deserialize_with = "something")]
    to: Option<Vec<Peer>>,
    #[serde(default, deserialize_with = "something")]
    protocols: Option<Vec<Protocol>>,
}

/// One entry of `protocols`; exactly one field is set.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
struct Protocol {
    #[serde(deserialize_with = "something")]
    tcp: Option<Ports>,
    #[serde(deserialize_with = "something")]
    udp: Option<Ports>,
    #[serde(deserialize_with = "something")]
    sctp: Option<Ports>,
    destination_named_port: Option<Text>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
struct Ports {
    #[serde(deserialize_with = "something")]
    destination_port: Option<Port>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Port {
    number: Option<Scalar>,
    #[serde(deserialize_with = "something")]
    range: Option<Range>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Range {
    start: Scalar,
    end: Scalar,
}

const ACTIONS: &[(&str, &str)] = &[("Accept", "allow"), ("Deny", "deny"), ("Pass", "pass")];

pub(in crate::import) fn import(document: &Envelope<Spec>, source: String) -> Result<Resource, Invalids> {
    let mut findings = Findings::default();
    let nothing = Spec::default();
    let spec = document.spec.as_ref().unwrap_or(&nothing);
    let tiers = [("Admin", ADMIN_TIER), ("Baseline", BASELINE_TIER)];
    let tier = findings.take(word("spec.tier", &spec.tier, &tiers)).unwrap_or(ADMIN_TIER);
    let name = format!("kcnp.{tier}.{}", document.metadata.name());
    let metadata = document.metadata.renamed(&mut findings, Home::Fabric, name, source);
    let order = findings.take(order(spec.priority.as_ref()));
    let subject = spec.subject.texts(&mut findings, "spec.subject");
    let ingress = spec.ingress.iter().flatten().enumerate().map(|(index, rule)| Rule {
        name: rule.name.as_deref(),
        action: &rule.action,
        peers: rule.from.as_deref(),
        ports: ports(&mut findings, &format!("spec.ingress[{index}].protocols"), rule.protocols.as_deref()),
        names_ports: rule.protocols.iter().flatten().any(|one| one.destination_named_port.is_some()),
    });
    let ingress: Vec<_> = ingress.collect();
    let egress = spec.egress.iter().flatten().enumerate().map(|(index, rule)| Rule {
        name: rule.name.as_deref(),
        action: &rule.action,
        peers: rule.to.as_deref(),
        ports: ports(&mut findings, &format!("spec.egress[{index}].protocols"), rule.protocols.as_deref()),
        names_ports: rule.protocols.iter().flatten().any(|one| one.destination_named_port.is_some()),
    });
    let egress: Vec<_> = egress.collect();
    let ingress = Dialect { actions: ACTIONS, is_egress: false }.rules(&mut findings, &ingress);
    let egress = Dialect { actions: ACTIONS, is_egress: true }.rules(&mut findings, &egress);
    let policy = governing(metadata, tier, order, subject, (ingress, egress));
    findings.finish(Some(policy))
}

fn ports(findings: &mut Findings, field: &str, protocols: Option<&[Protocol]>) -> Vec<String> {
    if protocols.is_some_and(<[Protocol]>::is_empty) {
        findings.add(empty_list(field));
    }
    let protocols = protocols.unwrap_or_default().iter().enumerate();
    findings.take_all(protocols.map(|(index, one)| one.texts(&format!("{field}[{index}]")))).concat()
}

impl Protocol {
    /// The same in our words; a name is one of every protocol.
    fn texts(&self, field: &str) -> Result<Vec<String>, Invalid> {
        let one = |name: &str, ports: &Ports| ports.text(&format!("{field}.{name}"), name).map(|text| vec![text]);
        match (&self.tcp, &self.udp, &self.sctp, &self.destination_named_port) {
            (Some(ports), None, None, None) => one("tcp", ports),
            (None, Some(ports), None, None) => one("udp", ports),
            (None, None, Some(ports), None) => one("sctp", ports),
            (None, None, None, Some(name)) => named(&format!("{field}.destinationNamedPort"), name),
            _ => {
                let message = "an entry has exactly one of tcp, udp, sctp, destinationNamedPort";
                Err(Invalid::new(field, "BAD_PORT", message))
            }
        }
    }
}

impl Ports {
    fn text(&self, field: &str, protocol: &str) -> Result<String, Invalid> {
        let Some(one) = &self.destination_port else {
            let advice = "name a destinationPort, or leave protocols out";
            return Err(Invalid::new(field, "BAD_PORT", format!("{protocol} names no destinationPort")).advice(advice));
        };
        let field = format!("{field}.destinationPort");
        match (&one.number, &one.range) {
            (Some(number), None) => Ok(format!("{protocol}/{}", port(&format!("{field}.number"), number)?)),
            (None, Some(range)) => {
                Ok(format!("{protocol}/{}", span(&format!("{field}.range"), &range.start, &range.end)?))
            }
            _ => Err(Invalid::new(field, "BAD_PORT", "a port has exactly one of number and range")),
        }
    }
}
