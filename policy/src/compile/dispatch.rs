//! The two steps from an interface to its policy: name → id, id → chain.
//!
//! Interfaces come and go every second, paths seldom: the first step's map changes with an interface by one element, and
//! the second's stays. A map from name to chain directly costs milliseconds a change where there are thousands of chains.
//! An interface that is not in the first map finds no chain, and the rule after the dispatch drops.

use std::collections::{BTreeMap, BTreeSet};

use super::Paths;
use super::name::id_of;
use super::path::Path;
use crate::model::Direction;
use crate::ruleset::{Atom, Datatype, Field, Interface, Map, MapElements, MapKey, Name, Then, Verdict};

/// Where each local interface's packets of one direction go.
pub(super) struct Dispatch<'w> {
    direction: Direction,
    interfaces: BTreeMap<&'w Interface, Name>,
    paths: BTreeMap<Name, Path<'w>>,
}

impl<'w> Dispatch<'w> {
    pub(super) fn new(direction: Direction, paths: &Paths<'w>) -> Self {
        let interfaces = paths.iter().map(|(interface, path)| (*interface, path.name())).collect();
        let paths = paths.iter().map(|(_, path)| (path.name(), path.clone())).collect();
        Self { direction, interfaces, paths }
    }

    /// Each distinct path once.
    pub(super) fn paths(&self) -> impl Iterator<Item = &Path<'w>> {
        self.paths.values()
    }

    pub(super) fn add_maps(&self, maps: &mut BTreeMap<Name, Map>) {
        let id_of_path = ids(self.paths.keys(), id_of);
        let interface_ids = self.interfaces.iter().map(|(interface, path)| {
            let key = vec![Atom::Interface((*interface).clone())];
            (key, id_of_path[path])
        });
        let ids = MapElements::Ids(interface_ids.collect());
        let verdicts = id_of_path.iter().map(|(path, id)| (*id, Verdict::Goto((*path).clone())));
        let verdicts = MapElements::IdVerdicts(verdicts.collect());
        maps.insert(ids_name(self.direction), Map { key: vec![MapKey::Field(Datatype::Interface)], elements: ids });
        maps.insert(verdicts_name(self.direction), Map { key: vec![MapKey::Id], elements: verdicts });
    }
}

/// The dispatch itself.
pub(super) fn dispatch(direction: Direction) -> Then {
    let field = match direction {
        Direction::Egress => Field::InterfaceIn,
        Direction::Ingress => Field::InterfaceOut,
    };
    Then::Dispatch { fields: vec![field], ids: ids_name(direction), verdicts: verdicts_name(direction) }
}

fn ids_name(direction: Direction) -> Name {
    Name::new(format!("{direction}-ids"))
}

fn verdicts_name(direction: Direction) -> Name {
    Name::new(format!("{direction}-chains"))
}

/// An id for each name: its hash, or the next free number, given out in the order of names so that the same names
/// always get the same ids.
fn ids<'a>(names: impl Iterator<Item = &'a Name>, hash: fn(&Name) -> u32) -> BTreeMap<&'a Name, u32> {
    let mut taken = BTreeSet::new();
    let mut id_for = |name| {
        let mut id = hash(name);
        while !taken.insert(id) {
            id = id.wrapping_add(1);
        }
        id
    };
    names.map(|name| (name, id_for(name))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_one_hash_get_ids_of_their_own() {
        let names = ["a", "b", "c"].map(Name::new);

        let ids = ids(names.iter(), |_| u32::MAX);

        assert_eq!(ids.into_values().collect::<Vec<_>>(), [u32::MAX, 0, 1]);
    }
}
