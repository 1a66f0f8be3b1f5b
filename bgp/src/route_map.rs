//! What an operator wants done with routes that come in or go out: rules in order, of which the first that fits decides.
//!
//! In: a prefix, what is said about it, and with whom it is exchanged. Out: whether it passes, and what is changed on it.
//! Knows nothing of sessions and of the table; what every speaker does anyway stands in `speaker/export`.
//! Rules: RFC 4271 §9.1.1 leaves this to the operator; RFC 8212 says what holds where the operator says nothing.

mod change;
mod condition;
mod pattern;
mod prefixes;

use std::sync::Arc;

use ipnet::IpNet;

use crate::{Address, wire::Attributes};

pub use change::{CommunityChange, MedChange, NextHop, RouteChange};
pub use condition::{PathCondition, RouteCondition};
pub use pattern::CommunityPattern;
pub use prefixes::{BadPrefixRange, PrefixRange, Prefixes};

/// Which routes pass in one direction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum RouteRules {
    /// All of them, as they are.
    #[default]
    Open,
    /// None: what RFC 8212 asks for towards external neighbours about whom nothing was said.
    Closed,
    /// As this map says; neighbours may share one.
    Map(Arc<RouteMap>),
}

/// Rules in order, of which the first that fits decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteMap {
    /// The rules.
    pub rules: Vec<RouteRule>,
    /// What happens to routes that no rule fits.
    pub otherwise: Verdict,
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteRule {
    /// Which routes it fits.
    pub when: RouteCondition,
    /// What happens to them.
    pub verdict: Verdict,
    /// What is changed on those it accepts.
    pub change: RouteChange,
}

/// Whether a route passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It does.
    Accept,
    /// It does not.
    Reject,
}

/// A route as rules see it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subject<'a> {
    pub(crate) prefix: IpNet,
    /// With whom it is exchanged: who offers it, or who would be told.
    pub(crate) neighbour: Address,
    pub(crate) attributes: &'a Attributes,
}

/// What became of a route that passes: equal rulings on equal attributes make equal changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Ruling {
    /// It passes as it is.
    Unchanged,
    /// It passes with the changes of the rule at this position.
    Rule(usize),
}

impl RouteRules {
    /// `None`: it does not pass.
    pub(crate) fn judge(&self, subject: Subject<'_>) -> Option<Ruling> {
        match self {
            Self::Open => Some(Ruling::Unchanged),
            Self::Closed => None,
            Self::Map(map) => map.judge(subject),
        }
    }

    /// Whether they ask with whom a route is exchanged.
    pub(crate) fn asks_who(&self) -> bool {
        match self {
            Self::Open | Self::Closed => false,
            Self::Map(map) => map.rules.iter().any(|rule| !rule.when.neighbours.is_empty()),
        }
    }

    /// What is changed on a route with this ruling, if anything is.
    pub(crate) fn change(&self, ruling: Ruling) -> Option<&RouteChange> {
        match (self, ruling) {
            (Self::Map(map), Ruling::Rule(position)) => map.rules.get(position).map(|rule| &rule.change),
            (Self::Open | Self::Closed | Self::Map(_), _) => None,
        }
    }
}

impl RouteMap {
    fn judge(&self, subject: Subject<'_>) -> Option<Ruling> {
        let found = self.rules.iter().position(|rule| rule.when.fits(subject));
        let (verdict, ruling) = match found {
            Some(position) => (self.rules[position].verdict, Ruling::Rule(position)),
            None => (self.otherwise, Ruling::Unchanged),
        };
        match verdict {
            Verdict::Accept => Some(ruling),
            Verdict::Reject => None,
        }
    }
}

#[cfg(test)]
mod tests;
