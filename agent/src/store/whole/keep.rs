//! Finishes what others began: a change that was decided by an agent that died is carried over, and pieces that nobody will decide are cleared away.
//!
//! In: what the store says of large changes under way. Out: nothing is left of them. Every agent does this, each after a pause of its own; the first wins.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::sleep;

use super::journal::{self, MARK};
use super::write::MOST_AT_ONCE;
use super::{Entry, Whole};
use crate::store::chance::chance;
use crate::store::{Compare, Followed, Operation, StoreError, Transaction, follow};

/// How long a large change may stand still before another agent takes it on, and as long again by chance.
const PATIENCE: Duration = Duration::from_secs(3);

/// A wait that something ends sooner.
const LONG: Duration = Duration::from_secs(86_400);

impl Whole {
    pub(super) async fn finish_for_others(&self) {
        let mut news = follow(self.raw.clone(), MARK.to_owned());
        let mut is_due = false;
        loop {
            let wait = if is_due { PATIENCE.mul_f64(1.0 + chance()) } else { LONG };
            tokio::select! {
                told = news.recv() => match told {
                    None => return,
                    Some(Followed::Lost { .. }) => {}
                    Some(Followed::Snapshot(_) | Followed::Changes(_)) => is_due = true,
                },
                () = sleep(wait) => is_due = self.finish().await.inspect_err(complain).is_err(),
            }
        }
    }

    /// Carries over what is decided, and clears away what never will be.
    pub(super) async fn finish(&self) -> Result<(), StoreError> {
        let mark = self.settle().await?;
        let pieces = self.raw.snapshot(&journal::root()).await?.entries;
        if pieces.is_empty() {
            return Ok(());
        }
        let calls = self.raw.snapshot(MARK).await?.entries;
        let ids: BTreeSet<&str> = pieces.iter().filter_map(|piece| journal::id_of(&piece.key)).collect();
        let is_called = |id: &&str| calls.iter().any(|entry| entry.key == journal::call_key(id));
        for id in ids.into_iter().filter(|id| !is_called(id)) {
            self.clear(id, &pieces, &mark).await?;
        }
        Ok(())
    }

    /// Nothing happens where it is called after all, or something was decided meanwhile.
    async fn clear(&self, id: &str, pieces: &[Entry], mark: &Compare) -> Result<(), StoreError> {
        let keys: Vec<&Entry> = pieces.iter().filter(|piece| journal::id_of(&piece.key) == Some(id)).collect();
        for some in keys.chunks(MOST_AT_ONCE) {
            let operations = some.iter().map(|entry| Operation::Delete(entry.key.clone())).collect();
            let compares = vec![mark.clone(), Compare::Absent(journal::call_key(id))];
            self.raw.transact(Transaction { compares, operations }).await?;
        }
        tracing::warn!("a large change that was not finished is cleared away: nothing of it counted");
        Ok(())
    }
}

/// Who may not write leaves it to those who may.
fn complain(error: &StoreError) {
    if matches!(error, StoreError::Outdated(_)) {
        return;
    }
    tracing::warn!("a large change that another agent left is not finished yet: {}", error.story());
}
