//! Apply: files and objects become one transaction, of whatever size, or a list of everything that is wrong with them.
//!
//! ```text
//! manifests ─ poplin_manifest::read ─> resources ─ complete ─> ─ resource::check ─> objects ─ judge (against the store) ─> one transaction
//! ```

mod complete;
mod floating;
mod judge;
mod lan;
mod service;
mod wrapped;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use poplin_manifest::Document;
use poplin_proto::Failure;
use poplin_proto::v1::apply_response::Result as Line;
use poplin_proto::v1::apply_response::result::Outcome as Told;
use poplin_proto::v1::{ApplyRequest, ApplyResponse, Manifest, Resource};
use tokio::sync::Semaphore;
use tonic::{Code, Status};

use crate::resource::{ROOT, check, path_of};
use crate::store::{Compare, Entry, Operation, Outcome, Revision, Snapshot, Store, Transaction};
use crate::trial;

use super::bearing::Bearing;
use super::store_failure;
pub(super) use judge::{all_readable, declared, decoded, unreadable};

/// Objects in one call: several times what a large fabric has, and less than would hold up an agent for long.
pub(super) const MOST_OBJECTS: usize = 50_000;

/// Writes that go in one transaction: of etcd's 128 operations, with room for the fence and a trial. More go in pieces ([`Whole`](crate::store::Whole)).
const MOST_AT_ONCE: usize = 100;

/// Hosts and endpoints in a call that goes in pieces: what agents write, too, goes with its decision.
const MOST_OF_AGENTS: usize = 100;

/// How many calls are read at once: two cores have other things to do.
const READERS: usize = 2;

/// How often a transaction is tried against a store that others write to.
pub(super) const TRIES: usize = 5;

pub(crate) async fn apply(store: &dyn Store, host: &str, request: &ApplyRequest) -> Result<ApplyResponse, Status> {
    let within = confirm_within(request)?;
    for _ in 0..TRIES {
        // What was read is let go of as soon as it is judged, and read again where somebody was faster: with ten thousand objects, the agent thinks
        // of them while they are written, and that takes as much.
        let documents = Arc::new(read(request).await?);
        let (snapshot, mut work) = judged(store, &documents).await?;
        drop(documents);
        if !work.transaction.operations.is_empty() {
            fence(&mut work.transaction, &snapshot);
        }
        if request.dry_run || work.transaction.operations.is_empty() {
            return Ok(ApplyResponse { results: work.lines, revision: snapshot.revision, trial: String::new() });
        }
        let trial = within.map(|within| trial::begin(&mut work.transaction, &snapshot, host, within));
        drop(snapshot);
        check_of_agents(&work.transaction)?;
        rest_on_fence(&mut work.transaction);
        match store.transact(work.transaction).await.map_err(|error| store_failure(&error))? {
            Outcome::Committed { revision } => {
                return Ok(ApplyResponse { results: work.lines, revision, trial: trial.unwrap_or_default() });
            }
            Outcome::Refused { .. } => {} // somebody was faster: judge again by what stands now
        }
    }
    Err(contended().into())
}

/// Few objects are judged by what bears on them, many by all of the store. So is what does not fit: the words for that name what else there is.
async fn judged(store: &dyn Store, documents: &Arc<Vec<Document>>) -> Result<(Arc<Snapshot>, Work), Status> {
    if let Some(bearing) = Bearing::of_few(documents) {
        let snapshot = store.select(&bearing.parts()).await.map_err(|error| store_failure(&error))?;
        if let Ok(work) = Work::of(documents, &snapshot) {
            return Ok((Arc::new(snapshot), work));
        }
    }
    let snapshot = Arc::new(store.snapshot(ROOT).await.map_err(|error| store_failure(&error))?);
    let work = judged_by_all(documents, &snapshot).await?;
    Ok((snapshot, work))
}

