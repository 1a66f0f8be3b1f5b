//! What becomes of a settled packet: a chain for each rule that settles, which counts, tells, and lets it pass or drops it.
//!
//! The chain is the rule's own: its counter goes on counting while what leads to it is rebuilt around it.

use std::collections::BTreeSet;

use super::condition::{look_up, when};
use super::list::Settled;
use super::node::{Blueprint, Counted, Drawing, Form};
use crate::model::Direction;
use crate::place::Place;
use crate::ruleset::{Name, Rule, Then, Verdict};
use crate::verdict::{By, RuleName};

/// The verdict that settles a packet so.
pub(super) fn outcome(settled: &Settled, direction: Direction, drawing: &mut Drawing) -> Verdict {
    let counts = counted(settled, direction);
    let kind = match &counts {
        None if *settled == Settled::Closed => "closed",
        None => return Verdict::Return,
        Some(counted) if counted.is_staged => "staged",
        Some(counted) if matches!(counted.by, By::EndOfTier { .. }) => "end",
        Some(_) => "rule",
    };
    let name = Drawing::name(kind, &(settled, direction));
    drawing.draw(name.clone(), |_| Blueprint {
        rules: rules(settled, direction, &name),
        maps: Vec::new(),
        tables: BTreeSet::new(),
        below: BTreeSet::new(),
        form: Form::Outcome,
        counts,
    })
}

/// What is to be counted; nothing where nothing settled.
fn counted(settled: &Settled, direction: Direction) -> Option<Counted> {
    let (by, allowed) = match settled {
        Settled::Open | Settled::Closed => return None,
        Settled::Rule { name, allowed, .. } => (By::Rule(RuleName::clone(name)), *allowed),
        Settled::EndOfTier { tier } => (By::EndOfTier { tier: tier.to_string() }, false),
        Settled::Untracked(inner) => return counted(inner, direction),
        Settled::Staged(inner) => {
            return counted(inner, direction).map(|counted| Counted { is_staged: true, ..counted });
        }
    };
    Some(Counted { direction, by, allowed, is_staged: false })
}

fn rules(settled: &Settled, direction: Direction, name: &Name) -> Vec<Rule> {
    let counted = |verdict| Rule { counter: true, ..when(Vec::new(), verdict) };
    let told = |place: Place| look_up(Vec::new(), Then::Log(place.log_by(name)));
    match settled {
        Settled::Rule { allowed: true, log: true, .. } => {
            vec![told(Place::Logged(direction)), counted(Verdict::Return)]
        }
        Settled::Rule { allowed: true, log: false, .. } | Settled::Staged(_) | Settled::Open => {
            vec![counted(Verdict::Return)]
        }
        Settled::Rule { allowed: false, .. } | Settled::EndOfTier { .. } => {
            vec![told(Place::Denied(direction)), counted(Verdict::Drop)]
        }
        Settled::Closed => vec![told(Place::NoPolicy(direction)), counted(Verdict::Drop)],
        Settled::Untracked(inner) => match rules(inner, direction, name).as_slice() {
            [told @ .., last] if last.then == Then::Verdict(Verdict::Return) => {
                let untracked = look_up(Vec::new(), Then::Notrack);
                [told, &[untracked, last.clone()]].concat()
            }
            denied => denied.to_vec(),
        },
    }
}
