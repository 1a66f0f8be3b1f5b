//! What no store will do, however often it is asked.
//!
//! The bounds are etcd's defaults, checked here for every store, so that what works on one host works on a fleet.

use super::{LeaseId, Operation, Transaction};
use std::collections::BTreeSet;
use std::path::PathBuf;
use thiserror::Error;

/// How many compares, and how many operations, a transaction may have: etcd's `--max-txn-ops`.
pub const MOST_OPERATIONS: usize = 128;

/// How many octets of keys and values a transaction may put: etcd's `--max-request-bytes` of 1.5 MiB, less room for its envelope.
pub const MOST_BYTES: usize = 1_536_000;

/// How many octets of keys and values may be put as one change, in pieces: more than any call brings.
pub const MOST_WHOLE_BYTES: usize = 64 << 20;

/// Why a store will never do what was asked, however often it is asked again.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Rejected {
    /// More compares or operations than one transaction may have.
    #[error("the transaction has {found} compares or operations, {MOST_OPERATIONS} are allowed")]
    TooMany {
        /// The larger of the two counts.
        found: usize,
    },
    /// More octets than one transaction may put.
    #[error("the transaction puts {found} bytes (its largest key is {largest}), {MOST_BYTES} are allowed")]
    TooLarge {
        /// Octets of all keys and values.
        found: usize,
        /// The key with the most octets.
        largest: String,
    },
    /// More octets than go in pieces.
    #[error("the change puts {found} bytes, {MOST_WHOLE_BYTES} are allowed at once")]
    TooMuch {
        /// Octets of all keys and values.
        found: usize,
    },
    /// Two operations on one key.
    #[error("the transaction changes {0} twice")]
    KeyTwice(String),
    /// An empty key.
    #[error("the transaction has an empty key")]
    NoKey,
    /// The lease has expired, was revoked, or never was.
    #[error("lease {:x} is gone", .0.0)]
    LeaseGone(LeaseId),
    /// The store is a file that people write.
    #[error("what is declared stands in {}, and is changed there: edit it and send SIGHUP", .0.display())]
    ReadOnly(PathBuf),
}

impl Transaction {
    /// Checks the bounds every store holds.
    pub fn check(&self) -> Result<(), Rejected> {
        self.check_count()?;
        self.check_keys()?;
        self.check_size()
    }

    /// Checks them with room for the compare that says who may write.
    pub(super) fn check_guarded(&self) -> Result<(), Rejected> {
        let found = self.compares.len() + 1;
        if found > MOST_OPERATIONS { Err(Rejected::TooMany { found }) } else { self.check() }
    }

    fn check_count(&self) -> Result<(), Rejected> {
        let found = self.compares.len().max(self.operations.len());
        if found > MOST_OPERATIONS { Err(Rejected::TooMany { found }) } else { Ok(()) }
    }

    pub(super) fn check_keys(&self) -> Result<(), Rejected> {
        if self.compares.iter().any(|c| c.key().is_empty()) || self.operations.iter().any(|o| o.key().is_empty()) {
            return Err(Rejected::NoKey);
        }
        let mut seen = BTreeSet::new();
        match self.operations.iter().find(|operation| !seen.insert(operation.key())) {
            Some(twice) => Err(Rejected::KeyTwice(twice.key().to_owned())),
            None => Ok(()),
        }
    }

    fn check_size(&self) -> Result<(), Rejected> {
        let found = self.operations.iter().map(Operation::size_bytes).sum();
        match self.operations.iter().max_by_key(|operation| operation.size_bytes()) {
            Some(largest) if found > MOST_BYTES => Err(Rejected::TooLarge { found, largest: largest.key().to_owned() }),
            _ => Ok(()),
        }
    }
}
