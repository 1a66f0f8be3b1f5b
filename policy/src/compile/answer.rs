//! Where the answers to a list's questions lead: from what was found out about an address to a counter and a verdict.
//!
//! In: what each answer settles. Out: two maps with equal keys, for both families: an answer means the same for both.

use std::collections::BTreeMap;

use super::name::id_key;
use super::outcome::Outcome;
use crate::ruleset::{Datatype, Element, Form, Map, MapElements, Name, Verdict};

/// What each answer leads to.
#[derive(Clone, Debug, Default)]
pub(super) struct Answers {
    counters: BTreeMap<Element, Name>,
    verdicts: BTreeMap<Element, Verdict>,
}

/// What the two maps are called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MapNames {
    pub(super) counters: Name,
    pub(super) verdicts: Name,
}

impl MapNames {
    /// Those of a chain.
    pub(super) fn of(chain: &Name) -> Self {
        let name = |kind: char| Name::new(format!("{kind}-{chain}"));
        Self { counters: name('c'), verdicts: name('v') }
    }
}

impl Answers {
    /// An answer is carried out so.
    pub(super) fn add(&mut self, answer: u64, outcome: &Outcome) {
        self.counters.extend(outcome.counter.clone().map(|counter| (id_key(answer), counter)));
        self.verdicts.insert(id_key(answer), outcome.verdict.clone());
    }

    /// The chains and counters they lead to.
    pub(super) fn nodes(&self) -> impl Iterator<Item = &Name> {
        self.verdicts.values().filter_map(Verdict::target).chain(self.counters.values())
    }

    /// Takes the other's answers too.
    pub(super) fn join(&mut self, other: Self) {
        self.counters.extend(other.counters);
        self.verdicts.extend(other.verdicts);
    }

    /// The maps; none if there is no answer.
    pub(super) fn maps(self, names: MapNames) -> Vec<(Name, Map)> {
        if self.verdicts.is_empty() {
            return Vec::new();
        }
        let map = |elements| Map { key: vec![Datatype::Id], form: Form::Hash, elements };
        vec![
            (names.counters, map(MapElements::Counters(self.counters))),
            (names.verdicts, map(MapElements::Verdicts(self.verdicts))),
        ]
    }
}
