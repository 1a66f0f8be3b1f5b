//! The versions of a key, and the records that make them durable.

use super::super::{Change, Entry, LeaseId, Revision};

/// One change as it is kept: names everything, so that a file of them, in order, is the whole store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Where it stands in the order of all changes.
    pub id: RecordId,
    /// The whole key.
    pub key: String,
    /// The revision that brought the key to life; for a delete, its own.
    pub create_revision: Revision,
    /// The lease the key vanishes with.
    pub lease: Option<LeaseId>,
    /// The octets put, or `None` for a delete.
    pub value: Option<Vec<u8>>,
}

/// Orders changes: by revision, then by operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RecordId {
    /// The revision of the transaction.
    pub revision: Revision,
    /// Counts the changes of one transaction, from 0.
    pub operation: u32,
}

/// What one revision changes, decided but not yet done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// The revision it will be.
    pub revision: Revision,
    /// Its changes in order, at least one.
    pub records: Vec<Record>,
}

/// How a key stood from its revision on, until the next version.
#[derive(Clone, Debug)]
pub(super) struct Version {
    pub(super) id: RecordId,
    pub(super) create_revision: Revision,
    pub(super) value: Option<Vec<u8>>,
}

impl Version {
    pub(super) fn of(record: Record) -> Self {
        Self { id: record.id, create_revision: record.create_revision, value: record.value }
    }

    fn entry(&self, key: &str) -> Option<Entry> {
        let value = self.value.clone()?;
        let (create_revision, mod_revision) = (self.create_revision, self.id.revision);
        Some(Entry { key: key.to_owned(), value, create_revision, mod_revision })
    }

    pub(super) fn change(&self, key: &str) -> Change {
        match self.entry(key) {
            Some(entry) => Change::Put(entry),
            None => Change::Deleted { key: key.to_owned(), revision: self.id.revision },
        }
    }
}

/// How the key stood at a revision.
pub(super) fn entry_at(key: &str, versions: &[Version], revision: Revision) -> Option<Entry> {
    let later = versions.partition_point(|version| version.id.revision <= revision);
    versions[..later].last().and_then(|version| version.entry(key))
}

/// What exactly this revision did to the key.
pub(super) fn change_at(key: &str, versions: &[Version], revision: Revision) -> Option<Change> {
    let found = versions.binary_search_by_key(&revision, |version| version.id.revision);
    found.ok().map(|index| versions[index].change(key))
}
