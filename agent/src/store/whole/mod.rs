//! Lifts the bounds of a store: large values and large changes look like small ones.
//!
//! In: a store with etcd's bounds. Out: a store in which a value and a transaction may be many times larger, and are still seen whole or not at all, by
//! everybody who looks through here. What fits goes through as it is, at its own price.
//!
//! ```text
//!   snapshot ◄── parts joined ◄── what is decided laid over ◄──┐
//!   watch    ◄── parts joined ◄── what is decided, told at once ◄── the store
//!   transact ──► in parts ──► at once if it fits, else pieces, decision, carrying over ──►┘
//! ```
//! Beyond one transaction, compares are checked with the decision, and there may be no more of them than one transaction takes. What agents write (hosts,
//! endpoints, blocks) goes with the decision itself, because its writers compare nothing else; what people declare is guarded by the fence of
//! declarations, which its writers compare and rewrite.

mod journal;
mod keep;
mod parts;
mod tell;
#[cfg(test)]
mod tests;
mod write;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use super::{Entry, Examined, LeaseId, Outcome, Part, Revision, Snapshot, Store, StoreError, Transaction, Watch};
use crate::resource::ROOT;
use tell::Telling;
use write::Gathered;

/// A store without its bounds.
pub struct Whole {
    raw: Arc<dyn Store>,
    /// The keys whose values stand in parts, as far as was seen here.
    in_parts: Mutex<BTreeSet<String>>,
    /// Pieces of a change that was not decided, as others had been faster: the next try may need them again.
    gathered: Mutex<Option<Gathered>>,
}

impl Whole {
    /// Wraps a store.
    pub fn over(raw: Arc<dyn Store>) -> Self {
        Self { raw, in_parts: Mutex::default(), gathered: Mutex::default() }
    }

    fn in_parts(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.in_parts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What stands under a prefix, whole; all of ours is read for it.
    async fn everything(&self, prefix: &str) -> Result<Snapshot, StoreError> {
        let raw = self.raw.snapshot(if is_all(prefix) { prefix } else { ROOT }).await?;
        let (revision, decided) = (raw.revision, journal::decided_in(&raw));
        let entries = match decided {
            Some((decided, at)) => journal::carried_over(raw.entries, &decided, at),
            None => raw.entries,
        };
        let (inside, entries): (Vec<Entry>, Vec<Entry>) =
            entries.into_iter().partition(|entry| journal::is_inside(&entry.key));
        let entries = entries.into_iter().filter(|entry| entry.key.starts_with(prefix)).collect();
        Ok(Snapshot { revision, entries: self.joined(entries, &inside) })
    }

    /// Parts as they stand, if nothing in them is large and no large change waits to be carried over.
    async fn narrow(&self, parts: &[Part]) -> Result<Option<Snapshot>, StoreError> {
        let with_mark: Vec<Part> = parts.iter().cloned().chain([Part::Key(journal::MARK.to_owned())]).collect();
        let read = self.raw.select(&with_mark).await?;
        let mark = read.entry(journal::MARK);
        let is_quiet = mark.is_none_or(|mark| journal::Decided::read(&mark.value).is_over());
        let snapshot = read.within(parts);
        let is_whole = snapshot.entries.iter().all(|entry| parts::Head::read(&entry.value).is_none());
        Ok((is_quiet && is_whole).then_some(snapshot))
    }

    /// Entries with whole values. One of which a part is missing stays as it is, and nobody can read it.
    fn joined(&self, mut entries: Vec<Entry>, inside: &[Entry]) -> Vec<Entry> {
        let parts: BTreeMap<&str, &[u8]> =
            inside.iter().map(|entry| (entry.key.as_str(), entry.value.as_slice())).collect();
        let mut known = self.in_parts();
        for entry in &mut entries {
            let Some(head) = parts::Head::read(&entry.value) else { continue };
            known.insert(entry.key.clone());
            match head.join(&entry.key, |key| parts.get(key).copied()) {
                Some(value) => entry.value = value,
                None => tracing::error!("the value of {} stands in parts, and some are missing", entry.key),
            }
        }
        entries
    }
}

/// Whether a key, or what stands under a prefix, may be large: what people declare, and changes on trial.
fn may_be_large(prefix: &str) -> bool {
    ["c/", "t/"].into_iter().map(|part| format!("{ROOT}{part}")).any(|part| prefix.starts_with(&part))
}

/// Whether everything stands under a prefix.
fn is_all(prefix: &str) -> bool {
    ROOT.starts_with(prefix)
}

#[async_trait]
impl Store for Whole {
    fn kind(&self) -> &'static str {
        self.raw.kind()
    }

    fn location(&self) -> String {
        self.raw.location()
    }

    async fn snapshot(&self, prefix: &str) -> Result<Snapshot, StoreError> {
        if is_all(prefix) {
            return self.everything(prefix).await;
        }
        if !may_be_large(prefix) {
            return self.raw.snapshot(prefix).await;
        }
        match self.narrow(&[Part::Under(prefix.to_owned())]).await? {
            Some(snapshot) => Ok(snapshot),
            None => self.everything(prefix).await,
        }
    }

    async fn select(&self, parts: &[Part]) -> Result<Snapshot, StoreError> {
        match self.narrow(parts).await? {
            Some(snapshot) => Ok(snapshot),
            None => Ok(self.everything(ROOT).await?.within(parts)),
        }
    }

    async fn watch(&self, prefix: &str, after: Revision) -> Result<Watch, StoreError> {
        Telling::begin(self.raw.clone(), prefix, after).await.map(Watch::new)
    }

    async fn transact(&self, transaction: Transaction) -> Result<Outcome, StoreError> {
        self.write(transaction).await
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

    async fn examine(&self) -> Examined {
        self.raw.examine().await
    }

    async fn keep(&self) {
        self.finish_for_others().await;
    }
}
