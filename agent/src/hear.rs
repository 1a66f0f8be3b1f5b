//! The store's news in the head's words. A value that cannot be read is left out, loudly; the rest goes on.

use std::collections::BTreeMap;
use std::sync::Arc;

use poplin_node::Event;
use poplin_node::object::{Object, Versioned};
use poplin_node::quarantine::Unreadable;
use poplin_node::release::MinWriter;
use poplin_node::transaction::{Compare as TypedCompare, Transaction as TypedTransaction, TransactionOutcome};

use crate::memory::Recalled;
use crate::resource::{IMPORTING, decode, encode, key_of, path_of};
use crate::schema::{self, MIN_WRITER};
use crate::store::{Change, Compare, Entry, Followed, Operation, Outcome, Store, Transaction};

/// Translates news, and remembers which values could not be read so that each is reported once.
#[derive(Debug, Default)]
pub struct Hearing {
    reported: BTreeMap<String, i64>,
}

impl Hearing {
    /// The news as an event.
    pub fn event(&mut self, news: &Followed) -> Event {
        match news {
            Followed::Snapshot(snapshot) => {
                let (objects, unreadable) = read(&snapshot.entries);
                self.reported.retain(|key, _| snapshot.entries.iter().any(|entry| entry.key == *key));
                self.report(&objects, &unreadable);
                Event::StoreRead { revision: snapshot.revision, objects, unreadable }
            }
            Followed::Changes(batch) => {
                let entries = batch.changes.iter().filter_map(|change| match change {
                    Change::Put(entry) => Some(entry),
                    Change::Deleted { .. } => None,
                });
                let deleted = |change: &Change| match change {
                    Change::Put(_) => None,
                    Change::Deleted { key, .. } => Some(key.clone()),
                };
                let gone: Vec<String> = batch.changes.iter().filter_map(deleted).collect();
                self.reported.retain(|key, _| !gone.contains(key));
                let (puts, unreadable) = read(entries);
                self.report(&puts, &unreadable);
                let deletes = gone.iter().filter_map(|key| key_of(key)).collect();
                Event::StoreChanged { revision: batch.revision, puts, unreadable, deletes }
            }
            Followed::Lost { reason } => Event::StoreLost { reason: reason.clone() },
        }
    }

    /// Whether the value of a key could not be read when it was last heard of.
    pub(crate) fn is_unreadable(&self, key: &str) -> bool {
        self.reported.contains_key(key)
    }

    /// Each that cannot be read is told of once, and once more when it can be again.
    fn report(&mut self, objects: &[Versioned<Object>], unreadable: &[Unreadable]) {
        for one in unreadable {
            let key = path_of(&one.key);
            if self.reported.insert(key.clone(), one.version) != Some(one.version) {
                tracing::error!(
                    "the value of {key} cannot be read: {}; its last good form, if this host knew one, stays in force",
                    one.reason
                );
            }
        }
        if self.reported.is_empty() {
            return;
        }
        for key in objects.iter().map(|object| path_of(&object.value.key())) {
            if self.reported.remove(&key).is_some() {
                tracing::info!("the value of {key} can be read again");
            }
        }
    }
}

/// Whether an import is under way by now, if the news tell.
pub(crate) fn importing(news: &Followed) -> Option<bool> {
    match news {
        Followed::Snapshot(snapshot) => Some(snapshot.entries.iter().any(|entry| entry.key == IMPORTING)),
        Followed::Changes(batch) => batch.changes.iter().rev().find_map(|change| match change {
            Change::Put(entry) => (entry.key == IMPORTING).then_some(true),
            Change::Deleted { key, .. } => (key == IMPORTING).then_some(false),
        }),
        Followed::Lost { .. } => None,
    }
}

/// From which schema on agents may write by now, if the news tell.
pub(crate) fn min_writer(news: &Followed) -> Option<MinWriter> {
    match news {
        Followed::Snapshot(snapshot) => Some(schema::min_writer(snapshot.entry(MIN_WRITER))),
        Followed::Changes(batch) => batch.changes.iter().rev().find_map(|change| match change {
            Change::Put(entry) => (entry.key == MIN_WRITER).then(|| schema::min_writer(Some(entry))),
            Change::Deleted { key, .. } => (key == MIN_WRITER).then_some(MinWriter::Unsaid),
        }),
        Followed::Lost { .. } => None,
    }
}

/// What an earlier life knew, as an event: it counts until the store is read.
pub(crate) fn recalled(recalled: &Recalled, rules_stand: bool) -> Event {
    let (revision, shared) = (recalled.revision, recalled.shared);
    Event::StoreRecalled { revision, objects: known(recalled), shared, rules_stand }
}

/// What an earlier life knew, as an event: to be compared with what is read.
pub(crate) fn remembered(recalled: &Recalled) -> Event {
    Event::StoreRemembered { revision: recalled.revision, objects: known(recalled), shared: recalled.shared }
}

/// What could be read, and what the store had forgotten, which is of no version.
fn known(recalled: &Recalled) -> Vec<Versioned<Object>> {
    let mut objects = read(&recalled.entries).0;
    objects.extend(read(&recalled.kept).0);
    objects
}

/// The keys of what the store forgot, each with its value, if it is one that agents write.
pub(crate) fn kept(objects: &[Object]) -> Vec<(String, Option<Vec<u8>>)> {
    objects.iter().map(|object| (path_of(&object.key()), encode(object))).collect()
}

/// What can be read, and what cannot. Keys that this version does not know are neither.
fn read<'e>(entries: impl IntoIterator<Item = &'e Entry>) -> (Vec<Versioned<Object>>, Vec<Unreadable>) {
    let (mut objects, mut unreadable) = (Vec::new(), Vec::new());
    for entry in entries {
        match decode(entry) {
            Some(Ok(object)) => objects.push(object),
            Some(Err(error)) => unreadable.extend(key_of(&entry.key).map(|key| Unreadable {
                key,
                version: entry.mod_revision,
                reason: error.reason,
            })),
            None => {}
        }
    }
    (objects, unreadable)
}

/// Carries a transaction of the head to the store.
pub(crate) async fn transact(store: Arc<dyn Store>, transaction: TypedTransaction) -> TransactionOutcome {
    match store.transact(plain(&transaction)).await {
        Ok(outcome) => typed(outcome),
        Err(error) => TransactionOutcome::Unknown { reason: error.story() },
    }
}

/// What the store answered, in the head's words.
pub fn typed(outcome: Outcome) -> TransactionOutcome {
    match outcome {
        Outcome::Committed { revision } => TransactionOutcome::Committed { revision },
        Outcome::Refused { revision, current } => {
            let (current, unreadable) = read(&current);
            TransactionOutcome::Refused { revision, current, unreadable }
        }
    }
}

/// A transaction of the head, in the store's words.
pub fn plain(transaction: &TypedTransaction) -> Transaction {
    let compare = |compare: &TypedCompare| match compare {
        TypedCompare::Absent(key) => Compare::Absent(path_of(key)),
        TypedCompare::Unchanged(key, version) => Compare::Unchanged { key: path_of(key), mod_revision: *version },
    };
    let put = |object: &Object| {
        let value = encode(object).expect("the head writes only what agents write");
        Operation::Put { key: path_of(&object.key()), value, lease: None }
    };
    let deletes = transaction.deletes.iter().map(|key| Operation::Delete(path_of(key)));
    Transaction {
        compares: transaction.compares.iter().map(compare).collect(),
        operations: transaction.puts.iter().map(put).chain(deletes).collect(),
    }
}
