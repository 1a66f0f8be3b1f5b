//! Rules of a cluster's policy, of either version: each peer with all ports becomes a rule of ours.

use std::collections::BTreeSet;

use poplin_proto::v1;

use super::super::value::free_name;
use super::peer::Peer;
use crate::field::{Findings, Invalid, word};

/// A rule, once its ports are in our words.
pub(super) struct Rule<'a> {
    pub(super) name: Option<&'a str>,
    pub(super) action: &'a str,
    pub(super) peers: Option<&'a [Peer]>,
    pub(super) ports: Vec<String>,
    /// Whether one of the ports is a name.
    pub(super) names_ports: bool,
}

/// How a version writes its rules.
pub(super) struct Dialect {
    /// What the actions are called, and what ours call them.
    pub(super) actions: &'static [(&'static str, &'static str)],
    /// Of the two lists of rules, which this is.
    pub(super) is_egress: bool,
}

impl Dialect {
    /// `ingress` or `egress`, and what its peers are called.
    pub(super) fn list(&self) -> (&'static str, &'static str) {
        if self.is_egress { ("egress", "to") } else { ("ingress", "from") }
    }

    pub(super) fn rules(&self, findings: &mut Findings, rules: &[Rule<'_>]) -> Vec<v1::Rule> {
        let mut taken = BTreeSet::new();
        let mut all = Vec::new();
        for (index, rule) in rules.iter().enumerate() {
            let (list, side) = self.list();
            let field = format!("spec.{list}[{index}]");
            let action = findings.take(word(&format!("{field}.action"), rule.action, self.actions));
            let peers = rule.peers.unwrap_or_default();
            if peers.is_empty() {
                let advice = format!("list peers under {side}; namespaces: {{}} means every pod");
                findings
                    .add(Invalid::new(format!("{field}.{side}"), "NO_PEERS", "the rule has no peers").advice(advice));
            }
            if rule.names_ports && peers.iter().any(Peer::is_networks) {
                let message = "named ports and networks stand in one rule, and addresses have no named ports";
                let advice = "write the ports as numbers, or make two rules";
                findings.add(Invalid::new(field.clone(), "BAD_PORT", message).advice(advice));
            }
            let name = rule.name.filter(|name| !name.is_empty()).map_or_else(|| (index + 1).to_string(), str::to_owned);
            for (place, peer) in peers.iter().enumerate() {
                let peer = Some(peer.peers(findings, &format!("{field}.{side}[{place}]"), self.is_egress));
                let (from, to) = if self.is_egress { (None, peer) } else { (peer, None) };
                let name = if peers.len() == 1 { name.clone() } else { format!("{name}-{}", place + 1) };
                let name = free_name(&mut taken, &name);
                let action = action.unwrap_or_default().to_owned();
                all.push(v1::Rule { name, action, from, to, ports: rule.ports.clone(), ..v1::Rule::default() });
            }
        }
        all
    }
}
