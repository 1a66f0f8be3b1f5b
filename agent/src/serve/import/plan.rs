//! What an import comes down to: the keys that are still to be written, in order, and by which compare each.

use std::collections::{BTreeMap, HashMap};

use poplin_manifest::Document;
use poplin_node::audit::{Fault, faults};
use poplin_node::object::{Object, ObjectKey};
use poplin_proto::Failure;
use poplin_proto::v1::ImportResponse;
use poplin_proto::v1::apply_response::result::Outcome as Told;
use tonic::Code;

use crate::resource::{check, decode, key_of};
use crate::run::DEFAULT_POOL;
use crate::serve::apply::{Work, declared};
use crate::serve::export::rank;
use crate::store::{Compare, Entry, Operation, Snapshot};

/// Place in the order of writing: kind, then key.
pub(super) type Place = (u8, String);

/// What is still to be written.
pub(super) struct Plan {
    pub(super) writes: BTreeMap<Place, (Compare, Operation)>,
    counts: [u32; 4],
}

impl Plan {
    /// Judges all of it. Into a store that is to be empty the pool that a new one begins with does not count.
    pub(super) fn of(
        documents: &[Document],
        records: &[Entry],
        snapshot: &Snapshot,
        merge: bool,
    ) -> Result<Self, Vec<Failure>> {
        let mut snapshot = snapshot.clone();
        let first_pool = first_pool_in_the_way(documents, &snapshot).filter(|_| !merge);
        snapshot.entries.retain(|entry| first_pool.as_ref().is_none_or(|pool| entry.key != pool.key));
        let work = Work::of(documents, &snapshot)?;
        agree(documents, records, &snapshot)?;
        let of = |wanted: Told| work.lines.iter().filter(|line| line.outcome() == wanted).count();
        let [created, configured, unchanged] = [Told::Created, Told::Configured, Told::Unchanged].map(of);
        let compares = work.transaction.compares.into_iter().map(|compare| (compare.key().to_owned(), compare));
        let mut compares: BTreeMap<String, Compare> = compares.collect();
        let mut writes: BTreeMap<Place, (Compare, Operation)> = BTreeMap::new();
        for operation in work.transaction.operations {
            let Operation::Put { key, .. } = &operation else { continue };
            let (place, compare) = (place(key), compares.remove(key));
            writes.extend(compare.map(|compare| (place, (compare, operation))));
        }
        let standing: HashMap<&str, &Entry> =
            snapshot.entries.iter().map(|entry| (entry.key.as_str(), entry)).collect();
        let before = writes.len();
        for record in records {
            let write = written(record, standing.get(record.key.as_str()).copied()).map_err(|failure| vec![failure])?;
            writes.extend(write.map(|write| (place(&record.key), write)));
        }
        let recorded = writes.len() - before;
        writes.extend(first_pool.map(|pool| {
            let Entry { key, mod_revision, .. } = pool;
            let compare = Compare::Unchanged { key: key.clone(), mod_revision };
            ((0, key.clone()), (compare, Operation::Delete(key)))
        }));
        let counts = [created, configured, unchanged, recorded].map(|count| u32::try_from(count).unwrap_or(u32::MAX));
        Ok(Self { writes, counts })
    }

    pub(super) fn answer(&self, snapshot: &Snapshot) -> ImportResponse {
        let [created, configured, unchanged, records] = self.counts;
        ImportResponse { created, configured, unchanged, records, transactions: 0, revision: snapshot.revision }
    }
}

fn place(key: &str) -> Place {
    (key_of(key).map_or(u8::MAX, |key| rank(&key)), key.to_owned())
}

/// Whether an entry is the pool that a new embedded store begins with, as nobody has touched it.
pub(super) fn is_first_pool(entry: &Entry) -> bool {
    entry.key.ends_with("/c/pool/default") && entry.value == DEFAULT_POOL.as_bytes()
}

/// The same, where what is imported has none of that name.
fn first_pool_in_the_way(documents: &[Document], snapshot: &Snapshot) -> Option<Entry> {
    let has_own = |document: &Document| document.resource.kind() == "Pool" && document.resource.name() == "default";
    let first = snapshot.entries.iter().find(|entry| is_first_pool(entry));
    first.filter(|_| !documents.iter().any(has_own)).cloned()
}

/// How a record is written, if it is: a host that is there has written its own, and nobody's address is changed under him.
fn written(record: &Entry, standing: Option<&Entry>) -> Result<Option<(Compare, Operation)>, Failure> {
    let is_host = matches!(key_of(&record.key), Some(ObjectKey::Host(_)));
    match standing {
        None => {
            let put = Operation::Put { key: record.key.clone(), value: record.value.clone(), lease: None };
            Ok(Some((Compare::Absent(record.key.clone()), put)))
        }
        Some(standing) if is_host || standing.value == record.value || holds_all_of(standing, record) => Ok(None),
        Some(standing) => {
            let message = format!("{} stands in the store otherwise than in the file", standing.key);
            Err(Failure::new(Code::FailedPrecondition, "RECORD_DIFFERS", message).advice(
                "records of addresses go only where there are none; leave them out, or begin with an empty store",
            ))
        }
    }
}

/// Whether a block that stands has every holder that the file's has: who came since is welcome.
fn holds_all_of(standing: &Entry, record: &Entry) -> bool {
    let block = |entry: &Entry| match decode(entry)?.ok()?.value {
        Object::Block(block) => Some(block),
        _ => None,
    };
    block(standing).zip(block(record)).is_some_and(|(standing, wanted)| {
        let is_held = |(ordinal, holder)| standing.taken.get(ordinal) == Some(holder);
        standing.host == wanted.host && wanted.taken.iter().all(is_held)
    })
}

/// Whether addresses are as well accounted for afterwards as they were before.
fn agree(documents: &[Document], records: &[Entry], snapshot: &Snapshot) -> Result<(), Vec<Failure>> {
    if records.is_empty() {
        return Ok(());
    }
    let before = declared(snapshot, |_| true);
    let mut after = before.clone();
    let of_documents = documents.iter().filter_map(|document| check(&document.resource).ok());
    let of_records = records.iter().filter_map(|record| Some(decode(record)?.ok()?.value));
    let all = of_documents.chain(of_records).map(|object: Object| (object.key(), object));
    let stays = |key: &ObjectKey| matches!(key, ObjectKey::Host(_) | ObjectKey::Block(..)) && before.contains_key(key);
    after.extend(all.filter(|(key, _)| !stays(key)));
    let known = faults(&before, None);
    let new = faults(&after, None).into_iter().filter(|fault| !known.contains(fault));
    let failure = |fault: Fault| {
        Failure::new(Code::FailedPrecondition, "RECORDS_DISAGREE", fault.to_string())
            .advice("the file is no whole export, or the store holds what is in its way; nothing was changed")
    };
    let failures: Vec<Failure> = new.map(failure).collect();
    if failures.is_empty() { Ok(()) } else { Err(failures) }
}
