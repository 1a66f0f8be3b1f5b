//! What this host last knew of the store, on its own disk: a life that begins while the store is away begins with it.
//!
//! In: what a follower is told. Out: what an earlier life knew; beside it stands what this host owes the store. It decides nothing: the head is told of it
//! only when the store does not answer, and the first listing takes its place.
//!
//! ```text
//!   follower ─► hear ─► pending (by key, so bounded) ─► a thread: one redb transaction, then a rest ─► known-HOST.redb
//! ```

mod complaint;
mod debts;
mod file;
mod pending;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use poplin_node::debt::Debt;

use crate::store::{Change, Entry, Followed, Revision};
pub use complaint::Complaints;
pub use debts::{DebtFile, Owed};
use file::File;
pub use file::MemoryError;
use pending::Pending;

/// How long changes are gathered. A host that dies within has its own newest attachment in the kernel, and a link that nobody knows stays.
const GATHER: Duration = Duration::from_millis(50);

/// After each writing, so many times as long as it took nothing is written: at most one part in twenty of a disk's time.
const REST: u32 = 20;

/// The pause after a failure: a disk that is full or gone is not asked all the time.
const RETRY: Duration = Duration::from_secs(10);

/// How often it is noted down that the store is still heard, if nothing is heard of it: how old all this is counts from there.
const RENEW: Duration = Duration::from_secs(60);

/// What an earlier life knew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recalled {
    /// The store's revision last heard of.
    pub revision: Revision,
    /// Which cluster that was, if it said.
    pub cluster: Option<u64>,
    /// Whether the kernel was not started anew since.
    pub is_of_this_boot: bool,
    /// When the store was last heard.
    pub at: SystemTime,
    /// Everything, as far as it could be read; of the rest, its last good form.
    pub entries: Vec<Entry>,
    /// Endpoints of this host that left and still stand in the store, as files of before [`DebtFile`] told of them.
    pub owed: BTreeSet<Debt>,
    /// What the store had forgotten, and this host went by all the same; of no revision.
    pub kept: Vec<Entry>,
    /// The last revision that what was known then and what the store tells have in common; 0 = it had not forgotten.
    pub shared: Revision,
}

/// The memory of this host. Dropping it writes what is pending.
#[derive(Debug)]
pub struct Memory {
    shared: Arc<Shared>,
    writer: Option<thread::JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    pending: Mutex<Pending>,
    turn: Condvar,
}

impl Memory {
    /// Opens or begins the file, and reads what is in it. A damaged one is put aside, and told of; one that cannot be opened is tried again with
    /// the first news.
    pub fn open(
        path: &Path,
        endpoints: &[String],
        boot: Option<&str>,
        complaints: Complaints,
    ) -> Result<(Self, Option<Recalled>), MemoryError> {
        let mut file = File::of(path, endpoints, boot);
        let recalled = match file.read() {
            Ok(recalled) => recalled,
            Err(error) => {
                tracing::error!("{error}; should the store be away, this host waits for it");
                complaints.note("memory", Some(error.to_string()));
                None
            }
        };
        let shared = Arc::<Shared>::default();
        let of_writer = shared.clone();
        let writer = thread::Builder::new().name("memory".to_owned());
        let writer = writer.spawn(move || write(file, &of_writer, &complaints));
        let writer = writer.map_err(|source| MemoryError::Thread { source })?;
        Ok((Self { shared, writer: Some(writer) }, recalled))
    }

