//! Keeps agents that are too old from writing.
//!
//! In: a store, and who writes. Out: the same store, in which each transaction also compares what the store says of its writers ([`MIN_WRITER`]). So none that was
//! begun before a person raised that is done after it, and none needs another look at it: the compare goes with the rest. Who is too old is refused by name, and so is
//! a value that the oldest of those who may write could not read.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use poplin_node::release::{MinWriter, Release};

use super::{
    Compare, Entry, Examined, LeaseId, Operation, Outcome, Part, Revision, Snapshot, Store, StoreError, Transaction,
    Watch,
};
use crate::schema::{MIN_WRITER, beyond, min_writer};

/// How often a transaction is tried again because the store says something else of its writers than was known. A person says it, so seldom.
const TRIES: usize = 4;

/// A store that is written by those only who know its schema.
pub struct Guarded {
    raw: Arc<dyn Store>,
    writer: Release,
    known: Mutex<Standing>,
}

/// What the store said of its writers when it was last heard, and at which revision; at 0 it said nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Standing {
    min_writer: MinWriter,
    at: Revision,
}

impl Standing {
    fn of(entry: Option<&Entry>) -> Self {
        Self { min_writer: min_writer(entry), at: entry.map_or(0, |entry| entry.mod_revision) }
    }

    fn compare(self) -> Compare {
        let key = MIN_WRITER.to_owned();
        if self.at == 0 { Compare::Absent(key) } else { Compare::Unchanged { key, mod_revision: self.at } }
    }
}

impl Guarded {
    /// Wraps a store, written by this agent.
    pub fn over(raw: Arc<dyn Store>, writer: Release) -> Self {
        Self { raw, writer, known: Mutex::default() }
    }

    fn known(&self) -> Standing {
        *self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn learn(&self, standing: Standing) {
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = standing;
    }

    /// What the store says of its writers, under which this may be written. What was known is asked for again only where it forbids: that may be over.
    async fn standing(&self, transaction: &Transaction) -> Result<Standing, StoreError> {
        let known = self.known();
        if self.admits(known, transaction).is_ok() {
            return Ok(known);
        }
        let read = self.raw.snapshot(MIN_WRITER).await?;
        let standing = Standing::of(read.entry(MIN_WRITER));
        self.learn(standing);
        self.admits(standing, transaction)?;
        Ok(standing)
    }

    fn admits(&self, standing: Standing, transaction: &Transaction) -> Result<(), StoreError> {
        standing.min_writer.admits(&self.writer)?;
        check_forms(transaction, standing.min_writer)
    }

    async fn write(&self, transaction: &Transaction) -> Result<Outcome, StoreError> {
        let mut refused = None;
        for _ in 0..TRIES {
            let standing = self.standing(transaction).await?;
            match self.raw.transact(transaction.clone().when(standing.compare())).await? {
                committed @ Outcome::Committed { .. } => return Ok(committed),
                Outcome::Refused { revision, mut current } => {
                    let found = Standing::of(current.iter().find(|entry| entry.key == MIN_WRITER));
                    current.retain(|entry| entry.key != MIN_WRITER);
                    let outcome = Outcome::Refused { revision, current };
                    if found == standing {
                        return Ok(outcome);
                    }
                    self.learn(found);
                    refused = Some(outcome);
                }
            }
        }
        Ok(refused.expect("each try that does not return is refused"))
    }
}

/// Whoever writes it may, or nobody could ever mend or lower it.
fn is_of_writers(transaction: &Transaction) -> bool {
    transaction.operations.iter().any(|operation| operation.key() == MIN_WRITER)
}

/// Everybody who may write has to be able to read what stands there.
fn check_forms(transaction: &Transaction, min_writer: MinWriter) -> Result<(), StoreError> {
    let MinWriter::From(least) = min_writer else { return Ok(()) };
    let later = transaction.operations.iter().find_map(|operation| match operation {
        Operation::Put { key, value, .. } => beyond(key, value, least).map(|feature| (key, feature)),
        Operation::Delete(_) => None,
    });
    match later {
        None => Ok(()),
        Some((key, feature)) => Err(StoreError::Ahead { key: key.clone(), feature, least }),
    }
}

#[async_trait]
impl Store for Guarded {
    fn kind(&self) -> &'static str {
        self.raw.kind()
    }

    fn location(&self) -> String {
        self.raw.location()
    }

    async fn snapshot(&self, prefix: &str) -> Result<Snapshot, StoreError> {
        let snapshot = self.raw.snapshot(prefix).await?;
        if MIN_WRITER.starts_with(prefix) {
            self.learn(Standing::of(snapshot.entry(MIN_WRITER)));
        }
        Ok(snapshot)
    }

    async fn select(&self, parts: &[Part]) -> Result<Snapshot, StoreError> {
        self.raw.select(parts).await
    }

    async fn watch(&self, prefix: &str, after: Revision) -> Result<Watch, StoreError> {
        self.raw.watch(prefix, after).await
    }

