//! What this host last knew of the store, on its own disk: a life that begins while the store is away begins with it.
//!
//! In: what a follower is told, and what this host owes the store. Out: what an earlier life knew. It decides nothing: the head is told of it
//! only when the store does not answer, and the first listing takes its place.
//!
//! ```text
//!   follower ─► hear ─► pending (by key, so bounded) ─► a thread: one redb transaction, then a rest ─► known-HOST.redb
//! ```

mod file;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use poplin_node::name::AttachmentId;

use crate::store::{Change, Entry, Followed, Revision};
use file::File;
pub use file::MemoryError;

/// How long changes are gathered. A host that dies within has its own newest attachment in the kernel, and a link that nobody knows stays.
const GATHER: Duration = Duration::from_millis(50);

/// After each writing, so many times as long as it took nothing is written: at most one part in twenty of a disk's time.
const REST: u32 = 20;

/// What an earlier life knew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recalled {
    /// The store's revision last heard of.
    pub revision: Revision,
    /// Which cluster that was, if it said.
    pub cluster: Option<u64>,
    /// Whether the kernel was not started anew since.
    pub is_of_this_boot: bool,
    /// When it was known to be so.
    pub at: SystemTime,
    /// Everything, as far as it could be read; of the rest, its last good form.
    pub entries: Vec<Entry>,
    /// Attachments of this host that left and still stand in the store.
    pub owed: BTreeSet<AttachmentId>,
}

/// What is to be written.
#[derive(Debug, Default)]
struct Pending {
    /// The whole truth, before the changes.
    whole: Option<BTreeMap<String, Option<Entry>>>,
    /// What came or, absent, went since.
    changes: BTreeMap<String, Option<Entry>>,
    revision: Option<Revision>,
    cluster: Option<u64>,
    owed: Option<BTreeSet<AttachmentId>>,
    is_over: bool,
}

impl Pending {
    /// A value that is not on the disk yet.
    fn good_form(&self, key: &str) -> Option<Entry> {
        let in_whole = || self.whole.as_ref().and_then(|whole| whole.get(key));
        self.changes.get(key).or_else(in_whole).cloned().flatten()
    }
}

/// The memory of this host. Dropping it writes what is pending.
#[derive(Debug)]
pub struct Memory {
    shared: Arc<(Mutex<Pending>, Condvar)>,
    writer: Option<thread::JoinHandle<()>>,
}

impl Memory {
    /// Opens or begins the file, and reads what is in it. A damaged one is put aside, and told of.
    pub fn open(
        path: &Path,
        endpoints: &[String],
        boot: Option<&str>,
    ) -> Result<(Self, Option<Recalled>), MemoryError> {
        let (file, recalled) = File::open(path, endpoints, boot)?;
        let shared = Arc::<(Mutex<Pending>, Condvar)>::default();
        let of_writer = shared.clone();
        let writer = thread::Builder::new().name("memory".to_owned()).spawn(move || write(&file, &of_writer));
        let writer = writer.map_err(|source| MemoryError::Thread { source })?;
        Ok((Self { shared, writer: Some(writer) }, recalled))
    }

    /// News of the store. Of what cannot be read, what was known before stays.
    pub fn hear(&self, news: &Followed, cluster: Option<u64>, is_unreadable: impl Fn(&str) -> bool) {
        let mut pending = self.pending();
        match news {
            Followed::Snapshot(snapshot) => {
                let form = |entry: &Entry| match is_unreadable(&entry.key) {
                    true => (entry.key.clone(), pending.good_form(&entry.key)),
                    false => (entry.key.clone(), Some(entry.clone())),
                };
                let whole = snapshot.entries.iter().map(form).collect();
                pending.whole = Some(whole);
                pending.changes.clear();
                pending.revision = Some(snapshot.revision);
                pending.cluster = cluster;
            }
            Followed::Changes(batch) => {
                for change in &batch.changes {
                    match change {
                        Change::Put(entry) if is_unreadable(&entry.key) => {}
                        Change::Put(entry) => drop(pending.changes.insert(entry.key.clone(), Some(entry.clone()))),
                        Change::Deleted { key, .. } => drop(pending.changes.insert(key.clone(), None)),
                    }
                }
                pending.revision = Some(batch.revision);
            }
            Followed::Lost { .. } => return,
        }
        self.shared.1.notify_all();
    }

    /// What this host owes the store from now on. It is on the disk when this returns: whoever left is told so next.
    pub fn owe(&self, owed: BTreeSet<AttachmentId>) {
        let mut pending = self.pending();
        pending.owed = Some(owed);
        self.shared.1.notify_all();
        while pending.owed.is_some() {
            pending = self.shared.1.wait(pending).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.shared.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.pending().is_over = true;
        self.shared.1.notify_all();
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

/// What tells this boot of the kernel from any other (random(4)); absent where no kernel says so.
pub fn boot() -> Option<String> {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").ok().map(|id| id.trim().to_owned())
}

/// Writes what is pending, again and again.
fn write(file: &File, (pending, turn): &(Mutex<Pending>, Condvar)) {
    let mut rest_until = Instant::now();
    let mut is_failing = false;
    loop {
        let Some(mut due) = wait(pending, turn, rest_until) else { return };
        if is_failing && due.work.whole.is_none() {
            // Changes were lost, so what stands there stays as it is until the next listing.
            due.work = Pending { owed: due.work.owed, ..Pending::default() };
        }
        let began = Instant::now();
        let outcome = file.write(&due.work);
        rest_until = Instant::now() + began.elapsed() * REST;
        match &outcome {
            Ok(()) if is_failing && due.work.whole.is_some() => {
                tracing::info!("what this host knows of the store is written down again")
            }
            Err(error) if !is_failing => {
                tracing::error!(
                    "{error}; should the agent start while the store is away, it begins with what was written before"
                );
            }
            Ok(()) | Err(_) => {}
        }
        is_failing = outcome.is_err() || (is_failing && due.work.whole.is_none());
        if due.pays {
            let mut pending = pending.lock().unwrap_or_else(PoisonError::into_inner);
            pending.owed = None;
            turn.notify_all();
        }
        if due.is_last {
            return;
        }
    }
}

/// What is written now.
struct Due {
    work: Pending,
    pays: bool,
    is_last: bool,
}

/// Waits until something is due; absent = it is over, and nothing is.
fn wait(pending: &Mutex<Pending>, turn: &Condvar, rest_until: Instant) -> Option<Due> {
    let mut pending = pending.lock().unwrap_or_else(PoisonError::into_inner);
    let mut gather_until = None;
    loop {
        let is_waiting = pending.whole.is_some() || !pending.changes.is_empty();
        let now = Instant::now();
        let by = *gather_until.get_or_insert_with(|| rest_until.max(now + GATHER));
        let (pays, is_last) = (pending.owed.is_some(), pending.is_over);
        if pays || (is_waiting && (now >= by || is_last)) {
            let owed = pending.owed.clone();
            let work = Pending { owed, ..std::mem::take(&mut *pending) };
            pending.owed.clone_from(&work.owed);
            pending.is_over = is_last;
            return Some(Due { work, pays, is_last });
        }
        if is_last {
            return None;
        }
        pending = match is_waiting {
            true => {
                turn.wait_timeout(pending, by.saturating_duration_since(now)).unwrap_or_else(PoisonError::into_inner).0
            }
            false => {
                gather_until = None;
                turn.wait(pending).unwrap_or_else(PoisonError::into_inner)
            }
        };
    }
}