    /// News of the store. Of what cannot be read, what was known before stays.
    pub fn hear(&self, news: Followed, cluster: Option<u64>, is_unreadable: impl Fn(&str) -> bool) {
        let mut pending = self.pending();
        match news {
            Followed::Snapshot(snapshot) => {
                let form = |entry: Entry| match is_unreadable(&entry.key) {
                    true => (entry.key.clone(), pending.good_form(&entry.key)),
                    false => (entry.key.clone(), Some(entry)),
                };
                let whole = snapshot.entries.into_iter().map(form).collect();
                pending.whole = Some(whole);
                pending.changes.clear();
                pending.revision = Some(snapshot.revision);
                pending.cluster = cluster;
            }
            Followed::Changes(batch) => {
                for change in batch.changes {
                    match change {
                        Change::Put(entry) if is_unreadable(&entry.key) => {}
                        Change::Put(entry) => drop(pending.changes.insert(entry.key.clone(), Some(entry))),
                        Change::Deleted { key, .. } => drop(pending.changes.insert(key, None)),
                    }
                }
                pending.revision = Some(batch.revision);
            }
            Followed::Lost { .. } => return pending.is_heard = false,
        }
        pending.is_heard = true;
        self.shared.turn.notify_all();
    }

    /// What the store forgot, and this host goes by all the same, is this from now on. Of what comes without a value, what is written down at this
    /// moment stays: so it is told before what the store says now.
    pub fn keep(&self, kept: Vec<(String, Option<Vec<u8>>)>, shared: Revision) {
        let mut pending = self.pending();
        // What is still to be written is newer than what is written down.
        let form = |(key, value): (String, Option<Vec<u8>>)| {
            let value = value.or_else(|| pending.good_form(&key).map(|entry| entry.value));
            (key, value)
        };
        let kept = kept.into_iter().map(form).collect();
        (pending.kept, pending.shared) = (Some(kept), Some(shared));
        self.shared.turn.notify_all();
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.shared.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.pending().is_over = true;
        self.shared.turn.notify_all();
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

/// What tells this boot of the kernel from any other (random(4)); absent where no kernel says so.
pub fn boot() -> Option<String> {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").ok().map(|id| id.trim().to_owned())
}

/// Writes what is pending, again and again. What fails is written with the next try, after the file was opened anew.
fn write(mut file: File, shared: &Shared, complaints: &Complaints) {
    let mut rest_until = Instant::now();
    let mut lost = None;
    while let Some(due) = wait(shared, rest_until, lost.is_some()) {
        let is_last = due.is_over;
        let work = match lost.take() {
            Some(lost) => due.after(lost),
            None => due,
        };
        let began = Instant::now();
        let outcome = file.write(&work);
        rest_until = Instant::now() + began.elapsed() * REST;
        tell(complaints, outcome.as_ref().err());
        if outcome.is_err() {
            (lost, rest_until) = (Some(work), rest_until.max(began + RETRY));
        }
        if is_last {
            return;
        }
    }
}

fn tell(complaints: &Complaints, error: Option<&MemoryError>) {
    let is_news = complaints.note("memory", error.map(ToString::to_string));
    match error {
        Some(error) if is_news => {
            tracing::error!(
                "{error}; it is tried again; should the agent start while the store is away, it begins with what was written before"
            )
        }
        None if is_news => tracing::info!("what this host knows of the store is written down again"),
        Some(_) | None => {}
    }
}

/// Waits until something is due; absent = it is over, and nothing is.
fn wait(shared: &Shared, rest_until: Instant, has_lost: bool) -> Option<Pending> {
    let mut pending = shared.pending.lock().unwrap_or_else(PoisonError::into_inner);
    let began = Instant::now();
    let mut heard_at = None;
    loop {
        let now = Instant::now();
        let gathered = pending.has_news().then(|| *heard_at.get_or_insert(now) + GATHER);
        let renewed = pending.is_heard.then(|| began + RENEW);
        let again = has_lost.then_some(rest_until);
        let by = [gathered, renewed, again].into_iter().flatten().min().map(|by| by.max(rest_until));
        match by {
            None if pending.is_over => return None,
            Some(by) if by <= now || pending.is_over => return Some(pending.take()),
            Some(by) => {
                let rest = by.saturating_duration_since(now);
                pending = shared.turn.wait_timeout(pending, rest).unwrap_or_else(PoisonError::into_inner).0;
            }
            None => pending = shared.turn.wait(pending).unwrap_or_else(PoisonError::into_inner),
        }
    }
}
