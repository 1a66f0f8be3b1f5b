//! The store itself, as pure state: every version of every key since the last compaction, and the leases.
//!
//! In: transactions, and the time for leases. Out: outcomes, snapshots at a revision, batches since a revision.
//! Knows nothing of files, sockets, tasks, clocks or chance: the embedded store keeps it on disk, the simulation runs it alone.
//! Rules: etcd v3 (<https://etcd.io/docs/v3.4/learning/data_model/>), held to a real one by `tests/store_conformance.rs`.

mod decide;
mod history;
mod lease;
mod version;

pub use decide::Decision;
pub use history::{Compacted, KEPT_REVISIONS};
pub use version::{Commit, Record, RecordId};

use super::{Entry, LeaseId, Outcome, Part, Rejected, Revision, Snapshot, Transaction};
use lease::Leases;
use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::time::{Duration, Instant};
use version::Version;

/// The whole content of one store.
#[derive(Clone, Debug)]
pub struct Core {
    revision: Revision,
    compacted: Revision,
    /// Oldest first, never empty; the last one is how the key stands, a tombstone if it is gone.
    keys: BTreeMap<String, Vec<Version>>,
    /// One step for each revision after `compacted`, without a gap.
    log: VecDeque<Step>,
    leases: Leases,
}

/// The keys one revision changed, in the order of its operations.
#[derive(Clone, Debug)]
struct Step {
    revision: Revision,
    keys: Vec<String>,
}

impl Core {
    /// An empty store, at revision 1 like a new etcd.
    pub fn new() -> Self {
        Self { revision: 1, compacted: 0, keys: BTreeMap::new(), log: VecDeque::new(), leases: Leases::new() }
    }

    /// Where the store stands.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// Does the transaction if its compares hold. At most [`KEPT_REVISIONS`] stay in history.
    pub fn transact(&mut self, transaction: &Transaction) -> Result<Outcome, Rejected> {
        let Decision { outcome, commit } = self.decide(transaction)?;
        self.apply(commit);
        self.forget_old();
        Ok(outcome)
    }

    /// Reads everything under a prefix, as it stands.
    pub fn snapshot(&self, prefix: &str) -> Snapshot {
        self.read(prefix, self.revision)
    }

    /// Reads some parts of the keys, as they stand.
    pub fn select(&self, parts: &[Part]) -> Snapshot {
        let of_part = |part: &Part| match part {
            Part::Key(key) => self.get(key).into_iter().collect(),
            Part::Under(prefix) => self.snapshot(prefix).entries,
            Part::Next { under, after, most } => self.next(under, after, *most),
        };
        Snapshot::gathered(self.revision, parts.iter().flat_map(of_part).collect())
    }

    fn next(&self, under: &str, after: &str, most: usize) -> Vec<Entry> {
        let from = if after < under { Bound::Included(under) } else { Bound::Excluded(after) };
        let rest = self.keys.range::<str, _>((from, Bound::Unbounded)).take_while(|(key, _)| key.starts_with(under));
        rest.filter_map(|(key, versions)| version::entry_at(key, versions, self.revision)).take(most).collect()
    }

    /// Reads everything under a prefix, as it stood at a revision. A revision to come is read as the present one.
    pub fn snapshot_at(&self, prefix: &str, revision: Revision) -> Result<Snapshot, Compacted> {
        self.check_kept(revision)?;
        Ok(self.read(prefix, revision.min(self.revision)))
    }

    fn read(&self, prefix: &str, revision: Revision) -> Snapshot {
        let entries = self.under(prefix).filter_map(|(key, versions)| version::entry_at(key, versions, revision));
        Snapshot { revision, entries: entries.collect() }
    }

    /// One key, as it stands.
    pub fn get(&self, key: &str) -> Option<Entry> {
        self.keys.get(key).and_then(|versions| version::entry_at(key, versions, self.revision))
    }

    fn under<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a String, &'a Vec<Version>)> {
        self.keys.range(prefix.to_owned()..).take_while(move |(key, _)| key.starts_with(prefix))
    }

    /// Opens a lease of `ttl`. Its keys vanish with the first [`Core::expire`] at or after the end.
    pub fn grant(&mut self, ttl: Duration, now: Instant) -> LeaseId {
        let lease = self.leases.next();
        self.leases.open(lease, ttl, now);
        lease
    }

    /// Starts the lease's time anew.
    pub fn keep_alive(&mut self, lease: LeaseId, now: Instant) -> Result<(), Rejected> {
        self.leases.renew(lease, now)
    }

    /// Ends the lease; its keys are deleted as one revision.
    pub fn revoke(&mut self, lease: LeaseId) -> Result<(), Rejected> {
        let commit = self.decide_revoke(lease)?;
        self.apply(commit);
        self.close_lease(lease);
        self.forget_old();
        Ok(())
    }

    /// Ends every lease whose time is over, each as one revision if it holds keys. Says which.
    pub fn expire(&mut self, now: Instant) -> Vec<LeaseId> {
        let expired = self.expired(now);
        for lease in &expired {
            self.revoke(*lease).expect("an expired lease is still open");
        }
        expired
    }

    /// The leases whose time is over, not yet ended.
    pub fn expired(&self, now: Instant) -> Vec<LeaseId> {
        self.leases.expired(now)
    }

    /// When the next lease ends, if there is one.
    pub fn next_expiry(&self) -> Option<Instant> {
        self.leases.next_end()
    }

    /// The name the next lease will get.
    pub fn next_lease(&self) -> LeaseId {
        self.leases.next()
    }

    /// Opens a lease by name, as it was before a restart; its time starts anew.
    pub fn open_lease(&mut self, lease: LeaseId, ttl: Duration, now: Instant) {
        self.leases.open(lease, ttl, now);
    }

    /// Forgets a lease without touching keys: for after the commit of [`Core::decide_revoke`].
    pub fn close_lease(&mut self, lease: LeaseId) {
        self.leases.close(lease);
    }
}

impl Default for Core {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests;
