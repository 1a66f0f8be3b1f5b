//! Where the fabric's truth is kept: keys with values, revisions, watches, transactions with compares, leases.
//!
//! In: keys and octets. Out: snapshots at a revision, every change after it in order, and the outcome of transactions.
//! Knows nothing of what the values mean. Semantics are those of etcd v3, held by `tests/store_conformance.rs`.
//!
//! ```text
//!   follow ──► Store ──┬── Whole (large values, large changes) ──► Guarded (by those only who know the schema) ──► Store ──┬── Etcd ──────► etcd v3, for a fleet
//!                      │                                                                                                   └── Embedded ──► Core (pure, also the
//!                      │                                                                             simulation's store) on a redb log, for a single host
//!                      └── FileStore ─► what a file says, for a speaker alone
//! ```

mod bounds;
pub(crate) mod chance;
mod content;
pub mod core;
pub mod embedded;
mod error;
pub mod etcd;
mod examine;
mod file;
pub mod follow;
mod guarded;
mod location;
mod transaction;
mod watch;
mod whole;

pub use bounds::{MOST_BYTES, MOST_OPERATIONS, Rejected};
pub use content::{Batch, Change, Entry, Part, Revision, Snapshot};
pub use embedded::Embedded;
pub use error::{Cause, StoreError};
pub use etcd::{Credentials, Etcd, IdentityFiles, User};
pub use examine::{CredentialFile, Examined, Member};
pub use file::{FileStore, Values};
pub(crate) use follow::Backoff;
pub use follow::{Followed, follow};
pub use guarded::Guarded;
pub use location::{Location, open};
pub use transaction::{Compare, LeaseId, Operation, Outcome, Transaction};
pub use watch::{Feed, Watch};
pub use whole::Whole;

use async_trait::async_trait;
use std::time::Duration;

/// A key-value store with revisions. Cheap to share; every method may be called from many tasks at once.
///
/// Every call ends within about five seconds, with an error if the store does not answer; only [`Watch::next`] waits for ever.
#[async_trait]
pub trait Store: Send + Sync {
    /// Names the implementation: `embedded`, `etcd` or `file`.
    fn kind(&self) -> &'static str;

    /// Says where the store is, for messages to people: a path, or the endpoints.
    fn location(&self) -> String;

    /// Reads every entry whose key starts with `prefix`, all at one revision. An empty prefix means everything.
    async fn snapshot(&self, prefix: &str) -> Result<Snapshot, StoreError>;

    /// Reads the entries of some parts of the keys, all at one revision: for who needs a few of very many.
    async fn select(&self, parts: &[Part]) -> Result<Snapshot, StoreError>;

    /// Watches every change after revision `after` to keys that start with `prefix`.
    ///
    /// [`StoreError::Compacted`] says that the changes right after `after` are forgotten, [`StoreError::WentBack`] that the store has not
    /// come so far; either may come from here or from the first [`Watch::next`]. Both are mended by a new snapshot.
    async fn watch(&self, prefix: &str, after: Revision) -> Result<Watch, StoreError>;

    /// Does all operations as one revision if every compare holds, and nothing otherwise.
    ///
    /// After [`StoreError::OutcomeUnknown`] it may have been done or not: read before trying again.
    async fn transact(&self, transaction: Transaction) -> Result<Outcome, StoreError>;

    /// Opens a lease: keys put under it vanish when it has not been kept alive for `ttl`. etcd rounds up to seconds, and to 2 s at least.
    async fn grant(&self, ttl: Duration) -> Result<LeaseId, StoreError>;

    /// Starts the lease's time anew. [`StoreError::Rejected`] with [`Rejected::LeaseGone`] says that it came too late.
    async fn keep_alive(&self, lease: LeaseId) -> Result<(), StoreError>;

    /// Ends the lease and deletes its keys, as one revision.
    async fn revoke(&self, lease: LeaseId) -> Result<(), StoreError>;

    /// Forgets history up to and including revision `at`; what lives then stays. A revision already forgotten is no error.
    async fn compact(&self, at: Revision) -> Result<(), StoreError>;

    /// Which cluster answered last, if the store is one that says so.
    fn cluster(&self) -> Option<u64> {
        None
    }

    /// Finishes what others began and left, in a store where that can be, for as long as it is polled.
    async fn keep(&self) {}

    /// Looks at each member now. What does not answer is part of the answer.
    async fn examine(&self) -> Examined {
        examine::alone(self.location(), self.snapshot(examine::NOTHING)).await
    }
}
