//! Calico's rules.

use poplin_proto::v1;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::super::value::whole;
use super::super::written::{Scalar, Text, something};
use super::entity::Entity;
use super::protocol::{Icmp, has_ports, icmp, port_match, protocol};
use crate::field::{Findings, Invalid, word};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Rule {
    action: Option<Text>,
    #[serde(default, deserialize_with = "something")]
    ip_version: Option<Scalar>,
    #[serde(default, deserialize_with = "something")]
    protocol: Option<Scalar>,
    #[serde(default, deserialize_with = "something")]
    not_protocol: Option<Scalar>,
    #[serde(default, deserialize_with = "something")]
    icmp: Option<Icmp>,
    #[serde(default, rename = "notICMP", deserialize_with = "something")]
    not_icmp: Option<Icmp>,
    #[serde(default, deserialize_with = "something")]
    source: Option<Entity>,
    #[serde(default, deserialize_with = "something")]
    destination: Option<Entity>,
    http: Option<IgnoredAny>,
    /// Words for people.
    #[serde(rename = "metadata")]
    _metadata: Option<IgnoredAny>,
}

const ACTIONS: [(&str, &str); 4] = [("Allow", "allow"), ("Deny", "deny"), ("Pass", "pass"), ("Log", "log")];

impl Rule {
    /// The same in our words.
    pub(super) fn rule(&self, findings: &mut Findings, field: &str) -> v1::Rule {
        let at = |name: &str| format!("{field}.{name}");
        if self.http.is_some() {
            let message = "rules about HTTP are not supported";
            let advice = "allow the port, and leave the rest to a proxy";
            findings.add(Invalid::new(at("http"), "NOT_SUPPORTED", message).advice(advice));
        }
        let action = match &self.action {
            Some(action) => findings.take(word(&at("action"), action, &ACTIONS)),
            None => {
                let missing = Invalid::new(at("action"), "NO_ACTION", "the rule has no action");
                findings.add(missing.advice("write Allow, Deny, Pass or Log"));
                None
            }
        };
        let version = self.ip_version.as_ref();
        let version = findings.take(version.map(|version| family(&at("ipVersion"), version)).transpose()).flatten();
        let proto = self.protocol.as_ref();
        let proto = findings.take(proto.map(|value| protocol(&at("protocol"), value)).transpose()).flatten();
        let not_proto = self.not_protocol.as_ref();
        let not_proto = findings.take(not_proto.map(|value| protocol(&at("notProtocol"), value)).transpose()).flatten();
        for (name, proto) in [("protocol", &proto), ("notProtocol", &not_proto)] {
            let wanted = proto.as_deref().and_then(icmp).map(|(family, _)| family);
            if let (Some(wanted), Some(version)) = (wanted, version.filter(|version| Some(*version) != wanted)) {
                let message = format!("ipVersion is {version}, and {name} is carried over {wanted} only");
                findings.add(Invalid::new(at("ipVersion"), "BAD_ICMP", message).advice("leave ipVersion out"));
            }
        }
        self.check_families(findings, field, version);
        let mut rule = v1::Rule {
            action: action.unwrap_or_default().to_owned(),
            ip_version: version.and_then(|version| u32::try_from(version).ok()),
            ..v1::Rule::default()
        };
        if let Some(source) = &self.source {
            rule.from = source.peers(findings, &at("source"));
            let proto = proto.as_deref();
            rule.source_ports = ports(findings, &at("source.ports"), proto, source.ports.as_deref());
            rule.not_source_ports = ports(findings, &at("source.notPorts"), proto, source.not_ports.as_deref());
        }
        if let Some(destination) = &self.destination {
            rule.to = destination.peers(findings, &at("destination"));
            let proto = proto.as_deref();
            rule.ports = ports(findings, &at("destination.ports"), proto, destination.ports.as_deref());
            rule.not_ports = ports(findings, &at("destination.notPorts"), proto, destination.not_ports.as_deref());
        }
        rule.not_ports.extend(not_proto);
        self.add_icmp(findings, field, proto.as_deref(), &mut rule);
        // Where no port or message says it already, the protocol says itself.
        if rule.ports.is_empty() && rule.source_ports.is_empty() {
            rule.ports.extend(proto);
        }
        rule
    }

    fn add_icmp(&self, findings: &mut Findings, field: &str, proto: Option<&str>, rule: &mut v1::Rule) {
        let family = proto.and_then(icmp);
        for (name, messages) in [("icmp", &self.icmp), ("notICMP", &self.not_icmp)] {
            let Some(messages) = messages else { continue };
            let field = format!("{field}.{name}");
            let Some((_, word)) = family else {
                let message = format!("{name} stands without protocol ICMP or ICMPv6");
                findings.add(Invalid::new(field, "BAD_ICMP", message).advice("add protocol: ICMP to the rule"));
                continue;
            };
            let text = findings.take(messages.text(&field, word)).flatten();
            if name == "icmp" {
                rule.ports.extend(text);
            } else {
                rule.not_ports.extend(text);
            }
        }
    }

    /// Prefixes of one rule are of one family, that of `ipVersion` where it is given.
    fn check_families(&self, findings: &mut Findings, field: &str, version: Option<i64>) {
        let mut first = version;
        for (end, entity) in [("source", &self.source), ("destination", &self.destination)] {
            for (list, index, net) in entity.iter().flat_map(Entity::all_nets) {
                let family = if net.addr().is_ipv4() { 4 } else { 6 };
                if family == *first.get_or_insert(family) {
                    continue;
                }
                let (message, advice) = match version {
                    Some(version) => (format!("{net} is not of ipVersion {version}"), "leave ipVersion out"),
                    None => (format!("{net} is of another family than the rule's other prefixes"), "make two rules"),
                };
                let field = format!("{field}.{end}.{list}[{index}]");
                findings.add(Invalid::new(field, "TWO_FAMILIES", message).advice(advice));
                return;
            }
        }
    }
}

fn family(field: &str, value: &Scalar) -> Result<i64, Invalid> {
    match value {
        Scalar::Whole(4 | 6) => whole(field, value, 4, 6),
        other => Err(Invalid::new(field, "UNKNOWN_FAMILY", format!("{other} is not 4 or 6"))),
    }
}

fn ports(findings: &mut Findings, field: &str, proto: Option<&str>, ports: Option<&[Scalar]>) -> Vec<String> {
    let ports = ports.unwrap_or_default();
    if let Some(proto) = proto.filter(|proto| !has_ports(proto) && !ports.is_empty()) {
        let message = format!("{proto} has no ports");
        findings.add(Invalid::new(field, "BAD_PORT", message).advice("set protocol to TCP, UDP or SCTP"));
        return Vec::new();
    }
    let ports = ports.iter().enumerate();
    findings.take_all(ports.map(|(index, value)| port_match(&format!("{field}[{index}]"), proto, value))).concat()
}
