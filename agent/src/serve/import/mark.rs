//! The mark of an import that takes more than one transaction: it is written first, with each of them, and goes with the last.
//!
//! In: what is imported, and the store. Out: whose mark stands. While one does, agents attach nobody and claim nothing.

use std::hash::Hasher as _;

use siphasher::sip::SipHasher13;

use super::Import;
use crate::resource::{IMPORTING, key_of};
use crate::serve::export::is_declared;
use crate::store::{Compare, Entry, Snapshot};

/// By what an import is known again, whatever release of this program asks.
pub(super) fn of(import: &Import) -> String {
    let mut hasher = SipHasher13::new();
    let mut write = |text: &str| {
        hasher.write_u64(text.len() as u64);
        hasher.write(text.as_bytes());
    };
    import.manifests.iter().for_each(|manifest| write(&manifest.text));
    for record in &import.records {
        write(&record.key);
        write(&record.value);
    }
    format!("{:016x}", hasher.finish())
}

/// Whose mark stands. Its revision is that of its import's last transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Nobodys,
    Own(i64),
    Others(i64),
}

impl Standing {
    pub(super) fn of(snapshot: &Snapshot, mark: &str) -> Self {
        match snapshot.entries.iter().find(|entry| entry.key == IMPORTING) {
            None => Self::Nobodys,
            Some(entry) if entry.value == mark.as_bytes() => Self::Own(entry.mod_revision),
            Some(entry) => Self::Others(entry.mod_revision),
        }
    }

    /// What holds as long as nobody else touches it.
    pub(super) fn compare(self) -> Compare {
        match self {
            Self::Nobodys => Compare::Absent(IMPORTING.to_owned()),
            Self::Own(mod_revision) | Self::Others(mod_revision) => {
                Compare::Unchanged { key: IMPORTING.to_owned(), mod_revision }
            }
        }
    }
}

/// A declared object that changed after a revision.
pub(super) fn changed_since(snapshot: &Snapshot, revision: i64) -> Option<&Entry> {
    let is_declared = |entry: &&Entry| key_of(&entry.key).is_some_and(|key| is_declared(&key));
    snapshot.entries.iter().filter(is_declared).find(|entry| entry.mod_revision > revision)
}
