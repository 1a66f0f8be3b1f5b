//! Whether the store tells the history that is known, and who may know what it does not.
//!
//! In: what the store says of itself, and what was known of that before. Out: a transaction that begins another history, or makes the first one. From then on
//! nobody gives out an address until every host that is awaited has told what it knows: an address that a container has, and the store does not know of, would be
//! given a second time. Each transaction that takes an address is compared with what the store says of itself, so that none slips in while a history is begun.

use std::collections::BTreeSet;
use std::time::Instant;

use crate::lineage::{Id, Lineage};
use crate::mirror::Mirror;
use crate::name::HostName;
use crate::object::{Object, ObjectKey, Versioned};
use crate::stable::hash64;
use crate::transaction::{Compare, Transaction};

use super::transact::Purpose;
use super::{Node, Role};

/// What is known of histories beside what the store says.
#[derive(Debug, Default)]
pub(super) struct History {
    /// What ids are made of; absent = this node makes none, and leaves all this to others.
    seed: Option<u64>,
    made: u64,
    /// The store forgot, and what it said of itself before, until another history is begun.
    due: Option<Option<Lineage>>,
}

impl History {
    fn id(&mut self, host: &HostName) -> Id {
        self.made += 1;
        Id(hash64(&["history", host.as_str(), &self.seed.unwrap_or_default().to_string(), &self.made.to_string()]))
    }

    /// What the store said of itself before it forgot, as long as no other history is begun.
    pub(super) fn before(&self) -> Option<&Lineage> {
        self.due.as_ref()?.as_ref()
    }
}

impl Node {
    /// Ids can be made from now on.
    pub(super) fn seeded(&mut self, seed: u64) {
        self.history.seed = Some(seed);
    }

    /// The store forgot: it tells another history from now on than it did.
    pub(super) fn doubt_history(&mut self, before: Option<Lineage>) {
        if self.history.seed.is_none() || self.role != Role::Host {
            return;
        }
        self.history.due = Some(match (self.history.due.take().flatten(), before) {
            (Some(earlier), Some(before)) => Some(before.after(&earlier)),
            (earlier, before) => before.or(earlier),
        });
        self.reassertion.is_kept_old = true;
    }

    /// How far an earlier life knew the store that forgot, and what that had said of itself. What is left is what it had forgotten.
    pub(super) fn recall_history(&mut self, objects: Vec<Versioned<Object>>, shared: i64) -> Vec<Versioned<Object>> {
        self.reassertion.shared = shared;
        let is_before = |object: &Versioned<Object>| object.version == 0 && object.value.key() == ObjectKey::Lineage;
        let (before, rest): (Vec<_>, Vec<_>) = objects.into_iter().partition(is_before);
        for object in before {
            if let Object::Lineage(lineage) = object.value {
                self.doubt_history(Some(lineage));
            }
        }
        rest
    }

    /// Has the store say which history it tells.
    pub(super) fn write_history(&mut self, now: Instant) {
        if self.role != Role::Host || self.history.seed.is_none() || !self.may_transact(now) {
            return;
        }
        let Some(lineage) = self.wanted_history() else { return };
        let compare = match self.mirror.as_ref().and_then(|mirror| mirror.version(&ObjectKey::Lineage)) {
            None => Compare::Absent(ObjectKey::Lineage),
            Some(version) => Compare::Unchanged(ObjectKey::Lineage, version),
        };
        let puts = vec![Object::Lineage(lineage)];
        self.send(Transaction { compares: vec![compare], puts, deletes: Vec::new() }, Purpose::History);
    }

