//! A store that forgot: it was restored from a backup, or emptied. What was known goes on to count until somebody who may say so says otherwise.
//!
//! In: what was known, and a listing of another history. Out: a mirror of both, in which every object that lapsed stands as last known, at the version the
//! store has in its place. So whatever is written of it is compared with what the store has, and nothing is written over unseen.
//!
//! ```text
//!   known only ──────────────► as known, lapsed        listed only ──► as listed (ours: it has left since, and is revived)
//!   both, ours or the same host's, older ─► as known, lapsed           any other ─► as listed
//!   both, an endpoint of ours, and another's under its name ─► as known, lapsed: it contests the name
//! ```
//! What people declare and the store has in another form counts as the store has it: nobody can tell an old form from a new one.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use super::{Mirror, Objects};
use crate::lineage::{Id, Lineage};
use crate::name::{AttachmentId, HostName};
use crate::object::{Block, Endpoint, Host, Object, ObjectKey, Versioned};
use crate::prefix::address_at;
use crate::quarantine::Unreadable;

/// What the store brought back of this host that is no more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recollection {
    /// Attachments that had left.
    pub revived: BTreeSet<AttachmentId>,
    /// Keys under which endpoints stood that have another name by now, each at its version.
    pub former: BTreeMap<ObjectKey, i64>,
    /// The last revision that the history before and this one are known to share.
    pub shared: i64,
}

impl Mirror {
    /// Whether a listing is of another history than what is known: it stands before it, an object in it does or was written otherwise at the same
    /// revision, it has what was gone by then or an endpoint of this host that was known to be gone, or it is empty.
    pub fn has_forgotten(
        &self,
        me: &HostName,
        revision: i64,
        objects: &[Versioned<Object>],
        unreadable: &[Unreadable],
    ) -> bool {
        let is_back = |object: &Versioned<Object>| {
            let is_own = <&Endpoint>::try_from(&object.value).is_ok_and(|endpoint| endpoint.host == *me);
            let is_known = |key: &ObjectKey| self.version(key).is_some() || self.removed.contains_key(key);
            is_own && object.version <= self.revision && !is_known(&object.value.key())
        };
        let is_other = |object: &Versioned<Object>| {
            let key = object.value.key();
            let is_otherwise = self.in_store(&key).is_some_and(|known| match object.version.cmp(&known.version) {
                Ordering::Less => known.version <= revision,
                Ordering::Equal => known.version <= self.revision && *known != *object,
                Ordering::Greater => false,
            });
            let is_undone =
                self.removed.get(&key).is_some_and(|gone_at| object.version < *gone_at && *gone_at <= revision);
            is_otherwise || is_undone || is_back(object)
        };
        let is_empty = objects.iter().all(|object| says_nothing(&object.value.key())) && unreadable.is_empty();
        let is_emptied = is_empty && self.holds_any();
        revision < self.revision || is_emptied || objects.iter().any(is_other)
    }

    /// Whether another host has found since that the store forgot, as it tells a history that is not known; or it is of another fabric.
    pub fn is_of_another_history(&self, objects: &[Versioned<Object>]) -> bool {
        let listed = objects.iter().find_map(|object| <&Lineage>::try_from(&object.value).ok());
        let is_other = |known: &Lineage, listed: &Lineage| {
            listed.fabric != known.fabric || listed.history.is_some_and(|history| !known.knows(history))
        };
        self.lineage().zip(listed).is_some_and(|(known, listed)| is_other(known, listed))
    }

    /// Whether one change takes away everything that stood in the store, as no verb of ours does.
    pub fn is_emptied_by(&self, deletes: &[ObjectKey]) -> bool {
        let deletes: BTreeSet<&ObjectKey> = deletes.iter().collect();
        let goes = |key: &ObjectKey| self.lapsed.contains_key(key) || deletes.contains(key) || says_nothing(key);
        deletes.len() > 1 && self.holds_any() && self.objects.keys().all(goes)
    }

    fn holds_any(&self) -> bool {
        self.objects.keys().any(|key| !self.lapsed.contains_key(key) && !says_nothing(key))
    }

