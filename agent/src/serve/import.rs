//! Import: what an export wrote goes into a store, an empty one unless told otherwise.
//!
//! In: documents, and records of hosts and addresses. Out: how much was written. What fits into one transaction is all or nothing. More goes in
//! several, the whole judged anew before each, and a mark in the store says whose they are: the same import again goes on where it ended.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use poplin_manifest::Document;
use poplin_node::audit::faults;
use poplin_node::object::{Object, ObjectKey};
use poplin_proto::Failure;
use poplin_proto::v1::apply_response::result::Outcome as Told;
use poplin_proto::v1::{ImportResponse, Manifest, Record};
use tonic::{Code, Status};

use super::apply::{Work, contended, declared, documents_in, fence};
use super::export::{is_declared, rank};
use super::store_failure;
use crate::resource::{ROOT, check, decode, key_of};
use crate::store::{Compare, Entry, Operation, Outcome, Snapshot, Store, Transaction};

/// Writes in one transaction: of etcd's 128 operations, with room for the fence and the mark.
const MOST_AT_ONCE: usize = 100;

/// How often another hand may come between before it is told.
const TRIES: usize = 10;

/// What is to be imported.
#[derive(Debug, Default)]
pub(super) struct Import {
    pub(super) manifests: Vec<Manifest>,
    pub(super) records: Vec<Record>,
    pub(super) merge: bool,
    pub(super) dry_run: bool,
    octets: usize,
}

/// Octets of one import: what thousands of objects need, and less than would hurt an agent.
const MOST_OCTETS: usize = 64 << 20;

impl Import {
    /// Nothing yet.
    pub(super) fn with(merge: bool, dry_run: bool) -> Self {
        Self { merge, dry_run, ..Self::default() }
    }

    /// Takes another piece, as long as there is room.
    pub(super) fn take(&mut self, manifest: Option<Manifest>, record: Option<Record>) -> Result<(), Failure> {
        let of_manifest = |manifest: &Manifest| manifest.text.len();
        self.octets +=
            manifest.as_ref().map_or(0, of_manifest) + record.as_ref().map_or(0, |record| record.value.len());
        if self.octets > MOST_OCTETS {
            let message = format!("the import has more than {} MiB", MOST_OCTETS >> 20);
            return Err(
                Failure::new(Code::InvalidArgument, "TOO_LARGE", message).advice("import it in parts, with --merge")
            );
        }
        self.manifests.extend(manifest);
        self.records.extend(record);
        Ok(())
    }
}

pub(super) async fn import(store: &dyn Store, import: &Import) -> Result<ImportResponse, Status> {
    let documents = documents_in(&import.manifests, &[])?;
    let records = import.records.iter().map(entry_of).collect::<Result<Vec<_>, _>>().map_err(Status::from)?;
    if documents.is_empty() && records.is_empty() {
        return Err(Failure::new(Code::InvalidArgument, "EMPTY", "there is no object in what was sent").into());
    }
    let mark = mark_of(import);
    let mut answer = None;
    let mut contentions = 0;
    loop {
        let snapshot = store.snapshot(ROOT).await.map_err(|error| store_failure(&error))?;
        let plan = Plan::of(&documents, &records, &snapshot).map_err(Failure::combine)?;
        let told = answer.get_or_insert_with(|| plan.answer(&snapshot));
        if told.transactions == 0 && !import.merge && !is_marked(&snapshot, &mark) {
            check_empty(&snapshot)?;
        }
        let Some((transaction, is_last)) = plan.next(&snapshot, &mark).filter(|_| !import.dry_run) else {
            return Ok(*told);
        };
        match store.transact(transaction).await.map_err(|error| store_failure(&error))? {
            Outcome::Committed { revision } => {
                (told.transactions, told.revision, contentions) = (told.transactions + 1, revision, 0);
                if is_last {
                    return Ok(*told);
                }
            }
            Outcome::Refused { .. } if contentions < TRIES => contentions += 1,
            Outcome::Refused { .. } => return Err(contended().into()),
        }
    }
}

/// A record as it will stand.
fn entry_of(record: &Record) -> Result<Entry, Failure> {
    let bad = |message: String| Failure::new(Code::InvalidArgument, "BAD_RECORD", message);
    let key = format!("{ROOT}{}", record.key);
    let entry = Entry { key, value: record.value.clone().into_bytes(), create_revision: 0, mod_revision: 0 };
    match (key_of(&entry.key), decode(&entry)) {
        (Some(key), Some(Ok(_))) if !is_declared(&key) => Ok(entry),
        (Some(_), Some(Err(error))) => Err(bad(error.to_string())),
        _ => Err(bad(format!("{:?} is no record of a host, a block or an endpoint", record.key))),
    }
}

/// By what this import is known again.
fn mark_of(import: &Import) -> String {
    let mut hasher = DefaultHasher::new();
    for manifest in &import.manifests {
        manifest.text.hash(&mut hasher);
    }
    for record in &import.records {
        (&record.key, &record.value).hash(&mut hasher);
    }
    format!("{:016x}", hasher.finish())
}

fn mark_key() -> String {
    format!("{ROOT}meta/importing")
}

