//! What a store holds, and how it tells of changes.

/// Counts the transactions that changed something. A new store stands at 1; it never falls, except when a backup is restored.
pub type Revision = i64;

/// One key and its value, as it stands at some revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The whole key, such as `/poplin/v1/c/pool/NAME`; never empty.
    pub key: String,
    /// What the writer put; the store does not look into it.
    pub value: Vec<u8>,
    /// The revision that brought the key to life; unchanged by later puts, new after a delete and a put.
    pub create_revision: Revision,
    /// The revision of the last put: what [`Unchanged`](super::Compare::Unchanged) compares.
    pub mod_revision: Revision,
}

/// A part of the keys.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// One key.
    Key(String),
    /// Every key that starts so; an empty one means all.
    Under(String),
    /// So many of those that start so, the first after one of them.
    Next {
        /// What they start with.
        under: String,
        /// They come after this; empty = from the first.
        after: String,
        /// How many at most.
        most: usize,
    },
}

impl Part {
    /// What of entries lies in it; they are sorted by key.
    fn of<'e>(&self, entries: &'e [Entry]) -> &'e [Entry] {
        let (under, after, most) = match self {
            Part::Key(key) => {
                let begin = entries.partition_point(|entry| entry.key < *key);
                let is_there = entries.get(begin).is_some_and(|entry| entry.key == *key);
                return &entries[begin..begin + usize::from(is_there)];
            }
            Part::Under(prefix) => (prefix.as_str(), "", usize::MAX),
            Part::Next { under, after, most } => (under.as_str(), after.as_str(), *most),
        };
        let is_before = |key: &str| if after < under { key < under } else { key <= after };
        let begin = entries.partition_point(|entry| is_before(&entry.key));
        let count = entries[begin..].partition_point(|entry| entry.key.starts_with(under));
        &entries[begin..begin + count.min(most)]
    }
}

/// Every entry of some parts of the keys, all at one revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The revision the entries are true at: watch after this one, and nothing is missed.
    pub revision: Revision,
    /// Sorted by key, in the order of octets.
    pub entries: Vec<Entry>,
}

impl Snapshot {
    /// What was read part by part at one revision, in any order; parts may overlap.
    pub(super) fn gathered(revision: Revision, mut entries: Vec<Entry>) -> Self {
        entries.sort_unstable_by(|one, other| one.key.cmp(&other.key));
        entries.dedup_by(|one, other| one.key == other.key);
        Self { revision, entries }
    }

    /// What of it lies in these parts.
    pub(super) fn within(&self, parts: &[Part]) -> Self {
        let entries = parts.iter().flat_map(|part| part.of(&self.entries)).cloned();
        Self::gathered(self.revision, entries.collect())
    }

    /// The entry of a key.
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        let place = self.entries.binary_search_by(|entry| entry.key.as_str().cmp(key)).ok()?;
        self.entries.get(place)
    }
}

/// One key that changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The key was created or overwritten; the entry is as it stands now.
    Put(Entry),
    /// The key is gone.
    Deleted {
        /// The whole key.
        key: String,
        /// The revision of the delete.
        revision: Revision,
    },
}

impl Change {
    /// The key that changed.
    pub fn key(&self) -> &str {
        match self {
            Change::Put(entry) => &entry.key,
            Change::Deleted { key, .. } => key,
        }
    }

    /// The revision of the transaction that changed it.
    pub fn revision(&self) -> Revision {
        match self {
            Change::Put(entry) => entry.mod_revision,
            Change::Deleted { revision, .. } => *revision,
        }
    }
}

/// The changes of one transaction to the watched keys, in the order of its operations. Never empty, never split, never joined with another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// The revision of the transaction.
    pub revision: Revision,
    /// What it changed under the watched prefix.
    pub changes: Vec<Change>,
}
