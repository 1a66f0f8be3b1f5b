//! Import: what an export wrote goes into a store, an empty one unless told otherwise.
//!
//! In: documents, and records of hosts and addresses. Out: how much was written. What fits into one transaction is all or nothing. More goes in
//! several, after a mark that says whose they are: the same import again goes on where it ended, and nothing is written twice.

mod mark;
mod plan;

use std::collections::BTreeMap;

use poplin_manifest::Document;
use poplin_node::object::ObjectKey;
use poplin_proto::Failure;
use poplin_proto::v1::{ImportResponse, Manifest, Record};
use prost::Message as _;
use tonic::{Code, Status};

use super::apply::{contended, documents_in, fence_at, fence_of, fence_put};
use super::export::is_declared;
use super::store_failure;
use crate::resource::{IMPORTING, ROOT, decode, key_of};
use crate::schema::release;
use crate::store::{Compare, Entry, Operation, Outcome, Revision, Snapshot, Store, Transaction};
use mark::Standing;
use plan::{Place, Plan, is_first_pool};

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
    /// Of which schema the fabric was that was exported; 0 = that is not known.
    pub(super) schema: u32,
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
        self.octets += manifest.as_ref().map_or(0, Manifest::encoded_len);
        self.octets += record.as_ref().map_or(0, Record::encoded_len);
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
    check_schema(import.schema, release().schema)?;
    let documents = documents_in(&import.manifests, &[])?;
    let records = import.records.iter().map(entry_of).collect::<Result<Vec<_>, _>>().map_err(Status::from)?;
    if documents.is_empty() && records.is_empty() {
        return Err(Failure::new(Code::InvalidArgument, "EMPTY", "there is no object in what was sent").into());
    }
    Journey { store, import, documents, records, mark: mark::of(import) }.make().await
}

/// What a later agent wrote may mean more than this one can read of it.
fn check_schema(exported: u32, known: u32) -> Result<(), Failure> {
    if exported <= known {
        return Ok(());
    }
    let message = format!("the export is of a fabric of schema {exported}, and this agent knows schema {known}");
    let advice = "import it with an agent that knows that schema; see `poplin version` and `poplin store schema`";
    Err(Failure::new(Code::FailedPrecondition, "SCHEMA", message).advice(advice))
}

/// One import on its way.
struct Journey<'i> {
    store: &'i dyn Store,
    import: &'i Import,
    documents: Vec<Document>,
    records: Vec<Entry>,
    mark: String,
}

/// Whose mark stands, and how the fence of declarations does, after the last transaction.
struct Ground {
    standing: Standing,
    fence: Compare,
}

impl Ground {
    fn of(snapshot: &Snapshot, mark: &str) -> Self {
        Self { standing: Standing::of(snapshot, mark), fence: fence_of(snapshot) }
    }

    /// A transaction that holds only as long as nobody declares anything, or imports.
    fn transaction(&self, writes: Vec<(Compare, Operation)>, mark: Option<Operation>) -> Transaction {
        let (mut compares, mut operations): (Vec<_>, Vec<_>) = writes.into_iter().unzip();
        compares.extend([self.standing.compare(), self.fence.clone()]);
        operations.push(fence_put());
        operations.extend(mark);
        Transaction { compares, operations }
    }
}

