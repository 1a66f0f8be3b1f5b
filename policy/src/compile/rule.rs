//! One rule of a policy, as rules of a chain.

use super::condition::{Condition, product};
use super::sets::Sets;
use super::{peer, port};
use crate::model::{Action, Direction, Rule};
use crate::ruleset::{self, Then, Verdict};

/// The rules that give a policy rule's verdict to what fits it; none if nothing can fit.
pub(super) fn compiled(rule: &Rule, direction: Direction, pass: &Verdict, sets: &mut Sets<'_>) -> Vec<ruleset::Rule> {
    let verdict = match rule.action {
        Action::Allow => Verdict::Return,
        Action::Deny => Verdict::Drop,
        Action::Pass | Action::Log => pass.clone(),
    };
    let ports = port::conditions(rule, sets);
    let peers = peer::conditions(rule.peers(direction), direction, sets);
    product(&ports, &peers).into_iter().map(|condition| when(condition, verdict.clone())).collect()
}

/// A rule; what drops is counted.
pub(super) fn when(condition: Condition, verdict: Verdict) -> ruleset::Rule {
    let counter = verdict == Verdict::Drop;
    ruleset::Rule { matches: condition.into_matches(), counter, then: Then::Verdict(verdict) }
}
