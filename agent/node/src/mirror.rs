//! The store as last heard: every object, by kind and name, with the version it was read at.
//!
//! In: what was read, what others changed, what this node itself committed. Out: typed look-ups. An object never goes back to
//! an older version: news of a commit may overtake the watch that also tells of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ipnet::IpNet;

use crate::name::{EndpointName, FloatingName, HostName, PoolName};
use crate::object::{Block, Endpoint, Object, ObjectKey, Versioned};
use crate::quarantine::{Quarantine, Unreadable};
use crate::transaction::Transaction;

mod asked;
mod lapse;
#[cfg(test)]
mod tests;

pub use lapse::owner;

/// Each in memory of its own: what stands in the map itself it takes almost twice. Shared, so that who is asked for often is not looked up each time.
type Held = Arc<Versioned<Object>>;
type Objects = BTreeMap<ObjectKey, Held>;

/// The store as last heard.
#[derive(Clone, Debug, Default)]
pub struct Mirror {
    objects: Objects,
    /// What is known to be gone, and since when, until the watch has told of it too.
    removed: BTreeMap<ObjectKey, i64>,
    revision: i64,
    /// What this node wrote and the watch has not come to yet, by revision.
    ahead: BTreeMap<i64, BTreeSet<ObjectKey>>,
    /// The endpoints of each attachment, by a hash of it: on different hosts one may have several.
    attached: BTreeSet<(u64, EndpointName)>,
    /// The endpoints of each host.
    endpoints_on: BTreeMap<HostName, BTreeMap<EndpointName, Held>>,
    /// The floating addresses that are to lead to each endpoint, there or not.
    floating_of: BTreeMap<EndpointName, BTreeSet<FloatingName>>,
    /// The blocks of each host.
    blocks_of: BTreeMap<HostName, BTreeSet<(PoolName, IpNet)>>,
    /// Blocks that came, changed or went since somebody asked.
    altered: BTreeSet<(PoolName, IpNet)>,
    /// What bears on names and has changed since somebody took it: at most one for each object there is or was.
    renamed: BTreeSet<ObjectKey>,
    /// How often anything but containers and their blocks has changed, and how often each host's containers and blocks have.
    moves_of_fabric: u64,
    moves: BTreeMap<HostName, u64>,
    /// What stands in the store and cannot be read. Its last good form, if one is known, is among the objects.
    quarantine: Quarantine,
    /// What the store forgot: here as last known, with what the store has in its place, if anything.
    lapsed: BTreeMap<ObjectKey, Option<Versioned<Object>>>,
    /// What this node wrote, and a later life would not know from the store, with the revision it was written at: what had lapsed, and what was ahead when the store was
    /// lost, until the watch has told of it.
    told: BTreeMap<ObjectKey, i64>,
    /// Whether either has changed since somebody asked.
    is_lapse_news: bool,
}

impl Mirror {
    /// The highest revision read or watched.
    pub fn revision(&self) -> i64 {
        self.revision
    }

    /// Everything was read at `revision`. What this node committed after that stays, and so does the last good form of
    /// what could not be read. A store that stands before what was watched is a restored backup: nothing newer is true in it.
    pub fn replace(&mut self, revision: i64, objects: Vec<Versioned<Object>>, unreadable: Vec<Unreadable>) {
        let went_back = revision < self.revision;
        let kept: BTreeSet<&ObjectKey> = unreadable.iter().map(|one| &one.key).collect();
        let listed: BTreeSet<ObjectKey> = match self.lapsed.is_empty() {
            true => BTreeSet::new(),
            false => objects.iter().map(|object| object.value.key()).collect(),
        };
        if !self.lapsed.is_empty() {
            self.vacate(|key| !listed.contains(key));
        }
        let is_lapsed = |key: &ObjectKey| match self.lapsed.get(key) {
            Some(in_place) => in_place.is_none() || listed.contains(key),
            None => false,
        };
        let stays =
            |key: &ObjectKey, version: i64| kept.contains(key) || is_lapsed(key) || (version > revision && !went_back);
        let gone = self.objects.iter().filter(|(key, object)| !stays(key, object.version));
        for key in gone.map(|(key, _)| key.clone()).collect::<Vec<_>>() {
            self.remove(&key);
        }
        self.removed.retain(|_, removed_at| *removed_at > revision && !went_back);
        self.ahead.retain(|written_at, _| *written_at > revision && !went_back);
        self.heard_up_to(revision);
        self.revision = revision;
        self.quarantine = Quarantine::default();
        for object in objects {
            self.hear(object);
        }
        for one in unreadable {
            if let Some(known) = self.objects.get_mut(&one.key).filter(|_| went_back) {
                let known = Arc::make_mut(known);
                known.version = known.version.min(one.version - 1); // its number was one of a history that never was
            }
            self.doubt(one);
        }
    }

