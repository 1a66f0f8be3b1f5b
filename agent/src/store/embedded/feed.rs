//! A watch on the embedded store: a cursor over the core's history. A slow watcher costs no memory and misses nothing.

use super::super::watch::Feed;
use super::Shared;
use crate::store::{Batch, Revision, StoreError};
use async_trait::async_trait;
use std::sync::Arc;
use tokio::sync::watch;

pub(super) struct Cursor {
    shared: Arc<Shared>,
    prefix: String,
    /// Everything up to here was told.
    after: Revision,
    revision: watch::Receiver<Revision>,
}

pub(super) fn open(shared: &Arc<Shared>, prefix: &str, after: Revision) -> Result<Cursor, StoreError> {
    let now = shared.core().revision();
    if after > now {
        return Err(StoreError::WentBack { seen: after, now });
    }
    shared.core().batches(prefix, after).map(drop)?;
    let revision = shared.revision.subscribe();
    Ok(Cursor { shared: shared.clone(), prefix: prefix.to_owned(), after, revision })
}

#[async_trait]
impl Feed for Cursor {
    async fn next(&mut self) -> Result<Batch, StoreError> {
        loop {
            self.revision.borrow_and_update();
            if let Some(batch) = self.step()? {
                return Ok(batch);
            }
            self.revision.changed().await.expect("the sender lives in what the cursor shares");
        }
    }
}

impl Cursor {
    /// The next batch if there is one, else moves to the end of history.
    fn step(&mut self) -> Result<Option<Batch>, StoreError> {
        let core = self.shared.core();
        let batch = core.batches(&self.prefix, self.after)?.next();
        self.after = batch.as_ref().map_or(core.revision(), |batch| batch.revision);
        Ok(batch)
    }
}
