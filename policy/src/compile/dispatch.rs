//! The two steps from an interface to its path: name → id, id → chain.
//!
//! Interfaces come and go every second, paths seldom: the first step's map changes with an interface by one element, and
//! the second's stays. A map from name to chain directly costs milliseconds a change where there are thousands of chains.
//! An interface that is not in the first map finds no chain, and the rule after the dispatch drops.

use std::collections::{BTreeMap, BTreeSet};

use super::name::id_of;
use crate::edit::Edited;
use crate::model::{Direction, IpVersion};
use crate::ruleset::{
    Atom, Datatype, Element, Field, Form, Interface, Map, MapElements, MapKey, Name, Set, Then, Verdict,
};

/// Where each local interface's packets of one direction go.
#[derive(Clone, Debug)]
pub(super) struct Dispatch {
    direction: Direction,
    /// Each interface's path.
    paths: BTreeMap<Interface, Name>,
    ids: BTreeMap<Name, u32>,
}

impl Dispatch {
    /// Makes the two maps, empty.
    pub(super) fn new(direction: Direction, edited: &mut Edited) -> Self {
        let dispatch = Self { direction, paths: BTreeMap::new(), ids: BTreeMap::new() };
        let key = vec![MapKey::Field(Datatype::Interface)];
        let ids = Map { key, form: Form::Hash, elements: MapElements::Ids(BTreeMap::new()) };
        edited.set_map(&ids_name(direction), Some(ids));
        dispatch.set_verdicts(edited);
        dispatch
    }

    /// Sends an interface's packets along a path, or nowhere. The paths that stand are told by [`Dispatch::set_paths`].
    pub(super) fn set(&mut self, interface: &Interface, path: Option<&Name>, edited: &mut Edited) {
        match path {
            Some(path) => self.paths.insert(interface.clone(), path.clone()),
            None => self.paths.remove(interface),
        };
        edited.set_id(&ids_name(self.direction), key(interface), path.map(|path| self.ids[path]));
    }

    /// Gives every path its id.
    pub(super) fn set_paths<'a>(&mut self, paths: impl Iterator<Item = &'a Name>, edited: &mut Edited) {
        let before = std::mem::replace(&mut self.ids, ids(paths, id_of));
        if before == self.ids {
            return;
        }
        self.set_verdicts(edited);
        for (interface, path) in &self.paths {
            if let Some(id) = self.ids.get(path).filter(|id| before.get(path) != Some(id)) {
                edited.set_id(&ids_name(self.direction), key(interface), Some(*id));
            }
        }
    }

    fn set_verdicts(&self, edited: &mut Edited) {
        let verdicts = self.ids.iter().map(|(path, id)| (*id, Verdict::Goto(path.clone())));
        let elements = MapElements::IdVerdicts(verdicts.collect());
        let map = Map { key: vec![MapKey::Id], form: Form::Hash, elements };
        edited.set_map(&verdicts_name(self.direction), Some(map));
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

/// Name of the set of (interface, address) pairs that are no spoof.
pub(super) fn sources_name(family: IpVersion) -> Name {
    Name::new(format!("sources{}", family.digit()))
}

/// The set of (interface, address) pairs that are no spoof, empty.
pub(super) fn no_sources(family: IpVersion) -> Set {
    let key = vec![Datatype::Interface, family.datatype()];
    Set { key, form: Form::Hash, elements: BTreeSet::new() }
}

fn key(interface: &Interface) -> Element {
    Element::exactly(vec![Atom::Interface(interface.clone())])
}

fn ids_name(direction: Direction) -> Name {
    Name::new(format!("{direction}-ids"))
}

fn verdicts_name(direction: Direction) -> Name {
    Name::new(format!("{direction}-chains"))
}

/// An id for each name: its hash, or the next free number, given out in the order of names so that the same names
/// always get the same ids.
pub(super) fn ids<'a>(names: impl Iterator<Item = &'a Name>, hash: fn(&Name) -> u32) -> BTreeMap<Name, u32> {
    let mut taken = BTreeSet::new();
    let mut id_for = |name| {
        let mut id = hash(name);
        while !taken.insert(id) {
            id = id.wrapping_add(1);
        }
        id
    };
    names.map(|name| (name.clone(), id_for(name))).collect()
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
