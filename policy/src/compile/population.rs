//! Everybody who can be selected, sorted into classes of those no selection can tell apart.
//!
//! In: endpoints as they come, change and go, addresses of hosts whose ports have names, which no selection admits, and the selections that are
//! asked about. Out: who is selected, and for a change of one
//! endpoint which selections it concerns. A class is asked once about each selection that could admit it: a selection that needs
//! `app == 'web'` is never shown to a class without that label, whichever of the two comes first.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use smallvec::SmallVec;

use super::ids::Ids;
use super::name::{Hashed, hash_of};
use super::pairs::Pairs;
use super::slab::{Id, Slab};
use crate::label::Labels;
use crate::model::{Endpoint, NamedPort, Scope, Selection};

mod namespaces;

pub(super) use namespaces::Readmitted;

/// What all endpoints of a class have in common.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Likeness {
    labels: Labels,
    namespace: Option<String>,
    ports: Vec<NamedPort>,
    /// They are no endpoints, but addresses of hosts: of those only the ports are known here.
    is_of_hosts: bool,
}

/// Endpoints that are alike.
#[derive(Clone, Debug)]
pub(super) struct Class {
    likeness: Likeness,
    /// The selections that admit them.
    admitted: Ids,
    /// Who is in it, in any order.
    members: SmallVec<[Id; 1]>,
    /// Whether it is only how a class was before it was given other labels: nobody is in it, and nobody finds it.
    is_past: bool,
}

/// A selection somebody asks about.
#[derive(Clone, Debug)]
struct Asked {
    selection: Selection,
    uses: usize,
    /// The classes it admits.
    classes: BTreeSet<Id>,
}

#[derive(Clone, Debug)]
struct Resident {
    name: Arc<str>,
    class: Id,
    /// Where it stands among the members of its class.
    place: usize,
    addresses: SmallVec<[IpAddr; 1]>,
}

/// What becomes of an endpoint of which only the labels become others.
struct Relabelled {
    class: Id,
    likeness: Likeness,
    hash: u64,
}

/// Everybody.
#[derive(Clone, Debug, Default)]
pub(super) struct Population {
    residents: Slab<Resident>,
    resident_ids: Hashed<Arc<str>, Id>,
    /// Who has an address; the first by name is whom it belongs to, and endpoints go before hosts.
    holders: Hashed<IpAddr, SmallVec<[Id; 1]>>,
    classes: Slab<Class>,
    /// Classes by a hash of what is common to them.
    class_ids: Hashed<u64, SmallVec<[Id; 1]>>,
    /// Classes by each of their labels, and selections by a pair of key and value they cannot do without.
    pairs: Pairs,
    asked: Slab<Asked>,
    asked_ids: BTreeMap<Selection, Id>,
    /// Selections that name no such pair.
    by_nothing: BTreeSet<Id>,
    /// Selections for which such a pair is not enough, by the key of each label they ask about.
    by_key: Hashed<Box<str>, BTreeSet<Id>>,
    /// Classes that somebody left since empty ones were last forgotten, and how classes were.
    left: BTreeSet<Id>,
    /// How many endpoints and addresses of hosts have each named port.
    ports: BTreeMap<NamedPort, usize>,
    /// Those that somebody has and nobody had when this was last taken, and the other way round.
    ports_moved: BTreeSet<NamedPort>,
    namespaces: BTreeMap<String, Labels>,
    /// The classes of those who live in each namespace.
    by_namespace: Hashed<String, Ids>,
    /// Selections that look at labels of namespaces.
    by_scope: BTreeSet<Id>,
}

/// Whose an address was, and whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Move {
    pub(super) address: IpAddr,
    pub(super) before: Option<Id>,
    pub(super) after: Option<Id>,
}

impl Likeness {
    fn of(Endpoint { labels, namespace, ports, .. }: &Endpoint, is_of_hosts: bool) -> Self {
        Self { labels: labels.clone(), namespace: namespace.clone(), ports: ports.clone(), is_of_hosts }
    }
}

/// The keys a selection is found by, if not by pairs alone.
fn keys_besides_pairs(selection: &Selection) -> BTreeSet<&str> {
    if selection.labels.is_enough() { BTreeSet::new() } else { selection.labels.keys() }
}

