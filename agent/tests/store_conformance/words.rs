//! The words the laws are written in.

use poplin_agent::store::{
    Batch, Change, Followed, Location, Operation, Outcome, Revision, Snapshot, Store, StoreError, Transaction, Watch,
    open,
};
use std::collections::BTreeMap;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;

pub(crate) type Subject = Arc<dyn Store>;

/// A directory that goes with the value.
pub(crate) struct Directory(PathBuf);

impl Directory {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("poplin-store-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub(crate) async fn embedded(path: &Path) -> Subject {
    open(&Location::Embedded(path.to_owned())).await.unwrap()
}

/// A law that hangs is a law broken.
pub(crate) async fn in_time<T>(law: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), law).await.expect("a law takes less than a minute")
}

/// What comes within ten seconds.
pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), what).await.expect("it comes soon")
}

pub(crate) async fn put(store: &Subject, key: &str, value: &str) -> Revision {
    done(store.transact(Transaction::default().put(key, value)).await)
}

pub(crate) async fn delete(store: &Subject, key: &str) -> Revision {
    done(store.transact(Transaction::default().delete(key)).await)
}

pub(crate) fn done(outcome: Result<Outcome, StoreError>) -> Revision {
    match outcome.unwrap() {
        Outcome::Committed { revision } => revision,
        refused @ Outcome::Refused { .. } => panic!("{refused:?}"),
    }
}

pub(crate) fn is_done(outcome: Result<Outcome, StoreError>) -> bool {
    matches!(outcome.unwrap(), Outcome::Committed { .. })
}

/// A watch, or the error that says at once or a little later why there is none.
pub(crate) async fn watch_error(store: &Subject, prefix: &str, after: Revision) -> StoreError {
    match store.watch(prefix, after).await {
        Ok(mut watch) => soon(watch.next()).await.unwrap_err(),
        Err(error) => error,
    }
}

pub(crate) async fn next(watch: &mut Watch) -> Batch {
    soon(watch.next()).await.unwrap()
}

pub(crate) fn keys(snapshot: &Snapshot) -> Vec<&str> {
    snapshot.entries.iter().map(|entry| entry.key.as_str()).collect()
}

pub(crate) fn changed(batch: &Batch) -> Vec<&str> {
    batch.changes.iter().map(Change::key).collect()
}

pub(crate) fn put_of(key: &str, value: &str) -> Operation {
    Operation::Put { key: key.to_owned(), value: value.into(), lease: None }
}

/// What somebody believes who was told a snapshot and changes since.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Belief {
    pub(crate) revision: Revision,
    pub(crate) entries: BTreeMap<String, Vec<u8>>,
}

impl Belief {
    pub(crate) fn of(snapshot: Snapshot) -> Self {
        let entries = snapshot.entries.into_iter().map(|entry| (entry.key, entry.value)).collect();
        Self { revision: snapshot.revision, entries }
    }

    pub(crate) fn learn(&mut self, batch: Batch) {
        assert!(batch.revision > self.revision, "{} comes after {}", batch.revision, self.revision);
        self.revision = batch.revision;
        for change in batch.changes {
            assert_eq!(change.revision(), batch.revision);
            match change {
                Change::Put(entry) => drop(self.entries.insert(entry.key, entry.value)),
                Change::Deleted { key, .. } => drop(self.entries.remove(&key)),
            }
        }
    }

    pub(crate) fn hear(&mut self, followed: Followed) {
        match followed {
            Followed::Snapshot(snapshot) => *self = Self::of(snapshot),
            Followed::Changes(batch) => self.learn(batch),
            Followed::Lost { .. } => {}
        }
    }
}

pub(crate) async fn heard(followed: &mut mpsc::Receiver<Followed>) -> Followed {
    soon(followed.recv()).await.expect("a follower goes on as long as it is heard")
}

/// Listens until the store is lost, and says why.
pub(crate) async fn lost(followed: &mut mpsc::Receiver<Followed>) -> String {
    loop {
        if let Followed::Lost { reason } = heard(followed).await {
            return reason;
        }
    }
}

/// Listens until a snapshot comes.
pub(crate) async fn found(followed: &mut mpsc::Receiver<Followed>) -> Snapshot {
    loop {
        if let Followed::Snapshot(snapshot) = heard(followed).await {
            return snapshot;
        }
    }
}