    /// What was written down earlier: at version 0, what the store had forgotten by then.
    pub fn recalled(revision: i64, objects: Vec<Versioned<Object>>) -> Self {
        let mut mirror = Self::default();
        let (lapsed, known): (Vec<_>, Vec<_>) = objects.into_iter().partition(|object| object.version == 0);
        mirror.replace(revision, known, Vec::new());
        for object in lapsed {
            let in_place = mirror.objects.get(&object.value.key()).map(|known| Versioned::clone(known));
            mirror.lapse(object.value, in_place);
        }
        mirror
    }

    /// Everything was read at `revision`, in a store that forgot. `me` is the host whose mirror this is; `before`, what the store said of itself before.
    pub fn forget(
        &mut self,
        me: &HostName,
        before: Option<&Lineage>,
        revision: i64,
        objects: Vec<Versioned<Object>>,
        unreadable: Vec<Unreadable>,
    ) -> Recollection {
        let mut known = self.clear();
        self.revision = revision;
        for one in unreadable {
            if let Some(good) = known.remove(&one.key) {
                let version = good.version.min(one.version - 1);
                self.put(Versioned { value: Arc::unwrap_or_clone(good).value, version });
            }
            self.doubt(one);
        }
        let listed: Objects = objects.into_iter().map(|object| (object.value.key(), Arc::new(object))).collect();
        let histories = Histories::of(before, &listed);
        let comparison = Comparison { me, known: &known, shared: shared(&known, &listed), listed: &listed, histories };
        let recollection = comparison.recollection();
        let standing = listed.iter().filter(|(key, _)| !recollection.former.contains_key(key));
        standing.for_each(|(_, object)| self.put(Versioned::clone(object)));
        for (key, object) in &known {
            if let Some((value, in_place)) = comparison.lapse(key, object) {
                self.lapse(value, in_place);
            }
        }
        recollection
    }

    /// An object stands here that the store has not, or has otherwise.
    pub fn lapse(&mut self, value: Object, in_place: Option<Versioned<Object>>) {
        let key = value.key();
        self.remove(&key);
        let version = in_place.as_ref().map_or(0, |object| object.version);
        self.hold(key.clone(), Versioned { value, version });
        self.lapsed.insert(key, in_place);
        self.is_lapse_news = true;
    }

    /// This host wrote an object while the store was away: it stands here, and is told once the store is back.
    pub fn write_ahead(&mut self, value: Object) {
        let key = value.key();
        let in_place = match self.lapsed.get(&key) {
            Some(in_place) => in_place.clone(),
            None => self.objects.get(&key).map(|object| Versioned::clone(object)),
        };
        self.lapse(value, in_place);
    }

    /// That host has told the store all it has to tell: what is still missing of it has left meanwhile.
    pub fn believe_of(&mut self, host: &HostName) {
        let is_its = |key: &&ObjectKey| self.objects.get(key).is_some_and(|one| owner(&one.value) == Some(host));
        for key in self.lapsed.keys().filter(is_its).cloned().collect::<Vec<_>>() {
            self.believe(&key);
        }
    }

    /// Of these keys, what somebody else's object had in the store is free again.
    pub(super) fn vacate(&mut self, is_free: impl Fn(&ObjectKey) -> bool) {
        let is_others = |(key, in_place): &(&ObjectKey, &Option<Versioned<Object>>)| {
            let known = self.objects.get(*key).and_then(|object| owner(&object.value));
            is_free(key) && in_place.as_ref().is_some_and(|object| owner(&object.value) != known)
        };
        let vacated: Vec<ObjectKey> = self.lapsed.iter().filter(is_others).map(|(key, _)| key.clone()).collect();
        for object in vacated.iter().filter_map(|key| self.objects.get(key).cloned()).collect::<Vec<_>>() {
            self.lapse(object.value.clone(), None);
        }
    }

