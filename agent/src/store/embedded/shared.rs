//! The order in which memory and disk change: what is not on disk is seen by nobody.
//!
//! In: what to do. Out: its outcome, once durable. Knows nothing of tasks: every call may wait for the disk.

use super::log::Log;
use crate::store::core::{Commit, Core, Decision};
use crate::store::{LeaseId, Outcome, Revision, StoreError, Transaction};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// What the store, its watches and its reaper hold together.
pub(super) struct Shared {
    pub(super) path: PathBuf,
    core: RwLock<Core>,
    /// Whoever holds it is the only writer, from decision to application.
    log: Mutex<Log>,
    /// The last revision applied: wakes the watchers.
    pub(super) revision: watch::Sender<Revision>,
}

impl Shared {
    pub(super) fn open(path: PathBuf) -> Result<Self, StoreError> {
        let log = Log::open(&path)?;
        let core = log.read(Instant::now())?;
        let revision = watch::Sender::new(core.revision());
        Ok(Self { path, core: RwLock::new(core), log: Mutex::new(log), revision })
    }

    pub(super) fn transact(&self, transaction: &Transaction) -> Result<Outcome, StoreError> {
        let log = self.log();
        let Decision { outcome, commit } = self.core().decide(transaction)?;
        self.commit(&log, commit)?;
        Ok(outcome)
    }

    pub(super) fn commit(&self, log: &Log, commit: Option<Commit>) -> Result<(), StoreError> {
        let Some(commit) = commit else { return Ok(()) };
        log.append(&commit)?;
        self.apply(Some(commit));
        self.forget_old(log);
        Ok(())
    }

    pub(super) fn apply(&self, commit: Option<Commit>) {
        let mut core = self.core_mut();
        core.apply(commit);
        self.revision.send_replace(core.revision());
    }

    /// The commit before is durable already, so trouble here is only told: it comes back at the next commit.
    pub(super) fn forget_old(&self, log: &Log) {
        let due = self.core().compaction_due();
        if let Some(Err(error)) = due.map(|at| self.compact_in(log, at)) {
            tracing::warn!(store = %self.path.display(), error = error.story(), "old revisions are not forgotten");
        }
    }

    pub(super) fn grant(&self, ttl: Duration) -> Result<LeaseId, StoreError> {
        let log = self.log();
        let lease = self.core().next_lease();
        log.open_lease(lease, ttl)?;
        self.core_mut().open_lease(lease, ttl, Instant::now());
        Ok(lease)
    }

    pub(super) fn revoke(&self, lease: LeaseId) -> Result<(), StoreError> {
        let log = self.log();
        let commit = self.core().decide_revoke(lease)?;
        log.close_lease(lease, commit.as_ref())?;
        self.apply(commit);
        self.core_mut().close_lease(lease);
        Ok(())
    }

    pub(super) fn compact(&self, at: Revision) -> Result<(), StoreError> {
        let now = self.core().revision();
        if at > now {
            return Err(StoreError::WentBack { seen: at, now });
        }
        self.compact_in(&self.log(), at)
    }

    pub(super) fn compact_in(&self, log: &Log, at: Revision) -> Result<(), StoreError> {
        let mut core = self.core_mut();
        let gone = core.compact(at);
        let compacted = core.compacted();
        drop(core);
        log.forget(compacted, &gone)
    }

    pub(super) fn core(&self) -> RwLockReadGuard<'_, Core> {
        self.core.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn core_mut(&self) -> RwLockWriteGuard<'_, Core> {
        self.core.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