    /// Somebody's transaction. False if the watch has come past something that this node was told it had written, and did not tell of it: the store went back
    /// meanwhile to a state before that, and has to be read whole.
    pub fn change(
        &mut self,
        revision: i64,
        puts: Vec<Versioned<Object>>,
        unreadable: Vec<Unreadable>,
        deletes: Vec<ObjectKey>,
    ) -> bool {
        let heard: Vec<&ObjectKey> = unreadable.iter().map(|one| &one.key).chain(&deletes).collect();
        let is_as_written =
            self.is_as_written(revision, |key| heard.contains(&key) || puts.iter().any(|put| put.value.key() == *key));
        self.revision = self.revision.max(revision);
        unreadable.into_iter().for_each(|one| self.doubt(one));
        for object in puts {
            self.hear(object);
        }
        for key in deletes {
            self.delete(&key, revision);
        }
        self.removed.retain(|_, removed_at| *removed_at > revision);
        self.heard_up_to(revision);
        is_as_written
    }

    /// Whether all that this node wrote up to a revision was told by the watch, the last of it just now.
    fn is_as_written(&mut self, revision: i64, is_told: impl Fn(&ObjectKey) -> bool) -> bool {
        let later = self.ahead.split_off(&(revision + 1));
        let mut passed = std::mem::replace(&mut self.ahead, later);
        if let Some(written) = passed.get_mut(&revision) {
            written.retain(|key| !is_told(key));
        }
        passed.values().all(BTreeSet::is_empty)
    }

    /// This node's own transaction was committed. News the watch has passed already is no news: others may have gone on.
    pub fn commit(&mut self, revision: i64, transaction: Transaction) {
        // What the store lacks already goes without a revision of its own.
        for key in
            transaction.deletes.iter().filter(|key| self.lapsed.get(key) == Some(&None)).cloned().collect::<Vec<_>>()
        {
            self.remove(&key);
        }
        for key in transaction.puts.iter().map(Object::key) {
            if self.in_place(&key).is_some_and(|told| told.version == revision) {
                self.believe(&key); // the watch has told of it before
            }
        }
        if revision <= self.revision {
            // Where the watch did not tell of it, it is of a history that is over; what was deleted in the one that began since is gone all the same.
            let stands = |key: &&ObjectKey| self.objects.get(*key).is_some_and(|known| known.version < revision);
            let gone: Vec<ObjectKey> = transaction.deletes.iter().filter(stands).cloned().collect();
            gone.iter().for_each(|key| self.remove(key));
            return;
        }
        for value in transaction.puts {
            self.ahead.entry(revision).or_default().insert(value.key());
            if self.is_lapsed(&value.key()) {
                self.told.insert(value.key(), revision);
            }
            self.put(Versioned { value, version: revision });
        }
        for key in transaction.deletes {
            if self.objects.contains_key(&key) {
                self.ahead.entry(revision).or_default().insert(key.clone());
            }
            self.bury(key, revision);
        }
    }

    /// A refused transaction told how the compared objects are at `revision`. What is neither among those that can be read nor among
    /// the others does not exist.
    pub fn correct(
        &mut self,
        revision: i64,
        compared: Vec<ObjectKey>,
        current: Vec<Versioned<Object>>,
        unreadable: Vec<Unreadable>,
    ) {
        if revision <= self.revision {
            return;
        }
        for key in compared {
            let is_read = current.iter().any(|object| object.value.key() == key);
            let is_known_to_lack = self.lapsed.get(&key).is_some_and(Option::is_none);
            if !is_read && !is_known_to_lack && !unreadable.iter().any(|one| one.key == key) {
                self.bury(key, revision);
            }
        }
        unreadable.into_iter().for_each(|one| self.doubt(one));
        for object in current {
            self.hear(object);
        }
    }

    /// Somebody wrote an object. Of a block that the store forgot and its host has not told again, what was known of it stays beside what others told.
    fn hear(&mut self, object: Versioned<Object>) {
        let key = object.value.key();
        let version = object.version;
        let still_lapsed = self.is_lapsed(&key).then(|| self.objects.get(&key)).flatten();
        let both = still_lapsed.and_then(|known| lapse::joined(&known.value, &object.value));
        self.put(object);
        let is_heard = !self.is_lapsed(&key) && self.form(&key) == Some(version);
        if let Some(value) = both.filter(|_| is_heard) {
            let in_place = self.objects.get(&key).map(|known| Versioned::clone(known));
            self.lapse(value, in_place);
        }
    }

    fn put(&mut self, mut object: Versioned<Object>) {
        let key = object.value.key();
        let is_stale = self.removed.get(&key).is_some_and(|removed_at| *removed_at >= object.version)
            || self.objects.get(&key).is_some_and(|known| known.version > object.version)
            || self.in_place(&key).is_some_and(|one| one.version >= object.version);
        if is_stale {
            return;
        }
        self.removed.remove(&key);
        self.quarantine.lift(&key, object.version);
        let is_known = self.objects.get(&key).is_some_and(|known| **known == object) && !self.lapsed.contains_key(&key);
        if !is_known {
            self.remove(&key);
            self.share(&mut object.value);
            self.hold(key, object);
        }
    }

