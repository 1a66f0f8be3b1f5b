//! What the parts of a ruleset refer to.
//!
//! A rule names sets, maps and chains, a map's verdicts name chains. Nothing may name what does not stand; the kernel
//! refuses the whole transaction if one does, so the order of changes follows these references.

use crate::ruleset::{Chain, MapElements, Match, Name, Rule, Ruleset, Then, Verdict};

/// Something that is referred to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reference<'a> {
    /// A set.
    Set(&'a Name),
    /// A map.
    Map(&'a Name),
    /// A chain.
    Chain(&'a Name),
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
            Match::Range { .. } | Match::InterfacePrefix { .. } | Match::Bits { .. } | Match::Conntrack(_) => None,
        });
        let then = match &self.then {
            Then::Verdict(verdict) => [verdict.target().map(Reference::Chain), None],
            Then::Log(_) | Then::Notrack => [None, None],
            Then::Lookup { map, .. } => [Some(Reference::Map(map)), None],
            Then::Dispatch { ids, verdicts, .. } => [Some(Reference::Map(ids)), Some(Reference::Map(verdicts))],
        };
        sets.chain(then.into_iter().flatten())
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
            MapElements::Ids(_) => Vec::new(),
            MapElements::IdVerdicts(verdicts) => verdicts.values().filter_map(Verdict::target).collect(),
            MapElements::Verdicts(verdicts) => verdicts.values().filter_map(Verdict::target).collect(),
        }
    }
}

impl Ruleset {
    /// The first reference to something that does not stand; nothing in any ruleset a kernel would take.
    pub fn dangling(&self) -> Option<Reference<'_>> {
        let of_chains = self.chains.values().flat_map(Chain::references);
        let of_maps = self.maps.values().flat_map(|map| map.elements.targets()).map(Reference::Chain);
        of_chains.chain(of_maps).find(|reference| !self.stands(*reference))
    }

    fn stands(&self, reference: Reference<'_>) -> bool {
        match reference {
            Reference::Set(name) => self.sets.contains_key(name),
            Reference::Map(name) => self.maps.contains_key(name),
            Reference::Chain(name) => self.chains.contains_key(name),
        }
    }
}
