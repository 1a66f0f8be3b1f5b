//! The store's news in the head's words. A value that cannot be read is left out, loudly; the rest goes on.

use std::collections::BTreeMap;
use std::sync::Arc;

use poplin_node::Event;
use poplin_node::object::{Object, Versioned};
use poplin_node::transaction::{Compare as TypedCompare, Transaction as TypedTransaction, TransactionOutcome};

use crate::resource::{decode, encode, key_of, path_of};
use crate::store::{Change, Compare, Entry, Followed, Operation, Outcome, Store, Transaction};

/// Translates news, and remembers which values could not be read so that each is reported once.
#[derive(Debug, Default)]
pub struct Hearing {
    unreadable: BTreeMap<String, i64>,
}

impl Hearing {
    /// The news as an event.
    pub fn event(&mut self, news: Followed) -> Event {
        match news {
            Followed::Snapshot(snapshot) => {
                let (mut objects, mut unreadable) = (Vec::new(), Vec::new());
                for entry in &snapshot.entries {
                    match self.object(entry) {
                        Some(object) => objects.push(object),
                        None => unreadable.extend(key_of(&entry.key)),
                    }
                }
                Event::StoreRead { revision: snapshot.revision, objects, unreadable }
            }
            Followed::Changes(batch) => {
                let (mut puts, mut deletes) = (Vec::new(), Vec::new());
                for change in &batch.changes {
                    match change {
                        Change::Put(entry) => puts.extend(self.object(entry)),
                        Change::Deleted { key, .. } => deletes.extend(key_of(key)),
                    }
                }
                Event::StoreChanged { revision: batch.revision, puts, deletes }
            }
            Followed::Lost { reason } => Event::StoreLost { reason },
        }
    }

    fn object(&mut self, entry: &Entry) -> Option<Versioned<Object>> {
        match decode(entry)? {
            Ok(object) => Some(object),
            Err(error) => {
                if self.unreadable.insert(entry.key.clone(), entry.mod_revision) != Some(entry.mod_revision) {
                    tracing::error!("{error}; its last good form stays in force");
                }
                None
            }
        }
    }
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
            let current = current.iter().filter_map(|entry| decode(entry)?.ok()).collect();
            TransactionOutcome::Refused { revision, current }
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