impl Population {
    /// An endpoint comes, changes, or goes. Classes that are left empty stay until [`Population::forget_empty_classes`].
    pub(super) fn set(&mut self, name: &str, endpoint: Option<&Endpoint>) -> Vec<Move> {
        self.settle_in(name, endpoint, false)
    }

    /// Ports of a host have these names at an address, or none. No endpoint can be named as that address is here.
    pub(super) fn set_host(&mut self, address: IpAddr, ports: &[NamedPort]) -> Vec<Move> {
        let host = Endpoint { addresses: vec![address], ports: ports.to_vec(), ..Endpoint::default() };
        self.settle_in(&format!("host at {address}"), (!ports.is_empty()).then_some(&host), true)
    }

    fn settle_in(&mut self, name: &str, endpoint: Option<&Endpoint>, is_of_hosts: bool) -> Vec<Move> {
        let known = self.resident_ids.get(name).copied();
        let before = known.into_iter().flat_map(|id| &self.residents[id].addresses);
        let after = endpoint.into_iter().flat_map(|endpoint| &endpoint.addresses);
        let mut concerned: SmallVec<[IpAddr; 4]> = before.chain(after).copied().collect();
        concerned.sort_unstable();
        concerned.dedup();
        let class_at = |population: &Self, address: &IpAddr| (*address, population.class_at(*address));
        if let Some(relabelled) = self.only_labels_differ(known, endpoint.filter(|_| !is_of_hosts)) {
            let (class, past) = (relabelled.class, self.relabel(relabelled));
            let was = |at: Option<Id>| if at == Some(class) { Some(past) } else { at };
            let moves = concerned.iter().map(|address| class_at(self, address));
            return moves.map(|(address, after)| Move { address, before: was(after), after }).collect();
        }
        let was: Vec<_> = concerned.iter().map(|address| class_at(self, address)).collect();
        if let Some(known) = known {
            self.leave(known);
        }
        if let Some(endpoint) = endpoint {
            self.enter(name, endpoint, is_of_hosts);
        }
        let moves = was.into_iter();
        moves.map(|(address, before)| Move { address, before, after: self.class_at(address) }).collect()
    }

    /// The class of an endpoint that is alone in it, and what it gets, if labels are all that becomes another, and nobody is like it then.
    fn only_labels_differ(&self, known: Option<Id>, endpoint: Option<&Endpoint>) -> Option<Relabelled> {
        let (resident, endpoint) = (&self.residents[known?], endpoint?);
        let class = &self.classes[resident.class];
        let Likeness { namespace, ports, .. } = &class.likeness;
        let is_as_before = *resident.addresses == *endpoint.addresses
            && *namespace == endpoint.namespace
            && *ports == endpoint.ports
            && class.members.len() == 1;
        if !is_as_before {
            return None;
        }
        let likeness = Likeness::of(endpoint, false);
        let hash = hash_of(&likeness);
        let is_new = self.class_like(hash, &likeness).is_none();
        is_new.then_some(Relabelled { class: resident.class, likeness, hash })
    }

    /// A class gets other labels; told is how it was, until empty classes are forgotten. Only selections that ask about what differs are asked.
    fn relabel(&mut self, Relabelled { class: id, likeness, hash }: Relabelled) -> Id {
        let Class { likeness: before, admitted, .. } = &self.classes[id];
        let past =
            Class { likeness: before.clone(), admitted: admitted.clone(), members: SmallVec::new(), is_past: true };
        let mut affected = Ids::default();
        for (key, old, new) in past.likeness.labels.differences(&likeness.labels) {
            self.by_key.get(key).into_iter().flatten().for_each(|selection| affected.insert(*selection));
            let mut note = |value: &str, change: fn(&mut Ids, Id)| {
                self.pairs.change(key, value, |pair| {
                    pair.askers.iter().for_each(|selection| affected.insert(selection));
                    change(&mut pair.carriers, id);
                });
            };
            old.into_iter().for_each(|value| note(value, Ids::remove));
            new.into_iter().for_each(|value| note(value, Ids::insert));
        }
        for selection in affected.iter() {
            if self.admits(&self.asked[selection].selection, &likeness) {
                self.classes[id].admitted.insert(selection);
                self.asked[selection].classes.insert(id);
            } else {
                self.classes[id].admitted.remove(selection);
                self.asked[selection].classes.remove(&id);
            }
        }
        self.forget_likeness(hash_of(&past.likeness), id);
        self.class_ids.entry(hash).or_default().push(id);
        self.classes[id].likeness = likeness;
        let past = self.classes.insert(past);
        self.left.insert(past);
        past
    }

