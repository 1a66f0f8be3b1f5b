//! A running watch, whatever store it runs on.

use super::{Batch, StoreError};
use async_trait::async_trait;

/// The changes under one prefix, one transaction after the other, without a gap. Dropping it ends the watch.
pub struct Watch(Box<dyn Feed>);

/// Where a [`Watch`] gets its batches: each store has its own.
#[async_trait]
pub trait Feed: Send {
    /// Waits for the next batch. Dropping the future loses nothing.
    async fn next(&mut self) -> Result<Batch, StoreError>;
}

impl Watch {
    /// Wraps a store's feed.
    pub fn new(feed: impl Feed + 'static) -> Self {
        Self(Box::new(feed))
    }

    /// Waits for the next batch. Dropping the future loses nothing; after an error the watch is over.
    pub async fn next(&mut self) -> Result<Batch, StoreError> {
        self.0.next().await
    }
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Watch")
    }
}
