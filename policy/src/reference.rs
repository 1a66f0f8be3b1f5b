//! What the parts of a ruleset refer to.
//!
//! A rule names sets, maps, counters and chains, a map's elements name chains and counters. Nothing may name what does not stand; the kernel
//! refuses the whole transaction if one does, so the order of changes follows these references.

use crate::ruleset::{
    Asks, AtPort, Chain, Counter, Dispatch, MapElements, Match, Name, Origin, Rule, Ruleset, Then, Verdict,
};

/// Something that is referred to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reference<'a> {
    /// A set.
    Set(&'a Name),
    /// A map.
    Map(&'a Name),
    /// A chain.
    Chain(&'a Name),
    /// A counter of the table's.
    Counter(&'a Name),
}

impl Chain {
    /// All that the chain's rules refer to.
    pub fn references(&self) -> impl Iterator<Item = Reference<'_>> {
        self.rules.iter().flat_map(Rule::references)
    }
}

impl Rule {
    fn references(&self) -> impl Iterator<Item = Reference<'_>> {
        let sets = self.matches.iter().filter_map(|condition| match condition {
            Match::Member { set, .. } => Some(Reference::Set(set)),
            Match::Range { .. }
            | Match::InterfacePrefix { .. }
            | Match::Group { .. }
            | Match::Bits { .. }
            | Match::Conntrack(_)
            | Match::Mark { .. }
            | Match::ToHost { .. } => None,
        });
        let then = match &self.then {
            Then::Verdict(verdict) => verdict.target().map(Reference::Chain).into_iter().collect(),
            Then::Continue | Then::Log(_) | Then::Notrack | Then::Mark { .. } | Then::SourceNat(_) => Vec::new(),
            Then::Lookup { map, .. } | Then::DestinationNat { map, .. } | Then::Exchange { map, .. } => {
                vec![Reference::Map(map)]
            }
            Then::Dispatch(dispatch) => dispatch.maps().map(Reference::Map).collect(),
            Then::AtPort(at_port) => at_port.maps().map(Reference::Map).collect(),
        };
        let counter = match &self.counter {
            Some(Counter::Named(name)) => Some(Reference::Counter(name)),
            Some(Counter::Own) | None => None,
        };
        sets.chain(then).chain(counter)
    }
}

impl Dispatch {
    fn maps(&self) -> impl Iterator<Item = &Name> {
        let second = self.and.as_ref().map(|(_, ids)| ids);
        self.from.map().into_iter().chain(second).chain(&self.counters).chain([&self.verdicts])
    }
}

impl AtPort {
    fn maps(&self) -> impl Iterator<Item = &Name> {
        let asked = self.asks.iter().flat_map(|Asks { questions, owners, .. }| [questions, owners]);
        self.path.map().into_iter().chain(asked).chain([&self.counters, &self.verdicts])
    }
}

impl Origin {
    fn map(&self) -> Option<&Name> {
        match self {
            Origin::Constant(_) => None,
            Origin::Fields { ids, .. } => Some(ids),
        }
    }
}

impl Verdict {
    /// The chain it leads to, if it leads to one.
    pub fn target(&self) -> Option<&Name> {
        match self {
            Verdict::Jump(name) | Verdict::Goto(name) => Some(name),
            Verdict::Accept | Verdict::Drop | Verdict::Return => None,
        }
    }
}

impl MapElements {
    /// The chains its verdicts lead to.
    pub fn targets(&self) -> Vec<&Name> {
        match self {
            MapElements::Ids(_)
            | MapElements::Counters(_)
            | MapElements::Sockets4(_)
            | MapElements::Sockets6(_)
            | MapElements::Addresses4(_)
            | MapElements::Addresses6(_) => Vec::new(),
            MapElements::Verdicts(verdicts) => verdicts.values().filter_map(Verdict::target).collect(),
        }
    }

    fn counters(&self) -> impl Iterator<Item = &Name> {
        let counters = match self {
            MapElements::Counters(counters) => Some(counters.values()),
            MapElements::Ids(_)
            | MapElements::Verdicts(_)
            | MapElements::Sockets4(_)
            | MapElements::Sockets6(_)
            | MapElements::Addresses4(_)
            | MapElements::Addresses6(_) => None,
        };
        counters.into_iter().flatten()
    }
}

impl Ruleset {
    /// All that its chains and maps refer to.
    pub fn references(&self) -> impl Iterator<Item = Reference<'_>> {
        let of_chains = self.chains.values().flat_map(|chain| chain.references());
        let of_maps = self.maps.values().flat_map(|map| map.elements.targets()).map(Reference::Chain);
        let counters = self.maps.values().flat_map(|map| map.elements.counters()).map(Reference::Counter);
        of_chains.chain(of_maps).chain(counters)
    }

    /// The first reference to something that does not stand; nothing in any ruleset a kernel would take.
    pub fn dangling(&self) -> Option<Reference<'_>> {
        self.references().find(|reference| self.standing(*reference).is_none())
    }

    /// What a reference is to, by the name it has here; absent = it does not stand.
    pub fn standing<'r>(&'r self, reference: Reference<'_>) -> Option<Reference<'r>> {
        Some(match reference {
            Reference::Set(name) => Reference::Set(self.sets.get_key_value(name)?.0),
            Reference::Map(name) => Reference::Map(self.maps.get_key_value(name)?.0),
            Reference::Chain(name) => Reference::Chain(self.chains.get_key_value(name)?.0),
            Reference::Counter(name) => Reference::Counter(self.counters.get(name)?),
        })
    }
}
