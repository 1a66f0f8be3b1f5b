//! A list as a function of the address: which way leads through it.
//!
//! In: a list, the population it speaks of, and the address sets. Out: for any address its way. An endpoint is shown
//! only to entries whose selection admits its class, so a list of thousands of entries costs what fits, not what stands.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use smallvec::SmallVec;

use super::ids::Ids;
use super::list::{Question, Shape};
use super::places::Places;
use super::population::Population;
use super::range::{address_ranges, holds, merged};
use super::slab::Id;
use super::way::{Step, Way};
use crate::model::{AddressSet, IpVersion, NamedPort, QualifiedName, Selection};
use crate::world::World;

/// A list, ready to be asked.
#[derive(Clone, Debug)]
pub(super) struct Lookup {
    entries: Vec<Ready>,
    /// Entries that only endpoints of a selection fit, with the selection; sorted.
    by_selection: Vec<(Id, usize)>,
    /// All others.
    others: Vec<usize>,
}

#[derive(Clone, Debug)]
struct Ready {
    select: Option<Id>,
    /// What else it asks; most ask nothing else.
    beyond: Option<Box<Beyond>>,
    step: Step,
    tier: usize,
}

/// What an entry asks beside the selection that must admit an endpoint.
#[derive(Clone, Debug, Default, PartialEq)]
struct Beyond {
    /// Where address sets are that are selected: who is there need not be admitted.
    labelled: Ranges,
    not_select: Option<(Id, Ranges)>,
    outside: bool,
    nets: Option<Ranges>,
    not_nets: Ranges,
    sets: Option<Ranges>,
    ports: Vec<(NamedPort, bool)>,
}

type Ranges = Vec<RangeInclusive<u128>>;

/// What entries are made ready from.
struct Terrain<'a> {
    family: IpVersion,
    world: &'a World,
    places: &'a Places,
    population: &'a Population,
}

/// Whose an address is: its class, if it is an endpoint's or one of a host whose ports have names.
#[derive(Clone, Copy)]
pub(super) struct Someone<'p> {
    pub(super) bits: u128,
    pub(super) class: Option<(&'p Ids, &'p [NamedPort])>,
    pub(super) is_endpoint: bool,
}

impl Lookup {
    /// Makes a list ready. Each selection in it must have been asked about before.
    pub(super) fn new(shape: &Shape, world: &World, places: &Places, population: &Population) -> Self {
        let terrain = Terrain { family: shape.family, world, places, population };
        let count = shape.questions.len();
        let mut lookup = Self { entries: Vec::with_capacity(count), by_selection: Vec::new(), others: Vec::new() };
        for (index, question) in shape.questions.iter().enumerate() {
            let ready = Ready::new(question, &terrain);
            match ready.select {
                Some(id) if !ready.may_lie_elsewhere() => lookup.by_selection.push((id, index)),
                _ => lookup.others.push(index),
            }
            lookup.entries.push(ready);
        }
        // Tables are many, and few of them long.
        lookup.by_selection.sort_unstable();
        lookup.by_selection.shrink_to_fit();
        lookup.others.shrink_to_fit();
        lookup
    }

    /// The way of what comes from there, or goes there.
    pub(super) fn way(&self, someone: Someone<'_>) -> Way {
        let admitted = someone.class.into_iter().flat_map(|(admitted, _)| admitted.iter());
        let mut candidates: SmallVec<[usize; 16]> = admitted.flat_map(|id| self.asking(id)).collect();
        if candidates.is_empty() {
            return self.through(self.others.iter().copied(), someone);
        }
        candidates.extend(self.others.iter().copied());
        candidates.sort_unstable();
        self.through(candidates.into_iter(), someone)
    }

    /// The entries that only endpoints of a selection fit.
    fn asking(&self, selection: Id) -> impl Iterator<Item = usize> {
        let start = self.by_selection.partition_point(|(known, _)| *known < selection);
        let from_there = self.by_selection[start..].iter();
        from_there.take_while(move |(known, _)| *known == selection).map(|(_, index)| *index)
    }

    fn through(&self, candidates: impl Iterator<Item = usize>, someone: Someone<'_>) -> Way {
        let entries = candidates.map(|index| {
            let number = u32::try_from(index).expect("a list has fewer than four billion entries");
            (number, self.entries[index].step, self.entries[index].tier)
        });
        Way::through(entries, |index| self.entries[index as usize].fits(someone))
    }

    /// The way of addresses that are no endpoint's: the ranges where it is not that of everybody else.
    pub(super) fn intervals(&self, family: IpVersion, everybody_else: &Way) -> Vec<(RangeInclusive<u128>, Way)> {
        let mut cuts = BTreeSet::from([0]);
        for ranges in self.others.iter().flat_map(|index| self.entries[*index].ranges()) {
            cuts.extend(ranges.iter().map(|range| *range.start()));
            cuts.extend(ranges.iter().filter(|range| *range.end() < family.greatest()).map(|range| range.end() + 1));
        }
        let mut intervals: Vec<(RangeInclusive<u128>, Way)> = Vec::new();
        let mut starts = cuts.into_iter().peekable();
        while let Some(low) = starts.next() {
            let high = starts.peek().map_or(family.greatest(), |next| next - 1);
            let someone = Someone { bits: low, class: None, is_endpoint: false };
            let way = self.through(self.others.iter().copied(), someone);
            match intervals.last_mut() {
                Some((range, last)) if *last == way => *range = *range.start()..=high,
                _ => intervals.push((low..=high, way)),
            }
        }
        intervals.retain(|(_, way)| way != everybody_else);
        intervals
    }

