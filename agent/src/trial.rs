//! Changes on trial: applied, and taken back by themselves unless somebody confirms them in time.
//!
//! What stood before is written down in the same transaction as the change, so neither the one who applied it nor the agent that
//! served it needs to live until then: any agent of the fabric takes it back. The agent that served it does so at the deadline, the
//! others some seconds later, each at a time of its own; the first wins. What somebody has changed since is left as it is, and if that is on trial itself, it is
//! taken back to what stood before both. So is what others lean on since and may not be deleted. No clock that jumps, or is another
//! host's, ends a trial early for who heard of it as it began.
//!
//! ```text
//! /poplin/v1/t/ID   {"host": …, "deadline": unix milliseconds, "within": milliseconds, "undo": [{"key": …, "value": … | null}, …]}
//! ```

use std::collections::BTreeMap;
use std::hash::Hasher as _;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use poplin_proto::Failure;
use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher13;
use tokio::time::{Instant, sleep, sleep_until};
use tonic::Code;

use crate::resource::ROOT;
use crate::serve::{fence, leaned_on_since, rest_on_fence};
use crate::store::Transaction;
use crate::store::{Compare, Entry, Operation, Outcome, Revision, Snapshot, Store, StoreError, follow};

mod due;

use due::{Due, Dues};

/// Longest trial: a day.
pub const LONGEST: Duration = Duration::from_secs(86_400);

/// How long the others leave it to the agent that served the change.
const GRACE: Duration = Duration::from_secs(5);

/// The wait before a taking back that failed is tried again.
const PAUSE: Duration = Duration::from_secs(1);

/// One change on trial.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Trial {
    host: String,
    deadline: u64,
    /// How long it lasts; absent: an older agent began it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    within: Option<u64>,
    undo: Vec<Undo>,
}

/// How one key had been.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Undo {
    key: String,
    value: Option<String>,
    /// What it was changed to, as a hash: a large change reaches its keys by more than one revision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    applied: Option<String>,
}

/// Puts a transaction on trial: adds what takes it back. Returns what to confirm.
pub(crate) fn begin(transaction: &mut Transaction, snapshot: &Snapshot, host: &str, within: Duration) -> String {
    let undo = transaction.operations.iter().map(|operation| Undo {
        value: snapshot.entry(operation.key()).map(|entry| String::from_utf8_lossy(&entry.value).into_owned()),
        key: operation.key().to_owned(),
        applied: hash_of(operation),
    });
    let within = u64::try_from(within.as_millis()).unwrap_or(u64::MAX);
    let undo = undo.filter(|undo| !undo.key.contains("/meta/")).collect();
    let trial =
        Trial { host: host.to_owned(), deadline: time_of_day().saturating_add(within), within: Some(within), undo };
    let id = snapshot.revision.to_string();
    let (key, value) = (key_of_trial(&id), trial.written());
    transaction.compares.push(Compare::Absent(key.clone()));
    transaction.operations.push(Operation::Put { key, value, lease: None });
    id
}

/// Keeps what was applied on trial.
pub(crate) async fn confirm(store: &dyn Store, id: &str) -> Result<String, Failure> {
    let snapshot = store.snapshot(&prefix()).await.map_err(|error| crate::serve::store_failure(&error))?;
    let named = |entry: &&Entry| id.is_empty() || entry.key == key_of_trial(id);
    let found: Vec<&Entry> = snapshot.entries.iter().filter(named).collect();
    let entry = match found.as_slice() {
        [entry] => *entry,
        [] => return Err(missing(id)),
        several => {
            let ids = several.iter().map(|entry| id_of(&entry.key)).collect::<Vec<_>>().join(", ");
            let message = format!("several changes are on trial: {ids}");
            return Err(Failure::new(Code::FailedPrecondition, "SEVERAL_TRIALS", message).advice("say which one"));
        }
    };
    let transaction = Transaction {
        compares: vec![Compare::Present(entry.key.clone())],
        operations: vec![Operation::Delete(entry.key.clone())],
    };
    match store.transact(transaction).await.map_err(|error| crate::serve::store_failure(&error))? {
        Outcome::Committed { .. } => Ok(id_of(&entry.key).to_owned()),
        Outcome::Refused { .. } => Err(missing(id)),
    }
}

fn missing(id: &str) -> Failure {
    let which = if id.is_empty() { String::new() } else { format!(" as {id}") };
    let message = format!("no change is on trial{which}");
    Failure::new(Code::NotFound, "NO_TRIAL", message)
        .advice("it was confirmed before, or its time was up and it was taken back: apply it again")
}

/// Takes back what nobody confirms, for as long as the process lives.
pub(crate) async fn keep(store: Arc<dyn Store>, host: String) {
    let mut news = follow(store.clone(), prefix());
    let mut dues = Dues::default();
    loop {
        let due = dues.first().cloned();
        let at = due.as_ref().map_or_else(|| Instant::now() + LONGEST, |due| due.at);
        tokio::select! {
            told = news.recv() => match told {
                None => return,
                Some(told) => dues.learn(told, &host, Instant::now()),
            },
            () = sleep_until(at) => {
                let Some(Due { entry, .. }) = due else { continue };
                match take_back(&*store, &entry).await {
                    Ok(()) => dues.forget(&entry.key),
                    Err(error) => {
                        tracing::warn!("the change on trial as {} is not taken back yet: {error}", id_of(&entry.key));
                        sleep(PAUSE).await;
                    }
                }
            }
        }
    }
}

