//! Keeps a copy of a prefix true: lists, then watches without a gap, and begins anew whenever the store loses the thread.
//!
//! In: a store and a prefix. Out: what a copy must be told, in order. It never resumes a watch by revision after a disconnect:
//! a restored backup would be invisible, and events may be lost.
//!
//! ```text
//!   ┌► snapshot ─► Snapshot ─► watch ─► Changes, Changes, … ──── time to check ───┐
//!   └── wait 0.1..10 s ◄── Lost ◄── any error, at any place                 ◄─────┘ (no wait, no Lost)
//! ```

mod backoff;

use super::{Batch, Revision, Snapshot, Store, StoreError};
pub(crate) use backoff::Backoff;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// How many messages may wait for a slow follower. Beyond that the watch stands still, and the store keeps what is to come.
const WAITING: usize = 64;

/// Every so often the prefix is read anew, for events that etcd lost (its issues 15220, 17529 and 18089, unmended in Debian's 3.4.23).
const CHECK_EVERY: Duration = Duration::from_secs(300);

/// How much longer it takes for each key: reading one costs etcd 3 µs, and a thousand hosts should cost it a few percent.
const CHECK_LONGER_PER_ENTRY: Duration = Duration::from_millis(20);

/// What a follower is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Followed {
    /// The whole truth: forget what was known, and take this. Comes first, after every [`Followed::Lost`], and now and then for safety.
    Snapshot(Snapshot),
    /// What one transaction changed since.
    Changes(Batch),
    /// The store is out of sight. What was told stays the best that is known; a snapshot follows when the store is back.
    Lost {
        /// Why, for people.
        reason: String,
    },
}

/// Follows every key that starts with `prefix`, until the receiver is dropped.
pub fn follow(store: Arc<dyn Store>, prefix: String) -> mpsc::Receiver<Followed> {
    let (sender, receiver) = mpsc::channel(WAITING);
    let follower = Follower { store, prefix, sender, seen: 0, backoff: Backoff::new() };
    tokio::spawn(follower.run());
    receiver
}

struct Follower {
    store: Arc<dyn Store>,
    prefix: String,
    sender: mpsc::Sender<Followed>,
    /// The highest revision told: a store that stands before it went back.
    seen: Revision,
    backoff: Backoff,
}

/// Why one round of list and watch is over.
enum End {
    /// Nobody listens any more.
    Deaf,
    /// It is time to read anew.
    Check,
    /// The thread is lost.
    Lost(StoreError),
}

impl From<StoreError> for End {
    fn from(error: StoreError) -> Self {
        End::Lost(error)
    }
}

impl Follower {
    async fn run(mut self) {
        let listener = self.sender.clone();
        tokio::select! {
            () = listener.closed() => {}
            () = self.rounds() => {}
        }
    }

    async fn rounds(&mut self) {
        loop {
            match self.round().await {
                End::Deaf => return,
                End::Check => {}
                End::Lost(error) => self.lose(error).await,
            }
        }
    }

    async fn round(&mut self) -> End {
        match self.list().await {
            Ok(snapshot) => self.watch(snapshot).await,
            Err(end) => end,
        }
    }

    /// The snapshot's revision, and when to check it.
    async fn list(&mut self) -> Result<(Revision, Instant), End> {
        let snapshot = self.store.snapshot(&self.prefix).await?;
        let (revision, check_at) = (snapshot.revision, Instant::now() + self.backoff.stretched(check_time(&snapshot)));
        self.check_forward(revision)?;
        self.tell(Followed::Snapshot(snapshot)).await?;
        self.seen = revision;
        Ok((revision, check_at))
    }

    /// After a rollback the next round starts from what the store says now.
    fn check_forward(&mut self, now: Revision) -> Result<(), StoreError> {
        let seen = std::mem::replace(&mut self.seen, 0);
        if now < seen { Err(StoreError::WentBack { seen, now }) } else { Ok(()) }
    }

    async fn watch(&mut self, (revision, check_at): (Revision, Instant)) -> End {
        let started = Instant::now();
        let Err(end) = self.pass_on(revision, check_at).await;
        self.backoff.rest_after(started.elapsed());
        end
    }

    async fn pass_on(&mut self, after: Revision, check_at: Instant) -> Result<std::convert::Infallible, End> {
        let mut watch = self.store.watch(&self.prefix, after).await?;
        loop {
            let batch = tokio::time::timeout_at(check_at, watch.next()).await.map_err(|_| End::Check)??;
            self.seen = batch.revision;
            self.tell(Followed::Changes(batch)).await?;
        }
    }

    async fn lose(&mut self, error: StoreError) {
        let reason = error.story();
        let (store, prefix, advice) = (self.store.location(), &self.prefix, error.advice());
        tracing::warn!(store, prefix, reason, advice, "the store is lost from sight");
        if self.tell(Followed::Lost { reason }).await.is_ok() {
            tokio::time::sleep(self.backoff.next()).await;
        }
    }

    async fn tell(&self, what: Followed) -> Result<(), End> {
        self.sender.send(what).await.map_err(|_| End::Deaf)
    }
}

fn check_time(snapshot: &Snapshot) -> Duration {
    let entries = u32::try_from(snapshot.entries.len()).unwrap_or(u32::MAX);
    CHECK_EVERY + CHECK_LONGER_PER_ENTRY * entries
}