    /// A class is not found by this hash any more.
    fn forget_likeness(&mut self, hash: u64, id: Id) {
        let Some(alike) = self.class_ids.get_mut(&hash) else { return };
        alike.retain(|other| *other != id);
        if alike.is_empty() {
            self.class_ids.remove(&hash);
        }
    }

    fn leave(&mut self, id: Id) {
        let Resident { name, class, place, addresses } = self.residents.remove(id);
        self.resident_ids.remove(&name);
        for address in &addresses {
            if let Some(holders) = self.holders.get_mut(address) {
                holders.retain(|holder| *holder != id);
                if holders.is_empty() {
                    self.holders.remove(address);
                }
            }
        }
        let members = &mut self.classes[class].members;
        members.swap_remove(place);
        if let Some(moved) = members.get(place) {
            self.residents[*moved].place = place;
        }
        self.left.insert(class);
        for port in &self.classes[class].likeness.ports {
            if let Some(count) = self.ports.get_mut(port) {
                *count -= 1;
                if *count == 0 {
                    self.ports.remove(port);
                    note_moved(&mut self.ports_moved, port);
                }
            }
        }
    }

    fn enter(&mut self, name: &str, endpoint: &Endpoint, is_of_hosts: bool) {
        let class = self.class_of(Likeness::of(endpoint, is_of_hosts));
        let (name, place) = (Arc::<str>::from(name), self.classes[class].members.len());
        let addresses: SmallVec<_> = endpoint.addresses.as_slice().into();
        let id = self.residents.insert(Resident { name: name.clone(), class, place, addresses });
        self.classes[class].members.push(id);
        for address in &endpoint.addresses {
            let holders = self.holders.entry(*address).or_default();
            let (residents, classes) = (&self.residents, &self.classes);
            let is_before = |holder: &Id| {
                let Resident { name: other, class, .. } = &residents[*holder];
                (classes[*class].likeness.is_of_hosts, other) < (is_of_hosts, &name)
            };
            holders.insert(holders.partition_point(is_before), id);
        }
        for port in &endpoint.ports {
            let count = self.ports.entry(port.clone()).or_default();
            *count += 1;
            if *count == 1 {
                note_moved(&mut self.ports_moved, port);
            }
        }
        self.resident_ids.insert(name, id);
    }

    fn class_of(&mut self, likeness: Likeness) -> Id {
        let hash = hash_of(&likeness);
        if let Some(id) = self.class_like(hash, &likeness) {
            return id;
        }
        let admitted = self.admitting(&likeness);
        for (key, value) in likeness.labels.iter() {
            self.pairs.change(key, value, |pair| pair.carriers.insert(self.classes.next()));
        }
        for selection in admitted.iter() {
            self.asked[selection].classes.insert(self.classes.next());
        }
        self.enter_namespace(&likeness, self.classes.next());
        let id = self.classes.insert(Class { likeness, admitted, members: SmallVec::new(), is_past: false });
        self.class_ids.entry(hash).or_default().push(id);
        id
    }

    fn class_like(&self, hash: u64, likeness: &Likeness) -> Option<Id> {
        let mut alike = self.class_ids.get(&hash)?.iter();
        alike.find(|id| self.classes[**id].likeness == *likeness).copied()
    }

    /// The selections that admit whom these are the labels of, and whose namespace it is.
    fn admitting(&self, likeness: &Likeness) -> Ids {
        let admits = |id: &Id| self.admits(&self.asked[*id].selection, likeness);
        let has_pair = |id: &Id| {
            let Selection { scope, labels } = &self.asked[*id].selection;
            self.is_in(scope, likeness.namespace.as_deref()) && (labels.is_enough() || labels.admits(&likeness.labels))
        };
        let pairs = likeness.labels.iter().filter_map(|(key, value)| self.pairs.of(key, value));
        let by_pair = pairs.flat_map(|pair| pair.askers.iter());
        self.by_nothing.iter().copied().filter(admits).chain(by_pair.filter(has_pair)).collect()
    }

