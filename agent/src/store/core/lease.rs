//! Which leases are open, until when, and which keys they hold.

use crate::store::{LeaseId, Rejected};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// All open leases of one store.
#[derive(Clone, Debug)]
pub(super) struct Leases {
    next: i64,
    open: BTreeMap<LeaseId, Lease>,
    /// The lease of each leased key: the other direction of [`Lease::keys`].
    holders: BTreeMap<String, LeaseId>,
}

#[derive(Clone, Debug)]
struct Lease {
    ttl: Duration,
    end: Instant,
    keys: BTreeSet<String>,
}

impl Leases {
    pub(super) fn new() -> Self {
        Self { next: 1, open: BTreeMap::new(), holders: BTreeMap::new() }
    }

    pub(super) fn next(&self) -> LeaseId {
        LeaseId(self.next)
    }

    pub(super) fn open(&mut self, id: LeaseId, ttl: Duration, now: Instant) {
        self.next = self.next.max(id.0 + 1);
        self.open.insert(id, Lease { ttl, end: now + ttl, keys: BTreeSet::new() });
    }

    pub(super) fn renew(&mut self, id: LeaseId, now: Instant) -> Result<(), Rejected> {
        let lease = self.open.get_mut(&id).ok_or(Rejected::LeaseGone(id))?;
        lease.end = now + lease.ttl;
        Ok(())
    }

    /// Gives the key to this lease, or to none; its former lease lets go.
    pub(super) fn attach(&mut self, key: &str, id: Option<LeaseId>) {
        self.detach(key);
        let Some(id) = id else { return };
        if let Some(lease) = self.open.get_mut(&id) {
            lease.keys.insert(key.to_owned());
            self.holders.insert(key.to_owned(), id);
        }
    }

    fn detach(&mut self, key: &str) {
        let former = self.holders.remove(key);
        if let Some(lease) = former.and_then(|id| self.open.get_mut(&id)) {
            lease.keys.remove(key);
        }
    }

    pub(super) fn keys(&self, id: LeaseId) -> Result<impl Iterator<Item = &String>, Rejected> {
        self.open.get(&id).map(|lease| lease.keys.iter()).ok_or(Rejected::LeaseGone(id))
    }

    pub(super) fn expired(&self, now: Instant) -> Vec<LeaseId> {
        self.open.iter().filter(|(_, lease)| lease.end <= now).map(|(id, _)| *id).collect()
    }

    pub(super) fn next_end(&self) -> Option<Instant> {
        self.open.values().map(|lease| lease.end).min()
    }

    pub(super) fn close(&mut self, id: LeaseId) {
        let keys = self.open.remove(&id).map(|lease| lease.keys).unwrap_or_default();
        self.holders.retain(|key, _| !keys.contains(key));
    }
}