    async fn transact(&self, transaction: Transaction) -> Result<Outcome, StoreError> {
        match is_of_writers(&transaction) {
            true => self.raw.transact(transaction).await,
            false => self.write(&transaction).await,
        }
    }

    async fn grant(&self, ttl: Duration) -> Result<LeaseId, StoreError> {
        self.raw.grant(ttl).await
    }

    async fn keep_alive(&self, lease: LeaseId) -> Result<(), StoreError> {
        self.raw.keep_alive(lease).await
    }

    async fn revoke(&self, lease: LeaseId) -> Result<(), StoreError> {
        self.raw.revoke(lease).await
    }

    async fn compact(&self, at: Revision) -> Result<(), StoreError> {
        self.raw.compact(at).await
    }

    fn cluster(&self) -> Option<u64> {
        self.raw.cluster()
    }

    async fn keep(&self) {
        self.raw.keep().await;
    }

    async fn examine(&self) -> Examined {
        self.raw.examine().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::written;
    use crate::store::Embedded;

    const POOL: &str = r#"{"kind":"Pool","metadata":{"name":"p"},"spec":{"cidr":"10.0.0.0/16","lan":true}}"#;

    /// Two agents of neighbouring schemas on one store, which is gone with the test.
    struct Pair {
        raw: Arc<dyn Store>,
        old: Guarded,
        new: Guarded,
        directory: std::path::PathBuf,
    }

    static PAIRS: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);

    impl Pair {
        async fn new() -> Self {
            let number = PAIRS.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let directory = std::env::temp_dir().join(format!("poplin-guarded-{}-{number}", std::process::id()));
            let raw: Arc<dyn Store> = Arc::new(Embedded::open(&directory.join("store.redb")).await.unwrap());
            let agent = |schema| Guarded::over(raw.clone(), Release { version: "0.0.0".to_owned(), schema });
            Self { old: agent(1), new: agent(2), raw, directory }
        }
    }

    impl Drop for Pair {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.directory);
        }
    }

    fn put(key: &str) -> Transaction {
        Transaction::default().put(format!("/poplin/v1/{key}"), "{}")
    }

    async fn say(store: &dyn Store, schema: u32) {
        store.transact(Transaction::default().put(MIN_WRITER, written(schema))).await.unwrap();
    }

    #[tokio::test]
    async fn an_agent_below_writes_nothing_from_the_very_revision_on_and_again_once_it_is_lowered() {
        let pair = Pair::new().await;
        let Pair { raw, old, new, .. } = &pair;
        old.transact(put("t/1")).await.unwrap();

        say(new, 2).await; // of which the old one has heard nothing
        let before = raw.snapshot("").await.unwrap();
        let error = old.transact(put("t/2")).await.unwrap_err();

        assert!(matches!(error, StoreError::Outdated(_)), "{error}");
        assert!(error.to_string().contains("schema 1") && error.to_string().contains("schema 2"), "{error}");
        assert_eq!(raw.snapshot("").await.unwrap(), before);
        new.transact(put("t/3")).await.unwrap();
        say(old, 1).await; // the one thing that whoever is too old may write
        assert!(matches!(old.transact(put("t/4")).await, Ok(Outcome::Committed { .. })));
    }

    #[tokio::test]
    async fn a_compare_of_the_guard_is_not_seen_by_whoever_is_refused() {
        let pair = Pair::new().await;
        let new = &pair.new;
        say(new, 2).await;
        new.transact(put("t/1")).await.unwrap();

        let outcome = new.transact(put("t/1").when(Compare::Absent("/poplin/v1/t/1".to_owned()))).await.unwrap();

        let Outcome::Refused { current, .. } = outcome else { panic!("{outcome:?}") };
        assert_eq!(current.iter().map(|entry| entry.key.as_str()).collect::<Vec<_>>(), ["/poplin/v1/t/1"]);
    }

    #[tokio::test]
    async fn nobody_writes_what_the_oldest_of_the_writers_could_not_read() {
        let pair = Pair::new().await;
        let new = &pair.new;
        let pool = Transaction::default().put("/poplin/v1/c/pool/p", POOL);
        say(new, 1).await;

        let error = new.transact(pool.clone()).await.unwrap_err();
        assert!(error.to_string().contains("spec.lan") && error.to_string().contains("schema 2"), "{error}");

        say(new, 2).await;
        assert!(matches!(new.transact(pool).await, Ok(Outcome::Committed { .. })));
    }

    #[tokio::test]
    async fn nobody_writes_in_a_store_whose_word_of_its_writers_cannot_be_read_until_that_is_mended() {
        let pair = Pair::new().await;
        let Pair { raw, new, .. } = &pair;
        raw.transact(Transaction::default().put(MIN_WRITER, "two")).await.unwrap();

        assert!(matches!(new.transact(put("t/1")).await, Err(StoreError::Outdated(_))));

        say(new, 2).await;
        assert!(new.transact(put("t/1")).await.is_ok());
    }
}
