//! Tells of changes whole: a decided change at its decision, a large value with its parts.
//!
//! In: the store's own batches, of everything where what is watched may be large. Out: batches under one prefix. What is carried over after the decision
//! is told once more, with the revision it then has. Where the thread is lost the watch ends, and whoever listens reads anew.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;

use super::journal::{self, Decided, MARK, Piece};
use super::{is_all, may_be_large, parts};
use crate::resource::ROOT;
use crate::store::{Batch, Change, Entry, Feed, Revision, Store, StoreError, Watch};

pub(super) struct Telling {
    raw: Watch,
    store: Arc<dyn Store>,
    prefix: String,
    /// A batch that is being worked on: whoever drops the wait loses nothing.
    held: Option<Batch>,
    /// Pieces that came by and are not carried over: as large as the changes under way.
    pieces: BTreeMap<String, Vec<u8>>,
    /// Parts that came by or were needed: as large as the large values that changed since the watch began.
    parts: BTreeMap<String, Vec<u8>>,
}

impl Telling {
    pub(super) async fn begin(store: Arc<dyn Store>, prefix: &str, after: Revision) -> Result<Self, StoreError> {
        let is_declared = prefix.starts_with(&format!("{ROOT}c/"));
        let raw = store.watch(if is_declared { ROOT } else { prefix }, after).await?;
        let (pieces, parts) = Default::default();
        Ok(Self { raw, store, prefix: prefix.to_owned(), held: None, pieces, parts })
    }

    /// What a batch of the store tells under the prefix; nothing if it tells nothing.
    async fn told(&mut self, batch: &Batch) -> Result<Option<Batch>, StoreError> {
        if !is_all(&self.prefix) && !may_be_large(&self.prefix) {
            return Ok(Some(batch.clone()));
        }
        let changes = self.with_decided(batch).await?;
        self.remember(&changes);
        let mut told = Vec::new();
        for change in &changes {
            if self.is_told(change) {
                told.extend(self.whole(change).await?);
            }
        }
        self.forget(&changes);
        Ok(Some(Batch { revision: batch.revision, changes: told }).filter(|batch| !batch.changes.is_empty()))
    }

    /// The changes of a batch, and those that it decides.
    async fn with_decided(&mut self, batch: &Batch) -> Result<Vec<Change>, StoreError> {
        let mut changes = batch.changes.clone();
        let Some(decided) = batch.changes.iter().find_map(decided_by) else { return Ok(changes) };
        if decided.waiting().any(|key| !self.pieces.contains_key(&key)) {
            let read = self.store.snapshot(&format!("{}{}/", journal::root(), decided.id)).await?;
            self.pieces.extend(read.entries.into_iter().map(|entry| (entry.key, entry.value)));
        }
        for key in decided.waiting() {
            let piece =
                self.pieces.get(&key).and_then(|value| Piece::read(value)).ok_or_else(|| self.overtaken(&key))?;
            changes.extend(piece.changes(batch.revision));
        }
        Ok(changes)
    }

    fn is_told(&self, change: &Change) -> bool {
        change.key().starts_with(&self.prefix) && !journal::is_inside(change.key())
    }

    /// Keeps pieces and parts until they are needed.
    fn remember(&mut self, changes: &[Change]) {
        for change in changes {
            if let Change::Put(Entry { key, value, .. }) = change {
                if key.starts_with(&parts::root()) {
                    self.parts.insert(key.clone(), value.clone());
                } else if key.starts_with(&journal::root()) {
                    self.pieces.insert(key.clone(), value.clone());
                }
            }
        }
    }

    fn forget(&mut self, changes: &[Change]) {
        for change in changes {
            if let Change::Deleted { key, .. } = change {
                self.parts.remove(key);
                self.pieces.remove(key);
            }
        }
        if self.prefix.starts_with(&format!("{ROOT}t/")) {
            self.parts.clear(); // nobody tells here when they go
        }
    }

    /// A change with its whole value; nothing where that is gone by now, of which a later change tells.
    async fn whole(&mut self, change: &Change) -> Result<Option<Change>, StoreError> {
        let Some((key, head)) = parts::head_in(change) else { return Ok(Some(change.clone())) };
        if head.keys(key).any(|part| !self.parts.contains_key(&part)) {
            let read = self.store.snapshot(&parts::prefix_of(key)).await?;
            self.parts.extend(read.entries.into_iter().map(|entry| (entry.key, entry.value)));
        }
        let Change::Put(entry) = change else { return Ok(None) };
        match head.join(key, |part| self.parts.get(part).map(Vec::as_slice)) {
            Some(value) => Ok(Some(Change::Put(Entry { value, ..entry.clone() }))),
            None => self.read_anew(entry).await,
        }
    }

    /// The value as it is by now, for parts that are gone, or were decided and wait to be carried over.
    async fn read_anew(&mut self, entry: &Entry) -> Result<Option<Change>, StoreError> {
        let whole = super::Whole::over(self.store.clone()).everything(ROOT).await?;
        let found = whole.entries.into_iter().find(|other| other.key == entry.key);
        Ok(found.map(|found| Change::Put(Entry { value: found.value, ..entry.clone() })))
    }

    fn overtaken(&self, key: &str) -> StoreError {
        let cause = format!("{key} was gone before it was read");
        StoreError::WatchEnded { location: self.store.location(), cause: cause.into() }
    }
}

/// The change that another one decides.
fn decided_by(change: &Change) -> Option<Decided> {
    match change {
        Change::Put(entry) if entry.key == MARK => {
            Some(Decided::read(&entry.value)).filter(|decided| decided.done == 0 && !decided.is_over())
        }
        Change::Put(_) | Change::Deleted { .. } => None,
    }
}

#[async_trait]
impl Feed for Telling {
    async fn next(&mut self) -> Result<Batch, StoreError> {
        loop {
            let batch = match self.held.take() {
                Some(batch) => batch,
                None => self.raw.next().await?,
            };
            self.held = Some(batch.clone());
            let told = self.told(&batch).await?;
            self.held = None;
            if let Some(batch) = told {
                return Ok(batch);
            }
        }
    }
}