impl Journey<'_> {
    async fn make(&self) -> Result<ImportResponse, Status> {
        for _ in 0..TRIES {
            let snapshot = self.snapshot().await?;
            let ground = Ground::of(&snapshot, &self.mark);
            self.admit(&snapshot, ground.standing)?;
            let plan = self.plan(&snapshot)?;
            let answer = plan.answer(&snapshot);
            let is_done = plan.writes.is_empty() && ground.standing == Standing::Nobodys;
            if is_done || self.import.dry_run {
                return Ok(answer);
            }
            if let Some((ground, answer)) = self.begin(ground, &plan, answer).await? {
                return self.go_on(ground, plan, answer).await;
            }
        }
        Err(contended().into())
    }

    async fn snapshot(&self) -> Result<Snapshot, Failure> {
        self.store.snapshot(ROOT).await.map_err(|error| store_failure(&error))
    }

    fn plan(&self, snapshot: &Snapshot) -> Result<Plan, Status> {
        Plan::of(&self.documents, &self.records, snapshot, self.import.merge).map_err(Failure::combine)
    }

    async fn transact(&self, transaction: Transaction) -> Result<Outcome, Failure> {
        self.store.transact(transaction).await.map_err(|error| store_failure(&error))
    }

    /// Whether this import may begin, or go on, in such a store.
    fn admit(&self, snapshot: &Snapshot, standing: Standing) -> Result<(), Failure> {
        let refused = |reason: &str, message: String, advice: &str| {
            Err(Failure::new(Code::FailedPrecondition, reason, message).advice(advice))
        };
        match standing {
            Standing::Others(revision) if self.import.merge => {
                tracing::warn!(
                    "an import that was not finished, the last of it at revision {revision}, is given up for another"
                );
                Ok(())
            }
            Standing::Nobodys | Standing::Own(_) if self.import.merge => Ok(()),
            Standing::Nobodys => check_empty(snapshot),
            Standing::Own(revision) => match mark::changed_since(snapshot, revision) {
                None => Ok(()),
                Some(Entry { key, .. }) => refused(
                    "CHANGED",
                    format!("{key} was changed after this import was cut short, at revision {revision}"),
                    "with --merge it becomes as it is in the file",
                ),
            },
            Standing::Others(revision) => refused(
                "IMPORT_UNDER_WAY",
                format!("another import is under way, the last of it at revision {revision}"),
                "wait for it; if it was cut short, give the same file again, or give it up for this one with --merge",
            ),
        }
    }

    /// Writes the mark, if there is more than goes at once and it does not stand. Nothing: others were faster.
    async fn begin(
        &self,
        ground: Ground,
        plan: &Plan,
        answer: ImportResponse,
    ) -> Result<Option<(Ground, ImportResponse)>, Failure> {
        if plan.writes.len() <= MOST_AT_ONCE || matches!(ground.standing, Standing::Own(_)) {
            return Ok(Some((ground, answer)));
        }
        match self.transact(ground.transaction(Vec::new(), Some(self.mark_put()))).await? {
            Outcome::Committed { revision } => {
                Ok(Some((self.after(revision), ImportResponse { transactions: 1, revision, ..answer })))
            }
            Outcome::Refused { .. } => Ok(None),
        }
    }

    fn mark_put(&self) -> Operation {
        Operation::Put { key: IMPORTING.to_owned(), value: self.mark.clone().into_bytes(), lease: None }
    }

    fn after(&self, revision: Revision) -> Ground {
        Ground { standing: Standing::Own(revision), fence: fence_at(revision) }
    }

    /// Writes what is left, piece by piece. What is written is never written again.
    async fn go_on(
        &self,
        mut ground: Ground,
        plan: Plan,
        mut answer: ImportResponse,
    ) -> Result<ImportResponse, Status> {
        let (mut rest, mut contentions) = (plan.writes, 0);
        loop {
            let piece: Vec<(Place, (Compare, Operation))> =
                rest.iter().take(MOST_AT_ONCE).map(|(place, write)| (place.clone(), write.clone())).collect();
            let is_last = piece.len() == rest.len();
            let mark = match (is_last, ground.standing) {
                (true, Standing::Nobodys) => None,
                (true, Standing::Own(_) | Standing::Others(_)) => Some(Operation::Delete(IMPORTING.to_owned())),
                (false, _) => Some(self.mark_put()),
            };
            let (places, writes): (Vec<_>, Vec<_>) = piece.into_iter().unzip();
            match self.transact(ground.transaction(writes, mark)).await? {
                Outcome::Committed { revision } => {
                    (answer.transactions, answer.revision) = (answer.transactions + 1, revision);
                    if is_last {
                        return Ok(answer);
                    }
                    places.iter().for_each(|place| drop(rest.remove(place)));
                    (ground, contentions) = (self.after(revision), 0);
                }
                Outcome::Refused { .. } if contentions < TRIES => {
                    contentions += 1;
                    let snapshot = self.snapshot().await?;
                    rest = still(rest, self.plan(&snapshot)?)?;
                    ground = self.same_ground(&ground, &snapshot)?;
                }
                Outcome::Refused { .. } => return Err(contended().into()),
            }
        }
    }

    /// The ground as it is now, if no other import has come upon it.
    fn same_ground(&self, before: &Ground, snapshot: &Snapshot) -> Result<Ground, Failure> {
        let ground = Ground::of(snapshot, &self.mark);
        match (before.standing, ground.standing) {
            (Standing::Nobodys, Standing::Nobodys) | (Standing::Own(_), Standing::Own(_)) => Ok(ground),
            (Standing::Others(then), Standing::Others(now)) if then == now => Ok(ground),
            _ => {
                let message = "another import came between, or has ended this one";
                Err(Failure::new(Code::Aborted, "IMPORT_UNDER_WAY", message).advice("see what stands in the store now"))
            }
        }
    }
}

/// What is left of the rest now that others have written, too. Whatever would be written a second time, or over theirs, ends it.
fn still(
    rest: BTreeMap<Place, (Compare, Operation)>,
    now: Plan,
) -> Result<BTreeMap<Place, (Compare, Operation)>, Failure> {
    let is_another = |place: &Place, compare: &Compare| rest.get(place).is_none_or(|(before, _)| before != compare);
    match now.writes.iter().find(|(place, (compare, _))| is_another(place, compare)) {
        None => Ok(now.writes),
        Some(((_, key), _)) => {
            let message = format!("another hand changed {key} while it was imported");
            Err(Failure::new(Code::Aborted, "CHANGED", message)
                .advice("what was written stays; with --merge the same file goes over what stands"))
        }
    }
}

/// A record as it will stand.
fn entry_of(record: &Record) -> Result<Entry, Failure> {
    let bad = |message: String| Failure::new(Code::InvalidArgument, "BAD_RECORD", message);
    let key = format!("{ROOT}{}", record.key);
    let entry = Entry { key, value: record.value.clone().into_bytes(), create_revision: 0, mod_revision: 0 };
    match (key_of(&entry.key), decode(&entry)) {
        (Some(key), Some(Ok(_))) if !is_declared(&key) && key != ObjectKey::Lineage => Ok(entry),
        (Some(_), Some(Err(error))) => Err(bad(error.to_string())),
        _ => Err(bad(format!("{:?} is no record of a host, a block or an endpoint", record.key))),
    }
}

/// Hosts write themselves down, and which fabric the store is of, so these are in every store; and a new embedded one has a pool.
fn check_empty(snapshot: &Snapshot) -> Result<(), Failure> {
    let is_host = |key: &ObjectKey| matches!(key, ObjectKey::Host(_) | ObjectKey::Lineage);
    let counts = |entry: &&Entry| key_of(&entry.key).is_some_and(|key| !is_host(&key)) && !is_first_pool(entry);
    let mut standing = snapshot.entries.iter().filter(counts);
    let Some(first) = standing.next() else { return Ok(()) };
    let message = format!("the store is not empty: it holds {} objects, such as {}", standing.count() + 1, first.key);
    Err(Failure::new(Code::FailedPrecondition, "NOT_EMPTY", message)
        .advice("import into an empty store, or with --merge: what is in both is then as it is in the file"))
}
