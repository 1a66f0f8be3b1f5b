//! The store of a single host: the pure core in memory, every commit on disk before anybody hears of it.
//!
//! In: a path. Out: a [`Store`]. Knows nothing of how octets lie in the file (`log.rs`).
//!
//! ```text
//!   transact ─► writer lock ─► core decides ─► log commits, fsync ─► core applies ─► watchers wake ─► answer
//! ```
//!
//! One fsync per transaction is about 2,000 transactions a second on a plain disk, far above what the containers of one host
//! cause; grouping commits would win more, at the price of a second, staged core.

mod explain;
mod feed;
mod log;
mod reaper;
mod shared;

use super::{LeaseId, Outcome, Part, Revision, Snapshot, Store, StoreError, Transaction, Watch};
use async_trait::async_trait;
use reaper::Reaper;
use shared::Shared;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinError;

/// A store in one file, held by one process. The file stays held until the store and every watch on it are dropped.
pub struct Embedded {
    shared: Arc<Shared>,
    _reaper: Reaper,
}

impl Embedded {
    /// Opens the file, or creates it with its directory; reads all of it. Leases go on with their whole time.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        let path = path.to_owned();
        let shared = blocking(move || Shared::open(path)).await?;
        let shared = Arc::new(shared);
        let _reaper = Reaper::spawn(&shared);
        Ok(Self { shared, _reaper })
    }

    async fn on_shared<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Shared) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let shared = self.shared.clone();
        blocking(move || work(&shared)).await
    }
}

/// Runs work that waits for the disk away from the threads that serve everybody else.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await.map_err(JoinError::try_into_panic) {
        Ok(done) => done,
        Err(Ok(panic)) => std::panic::resume_unwind(panic),
        Err(Err(_)) => std::future::pending().await, // the runtime is ending, and whoever waits with it
    }
}

#[async_trait]
impl Store for Embedded {
    fn kind(&self) -> &'static str {
        "embedded"
    }

    fn location(&self) -> String {
        self.shared.path.display().to_string()
    }

    async fn snapshot(&self, prefix: &str) -> Result<Snapshot, StoreError> {
        Ok(self.shared.core().snapshot(prefix))
    }

    async fn select(&self, parts: &[Part]) -> Result<Snapshot, StoreError> {
        Ok(self.shared.core().select(parts))
    }

    async fn watch(&self, prefix: &str, after: Revision) -> Result<Watch, StoreError> {
        feed::open(&self.shared, prefix, after).map(Watch::new)
    }

    async fn transact(&self, transaction: Transaction) -> Result<Outcome, StoreError> {
        self.on_shared(move |shared| shared.transact(&transaction)).await
    }

    async fn grant(&self, ttl: Duration) -> Result<LeaseId, StoreError> {
        self.on_shared(move |shared| shared.grant(ttl)).await
    }

    async fn keep_alive(&self, lease: LeaseId) -> Result<(), StoreError> {
        Ok(self.shared.core_mut().keep_alive(lease, Instant::now())?)
    }

    async fn revoke(&self, lease: LeaseId) -> Result<(), StoreError> {
        self.on_shared(move |shared| shared.revoke(lease)).await
    }

    async fn compact(&self, at: Revision) -> Result<(), StoreError> {
        self.on_shared(move |shared| shared.compact(at)).await
    }
}