/// The judgement of thousands of objects takes seconds, as their reading does.
async fn judged_by_all(documents: &Arc<Vec<Document>>, snapshot: &Arc<Snapshot>) -> Result<Work, Status> {
    if documents.len() <= MOST_AT_ONCE {
        return Work::of(documents, snapshot).map_err(Failure::combine);
    }
    let (documents, snapshot) = (documents.clone(), snapshot.clone());
    let judged = tokio::task::spawn_blocking(move || Work::of(&documents, &snapshot));
    judged.await.map_err(|error| Status::internal(error.to_string()))?.map_err(Failure::combine)
}

/// What has more writes than go at once has more compares, too. Who else writes what people declare rewrites the fence, so that is compared in place
/// of each object; what agents write they write without it.
pub(crate) fn rest_on_fence(transaction: &mut Transaction) {
    if is_small(transaction) {
        return;
    }
    let declared = format!("{ROOT}c/");
    let written: BTreeSet<&str> = transaction.operations.iter().map(Operation::key).collect();
    let is_needed = |key: &str| !key.starts_with(&declared) && (written.contains(key) || !is_of_agents(key));
    transaction.compares.retain(|compare| is_needed(compare.key()));
}

/// Fence and trial may come along.
fn is_small(transaction: &Transaction) -> bool {
    transaction.operations.len().max(transaction.compares.len()) <= MOST_AT_ONCE + 2
}

fn is_of_agents(key: &str) -> bool {
    key.strip_prefix(ROOT).is_some_and(|rest| rest.starts_with("h/") || rest.starts_with("e/"))
}

/// What agents write, too, goes with the decision of a large change, in which there is room for so much.
pub(super) fn check_of_agents(transaction: &Transaction) -> Result<(), Failure> {
    let count = transaction.operations.iter().filter(|operation| is_of_agents(operation.key())).count();
    if is_small(transaction) || count <= MOST_OF_AGENTS {
        return Ok(());
    }
    let message = format!("{count} hosts and endpoints are changed, at most {MOST_OF_AGENTS} go in one call");
    Err(Failure::new(Code::InvalidArgument, "TOO_MANY", message).advice("do it in several calls"))
}

/// How long the change is on trial, if it is.
fn confirm_within(request: &ApplyRequest) -> Result<Option<Duration>, Failure> {
    let within = Duration::from_secs(request.confirm_within_seconds.into());
    if within > trial::LONGEST {
        let message = format!("{} s is above {} s", within.as_secs(), trial::LONGEST.as_secs());
        return Err(Failure::new(Code::InvalidArgument, "OUT_OF_RANGE", message).field("confirm_within_seconds"));
    }
    Ok(Some(within).filter(|within| !within.is_zero()))
}

pub(super) fn contended() -> Failure {
    Failure::new(Code::Aborted, "CONTENDED", format!("others changed the same objects {TRIES} times in a row"))
        .advice("nothing was changed; try again")
}

/// Megabytes of YAML take seconds, in which nobody else of the door's threads would be answered. Who hangs up keeps the turn until it is read.
async fn read(request: &ApplyRequest) -> Result<Vec<Document>, Status> {
    static TURNS: Semaphore = Semaphore::const_new(READERS);
    if request.manifests.is_empty() {
        return documents(request);
    }
    let request = request.clone();
    let turn = TURNS.acquire().await.map_err(|error| Status::internal(error.to_string()))?;
    let read = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        documents(&request)
    });
    read.await.map_err(|error| Status::internal(error.to_string()))?
}

/// Reads everything that was sent, or says what is wrong with all of it.
pub(super) fn documents_in(manifests: &[Manifest], resources: &[Resource]) -> Result<Vec<Document>, Status> {
    let mut documents: Vec<Document> = resources.iter().cloned().map(Document::typed).collect();
    let mut failures = Vec::new();
    for manifest in manifests {
        match poplin_manifest::read(manifest) {
            Ok(read) => documents.extend(read),
            Err(wrong) => failures.extend(wrong),
        }
    }
    if failures.is_empty() { Ok(documents) } else { Err(Failure::combine(failures)) }
}

