//! What a direction as a whole forgets.

use super::{Code, Finding, Place, Severity};
use crate::model::{Action, Direction, Policy, PortMatch};

pub(super) fn form(policy: &Policy) -> impl Iterator<Item = Finding> {
    let forgets = |direction: &Direction| forgets_icmp(policy, *direction);
    [Direction::Ingress, Direction::Egress].into_iter().filter(forgets).map(|direction| {
        let message = "it allows ports only, so ping is denied (errors of allowed flows pass all the same)";
        let advice = "add icmp/8 and icmp6/128 if its endpoints should answer ping";
        Place::of(policy, Some(direction)).finding(Severity::Note, Code::NoIcmp, message, advice)
    })
}

/// Whether every allowing rule asks for ports, and none for messages.
fn forgets_icmp(policy: &Policy, direction: Direction) -> bool {
    let rules = policy.rules(direction).unwrap_or_default();
    let mut allowing = rules.iter().filter(|rule| rule.action == Action::Allow).peekable();
    let is_other = |port: &PortMatch| !matches!(port, PortMatch::Ports { .. } | PortMatch::Named { .. });
    allowing.peek().is_some() && allowing.all(|rule| !rule.ports.is_empty() && !rule.ports.iter().any(is_other))
}