    /// All was listed. An address of a block that lapsed which the store does not have taken, and whose holder stands neither there nor here, is nobody's: he left after
    /// an earlier life had written this down, and before it wrote down more.
    pub fn release_of_nobody(&mut self) {
        let block = |object: &Object| <&Block>::try_from(object).ok().cloned();
        let blocks: Vec<Block> = self.lapsed().filter_map(block).collect();
        if blocks.is_empty() || self.unreadable().any(|(one, _)| matches!(one.key, ObjectKey::Endpoint(_))) {
            return; // of one that cannot be read nobody knows who he is
        }
        let held: BTreeSet<(AttachmentId, IpAddr)> = self.endpoints().flat_map(addresses_held).collect();
        for known in blocks {
            let key = ObjectKey::Block(known.pool.clone(), known.cidr);
            let in_place = self.in_place(&key).cloned();
            let told = in_place.as_ref().and_then(|object| block(&object.value));
            let mut block = known.clone();
            block.taken.retain(|ordinal, holder| {
                let is_told = told.as_ref().is_some_and(|told| told.taken.get(ordinal) == Some(holder));
                is_told || held.contains(&(holder.clone(), address_at(known.cidr, *ordinal)))
            });
            if block != known {
                self.lapse(Object::Block(block), in_place);
            }
        }
    }

    /// What the store has in place of an object counts from now on.
    pub fn believe(&mut self, key: &ObjectKey) {
        let in_place = self.in_place(key).cloned();
        self.remove(key);
        in_place.into_iter().for_each(|object| self.put(object));
    }

    /// Hosts of which something is only as it was known, and that have told all to that history.
    pub fn spoken(&self, history: Id) -> BTreeSet<HostName> {
        let owners: BTreeSet<&HostName> = self.lapsed().filter_map(owner).collect();
        let has_told = |host: &&&HostName| self.host(host).is_some_and(|host| host.told == Some(history));
        owners.iter().filter(has_told).map(|host| (*host).clone()).collect()
    }

    /// An object as the store has it, if it has.
    pub fn stored(&self, key: &ObjectKey) -> Option<&Object> {
        self.in_store(key).map(|object| &object.value)
    }

    /// An object as the store has it, at its version there.
    pub(super) fn in_store(&self, key: &ObjectKey) -> Option<&Versioned<Object>> {
        match self.lapsed.get(key) {
            Some(in_place) => in_place.as_ref(),
            None => self.objects.get(key).map(Arc::as_ref),
        }
    }

    /// What the store has in place of an object that lapsed, if anything.
    pub fn in_place(&self, key: &ObjectKey) -> Option<&Versioned<Object>> {
        self.lapsed.get(key)?.as_ref()
    }

    /// Whether an object stands here as last known, and not as the store has it.
    pub fn is_lapsed(&self, key: &ObjectKey) -> bool {
        self.lapsed.contains_key(key)
    }

    /// All that lapsed, by kind and name.
    pub fn lapsed(&self) -> impl Iterator<Item = &Object> {
        self.lapsed.keys().filter_map(|key| self.objects.get(key)).map(|object| &object.value)
    }

    /// What only this life knows: what lapsed, and what was told of it since and is not heard of yet.
    pub fn untold(&self) -> impl Iterator<Item = &Object> {
        let told = self.told.keys().filter(|key| !self.is_lapsed(key)).filter_map(|key| self.objects.get(key));
        self.lapsed().chain(told.map(|object| &object.value))
    }

    /// The store is out of reach: it may come back as it was before what this node wrote last.
    pub fn lose_sight(&mut self) {
        let ahead = self.ahead.iter().flat_map(|(revision, keys)| keys.iter().map(|key| (key.clone(), *revision)));
        let before = self.told.len();
        self.told.extend(ahead);
        self.is_lapse_news |= self.told.len() != before;
    }

    /// The store was heard up to a revision.
    pub(super) fn heard_up_to(&mut self, revision: i64) {
        let before = self.told.len();
        self.told.retain(|_, told_at| *told_at > revision);
        self.is_lapse_news |= self.told.len() != before;
    }

    /// Whether what [`untold`](Self::untold) has has changed since this was asked last.
    pub fn take_lapse_news(&mut self) -> bool {
        std::mem::take(&mut self.is_lapse_news)
    }

