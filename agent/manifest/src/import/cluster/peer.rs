//! The other ends of a cluster's policy.

use poplin_proto::v1;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::super::label_selector::{LabelSelector, all_pods};
use super::super::value::net;
use super::super::written::{Text, something};
use super::subject::NamespacedPod;
use crate::field::{Findings, Invalid};

/// One peer; exactly one field is set.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(super) struct Peer {
    #[serde(deserialize_with = "something")]
    namespaces: Option<LabelSelector>,
    #[serde(deserialize_with = "something")]
    pods: Option<NamespacedPod>,
    #[serde(deserialize_with = "something")]
    networks: Option<Vec<Text>>,
    nodes: Option<IgnoredAny>,
    domain_names: Option<IgnoredAny>,
}

impl Peer {
    /// The same in our words.
    pub(super) fn peers(&self, findings: &mut Findings, field: &str, is_egress: bool) -> v1::Peers {
        let at = |name: &str| format!("{field}.{name}");
        let mut refuse = |name: &str, reason, message: &str, advice: &str| {
            findings.add(Invalid::new(at(name), reason, message).advice(advice));
            v1::Peers::default()
        };
        if self.nodes.is_some() {
            let advice = "name the hosts' addresses as networks";
            return refuse("nodes", "NOT_SUPPORTED", "hosts as peers are not supported yet", advice);
        }
        if self.domain_names.is_some() {
            let advice = "name their addresses as networks";
            return refuse("domainNames", "NOT_SUPPORTED", "domain names as peers are not supported", advice);
        }
        if self.networks.is_some() && !is_egress {
            let advice = "a NetworkPolicy's ipBlock can say it";
            return refuse("networks", "BAD_PEER", "networks stand in egress rules only", advice);
        }
        match (&self.namespaces, &self.pods, &self.networks) {
            (Some(namespaces), None, None) => v1::Peers {
                select: all_pods(),
                namespaces: namespaces.text(findings, &at("namespaces")),
                ..v1::Peers::default()
            },
            (None, Some(pods), None) => v1::Peers {
                select: pods.pod_selector.pods(findings, &at("pods.podSelector")),
                namespaces: pods.namespace_selector.text(findings, &at("pods.namespaceSelector")),
                ..v1::Peers::default()
            },
            (None, None, Some(networks)) => {
                if networks.is_empty() {
                    findings.add(Invalid::new(at("networks"), "EMPTY_PEER", "the list is empty"));
                }
                let nets = networks.iter().enumerate();
                let nets =
                    findings.take_all(nets.map(|(index, text)| net(&format!("{}[{index}]", at("networks")), text)));
                v1::Peers { nets: nets.iter().map(ToString::to_string).collect(), ..v1::Peers::default() }
            }
            (None, None, None) => {
                let advice = "name namespaces or pods; in an egress rule networks too";
                findings.add(Invalid::new(field, "EMPTY_PEER", "the peer is empty").advice(advice));
                v1::Peers::default()
            }
            _ => {
                let advice = "make a peer of each: any one is enough then";
                findings.add(Invalid::new(field, "BAD_PEER", "the peer has several fields").advice(advice));
                v1::Peers::default()
            }
        }
    }

    /// Whether it means addresses, which have no named ports.
    pub(super) fn is_networks(&self) -> bool {
        self.networks.is_some()
    }
}