/// Puts back how everything had been, except what somebody has changed since. Somebody else may have been faster.
async fn take_back(store: &dyn Store, entry: &Entry) -> Result<(), StoreError> {
    loop {
        let snapshot = store.snapshot(ROOT).await?;
        // Written anew is what was applied upon another trial; made anew is another one.
        let standing = snapshot.entry(&entry.key).filter(|now| now.create_revision == entry.create_revision);
        let Some((now, trial)) = standing.and_then(|now| Some((now, Trial::read(now)?))) else { return Ok(()) };
        let (transaction, count) = taking_back(&trial, now, &snapshot)?;
        if let Outcome::Committed { .. } = store.transact(transaction).await? {
            let id = id_of(&entry.key);
            tracing::warn!("nobody confirmed the change on trial as {id}: {count} objects are as before");
            return Ok(());
        }
    }
}

/// What takes it back, and how many objects that changes.
fn taking_back(trial: &Trial, entry: &Entry, snapshot: &Snapshot) -> Result<(Transaction, usize), StoreError> {
    let mut heirs = heirs(entry, snapshot);
    let mut transaction = Transaction {
        compares: vec![Compare::Unchanged { key: entry.key.clone(), mod_revision: entry.mod_revision }],
        operations: vec![Operation::Delete(entry.key.clone())],
    };
    let as_applied =
        |undo: &Undo| snapshot.entry(&undo.key).filter(|now| is_as_applied(now, undo, entry.create_revision));
    let undone = trial.undo.iter().filter(|undo| as_applied(undo).is_some());
    let leaned_on = leaned_on_since(undone.map(|undo| (undo.key.as_str(), undo.value.as_deref())), snapshot);
    for undo in &trial.undo {
        if let Some(failure) = leaned_on.get(undo.key.as_str()) {
            tracing::warn!("{} stays, though it came on trial: {}", undo.key, failure.message);
            continue;
        }
        match as_applied(undo) {
            None => match heirs.iter_mut().filter_map(|heir| heir.inherits(undo)).last() {
                None => tracing::warn!("{} has been changed since it was applied on trial, and stays", undo.key),
                Some(id) => tracing::warn!("{} is on trial again as {id}, and stays with that", undo.key),
            },
            Some(now) => {
                let key = undo.key.clone();
                transaction.compares.push(Compare::Unchanged { key: key.clone(), mod_revision: now.mod_revision });
                transaction.operations.push(match &undo.value {
                    Some(value) => Operation::Put { key, value: value.clone().into_bytes(), lease: None },
                    None => Operation::Delete(key),
                });
            }
        }
    }
    let count = transaction.operations.len() - 1;
    heirs.iter().filter(|heir| heir.has_inherited).for_each(|heir| heir.write_into(&mut transaction));
    fence(&mut transaction, snapshot);
    rest_on_fence(&mut transaction);
    Ok((transaction, count))
}

/// A later change on trial, that may have been applied upon one that is taken back. What it keeps of that one to go back to, nobody confirmed.
struct Heir<'s> {
    entry: &'s Entry,
    trial: Trial,
    /// Where in its list each key is.
    places: BTreeMap<String, usize>,
    has_inherited: bool,
}

fn heirs<'s>(lapsed: &Entry, snapshot: &'s Snapshot) -> Vec<Heir<'s>> {
    let trials = snapshot.entries.iter().filter(|entry| entry.key.starts_with(&prefix()));
    let later = trials.filter(|entry| entry.create_revision > lapsed.create_revision);
    later.filter_map(Heir::of).collect()
}

impl<'s> Heir<'s> {
    fn of(entry: &'s Entry) -> Option<Self> {
        let trial = Trial::read(entry)?;
        let places = trial.undo.iter().enumerate().map(|(place, undo)| (undo.key.clone(), place)).collect();
        Some(Self { entry, trial, places, has_inherited: false })
    }

    /// What it is confirmed as, if it went on from what was applied to this key; it is then taken back to what had been there before.
    fn inherits(&mut self, before: &Undo) -> Option<&'s str> {
        let undo = &mut self.trial.undo[*self.places.get(&before.key)?];
        let went_on_from = hash(undo.value.as_ref()?.as_bytes());
        if before.applied.as_ref() != Some(&went_on_from) {
            return None;
        }
        undo.value.clone_from(&before.value);
        self.has_inherited = true;
        Some(id_of(&self.entry.key))
    }

    fn write_into(&self, transaction: &mut Transaction) {
        let (key, mod_revision) = (self.entry.key.clone(), self.entry.mod_revision);
        transaction.compares.push(Compare::Unchanged { key: key.clone(), mod_revision });
        transaction.operations.push(Operation::Put { key, value: self.trial.written(), lease: None });
    }
}

impl Trial {
    /// Nothing if another version wrote it in another way.
    fn read(entry: &Entry) -> Option<Self> {
        serde_json::from_slice(&entry.value).ok()
    }

    fn written(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("texts and numbers are JSON")
    }
}

fn is_as_applied(now: &Entry, undo: &Undo, applied_at: Revision) -> bool {
    now.mod_revision == applied_at || undo.applied.as_ref().is_some_and(|applied| hash(&now.value) == *applied)
}

fn hash_of(operation: &Operation) -> Option<String> {
    match operation {
        Operation::Put { value, .. } => Some(hash(value)),
        Operation::Delete(_) => None,
    }
}

fn hash(value: &[u8]) -> String {
    let mut hasher = SipHasher13::new();
    hasher.write(value);
    format!("{:016x}", hasher.finish())
}

fn prefix() -> String {
    format!("{ROOT}t/")
}

fn key_of_trial(id: &str) -> String {
    prefix() + id
}

fn id_of(key: &str) -> &str {
    key.rsplit('/').next().unwrap_or(key)
}

/// Milliseconds since 1970.
fn time_of_day() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