    /// The named ports it asks for.
    pub(super) fn ports(&self) -> BTreeSet<NamedPort> {
        let beyond = self.entries.iter().filter_map(|entry| entry.beyond.as_ref());
        beyond.flat_map(|beyond| &beyond.ports).map(|(port, _)| port.clone()).collect()
    }
}

impl Ready {
    fn new(Question { who, step, tier }: &Question, terrain: &Terrain<'_>) -> Self {
        let Terrain { family, world, places, population } = *terrain;
        let selected =
            |selection: &Selection| (population.asked(selection), labelled(world, places, selection, family));
        let (select, labelled) = who.select.as_ref().map(selected).unzip();
        let beyond = Beyond {
            labelled: labelled.unwrap_or_default(),
            not_select: who.not_select.as_ref().map(selected),
            outside: who.outside,
            nets: who.nets.as_deref().map(ranges),
            not_nets: ranges(&who.not_nets),
            sets: (!who.sets.is_empty()).then(|| named(world, &who.sets, family)),
            ports: who.ports.clone(),
        };
        let asks_more = beyond != Beyond::default();
        Self { select, beyond: asks_more.then(|| Box::new(beyond)), step: *step, tier: *tier }
    }

    /// Whether its selection may hold for an address because of where it lies.
    fn may_lie_elsewhere(&self) -> bool {
        self.beyond.as_ref().is_some_and(|beyond| !beyond.labelled.is_empty())
    }

    fn fits(&self, someone: Someone<'_>) -> bool {
        let is_admitted = self.select.is_none_or(|id| someone.is_admitted(id));
        match &self.beyond {
            None => is_admitted,
            Some(beyond) => (is_admitted || holds(&beyond.labelled, someone.bits)) && beyond.fits(someone),
        }
    }

    fn ranges(&self) -> impl Iterator<Item = &Ranges> {
        self.beyond.iter().flat_map(|beyond| beyond.ranges())
    }
}

impl Beyond {
    fn fits(&self, someone: Someone<'_>) -> bool {
        let Someone { bits, class, is_endpoint } = someone;
        let has_port = |port: &NamedPort| class.is_some_and(|(_, ports)| ports.contains(port));
        let is_selected = |(id, labelled): &(Id, Ranges)| someone.is_admitted(*id) || holds(labelled, bits);
        !self.not_select.as_ref().is_some_and(is_selected)
            && self.nets.as_ref().is_none_or(|nets| holds(nets, bits))
            && !holds(&self.not_nets, bits)
            && self.sets.as_ref().is_none_or(|sets| holds(sets, bits))
            && self.ports.iter().all(|(port, wanted)| has_port(port) == *wanted)
            && !(self.outside && is_endpoint)
    }

    fn ranges(&self) -> impl Iterator<Item = &Ranges> {
        let unlike = self.not_select.iter().map(|(_, labelled)| labelled);
        [&self.labelled].into_iter().chain(unlike).chain(&self.nets).chain([&self.not_nets]).chain(&self.sets)
    }
}

impl Someone<'_> {
    /// Whether an endpoint is there that a selection admits.
    fn is_admitted(&self, selection: Id) -> bool {
        self.class.is_some_and(|(admitted, _)| admitted.contains(selection))
    }
}

/// The selection every endpoint is in.
pub(super) fn everybody() -> Selection {
    Selection::anywhere(crate::selector::Selector::all())
}

/// The prefixes of the address sets that are selected.
pub(super) fn labelled(world: &World, places: &Places, selection: &Selection, family: IpVersion) -> Ranges {
    of_sets(places.selected(world, selection).into_iter(), family)
}

/// The prefixes of address sets by name.
pub(super) fn named(world: &World, names: &[QualifiedName], family: IpVersion) -> Ranges {
    of_sets(names.iter().filter_map(|name| world.sets.get(name)), family)
}

fn of_sets<'w>(sets: impl Iterator<Item = &'w AddressSet>, family: IpVersion) -> Ranges {
    address_ranges(sets.flat_map(|set| &set.nets), family)
}

fn ranges(bounds: &[(u128, u128)]) -> Ranges {
    merged(bounds.iter().map(|(low, high)| *low..=*high).collect())
}

impl Population {
    /// Whose an address of a class is.
    pub(super) fn someone(&self, bits: u128, class: Option<Id>) -> Someone<'_> {
        let is_endpoint = class.is_some_and(|class| !self.is_of_hosts(class));
        Someone { bits, class: class.map(|class| (self.admitted(class), self.class_ports(class))), is_endpoint }
    }
}