fn is_marked(snapshot: &Snapshot, mark: &str) -> bool {
    snapshot.entries.iter().any(|entry| entry.key == mark_key() && entry.value == mark.as_bytes())
}

/// Hosts write themselves down, so their records are in every store.
fn check_empty(snapshot: &Snapshot) -> Result<(), Failure> {
    let is_host = |key: &ObjectKey| matches!(key, ObjectKey::Host(_));
    let mut standing = snapshot.entries.iter().filter(|entry| key_of(&entry.key).is_some_and(|key| !is_host(&key)));
    let Some(first) = standing.next() else { return Ok(()) };
    let message = format!("the store is not empty: it holds {} objects, such as {}", standing.count() + 1, first.key);
    Err(Failure::new(Code::FailedPrecondition, "NOT_EMPTY", message)
        .advice("import into an empty store, or with --merge: what is in both is then as it is in the file"))
}

/// What is still to be written, in order.
struct Plan {
    writes: Vec<(Compare, Operation)>,
    counts: [u32; 4],
}

impl Plan {
    fn of(documents: &[Document], records: &[Entry], snapshot: &Snapshot) -> Result<Self, Vec<Failure>> {
        let work = Work::of(documents, snapshot)?;
        let of = |wanted: Told| work.lines.iter().filter(|line| line.outcome() == wanted).count();
        let [created, configured, unchanged] = [Told::Created, Told::Configured, Told::Unchanged].map(of);
        let mut compares: BTreeMap<String, Compare> =
            work.transaction.compares.into_iter().map(|compare| (compare.key().to_owned(), compare)).collect();
        let puts = work.transaction.operations.into_iter().filter_map(|operation| {
            let Operation::Put { key, .. } = &operation else { return None };
            Some((compares.remove(key)?, operation))
        });
        let mut writes: Vec<(Compare, Operation)> = puts.collect();
        let before = writes.len();
        for record in records {
            writes.extend(written(record, snapshot).map_err(|failure| vec![failure])?);
        }
        let recorded = writes.len() - before;
        agree(documents, records, snapshot)?;
        writes.sort_by_key(|(compare, _)| {
            let key = compare.key();
            (key_of(key).map_or(u8::MAX, |key| rank(&key)), key.to_owned())
        });
        let counts = [created, configured, unchanged, recorded].map(|count| u32::try_from(count).unwrap_or(u32::MAX));
        Ok(Self { writes, counts })
    }

    fn answer(&self, snapshot: &Snapshot) -> ImportResponse {
        let [created, configured, unchanged, records] = self.counts;
        ImportResponse { created, configured, unchanged, records, transactions: 0, revision: snapshot.revision }
    }

    /// The next transaction, and whether it is the last; absent = nothing is left to be done.
    fn next(self, snapshot: &Snapshot, mark: &str) -> Option<(Transaction, bool)> {
        let is_marked = is_marked(snapshot, mark);
        if self.writes.is_empty() && !is_marked {
            return None;
        }
        let is_last = self.writes.len() <= MOST_AT_ONCE;
        let (compares, mut operations): (Vec<_>, Vec<_>) = self.writes.into_iter().take(MOST_AT_ONCE).unzip();
        match (is_last, is_marked) {
            (false, _) => operations.push(Operation::Put { key: mark_key(), value: mark.into(), lease: None }),
            (true, true) => operations.push(Operation::Delete(mark_key())),
            (true, false) => {}
        }
        let mut transaction = Transaction { compares, operations };
        fence(&mut transaction, snapshot);
        Some((transaction, is_last))
    }
}

/// How a record is written, if it is: a host that is there has written its own, and nobody's address is changed under him.
fn written(record: &Entry, snapshot: &Snapshot) -> Result<Option<(Compare, Operation)>, Failure> {
    let standing = snapshot.entries.iter().find(|entry| entry.key == record.key);
    let is_host = matches!(key_of(&record.key), Some(ObjectKey::Host(_)));
    match standing {
        None => {
            let put = Operation::Put { key: record.key.clone(), value: record.value.clone(), lease: None };
            Ok(Some((Compare::Absent(record.key.clone()), put)))
        }
        Some(standing) if is_host || standing.value == record.value => Ok(None),
        Some(standing) => {
            let message = format!("{} stands in the store otherwise than in the file", standing.key);
            Err(Failure::new(Code::FailedPrecondition, "RECORD_DIFFERS", message).advice(
                "records of addresses go only where there are none; leave them out, or begin with an empty store",
            ))
        }
    }
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
    after.extend(all.filter(|(key, _)| !matches!(key, ObjectKey::Host(_)) || !before.contains_key(key)));
    let known = faults(&before, None);
    let new = faults(&after, None).into_iter().filter(|fault| !known.contains(fault));
    let failure = |fault: poplin_node::audit::Fault| {
        Failure::new(Code::FailedPrecondition, "RECORDS_DISAGREE", fault.to_string())
            .advice("the file is no whole export, or the store holds what is in its way; nothing was changed")
    };
    let failures: Vec<Failure> = new.map(failure).collect();
    if failures.is_empty() { Ok(()) } else { Err(failures) }
}