    fn admitted_by(&self, selection: &Selection) -> BTreeSet<Id> {
        let is_admitted = |class: &Id| self.admits(selection, &self.classes[*class].likeness);
        match selection.labels.required() {
            None => self.all_classes().filter(is_admitted).collect(),
            Some(pairs) => {
                let carried = pairs.into_iter().filter_map(|(key, value)| self.pairs.of(key, value));
                carried.flat_map(|pair| pair.carriers.iter()).filter(is_admitted).collect()
            }
        }
    }

    fn admits(&self, selection: &Selection, likeness: &Likeness) -> bool {
        !likeness.is_of_hosts
            && self.is_in(&selection.scope, likeness.namespace.as_deref())
            && selection.labels.admits(&likeness.labels)
    }

    fn is_in(&self, scope: &Scope, namespace: Option<&str>) -> bool {
        crate::world::is_in(&self.namespaces, scope, namespace)
    }

    /// Classes nobody is in any more are forgotten.
    pub(super) fn forget_empty_classes(&mut self) {
        let left = std::mem::take(&mut self.left);
        for id in left.into_iter().filter(|id| self.classes[*id].members.is_empty()).collect::<Vec<_>>() {
            let class = self.classes.remove(id);
            if class.is_past {
                continue;
            }
            for selection in class.admitted.iter() {
                self.asked[selection].classes.remove(&id);
            }
            for (key, value) in class.likeness.labels.iter() {
                self.pairs.change(key, value, |pair| pair.carriers.remove(id));
            }
            self.leave_namespace(&class.likeness, id);
            self.forget_likeness(hash_of(&class.likeness), id);
        }
    }

    /// Begins to ask about a selection, or asks once more.
    pub(super) fn ask(&mut self, selection: &Selection) -> Id {
        if let Some(id) = self.asked_ids.get(selection) {
            self.asked[*id].uses += 1;
            return *id;
        }
        let classes = self.admitted_by(selection);
        let id = self.asked.insert(Asked { selection: selection.clone(), uses: 1, classes: classes.clone() });
        for class in classes {
            self.classes[class].admitted.insert(id);
        }
        self.asked_ids.insert(selection.clone(), id);
        match selection.labels.required() {
            None => _ = self.by_nothing.insert(id),
            Some(pairs) => {
                pairs.into_iter().for_each(|(key, value)| self.pairs.change(key, value, |pair| pair.askers.insert(id)))
            }
        }
        for key in keys_besides_pairs(selection) {
            self.by_key.entry(key.into()).or_default().insert(id);
        }
        if let Scope::Namespaces(_) = selection.scope {
            self.by_scope.insert(id);
        }
        id
    }

    /// The number of a selection somebody asks about.
    pub(super) fn asked(&self, selection: &Selection) -> Id {
        self.asked_ids[selection]
    }

    /// One less asks about it.
    pub(super) fn forget(&mut self, id: Id) {
        self.asked[id].uses -= 1;
        if self.asked[id].uses > 0 {
            return;
        }
        let Asked { selection, classes, .. } = self.asked.remove(id);
        for class in classes {
            self.classes[class].admitted.remove(id);
        }
        self.asked_ids.remove(&selection);
        self.by_scope.remove(&id);
        match selection.labels.required() {
            None => _ = self.by_nothing.remove(&id),
            Some(pairs) => {
                pairs.into_iter().for_each(|(key, value)| self.pairs.change(key, value, |pair| pair.askers.remove(id)))
            }
        }
        for key in keys_besides_pairs(&selection) {
            let Some(ids) = self.by_key.get_mut(key) else { continue };
            ids.remove(&id);
            if ids.is_empty() {
                self.by_key.remove(key);
            }
        }
    }

    /// The endpoint an address belongs to.
    pub(super) fn holder(&self, address: IpAddr) -> Option<&str> {
        let resident = self.resident_at(address).filter(|resident| !self.is_of_hosts(resident.class));
        resident.map(|resident| &*resident.name)
    }

    /// The class of the endpoint or host an address belongs to.
    pub(super) fn class_at(&self, address: IpAddr) -> Option<Id> {
        self.resident_at(address).map(|resident| resident.class)
    }

