//! What becomes of a settled packet: a chain for each rule that settles, which counts, tells, and lets it pass or drops it.
//!
//! The chain is the rule's own: its counter goes on counting while what leads to it is rebuilt around it.

use std::collections::BTreeSet;

use super::condition::when;
use super::list::Settled;
use super::node::{Blueprint, Drawing, Form};
use crate::model::Direction;
use crate::place::Place;
use crate::ruleset::{Name, Rule, Then, Verdict};

/// The verdict that settles a packet so.
pub(super) fn outcome(settled: &Settled, direction: Direction, drawing: &mut Drawing) -> Verdict {
    match settled {
        Settled::Open => Verdict::Return,
        Settled::Rule { .. } | Settled::EndOfTier { .. } | Settled::Staged(_) => {
            drawing.draw(chain_of(settled, direction), |_| blueprint(settled, direction))
        }
    }
}

/// The name of the chain that counts what is settled so.
pub(super) fn chain_of(settled: &Settled, direction: Direction) -> Name {
    let kind = match settled {
        Settled::Staged(_) => "staged",
        Settled::Rule { .. } => "rule",
        Settled::EndOfTier { .. } | Settled::Open => "end",
    };
    Drawing::name(kind, &(settled, direction))
}

fn blueprint(settled: &Settled, direction: Direction) -> Blueprint {
    let counted = |verdict| Rule { counter: true, ..when(Vec::new(), verdict) };
    let told = |place: Place| Rule { matches: Vec::new(), counter: false, then: Then::Log(place.log()) };
    let denied = vec![told(Place::Denied(direction)), counted(Verdict::Drop)];
    let rules = match settled {
        Settled::Rule { allowed: true, log: true, .. } => {
            vec![told(Place::Logged(direction)), counted(Verdict::Return)]
        }
        Settled::Rule { allowed: true, log: false, .. } | Settled::Staged(_) | Settled::Open => {
            vec![counted(Verdict::Return)]
        }
        Settled::Rule { allowed: false, .. } | Settled::EndOfTier { .. } => denied,
    };
    Blueprint { rules, map: None, tables: BTreeSet::new(), below: BTreeSet::new(), form: Form::Outcome }
}
