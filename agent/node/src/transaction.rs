//! What the head asks of the store, and what it may answer.

use crate::object::{Object, ObjectKey, Versioned};
use crate::quarantine::Unreadable;

/// Numbers a transaction, so that its outcome finds its way back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TransactionId(pub u64);

/// Everything or nothing: if all compares hold, all puts and deletes happen, at one revision.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Transaction {
    /// What must hold.
    pub compares: Vec<Compare>,
    /// What is written.
    pub puts: Vec<Object>,
    /// What is removed.
    pub deletes: Vec<ObjectKey>,
}

/// One condition.
#[derive(Clone, Debug, PartialEq)]
pub enum Compare {
    /// There is no such object.
    Absent(ObjectKey),
    /// The object was last written at this revision.
    Unchanged(ObjectKey, i64),
}

impl Compare {
    /// The object looked at.
    pub fn key(&self) -> &ObjectKey {
        match self {
            Compare::Absent(key) | Compare::Unchanged(key, _) => key,
        }
    }
}

/// What became of a transaction.
#[derive(Clone, Debug, PartialEq)]
pub enum TransactionOutcome {
    /// It happened.
    Committed {
        /// The revision it happened at.
        revision: i64,
    },
    /// A compare did not hold; nothing happened.
    Refused {
        /// The revision it was judged at.
        revision: i64,
        /// The compared objects that exist and can be read, as they are.
        current: Vec<Versioned<Object>>,
        /// Those that exist and cannot be read. What is in neither list does not exist.
        unreadable: Vec<Unreadable>,
    },
    /// The store could not be asked, or did not answer in time: it may have happened or not.
    Unknown {
        /// Why, for people.
        reason: String,
    },
}