    /// A value cannot be read: the object's last good form stays, whatever there is in its place by now.
    fn doubt(&mut self, one: Unreadable) {
        let is_stale = self.removed.get(&one.key).is_some_and(|removed_at| *removed_at >= one.version)
            || self.version(&one.key).is_some_and(|known| known > one.version);
        if !is_stale {
            self.removed.remove(&one.key);
            self.quarantine.put(one);
        }
    }

    /// Something is gone, and the watch, which has not come so far, may still tell of how it was.
    fn bury(&mut self, key: ObjectKey, revision: i64) {
        self.delete(&key, revision);
        self.removed.insert(key, revision);
    }

    fn delete(&mut self, key: &ObjectKey, revision: i64) {
        self.quarantine.lift(key, revision);
        if self.objects.get(key).is_some_and(|known| known.version <= revision) {
            self.vacate(|other| other == key);
            if self.lapsed.get(key) != Some(&None) {
                self.remove(key);
            }
        }
    }

    /// A hundred endpoints name their host, and its name is held once.
    fn share(&self, object: &mut Object) {
        if let Object::Endpoint(endpoint) = object
            && let Some((known, _)) = self.endpoints_on.get_key_value(&endpoint.host)
        {
            endpoint.host = known.clone();
        }
    }

    /// It stands here from now on, where nothing stood under its key.
    fn hold(&mut self, key: ObjectKey, object: Versioned<Object>) {
        let object = Arc::new(object);
        self.index(&object);
        self.objects.insert(key, object);
    }

    /// Something that stands, or did.
    fn note_move(&mut self, object: &Object) {
        match object {
            Object::Endpoint(Endpoint { host, .. }) | Object::Block(Block { host, .. }) => {
                *self.moves.entry(host.clone()).or_default() += 1;
            }
            _ => self.moves_of_fabric += 1,
        }
    }

    fn index(&mut self, object: &Held) {
        self.note_move(&object.value);
        match &object.value {
            Object::Endpoint(endpoint) => {
                self.attached.insert((endpoint.attachment.digest(), endpoint.name.clone()));
                let here = self.endpoints_on.entry(endpoint.host.clone()).or_default();
                here.insert(endpoint.name.clone(), object.clone());
            }
            Object::Block(block) => {
                let key = (block.pool.clone(), block.cidr);
                self.altered.insert(key.clone());
                self.blocks_of.entry(block.host.clone()).or_default().insert(key);
            }
            Object::FloatingAddress(one) => {
                if let Some(endpoint) = &one.endpoint {
                    self.floating_of.entry(endpoint.clone()).or_default().insert(one.name.clone());
                }
            }
            Object::Pool(_)
            | Object::Host(_)
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
            | Object::Lineage(_) => {}
        }
    }

    fn rename(&mut self, key: &ObjectKey) {
        if let ObjectKey::Endpoint(_) | ObjectKey::Network(_) | ObjectKey::Service(_) | ObjectKey::Fabric = key {
            self.renamed.insert(key.clone());
        }
    }

    /// What bears on names and has changed since the last time.
    pub fn take_renamed(&mut self) -> BTreeSet<ObjectKey> {
        std::mem::take(&mut self.renamed)
    }

    /// Another value wherever anything but containers and their blocks stands otherwise.
    pub fn moves_of_fabric(&self) -> u64 {
        self.moves_of_fabric
    }

    /// The same, and another value wherever that host's own containers and blocks do: all that bears on a host, but for its rules.
    pub fn moves_for(&self, host: &HostName) -> (u64, u64) {
        (self.moves_of_fabric, self.moves.get(host).copied().unwrap_or_default())
    }

    fn remove(&mut self, key: &ObjectKey) {
        self.rename(key);
        self.is_lapse_news |= self.lapsed.remove(key).is_some();
        let removed = self.objects.remove(key);
        removed.iter().for_each(|object| self.note_move(&object.value));
        match removed.as_ref().map(|object| &object.value) {
            Some(Object::Endpoint(endpoint)) => {
                if let Some(here) = self.endpoints_on.get_mut(&endpoint.host) {
                    here.remove(&endpoint.name);
                }
                self.attached.remove(&(endpoint.attachment.digest(), endpoint.name.clone()));
            }
            Some(Object::Block(block)) => {
                let key = (block.pool.clone(), block.cidr);
                if let Some(keys) = self.blocks_of.get_mut(&block.host) {
                    keys.remove(&key);
                }
                self.altered.insert(key);
            }
            Some(Object::FloatingAddress(one)) => {
                if let Some(names) = one.endpoint.as_ref().and_then(|endpoint| self.floating_of.get_mut(endpoint)) {
                    names.remove(&one.name);
                }
            }
            Some(
                Object::Pool(_)
                | Object::Host(_)
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
                | Object::Lineage(_),
            )
            | None => {}
        }
    }

    /// The blocks that came, changed or went since this was asked last.
    pub fn take_altered(&mut self) -> BTreeSet<(PoolName, IpNet)> {
        std::mem::take(&mut self.altered)
    }
}