    /// Takes everything out, as if it had been removed one by one.
    fn clear(&mut self) -> Objects {
        let known = self.objects.clone();
        known.keys().for_each(|key| self.remove(key));
        self.removed.clear();
        self.ahead.clear();
        self.told.clear();
        self.quarantine = super::Quarantine::default();
        known
    }
}

fn attachment_of(object: &Object) -> Option<&AttachmentId> {
    <&Endpoint>::try_from(object).ok().map(|endpoint| &endpoint.attachment)
}

fn addresses_held(endpoint: &Endpoint) -> impl Iterator<Item = (AttachmentId, IpAddr)> + '_ {
    endpoint.addresses.iter().map(|address| (endpoint.attachment.clone(), *address))
}

/// Whether a store that holds nothing else is empty.
fn says_nothing(key: &ObjectKey) -> bool {
    *key == ObjectKey::Lineage
}

/// The host whose an object is; absent = it is declared by people.
pub fn owner(object: &Object) -> Option<&HostName> {
    match object {
        Object::Block(block) => Some(&block.host),
        Object::Endpoint(endpoint) => Some(&endpoint.host),
        Object::Host(host) => Some(&host.name),
        Object::Pool(_)
        | Object::Policy(_)
        | Object::Tier(_)
        | Object::AddressSet(_)
        | Object::Peer(_)
        | Object::Fabric(_)
        | Object::Namespace(_)
        | Object::HostEndpoint(_)
        | Object::RouteMap(_)
        | Object::Network(_)
        | Object::Service(_)
        | Object::StaticRoute(_)
        | Object::Profile(_)
        | Object::FloatingAddress(_)
        | Object::Lineage(_) => None,
    }
}

/// A block as it was known and as its host has it in the store by now, if that differs from the latter. Where both have an address taken, the store has it right.
pub(super) fn joined(known: &Object, told: &Object) -> Option<Object> {
    let (Object::Block(known), Object::Block(told)) = (known, told) else { return None };
    let mut joined = known.clone();
    joined.taken.extend(told.taken.iter().map(|(ordinal, holder)| (*ordinal, holder.clone())));
    joined.kept.retain(|ordinal, _| !joined.taken.contains_key(ordinal));
    joined.freed.retain(|ordinal| !joined.taken.contains_key(ordinal));
    (known.host == told.host && joined != *told).then_some(Object::Block(joined))
}

/// Whether it is a host that has told all to that history.
fn has_told(object: &Object, history: Id) -> bool {
    <&Host>::try_from(object).is_ok_and(|host| host.told == Some(history))
}

/// The last revision that both histories are known to share: that of an object which is the same in both.
fn shared(known: &Objects, listed: &Objects) -> i64 {
    let same = listed.iter().filter(|(key, object)| known.get(*key) == Some(*object));
    same.map(|(_, object)| object.version).max().unwrap_or_default()
}

/// What was known beside what was listed.
struct Comparison<'m> {
    me: &'m HostName,
    known: &'m Objects,
    listed: &'m Objects,
    shared: i64,
    histories: Histories,
}

/// By what it is seen that a host has told all.
#[derive(Clone, Copy)]
enum Histories {
    /// The store says nothing of itself: whoever has written himself down since has told.
    Untold,
    /// No other history was begun: nobody has.
    Same,
    /// Those that have told it to this history.
    Begun(Id),
}

impl Histories {
    fn of(before: Option<&Lineage>, listed: &Objects) -> Self {
        let listed = listed.get(&ObjectKey::Lineage).and_then(|object| <&Lineage>::try_from(&object.value).ok());
        match (before, listed) {
            (None, None) => Self::Untold,
            (_, Some(Lineage { history: Some(history), .. })) if !before.is_some_and(|one| one.knows(*history)) => {
                Self::Begun(*history)
            }
            (Some(_), None) | (_, Some(_)) => Self::Same,
        }
    }
}

