//! Where answers lead: from what was found out about a packet to a counter and a verdict.
//!
//! In: what each answer settles. Out: two maps with equal keys. Answers of two families share them as long as none means two things.

use std::collections::BTreeMap;

use super::outcome::Outcome;
use crate::model::IpVersion;
use crate::ruleset::{Atom, Datatype, Element, Form, Map, MapElements, Name, Verdict};

/// What stands for a port by itself, where answers stand for what was found out beyond it.
pub(super) const PORT: u64 = 0;
/// What stands for what no entry of a list settles.
pub(super) const OPEN: u64 = u64::MAX;

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
    /// Those of a chain, or of one family's answers in it.
    pub(super) fn of(chain: &Name, family: Option<IpVersion>) -> Self {
        let digit = family.map(|family| family.digit().to_string()).unwrap_or_default();
        let name = |kind: char| Name::new(format!("{kind}{digit}-{chain}"));
        Self { counters: name('c'), verdicts: name('v') }
    }
}

impl Answers {
    /// An answer, found at these values, is carried out so.
    pub(super) fn add(&mut self, at: &[Atom], answer: u64, outcome: &Outcome) {
        let key = Element::exactly(at.iter().cloned().chain([Atom::Id(answer)]));
        self.counters.extend(outcome.counter.clone().map(|counter| (key.clone(), counter)));
        self.verdicts.insert(key, outcome.verdict.clone());
    }

    /// The chains and counters they lead to.
    pub(super) fn nodes(&self) -> impl Iterator<Item = &Name> {
        self.verdicts.values().filter_map(Verdict::target).chain(self.counters.values())
    }

    /// Takes the other's answers too, unless one means something else there.
    pub(super) fn join(&mut self, other: Self) -> Result<(), Self> {
        let means_two = other.verdicts.iter().any(|(key, verdict)| {
            let is_other = |known: &Verdict| known != verdict || self.counters.get(key) != other.counters.get(key);
            self.verdicts.get(key).is_some_and(is_other)
        });
        if means_two {
            return Err(other);
        }
        self.counters.extend(other.counters);
        self.verdicts.extend(other.verdicts);
        Ok(())
    }

    /// The maps; none if there is no answer.
    pub(super) fn maps(self, names: &MapNames, at: &[Datatype]) -> Vec<(Name, Map)> {
        if self.verdicts.is_empty() {
            return Vec::new();
        }
        let key: Vec<Datatype> = at.iter().copied().chain([Datatype::Id]).collect();
        let map = |elements| Map { key: key.clone(), form: Form::Hash, elements };
        vec![
            (names.counters.clone(), map(MapElements::Counters(self.counters))),
            (names.verdicts.clone(), map(MapElements::Verdicts(self.verdicts))),
        ]
    }
}
