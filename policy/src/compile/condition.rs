//! One alternative of a rule: all that a packet must be for it to fit.
//!
//! Keeps what other matches rest on, family and protocol, apart from those matches, so that it can say when two
//! alternatives exclude each other and can put the supports first.

use super::family::Family;
use crate::ruleset::{Atom, Field, Match, Name};

/// A conjunction. The default holds for every packet.
#[derive(Clone, Debug, Default)]
pub(super) struct Condition {
    pub(super) family: Option<Family>,
    pub(super) protocol: Option<u8>,
    pub(super) rest: Vec<Match>,
}

impl Condition {
    pub(super) fn of_family(family: Family, rest: Vec<Match>) -> Self {
        Self { family: Some(family), protocol: None, rest }
    }

    pub(super) fn of_protocol(protocol: u8, rest: Vec<Match>) -> Self {
        Self { family: None, protocol: Some(protocol), rest }
    }

    /// Both must hold; nothing if no packet can be both.
    pub(super) fn and(&self, other: &Self) -> Option<Self> {
        Some(Self {
            family: agreed(self.family, other.family)?,
            protocol: agreed(self.protocol, other.protocol)?,
            rest: self.rest.iter().chain(&other.rest).cloned().collect(),
        })
    }

    /// The matches, each after those it rests on.
    pub(super) fn into_matches(self) -> Vec<Match> {
        let family = self.family.map(|family| equals(Field::Family, family.atom()));
        let protocol = self.protocol.map(|protocol| equals(Field::Protocol, Atom::Octet(protocol)));
        family.into_iter().chain(protocol).chain(self.rest).collect()
    }
}

/// Every pair of alternatives that some packet can be.
pub(super) fn product(left: &[Condition], right: &[Condition]) -> Vec<Condition> {
    left.iter().flat_map(|first| right.iter().filter_map(move |second| first.and(second))).collect()
}

/// `field == value`.
pub(super) fn equals(field: Field, value: Atom) -> Match {
    within(field, value.clone(), value)
}

/// `field` lies in the range.
pub(super) fn within(field: Field, low: Atom, high: Atom) -> Match {
    Match::Range { field, low, high, negated: false }
}

/// The fields are a key of the set.
pub(super) fn member(fields: Vec<Field>, set: Name) -> Match {
    Match::Member { fields, set, negated: false }
}

/// The outer nothing: they disagree. The inner nothing: neither demands anything.
fn agreed<T: Copy + PartialEq>(left: Option<T>, right: Option<T>) -> Option<Option<T>> {
    match (left, right) {
        (Some(left), Some(right)) if left != right => None,
        (left, right) => Some(left.or(right)),
    }
}