    fn resident_at(&self, address: IpAddr) -> Option<&Resident> {
        self.holders.get(&address)?.first().map(|id| &self.residents[*id])
    }

    fn resident(&self, name: &str) -> Option<&Resident> {
        self.resident_ids.get(name).map(|id| &self.residents[*id])
    }

    /// The class of an endpoint.
    pub(super) fn class_named(&self, name: &str) -> Option<Id> {
        self.resident(name).map(|resident| resident.class)
    }

    /// All endpoints' names.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        let is_endpoint = |id: &Id| !self.is_of_hosts(self.residents[*id].class);
        self.resident_ids.iter().filter(move |(_, id)| is_endpoint(id)).map(|(name, _)| &**name)
    }

    /// Whether an endpoint is as it was last told of, or as unknown.
    pub(super) fn is(&self, name: &str, endpoint: Option<&Endpoint>) -> bool {
        match (self.resident(name), endpoint) {
            (None, None) => true,
            (Some(resident), Some(endpoint)) => {
                let likeness = &self.classes[resident.class].likeness;
                *resident.addresses == *endpoint.addresses
                    && likeness.labels == endpoint.labels
                    && likeness.namespace == endpoint.namespace
                    && likeness.ports == endpoint.ports
            }
            (None, Some(_)) | (Some(_), None) => false,
        }
    }

    /// An endpoint as it was last told of.
    pub(super) fn endpoint(&self, name: &str) -> Option<Endpoint> {
        let resident = self.resident(name)?;
        let Likeness { labels, namespace, ports, .. } = self.classes[resident.class].likeness.clone();
        Some(Endpoint { labels, namespace, addresses: resident.addresses.to_vec(), ports })
    }

    /// The selections that admit a class.
    pub(super) fn admitted(&self, class: Id) -> &Ids {
        &self.classes[class].admitted
    }

    /// Whether a class is not of endpoints, but of hosts' addresses.
    pub(super) fn is_of_hosts(&self, class: Id) -> bool {
        self.classes[class].likeness.is_of_hosts
    }

    /// The named ports of a class.
    pub(super) fn class_ports(&self, class: Id) -> &[NamedPort] {
        &self.classes[class].likeness.ports
    }

    /// The classes a selection admits.
    pub(super) fn classes(&self, selection: Id) -> &BTreeSet<Id> {
        &self.asked[selection].classes
    }

    /// Every class that somebody may be in.
    pub(super) fn all_classes(&self) -> impl Iterator<Item = Id> {
        self.classes.iter().filter(|(_, class)| !class.is_past).map(|(id, _)| id)
    }

    /// The endpoints of a class, in any order.
    pub(super) fn members(&self, class: Id) -> impl Iterator<Item = &str> {
        self.residents_of(class).map(|resident| &*resident.name)
    }

    fn residents_of(&self, class: Id) -> impl Iterator<Item = &Resident> {
        self.classes[class].members.iter().map(|id| &self.residents[*id])
    }

    /// How many endpoints are in a class.
    pub(super) fn count(&self, class: Id) -> usize {
        self.classes[class].members.len()
    }

    /// The addresses that belong to endpoints of a class.
    pub(super) fn class_addresses(&self, class: Id) -> impl Iterator<Item = IpAddr> {
        let addresses = self.residents_of(class).flat_map(|resident| &resident.addresses);
        addresses.copied().filter(move |address| self.class_at(*address) == Some(class))
    }

    /// The ports some endpoint or host calls so.
    pub(super) fn named_ports(&self) -> impl Iterator<Item = &NamedPort> {
        self.ports.keys()
    }

    /// Whether some have moved since this was last asked.
    pub(super) fn has_moved_ports(&self) -> bool {
        !self.ports_moved.is_empty()
    }

    /// Those that somebody has and nobody had when this was last asked, and the other way round.
    pub(super) fn take_moved_ports(&mut self) -> BTreeSet<NamedPort> {
        std::mem::take(&mut self.ports_moved)
    }
}

/// A port that comes and goes has not moved.
fn note_moved(moved: &mut BTreeSet<NamedPort>, port: &NamedPort) {
    if !moved.remove(port) {
        moved.insert(port.clone());
    }
}
