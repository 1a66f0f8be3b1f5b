//! AdminNetworkPolicy and BaselineAdminNetworkPolicy, v1alpha1.

use poplin_policy::model::{ADMIN_TIER, BASELINE_TIER};
use poplin_proto::v1::{self, Resource, RuleList};
use serde::Deserialize;

use super::super::envelope::{Envelope, Home};
use super::super::kubernetes::PROTOCOLS;
use super::super::value::{port, port_name, whole};
use super::super::written::{Scalar, Text, something};
use super::peer::Peer;
use super::rules::{Dialect, Rule};
use super::subject::Subject;
use crate::field::{Findings, Invalid, Invalids, word};

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(in crate::import) struct Spec {
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
    ports: Option<Vec<Port>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct EgressRule {
    name: Option<Text>,
    action: Text,
    #[serde(default, deserialize_with = "something")]
    to: Option<Vec<Peer>>,
    #[serde(default, deserialize_with = "something")]
    ports: Option<Vec<Port>>,
}

/// One entry of `ports`; exactly one field is set.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
struct Port {
    #[serde(deserialize_with = "something")]
    port_number: Option<PortNumber>,
    #[serde(deserialize_with = "something")]
    port_range: Option<PortRange>,
    named_port: Option<Text>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PortNumber {
    protocol: Option<Text>,
    port: Scalar,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PortRange {
    protocol: Option<Text>,
    start: Scalar,
    end: Scalar,
}

const ACTIONS: &[(&str, &str)] = &[("Allow", "allow"), ("Deny", "deny"), ("Pass", "pass")];
const BASELINE_ACTIONS: &[(&str, &str)] = &[("Allow", "allow"), ("Deny", "deny")];

/// The largest priority; smaller ones come first.
pub(super) const LAST_PRIORITY: i64 = 1000;

pub(in crate::import) fn import(
    document: &Envelope<Spec>,
    is_baseline: bool,
    source: String,
) -> Result<Resource, Invalids> {
    let mut findings = Findings::default();
    let nothing = Spec::default();
    let spec = document.spec.as_ref().unwrap_or(&nothing);
    let prefix = if is_baseline { "kbanp.baseline." } else { "kanp.admin." };
    let name = format!("{prefix}{}", document.metadata.name());
    let metadata = document.metadata.renamed(&mut findings, Home::Fabric, name, source);
    let order = findings.take(spec.order(is_baseline, document.metadata.name()));
    let (subject, namespaces) = spec.subject.texts(&mut findings, "spec.subject");
    let actions = if is_baseline { BASELINE_ACTIONS } else { ACTIONS };
    let ingress = spec.ingress.iter().flatten().enumerate().map(|(index, rule)| Rule {
        name: rule.name.as_deref(),
        action: &rule.action,
        peers: rule.from.as_deref(),
        ports: ports(&mut findings, &format!("spec.ingress[{index}].ports"), rule.ports.as_deref()),
        names_ports: rule.ports.iter().flatten().any(|port| port.named_port.is_some()),
    });
    let ingress: Vec<_> = ingress.collect();
    let egress = spec.egress.iter().flatten().enumerate().map(|(index, rule)| Rule {
        name: rule.name.as_deref(),
        action: &rule.action,
        peers: rule.to.as_deref(),
        ports: ports(&mut findings, &format!("spec.egress[{index}].ports"), rule.ports.as_deref()),
        names_ports: rule.ports.iter().flatten().any(|port| port.named_port.is_some()),
    });
    let egress: Vec<_> = egress.collect();
    let ingress = Dialect { actions, is_egress: false }.rules(&mut findings, &ingress);
    let egress = Dialect { actions, is_egress: true }.rules(&mut findings, &egress);
    let tier = if is_baseline { BASELINE_TIER } else { ADMIN_TIER };
    let policy = governing(metadata, tier, order.flatten(), (subject, namespaces), (ingress, egress));
    findings.finish(Some(policy))
}

/// The policy itself. One without a rule governs nothing, and is kept, switched off, so that it can be seen.
pub(super) fn governing(
    metadata: v1::Metadata,
    tier: &str,
    order: Option<f64>,
    (subject, namespaces): (String, String),
    (ingress, egress): (Vec<v1::Rule>, Vec<v1::Rule>),
) -> Resource {
    let is_idle = ingress.is_empty() && egress.is_empty();
    let list = |rules: Vec<v1::Rule>| (!rules.is_empty()).then_some(RuleList { rules });
    let spec = v1::PolicySpec {
        tier: tier.to_owned(),
        order,
        subject,
        namespaces,
        ingress: if is_idle { Some(RuleList::default()) } else { list(ingress) },
        egress: list(egress),
        mode: if is_idle { "off".to_owned() } else { String::new() },
        hosts: String::new(),
    };
    Resource::from(v1::Policy { metadata: Some(metadata), spec: Some(spec), ..v1::Policy::default() })
}

impl Spec {
    fn order(&self, is_baseline: bool, name: &str) -> Result<Option<f64>, Invalid> {
        match (&self.priority, is_baseline) {
            (Some(_), true) => Err(Invalid::new("spec.priority", "UNKNOWN_FIELD", "a baseline has no priority")
                .advice("there is one baseline; leave the priority out")),
            (None, true) if name != "default" => {
                let message = format!("there is one baseline, and it is not named {name:?}");
                Err(Invalid::new("metadata.name", "BAD_NAME", message).advice("name it default"))
            }
            (None, true) => Ok(None),
            (priority, false) => order(priority.as_ref()).map(Some),
        }
    }
}

/// A priority, as an order.
pub(super) fn order(priority: Option<&Scalar>) -> Result<f64, Invalid> {
    let field = "spec.priority";
    let missing =
        || Invalid::new(field, "NO_PRIORITY", "the policy has no priority").advice("write a number up to 1000");
    let number = whole(field, priority.ok_or_else(missing)?, 0, LAST_PRIORITY)?;
    i32::try_from(number).map(f64::from).map_err(|_| missing())
}

fn ports(findings: &mut Findings, field: &str, ports: Option<&[Port]>) -> Vec<String> {
    if ports.is_some_and(<[Port]>::is_empty) {
        findings.add(empty_list(field));
    }
    let ports = ports.unwrap_or_default().iter().enumerate();
    findings.take_all(ports.map(|(index, port)| port.texts(&format!("{field}[{index}]")))).concat()
}

/// A list that must hold something where it stands.
pub(super) fn empty_list(field: &str) -> Invalid {
    Invalid::new(field, "EMPTY_LIST", "the list is empty").advice("leave the key out, or list something")
}

impl Port {
    /// The same in our words; a name is one of every protocol.
    fn texts(&self, field: &str) -> Result<Vec<String>, Invalid> {
        match (&self.port_number, &self.port_range, &self.named_port) {
            (Some(one), None, None) => {
                let field = format!("{field}.portNumber");
                let protocol = protocol(&field, one.protocol.as_deref())?;
                Ok(vec![format!("{protocol}/{}", port(&format!("{field}.port"), &one.port)?)])
            }
            (None, Some(range), None) => {
                let field = format!("{field}.portRange");
                let protocol = protocol(&field, range.protocol.as_deref())?;
                Ok(vec![format!("{protocol}/{}", span(&field, &range.start, &range.end)?)])
            }
            (None, None, Some(name)) => named(&format!("{field}.namedPort"), name),
            _ => Err(Invalid::new(field, "BAD_PORT", "a port has exactly one of portNumber, portRange, namedPort")),
        }
    }
}

fn protocol(field: &str, written: Option<&str>) -> Result<&'static str, Invalid> {
    word(&format!("{field}.protocol"), written.unwrap_or("TCP"), &PROTOCOLS)
}

/// `8000-8010`: at least two ports.
pub(super) fn span(field: &str, start: &Scalar, end: &Scalar) -> Result<String, Invalid> {
    let start = port(&format!("{field}.start"), start)?;
    let at_end = format!("{field}.end");
    let end = port(&at_end, end)?;
    if end <= start {
        let message = format!("a range from {start} to {end} ends where it begins, or before");
        let advice = "write a single port as a number";
        return Err(Invalid::new(at_end, "BAD_PORT", message).advice(advice));
    }
    Ok(format!("{start}-{end}"))
}

/// A name stands for whatever protocol its endpoint gave it.
pub(super) fn named(field: &str, name: &str) -> Result<Vec<String>, Invalid> {
    let name = port_name(field, name)?;
    Ok(PROTOCOLS.iter().map(|(_, protocol)| format!("{protocol}/{name}")).collect())
}
