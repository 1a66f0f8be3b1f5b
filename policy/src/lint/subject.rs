//! What a policy as a whole may have wrong.

use super::{Code, Finding, Place, Severity};
use crate::model::{Action, Direction, Hosts, Policy, Tier};
use crate::world::World;

pub(super) fn form(world: &World, policy: &Policy) -> Vec<Finding> {
    [nobody(world, policy), undeclared_tier(world, policy)].into_iter().flatten().chain(only_logs(policy)).collect()
}

fn nobody(world: &World, policy: &Policy) -> Option<Finding> {
    let governs_hosts = policy.hosts != Hosts::Never;
    let governs_workloads = !matches!(policy.hosts, Hosts::PreDnat | Hosts::Untracked);
    let is_workload = world.endpoints.values().any(|endpoint| world.selects_endpoint(&policy.subject, endpoint));
    let is_host = world.host_endpoints.values().any(|labels| world.selects_host_endpoint(&policy.subject, labels));
    let selects_some = (governs_workloads && is_workload) || (governs_hosts && is_host);
    // Who brings no host endpoints does not ask about them.
    let nothing_known = world.endpoints.is_empty() || (governs_hosts && world.host_endpoints.is_empty());
    (!selects_some && !nothing_known).then(|| {
        let message = format!("its subject `{}` selects no endpoint now", policy.subject);
        let advice = "check its labels and its namespace, or remove the policy";
        Place::of(policy, None).finding(Severity::Warning, Code::SelectsNobody, message, advice)
    })
}

fn undeclared_tier(world: &World, policy: &Policy) -> Option<Finding> {
    let tier = &policy.tier;
    (!world.tiers.contains_key(tier) && !Tier::is_built_in(tier)).then(|| {
        let message = format!("no tier {tier} is declared, so it stands last and denies at its end");
        let known = world.tiers.keys().map(String::as_str).chain(["default"]);
        let advice = match crate::spelling::nearest(tier, known) {
            Some(near) => format!("did you mean {near}?"),
            None => format!("declare the tier {tier}, or leave `tier` out"),
        };
        Place::of(policy, None).finding(Severity::Error, Code::UndeclaredTier, message, advice)
    })
}

/// Logging decides nothing, and the direction is governed all the same.
fn only_logs(policy: &Policy) -> impl Iterator<Item = Finding> {
    let only_logs = |direction: &Direction| {
        let rules = policy.rules(*direction).unwrap_or_default();
        !rules.is_empty() && rules.iter().all(|rule| rule.action == Action::Log)
    };
    [Direction::Ingress, Direction::Egress].into_iter().filter(only_logs).map(|direction| {
        let message =
            "every rule only logs, which neither allows nor denies; what it governs is left to the tier's end";
        let advice = "add rules that decide, or write `log: true` beside their actions";
        Place::of(policy, Some(direction)).finding(Severity::Warning, Code::OnlyLogs, message, advice)
    })
}
