//! What may be asked of a store at once, and what comes of it.

use super::{Entry, Revision};
use std::collections::BTreeSet;

/// Names a lease, within one store. Chosen by the store, never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaseId(pub i64);

/// What must be true of a key for a transaction to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Compare {
    /// The key does not exist.
    Absent(String),
    /// The key exists and was last put at this revision; 0 means that it does not exist.
    Unchanged {
        /// The whole key.
        key: String,
        /// The [`Entry::mod_revision`] that was read.
        mod_revision: Revision,
    },
    /// The key exists.
    Present(String),
}

impl Compare {
    /// The key it looks at.
    pub fn key(&self) -> &str {
        match self {
            Compare::Absent(key) | Compare::Present(key) | Compare::Unchanged { key, .. } => key,
        }
    }
}

/// One change to one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Creates or overwrites the key. Its former lease, if any, lets go of it.
    Put {
        /// The whole key.
        key: String,
        /// The octets to keep.
        value: Vec<u8>,
        /// The lease the key shall vanish with, if any.
        lease: Option<LeaseId>,
    },
    /// Deletes the key; nothing happens if it does not exist.
    Delete(String),
}

impl Operation {
    /// The key it changes.
    pub fn key(&self) -> &str {
        match self {
            Operation::Put { key, .. } | Operation::Delete(key) => key,
        }
    }

    /// The lease it puts its key under.
    pub fn lease(&self) -> Option<LeaseId> {
        match self {
            Operation::Put { lease, .. } => *lease,
            Operation::Delete(_) => None,
        }
    }

    pub(super) fn size_bytes(&self) -> usize {
        match self {
            Operation::Put { key, value, .. } => key.len() + value.len(),
            Operation::Delete(key) => key.len(),
        }
    }
}

/// Operations that are done together, as one revision, if every compare holds. No key is operated on twice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transaction {
    /// What must be true; empty means always.
    pub compares: Vec<Compare>,
    /// What shall be done.
    pub operations: Vec<Operation>,
}

/// What came of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Every compare held and all operations are done and durable.
    Committed {
        /// The revision it became; the store's present one if nothing changed.
        revision: Revision,
    },
    /// A compare did not hold; nothing is done.
    Refused {
        /// The store's present revision.
        revision: Revision,
        /// The compared keys that exist, as they stand now, sorted by key.
        current: Vec<Entry>,
    },
}

impl Transaction {
    /// A transaction that always does these operations.
    pub fn of(operations: impl Into<Vec<Operation>>) -> Self {
        Self { compares: Vec::new(), operations: operations.into() }
    }

    /// Adds a compare.
    pub fn when(mut self, compare: Compare) -> Self {
        self.compares.push(compare);
        self
    }

    /// Adds a put without a lease.
    pub fn put(mut self, key: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        self.operations.push(Operation::Put { key: key.into(), value: value.into(), lease: None });
        self
    }

    /// Adds a put under a lease.
    pub fn put_leased(mut self, key: impl Into<String>, value: impl Into<Vec<u8>>, lease: LeaseId) -> Self {
        self.operations.push(Operation::Put { key: key.into(), value: value.into(), lease: Some(lease) });
        self
    }

    /// Adds a delete.
    pub fn delete(mut self, key: impl Into<String>) -> Self {
        self.operations.push(Operation::Delete(key.into()));
        self
    }

    /// The leases its puts are under, in their order.
    pub fn leases(&self) -> impl Iterator<Item = LeaseId> {
        self.operations.iter().filter_map(Operation::lease)
    }

    /// The keys of the compares, each once, sorted.
    pub fn compared_keys(&self) -> BTreeSet<&str> {
        self.compares.iter().map(Compare::key).collect()
    }
}