/// The same, if it is something, and no more than goes at once.
fn documents(request: &ApplyRequest) -> Result<Vec<Document>, Status> {
    let documents = documents_in(&request.manifests, &request.resources)?;
    match documents.len() {
        0 => Err(Failure::new(Code::InvalidArgument, "EMPTY", "there is no object in what was sent")
            .advice("a document begins with apiVersion: poplin.dev/v1 and kind: …")
            .into()),
        count if count > MOST_OBJECTS => {
            let message = format!("{count} objects were sent, at most {MOST_OBJECTS} go in one call");
            Err(Failure::new(Code::InvalidArgument, "TOO_MANY", message).advice("apply them in several calls").into())
        }
        _ => Ok(documents),
    }
}

/// What a call comes down to, given what the store holds.
pub(super) struct Work {
    /// A compare for each object, and a write for each that differs.
    pub(super) transaction: Transaction,
    /// What becomes of each object, in the order given.
    pub(super) lines: Vec<Line>,
}

impl Work {
    /// Completes, checks and judges all of it.
    pub(super) fn of(documents: &[Document], snapshot: &Snapshot) -> Result<Self, Vec<Failure>> {
        let documents = complete::complete(documents, snapshot)?;
        let mut failures = Vec::new();
        let mut objects = Vec::new();
        for document in &*documents {
            match check(&document.resource) {
                Ok(object) => objects.push((document, object)),
                Err(invalids) => failures.extend(document.failures(invalids)),
            }
        }
        if failures.is_empty() {
            failures = judge::judge(&objects, snapshot);
        }
        if !failures.is_empty() {
            return Err(failures);
        }
        let mut work = Self { transaction: Transaction::default(), lines: Vec::new() };
        for (document, object) in objects {
            let path = path_of(&object.key());
            work.include(&path, document, snapshot.entry(&path));
        }
        Ok(work)
    }

    /// Adds one object, unless it already is as declared.
    fn include(&mut self, path: &str, document: &Document, known: Option<&Entry>) {
        let resource = &document.resource;
        let value = stored_form(resource);
        let outcome = match known {
            None => Told::Created,
            Some(entry) if entry.value == value => Told::Unchanged,
            Some(_) => Told::Configured,
        };
        let (kind, name) = (resource.kind().to_owned(), resource.qualified_name());
        let written_as = document.written_as().unwrap_or_default().to_owned();
        self.lines.push(Line { kind, name, outcome: outcome.into(), written_as });
        let key = path.to_owned();
        self.transaction.compares.push(match known {
            None => Compare::Absent(key.clone()),
            Some(entry) => Compare::Unchanged { key: key.clone(), mod_revision: entry.mod_revision },
        });
        if outcome != Told::Unchanged {
            self.transaction.operations.push(Operation::Put { key, value, lease: None });
        }
    }
}

/// What was judged must still be so when it is written: a pool must not overlap one that another call adds meanwhile, a
/// policy not stand in a tier that another call deletes. Every call that declares or deletes rewrites one key, which
/// refuses the second of two.
pub(crate) fn fence(transaction: &mut Transaction, snapshot: &Snapshot) {
    transaction.compares.push(fence_of(snapshot));
    transaction.operations.push(fence_put());
}

pub(super) fn fence_key() -> String {
    format!("{ROOT}meta/declared")
}

/// The fence as it stands.
pub(super) fn fence_of(snapshot: &Snapshot) -> Compare {
    let known = snapshot.entry(&fence_key());
    known.map_or_else(|| Compare::Absent(fence_key()), |entry| fence_at(entry.mod_revision))
}

/// The fence as it was rewritten last.
pub(super) fn fence_at(mod_revision: Revision) -> Compare {
    Compare::Unchanged { key: fence_key(), mod_revision }
}

pub(super) fn fence_put() -> Operation {
    Operation::Put { key: fence_key(), value: Vec::new(), lease: None }
}

/// The document without what the server fills in.
fn stored_form(resource: &Resource) -> Vec<u8> {
    let mut resource = resource.clone();
    if let Some(metadata) = resource.metadata_mut() {
        metadata.uid.clear();
        metadata.resource_version = 0;
    }
    resource.to_json().expect("a message of texts and numbers is JSON").into_bytes()
}
