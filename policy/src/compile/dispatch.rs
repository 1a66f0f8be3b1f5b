//! The two steps from an interface to its path: name → id, id → chain.
//!
//! Interfaces come and go every second, paths seldom: the first step's map changes with an interface by one element, and
//! the second's stays. A map from name to chain directly costs milliseconds a change where there are thousands of chains.
//! What holds at the packet's port is looked up by that id before the second step, in [`ports`].
//! An interface that is not in the first map finds no path, and the rule after the dispatch decides: workloads' packets are dropped.

use std::collections::{BTreeMap, BTreeSet};

use super::condition::look_up;
use super::name::{id_key, id_of};
use super::ports;
use super::round::Round;
use crate::edit::Edited;
use crate::model::IpVersion;
use crate::ruleset::{
    Atom, Datatype, Dispatch as Steps, Element, Form, Interface, Map, MapElements, Name, Origin, Rule, Set, Then,
    Verdict,
};

/// Makes a round's maps, empty.
pub(super) fn begin(round: Round, edited: &mut Edited) {
    edited.set_map(&ids_name(round), Some(ids(BTreeMap::new())));
    edited.set_map(&verdicts_name(round), Some(verdicts(BTreeMap::new())));
    ports::begin(round, edited);
}

/// Ends them.
pub(super) fn end(round: Round, edited: &mut Edited) {
    edited.set_map(&ids_name(round), None);
    edited.set_map(&verdicts_name(round), None);
    ports::end(round, edited);
}

/// Whether they stand.
pub(super) fn stands(round: Round, edited: &Edited) -> bool {
    edited.ruleset().maps.contains_key(&ids_name(round))
}

/// Sends an interface's packets along a path that stands, or nowhere.
pub(super) fn set(round: Round, interface: &Interface, path: Option<&Name>, edited: &mut Edited) {
    let key = Element::exactly([Atom::Interface(interface.clone())]);
    edited.set_id(&ids_name(round), key, path.map(id_of));
}

/// A path stands, and this becomes of what nothing holds for at its port; or it does not stand any more.
pub(super) fn set_path(round: Round, path: &Name, entry: Option<Verdict>, edited: &mut Edited) {
    edited.set_verdict(&verdicts_name(round), id_key(id_of(path)), entry);
}

/// The rules that settle a packet by its interface's path: at its port, and what is left by the rest.
pub(super) fn rules(round: Round) -> Vec<Rule> {
    let path = Origin::Fields { fields: vec![round.interface()], ids: ids_name(round) };
    let steps = Steps { from: path.clone(), and: None, counters: None, verdicts: verdicts_name(round) };
    ports::rules(round, &path).into_iter().chain([look_up(Vec::new(), Then::Dispatch(Box::new(steps)))]).collect()
}

/// From interface to path.
pub(super) fn ids(elements: BTreeMap<Element, u64>) -> Map {
    Map { key: vec![Datatype::Interface], form: Form::Hash, elements: MapElements::Ids(elements) }
}

/// From path to verdict.
pub(super) fn verdicts(elements: BTreeMap<Element, Verdict>) -> Map {
    Map { key: vec![Datatype::Id], form: Form::Hash, elements: MapElements::Verdicts(elements) }
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

/// Name of the map from interface to path.
pub(super) fn ids_name(round: Round) -> Name {
    round.name_of("ids")
}

/// Name of the map from path to verdict.
pub(super) fn verdicts_name(round: Round) -> Name {
    round.name_of("chains")
}
