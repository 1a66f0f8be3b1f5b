//! What changes of a host's table touch, arranged for those who follow a part of it each: everyone finds his own among however many.

use std::collections::{BTreeMap, BTreeSet};

use crate::delta::Change;
use crate::ruleset::{Atom, Element, Interface, Map, MapElements, Name, Value};

/// What a list of changes touches.
#[derive(Clone, Debug, Default)]
pub struct Touched {
    /// Everything: the table was begun anew.
    pub(super) is_restart: bool,
    /// Chains that came, went, or have other rules.
    pub(super) chains: BTreeSet<Name>,
    /// Sets, maps and counters that came, went, or are not known element by element.
    pub(super) things: BTreeSet<Name>,
    /// Changes of sets that stand and stay.
    pub(super) sets: BTreeMap<Name, Change>,
    /// Elements of maps.
    pub(super) maps: BTreeMap<Name, Moves>,
    /// Interfaces that come another way than they did.
    pub(super) interfaces: BTreeSet<Interface>,
    elements: usize,
}

/// Elements that came to a map, or left it.
#[derive(Clone, Debug)]
pub(super) struct Moves {
    /// The map without elements.
    pub(super) shape: Map,
    /// Those whose keys have ids, by the first of them.
    by_id: BTreeMap<u64, Vec<Moved>>,
    /// The others.
    plain: Vec<Moved>,
}

/// One of them.
#[derive(Clone, Debug)]
pub(super) struct Moved {
    pub(super) element: Element,
    pub(super) value: Value,
    pub(super) has_come: bool,
}

impl Touched {
    /// Arranges the changes of one transaction.
    pub fn of(changes: &[Change]) -> Self {
        let mut touched = Self::default();
        changes.iter().for_each(|change| touched.note(change));
        touched
    }

    /// How many elements it speaks of.
    pub fn len(&self) -> usize {
        self.elements
    }

    /// Whether it speaks of nothing.
    pub fn is_empty(&self) -> bool {
        !self.is_restart
            && self.chains.is_empty()
            && self.things.is_empty()
            && self.sets.is_empty()
            && self.maps.is_empty()
    }

    fn note(&mut self, change: &Change) {
        match change {
            Change::Restart => self.is_restart = true,
            Change::AddChain(name, _) | Change::SetRules(name, _) | Change::RemoveChain(name) => {
                self.chains.insert(name.clone());
            }
            Change::AddSet(name, _)
            | Change::RemoveSet(name)
            | Change::AddMap(name, _)
            | Change::RemoveMap(name)
            | Change::AddCounter(name)
            | Change::RemoveCounter(name) => _ = self.things.insert(name.clone()),
            Change::AlterSet { name, removed, added, .. } => {
                self.elements += removed.len() + added.len();
                if self.sets.insert(name.clone(), change.clone()).is_some() {
                    self.things.insert(name.clone());
                }
            }
            Change::AlterMap { name, shape, removed, added } => self.note_map(name, shape, removed, added),
        }
    }

    fn note_map(&mut self, name: &Name, shape: &Map, removed: &MapElements, added: &MapElements) {
        let mut moves = Moves { shape: shape.emptied(), by_id: BTreeMap::new(), plain: Vec::new() };
        for (elements, has_come) in [(removed, false), (added, true)] {
            self.elements += elements.len();
            let Some(all) = each(elements) else {
                self.things.insert(name.clone());
                return;
            };
            for (element, value) in all {
                self.interfaces.extend(element.low.atoms().filter_map(interface));
                let moved = Moved { element: element.clone(), value, has_come };
                match element.low.atoms().find_map(id) {
                    Some(id) => moves.by_id.entry(id).or_default().push(moved),
                    None => moves.plain.push(moved),
                }
            }
        }
        if self.maps.insert(name.clone(), moves).is_some() {
            self.things.insert(name.clone());
        }
    }
}

impl Moves {
    /// Those of whoever knows these ids, and no others.
    pub(super) fn own<'m>(&'m self, knows: impl Fn(u64) -> bool + Copy + 'm) -> impl Iterator<Item = &'m Moved> {
        let by_id = self.by_id.iter().filter(move |(id, _)| knows(**id)).flat_map(|(_, moved)| moved);
        let is_own = move |moved: &&Moved| moved.element.low.atoms().filter_map(id).all(knows);
        by_id.filter(is_own).chain(&self.plain)
    }
}

/// The elements of a map of ids, verdicts or counters.
fn each(elements: &MapElements) -> Option<Vec<(&Element, Value)>> {
    Some(match elements {
        MapElements::Ids(all) => all.iter().map(|(element, id)| (element, Value::Id(*id))).collect(),
        MapElements::Verdicts(all) => {
            all.iter().map(|(element, verdict)| (element, Value::Verdict(verdict.clone()))).collect()
        }
        MapElements::Counters(all) => {
            all.iter().map(|(element, name)| (element, Value::Counter(name.clone()))).collect()
        }
        MapElements::Sockets4(_)
        | MapElements::Sockets6(_)
        | MapElements::Addresses4(_)
        | MapElements::Addresses6(_) => return None,
    })
}

pub(super) fn id(atom: Atom) -> Option<u64> {
    match atom {
        Atom::Id(id) => Some(id),
        Atom::Interface(_) | Atom::Octet(_) | Atom::Port(_) | Atom::Address4(_) | Atom::Address6(_) => None,
    }
}

fn interface(atom: Atom) -> Option<Interface> {
    match atom {
        Atom::Interface(interface) => Some(interface),
        Atom::Id(_) | Atom::Octet(_) | Atom::Port(_) | Atom::Address4(_) | Atom::Address6(_) => None,
    }
}