    /// What the store should say of itself, if it does not.
    fn wanted_history(&mut self) -> Option<Lineage> {
        let mirror = self.mirror.as_ref()?;
        if mirror.is_unreadable(&ObjectKey::Lineage) && self.history.due.is_none() {
            return None; // a later version may have written it
        }
        let stored = mirror.lineage().cloned();
        let Some(before) = self.history.due.clone() else {
            return match stored {
                Some(stored) => self.awaiting_nobody(&stored),
                None => Some(Lineage::of(self.history.id(&self.identity.host))),
            };
        };
        let hosts: BTreeSet<HostName> = mirror.hosts().map(|host| host.name.clone()).collect();
        match stored {
            Some(stored) if has_begun(&stored, before.as_ref()) => {
                let wanted = self.awaiting_more(&stored);
                if wanted.is_none() {
                    self.history.due = None;
                    self.reassertion.is_kept_old = true;
                }
                wanted
            }
            stored => {
                let (host, fabric) = (self.identity.host.clone(), before.as_ref().map(|before| before.fabric));
                let id = self.history.id(&host);
                let stored = stored.unwrap_or_else(|| Lineage::of(fabric.unwrap_or(id)));
                Some(stored.begin(before.as_ref(), self.history.id(&host), hosts.into_iter().chain([host]).collect()))
            }
        }
    }

    /// Once all have told, the first of them takes note of that, so that nobody looks for them again.
    fn awaiting_nobody(&self, stored: &Lineage) -> Option<Lineage> {
        let is_first = stored.awaited.first() == Some(&self.identity.host);
        let is_over = is_first && silent(self.mirror.as_ref()?, stored).next().is_none();
        is_over.then(|| Lineage { awaited: BTreeSet::new(), ..stored.clone() })
    }

    /// Whoever is known here and has not told, where another host that did not know of him began the history.
    fn awaiting_more(&self, stored: &Lineage) -> Option<Lineage> {
        let mirror = self.mirror.as_ref()?;
        let silent = mirror.hosts().filter(|host| host.told != stored.history).map(|host| &host.name);
        let more: BTreeSet<HostName> = silent.filter(|name| !stored.awaited.contains(*name)).cloned().collect();
        let is_wanted = !more.is_empty() && !stored.is_accepted;
        is_wanted.then(|| Lineage { awaited: &stored.awaited | &more, ..stored.clone() })
    }

    /// The history to which hosts tell what they know; absent = the store never forgot, or none is begun yet since it did.
    pub(super) fn told_history(&self) -> Option<Id> {
        let lineage = self.mirror.as_ref()?.lineage()?;
        match &self.history.due {
            Some(before) if !has_begun(lineage, before.as_ref()) => None,
            Some(_) | None => lineage.history,
        }
    }

    /// Whether the store is still to be told that it tells another history.
    pub(super) fn history_is_due(&self) -> bool {
        self.history.due.is_some()
    }

    /// Who has still to tell what the store forgot, before anybody may be given an address. This host, too, as long as it is not known who.
    pub(super) fn awaited(&self) -> BTreeSet<HostName> {
        let own = || BTreeSet::from([self.identity.host.clone()]);
        let Some(mirror) = self.mirror.as_ref().filter(|_| self.role == Role::Host) else { return BTreeSet::new() };
        match (&self.history.due, mirror.lineage()) {
            (Some(_), _) => own(),
            (None, Some(lineage)) => silent(mirror, lineage).cloned().collect(),
            (None, None) => BTreeSet::new(),
        }
    }

    /// Whether nobody is to be given an address yet.
    pub(super) fn is_awaiting(&self) -> bool {
        let Some(mirror) = self.mirror.as_ref().filter(|_| self.role == Role::Host) else { return false };
        self.history.due.is_some() || mirror.lineage().is_some_and(|lineage| silent(mirror, lineage).next().is_some())
    }
}

/// Of those who are awaited, those that have not told.
fn silent<'m>(mirror: &'m Mirror, lineage: &'m Lineage) -> impl Iterator<Item = &'m HostName> {
    lineage.awaiting().filter(|name| !mirror.host(name).is_some_and(|host| lineage.has_told(host)))
}

/// Whether the store tells another history than any that was known before it forgot.
fn has_begun(stored: &Lineage, before: Option<&Lineage>) -> bool {
    stored.history.is_some_and(|history| before.is_none_or(|before| !before.knows(history)))
}