impl Comparison<'_> {
    fn recollection(&self) -> Recollection {
        let attached: BTreeSet<&AttachmentId> = self.known.values().filter_map(|one| self.own(one)).collect();
        let mut recollection = Recollection { shared: self.shared, ..Recollection::default() };
        // One whose name was known to be another's had left before that came.
        let was_own = |key: &ObjectKey| self.known.get(key).is_some_and(|known| self.own(known).is_some());
        for (key, object) in self.listed.iter().filter(|(key, _)| !was_own(key)) {
            match self.own(object) {
                Some(attachment) if attached.contains(attachment) => {
                    recollection.former.insert(key.clone(), object.version);
                }
                Some(attachment) => {
                    recollection.revived.insert(attachment.clone());
                }
                None => {}
            }
        }
        recollection
    }

    /// The attachment of an endpoint of this host.
    fn own<'o>(&self, object: &'o Versioned<Object>) -> Option<&'o AttachmentId> {
        let endpoint = <&Endpoint>::try_from(&object.value).ok()?;
        (endpoint.host == *self.me).then_some(&endpoint.attachment)
    }

    /// How an object goes on to stand, and what the store has in its place; nothing: the store is believed.
    fn lapse(&self, key: &ObjectKey, known: &Versioned<Object>) -> Option<(Object, Option<Versioned<Object>>)> {
        if *key == ObjectKey::Lineage {
            return None; // it is begun anew
        }
        let owner_of_known = owner(&known.value);
        let is_own = owner_of_known == Some(self.me);
        let has_spoken = owner_of_known.is_some_and(|host| !is_own && self.has_spoken(host));
        let Some(listed) = self.listed.get(key) else {
            return (!has_spoken).then(|| (known.value.clone(), None));
        };
        let is_old = listed.version <= self.shared;
        let is_same_hosts = owner_of_known.is_some() && owner(&listed.value) == owner_of_known;
        let is_known_better = match (is_own, is_same_hosts) {
            (true, true) => true,
            // Whoever is attached here stays, and contests his name, until its other bearer has left.
            (true, false) if self.own(known) != attachment_of(&listed.value) && self.own(known).is_some() => true,
            (true, false) | (false, true) => is_old && !has_spoken,
            (false, false) => false,
        };
        let value = self.merged(&known.value, &listed.value);
        (is_known_better && value != listed.value).then(|| (value, Some(Versioned::clone(listed))))
    }

    /// Whether a host has written itself down since, which it does when it has nothing more to tell.
    fn has_spoken(&self, host: &HostName) -> bool {
        let key = ObjectKey::Host(host.clone());
        let is_known = |version: i64| self.known.get(&key).is_some_and(|known| known.version == version);
        let Some(listed) = self.listed.get(&key) else { return false };
        match self.histories {
            Histories::Untold => listed.version > self.shared && !is_known(listed.version),
            Histories::Same => false,
            Histories::Begun(history) => has_told(&listed.value, history),
        }
    }

    /// A block as it was known, with what others have taken of it since. Anything else as it was known.
    fn merged(&self, known: &Object, listed: &Object) -> Object {
        let (Object::Block(known), Object::Block(listed)) = (known, listed) else { return known.clone() };
        let mut merged = known.clone();
        for (ordinal, holder) in &listed.taken {
            match self.came_to(holder) {
                Some(host) if host != self.me || !known.taken.contains_key(ordinal) => {
                    merged.taken.insert(*ordinal, holder.clone());
                }
                Some(_) | None => {}
            }
        }
        merged.kept.retain(|ordinal, _| !merged.taken.contains_key(ordinal));
        merged.freed.retain(|ordinal| !merged.taken.contains_key(ordinal));
        Object::Block(Block { host: known.host.clone(), ..merged })
    }

    /// The host on which an attachment was written down in the new history, if it was.
    fn came_to(&self, holder: &AttachmentId) -> Option<&HostName> {
        let new = self.listed.values().filter(|object| object.version > self.shared);
        let mut endpoints = new.filter_map(|object| <&Endpoint>::try_from(&object.value).ok());
        endpoints.find(|endpoint| endpoint.attachment == *holder).map(|endpoint| &endpoint.host)
    }
}
