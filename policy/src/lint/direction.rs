//! What a direction as a whole forgets.

use super::{Code, Finding, Place, Severity};
use crate::model::{Action, DefaultAction, Direction, Hosts, Policy, PortMatch};
use crate::world::World;

/// A tier that passes on at its end denies nothing that a policy of it forgets, nor does a lane of hosts that lets the rest go on.
pub(super) fn form(world: &World, policy: &Policy) -> impl Iterator<Item = Finding> {
    let goes_on = matches!(policy.hosts, Hosts::PreDnat | Hosts::Untracked);
    let denies = !goes_on && world.tier(&policy.tier).default_action == DefaultAction::Deny;
    let forgets = move |direction: &Direction| denies && forgets_icmp(policy, *direction);
    [Direction::Ingress, Direction::Egress].into_iter().filter(forgets).map(|direction| {
        let message = "it allows ports only, so ping is denied (errors of allowed flows pass all the same)";
        let advice = "add icmp/8 and icmp6/128 if its endpoints should answer ping";
        Place::of(policy, Some(direction)).finding(Severity::Note, Code::NoIcmp, message, advice)
    })
}

/// Whether every allowing rule asks for ports and none for messages, and no rule passes on what may be messages.
fn forgets_icmp(policy: &Policy, direction: Direction) -> bool {
    let rules = policy.rules(direction).unwrap_or_default();
    let is_other = |port: &PortMatch| !matches!(port, PortMatch::Ports { .. } | PortMatch::Named { .. });
    let mut lenient = rules.iter().filter(|rule| matches!(rule.action, Action::Allow | Action::Pass));
    let allows = rules.iter().any(|rule| rule.action == Action::Allow);
    allows && lenient.all(|rule| !rule.ports.is_empty() && !rule.ports.iter().any(is_other))
}
