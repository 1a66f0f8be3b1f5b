//! A store that somebody else writes: what a configuration file says, and nothing else.
//!
//! In: what the file says, whenever it is read. Out: a [`Store`] that answers questions, tells of changes, and refuses to be written.
//! Knows nothing of how a file is read. A new reading is one revision, whatever it changes.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;

use super::{
    Batch, Change, Entry, Feed, LeaseId, Outcome, Part, Rejected, Revision, Snapshot, Store, StoreError, Transaction,
    Watch,
};

/// What a file says: values by key.
pub type Values = BTreeMap<String, Vec<u8>>;

/// The store of one file.
pub struct FileStore {
    path: PathBuf,
    content: watch::Sender<Arc<Content>>,
}

#[derive(Debug, Default)]
struct Content {
    revision: Revision,
    entries: BTreeMap<String, Entry>,
}

impl FileStore {
    /// The store of this file, which says this.
    pub fn new(path: PathBuf, values: Values) -> Self {
        let content = Content::default().then(values);
        Self { path, content: watch::Sender::new(Arc::new(content)) }
    }

    /// The file was read again; whether anything is different.
    pub fn replace(&self, values: Values) -> bool {
        self.content.send_if_modified(|content| {
            let next = content.then(values);
            let is_news = next.entries != content.entries;
            if is_news {
                *content = Arc::new(next);
            }
            is_news
        })
    }

    fn read_only(&self) -> StoreError {
        Rejected::ReadOnly(self.path.clone()).into()
    }
}

impl Content {
    /// What comes after this one. What did not change keeps its revision.
    fn then(&self, values: Values) -> Self {
        let revision = self.revision + 1;
        let entry = |(key, value): (String, Vec<u8>)| {
            let known = self.entries.get(&key);
            let entry = match known {
                Some(known) if known.value == value => known.clone(),
                _ => {
                    let create_revision = known.map_or(revision, |known| known.create_revision);
                    Entry { key: key.clone(), value, create_revision, mod_revision: revision }
                }
            };
            (key, entry)
        };
        Self { revision, entries: values.into_iter().map(entry).collect() }
    }

    /// What is different since another one, under a prefix.
    fn since(&self, old: &Self, prefix: &str) -> Vec<Change> {
        let is_new = |entry: &&Entry| old.entries.get(&entry.key) != Some(*entry);
        let puts = self.entries.values().filter(is_new).map(|entry| Change::Put(entry.clone()));
        let gone = old.entries.keys().filter(|key| !self.entries.contains_key(*key));
        let deletes = gone.map(|key| Change::Deleted { key: key.clone(), revision: self.revision });
        puts.chain(deletes).filter(|change| change.key().starts_with(prefix)).collect()
    }
}

#[async_trait]
impl Store for FileStore {
    fn kind(&self) -> &'static str {
        "file"
    }

    fn location(&self) -> String {
        self.path.display().to_string()
    }

    async fn snapshot(&self, prefix: &str) -> Result<Snapshot, StoreError> {
        let content = self.content.borrow().clone();
        let entries = content.entries.values().filter(|entry| entry.key.starts_with(prefix)).cloned().collect();
        Ok(Snapshot { revision: content.revision, entries })
    }

    async fn select(&self, parts: &[Part]) -> Result<Snapshot, StoreError> {
        Ok(self.snapshot("").await?.within(parts))
    }

    async fn watch(&self, prefix: &str, after: Revision) -> Result<Watch, StoreError> {
        let mut content = self.content.subscribe();
        let told = content.borrow_and_update().clone();
        match told.revision {
            now if now < after => Err(StoreError::WentBack { seen: after, now }),
            now if now > after => Err(StoreError::Compacted { asked: after, compacted: now }),
            _ => Ok(Watch::new(Reader { prefix: prefix.to_owned(), told, content })),
        }
    }

    async fn transact(&self, _: Transaction) -> Result<Outcome, StoreError> {
        Err(self.read_only())
    }

    async fn grant(&self, _: Duration) -> Result<LeaseId, StoreError> {
        Err(self.read_only())
    }

    async fn keep_alive(&self, lease: LeaseId) -> Result<(), StoreError> {
        Err(Rejected::LeaseGone(lease).into())
    }

    async fn revoke(&self, lease: LeaseId) -> Result<(), StoreError> {
        Err(Rejected::LeaseGone(lease).into())
    }

    async fn compact(&self, _: Revision) -> Result<(), StoreError> {
        Ok(()) // there is no history to forget
    }
}

/// A watch: what it was told last, and what the file says now.
struct Reader {
    prefix: String,
    told: Arc<Content>,
    content: watch::Receiver<Arc<Content>>,
}

#[async_trait]
impl Feed for Reader {
    async fn next(&mut self) -> Result<Batch, StoreError> {
        loop {
            let now = self.content.borrow_and_update().clone();
            let changes = now.since(&self.told, &self.prefix);
            self.told = now;
            if !changes.is_empty() {
                return Ok(Batch { revision: self.told.revision, changes });
            }
            if self.content.changed().await.is_err() {
                std::future::pending::<()>().await; // the store is gone, and the process with it
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(pairs: &[(&str, &str)]) -> Values {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), value.as_bytes().to_vec())).collect()
    }

    #[tokio::test]
    async fn a_new_reading_is_one_batch_of_what_is_different() {
        let store = FileStore::new("rr.toml".into(), values(&[("/a", "1"), ("/b", "1"), ("/c", "1")]));
        let before = store.snapshot("/").await.unwrap();
        let mut watch = store.watch("/", before.revision).await.unwrap();

        assert!(!store.replace(values(&[("/a", "1"), ("/b", "1"), ("/c", "1")])), "nothing is different");
        assert!(store.replace(values(&[("/a", "1"), ("/b", "2"), ("/d", "1")])));

        let batch = watch.next().await.unwrap();
        let changed: Vec<&str> = batch.changes.iter().map(Change::key).collect();
        assert_eq!(changed, ["/b", "/d", "/c"]);
        let after = store.snapshot("/").await.unwrap();
        assert_eq!((after.revision, after.entries.len()), (batch.revision, 3));
        assert_eq!(after.entries[0], before.entries[0], "what did not change keeps its revision");
    }

    #[tokio::test]
    async fn it_refuses_to_be_written() {
        let store = FileStore::new("rr.toml".into(), Values::new());
        let error = store.transact(Transaction::default()).await.unwrap_err();
        assert!(error.story().contains("rr.toml"), "{}", error.story());
    }
}
