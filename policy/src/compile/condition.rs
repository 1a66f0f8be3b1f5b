//! Matches, and the rules they make.

use crate::model::IpVersion;
use crate::ruleset::{Atom, Counter, Field, Match, Name, Rule, Then, Verdict};

/// `field == value`.
pub(super) fn equals(field: Field, value: Atom) -> Match {
    within(field, value.clone(), value)
}

/// `field` lies in the range.
pub(super) fn within(field: Field, low: Atom, high: Atom) -> Match {
    Match::Range { field, low, high, negated: false }
}

/// The fields are a key of the set, or are not.
pub(super) fn member(fields: Vec<Field>, set: Name, negated: bool) -> Match {
    Match::Member { fields, set, negated }
}

/// The packet is of this family and protocol.
pub(super) fn is_of(family: IpVersion, protocol: u8) -> Vec<Match> {
    vec![family.is_it(), equals(Field::Protocol, Atom::Octet(protocol))]
}

/// A rule; what drops is counted.
pub(super) fn when(matches: Vec<Match>, verdict: Verdict) -> Rule {
    let counter = (verdict == Verdict::Drop).then_some(Counter::Own);
    Rule { matches, counter, then: Then::Verdict(verdict) }
}

/// A rule that counts and goes on.
pub(super) fn count(matches: Vec<Match>, counter: Name) -> Rule {
    Rule { matches, counter: Some(Counter::Named(counter)), then: Then::Continue }
}

/// A rule that looks something up.
pub(super) fn look_up(matches: Vec<Match>, then: Then) -> Rule {
    Rule { matches, counter: None, then }
}
