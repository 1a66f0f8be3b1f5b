//! The past of a store: how changes enter it, how it is told, and how it is forgotten.

use super::version::{Version, change_at};
use super::{Commit, Core, RecordId, Step};
use crate::store::{Batch, Revision, StoreError};
use std::collections::BTreeSet;
use thiserror::Error;

/// How many revisions stay in history. At ten changes a second a watch may sleep for a quarter of an hour;
/// at 512 bytes a value they weigh 5 MB.
pub const KEPT_REVISIONS: Revision = 10_000;

/// How far history grows beyond [`KEPT_REVISIONS`] before it is cut: cutting a thousand costs one disk write, not a thousand.
const SLACK: Revision = 1_000;

/// The past asked for is forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("revision {asked} is compacted, the store keeps what came after {compacted}")]
pub struct Compacted {
    /// What was asked for.
    pub asked: Revision,
    /// The last revision that is forgotten.
    pub compacted: Revision,
}

impl From<Compacted> for StoreError {
    fn from(Compacted { asked, compacted }: Compacted) -> Self {
        StoreError::Compacted { asked, compacted }
    }
}

impl Core {
    /// Does what was decided. The commit must come from this core, with nothing applied since.
    pub fn apply(&mut self, commit: Option<Commit>) {
        let Some(Commit { revision, records }) = commit else { return };
        let mut keys = Vec::with_capacity(records.len());
        for record in records {
            keys.push(record.key.clone());
            self.leases.attach(&record.key, record.lease);
            self.keys.entry(record.key.clone()).or_default().push(Version::of(record));
        }
        self.revision = self.revision.max(revision);
        if revision > self.compacted {
            self.log.push_back(Step { revision, keys });
        }
    }

    /// An empty store whose history before and at `compacted` is forgotten: what remained is applied to it, commit by commit.
    pub fn resumed(compacted: Revision) -> Self {
        Self { compacted, revision: compacted.max(1), ..Self::new() }
    }

    /// Everything that changed under a prefix after a revision, oldest first. Nothing, if the store has not come so far.
    pub fn since(&self, prefix: &str, revision: Revision) -> Result<Vec<Batch>, Compacted> {
        self.batches(prefix, revision).map(Iterator::collect)
    }

    /// The same, one batch at a time.
    pub fn batches<'a>(
        &'a self,
        prefix: &'a str,
        after: Revision,
    ) -> Result<impl Iterator<Item = Batch> + 'a, Compacted> {
        self.check_kept(after)?;
        let first = self.log.partition_point(|step| step.revision <= after);
        Ok(self.log.range(first..).filter_map(move |step| self.batch(prefix, step)))
    }

    fn batch(&self, prefix: &str, step: &Step) -> Option<Batch> {
        let touched = step.keys.iter().filter(|key| key.starts_with(prefix));
        let changes: Vec<_> = touched.filter_map(|key| change_at(key, self.keys.get(key)?, step.revision)).collect();
        (!changes.is_empty()).then_some(Batch { revision: step.revision, changes })
    }

    pub(super) fn check_kept(&self, asked: Revision) -> Result<(), Compacted> {
        let compacted = self.compacted;
        if asked < compacted { Err(Compacted { asked, compacted }) } else { Ok(()) }
    }

    /// The last revision that is forgotten; 0 if none is.
    pub fn compacted(&self) -> Revision {
        self.compacted
    }

    /// The revision to compact at now, if history is long enough to be cut.
    pub fn compaction_due(&self) -> Option<Revision> {
        (self.revision - self.compacted > KEPT_REVISIONS + SLACK).then_some(self.revision - KEPT_REVISIONS)
    }

    pub(super) fn forget_old(&mut self) {
        if let Some(at) = self.compaction_due() {
            self.compact(at);
        }
    }

    /// Forgets every version that was overwritten or deleted at or before a revision, and says which records those are.
    pub fn compact(&mut self, at: Revision) -> Vec<RecordId> {
        let at = at.min(self.revision);
        self.compacted = self.compacted.max(at);
        let gone = self.log.partition_point(|step| step.revision <= at);
        let touched: BTreeSet<String> = self.log.drain(..gone).flat_map(|step| step.keys).collect();
        touched.iter().flat_map(|key| self.trim(key, at)).collect()
    }

    /// Of the versions at or before `at`, only the last is still to be read, and that only if it is no tombstone.
    fn trim(&mut self, key: &str, at: Revision) -> Vec<RecordId> {
        let Some(versions) = self.keys.get_mut(key) else { return Vec::new() };
        let past = versions.partition_point(|version| version.id.revision <= at);
        let lives = versions[..past].last().is_some_and(|version| version.value.is_some());
        let gone = versions.drain(..past - usize::from(lives)).map(|version| version.id).collect();
        if versions.is_empty() {
            self.keys.remove(key);
        }
        gone
    }
}
