//! The two steps from an interface to its path: name → id, id → chain.
//!
//! Interfaces come and go every second, paths seldom: the first step's map changes with an interface by one element, and
//! the second's stays. A map from name to chain directly costs milliseconds a change where there are thousands of chains.
//! What holds at the packet's port is looked up by that id before the second step, in [`ports`].
//! An interface that is not in the first map finds no path, and the rule after the dispatch drops.

use std::collections::{BTreeMap, BTreeSet};

use super::condition::look_up;
use super::name::{id_key, id_of};
use super::ports;
use crate::edit::Edited;
use crate::model::{Direction, IpVersion};
use crate::ruleset::{
    Atom, Datatype, Dispatch as Steps, Element, Field, Form, Interface, Map, MapElements, Name, Origin, Rule, Set,
    Then, Verdict,
};

/// Where each local interface's packets of one direction go.
#[derive(Clone, Debug)]
pub(super) struct Dispatch {
    direction: Direction,
}

impl Dispatch {
    /// Makes the two maps, empty.
    pub(super) fn new(direction: Direction, edited: &mut Edited) -> Self {
        let key = vec![Datatype::Interface];
        let ids = Map { key, form: Form::Hash, elements: MapElements::Ids(BTreeMap::new()) };
        edited.set_map(&ids_name(direction), Some(ids));
        edited.set_map(&verdicts_name(direction), Some(by_id([].iter())));
        for (name, map) in ports::nothing(direction) {
            edited.set_map(&name, Some(map));
        }
        Self { direction }
    }

    /// Sends an interface's packets along a path that stands, or nowhere.
    pub(super) fn set(&self, interface: &Interface, path: Option<&Name>, edited: &mut Edited) {
        let key = Element::exactly([Atom::Interface(interface.clone())]);
        edited.set_id(&ids_name(self.direction), key, path.map(id_of));
    }

    /// A path stands, and this becomes of what nothing holds for at its port; or it does not stand any more.
    pub(super) fn set_path(&self, path: &Name, entry: Option<Verdict>, edited: &mut Edited) {
        edited.set_verdict(&verdicts_name(self.direction), id_key(id_of(path)), entry);
    }
}

/// The map from each path's id to the chain it begins with.
pub(super) fn by_id<'a>(paths: impl Iterator<Item = &'a Name>) -> Map {
    let elements = paths.map(|path| (id_key(id_of(path)), Verdict::Goto(path.clone())));
    Map { key: vec![Datatype::Id], form: Form::Hash, elements: MapElements::Verdicts(elements.collect()) }
}

/// The rules that settle a packet by its interface's path: at its port, and what is left by the rest.
pub(super) fn rules(direction: Direction) -> Vec<Rule> {
    let field = match direction {
        Direction::Egress => Field::InterfaceIn,
        Direction::Ingress => Field::InterfaceOut,
    };
    let path = Origin::Fields { fields: vec![field], ids: ids_name(direction) };
    let rest = look_up(Vec::new(), steps(field, ids_name(direction), verdicts_name(direction)));
    ports::all_rules(direction, &path).into_iter().chain([rest]).collect()
}

/// From a field to an id, and from that to a path.
pub(super) fn steps(field: Field, ids: Name, verdicts: Name) -> Then {
    let from = Origin::Fields { fields: vec![field], ids };
    Then::Dispatch(Steps { from, and: None, counters: None, verdicts })
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

fn ids_name(direction: Direction) -> Name {
    Name::new(format!("{direction}-ids"))
}

fn verdicts_name(direction: Direction) -> Name {
    Name::new(format!("{direction}-chains"))
}
