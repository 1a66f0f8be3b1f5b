//! Ends the leases of the embedded store when their time is over.

use super::Shared;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

/// How long a lease may outlive its end: the time between two looks. etcd looks twice a second, too.
const LOOK: Duration = Duration::from_millis(500);

/// The task that looks; it ends with this value.
pub(super) struct Reaper(JoinHandle<()>);

impl Reaper {
    pub(super) fn spawn(shared: &Arc<Shared>) -> Self {
        Self(tokio::spawn(reap(Arc::downgrade(shared))))
    }
}

impl Drop for Reaper {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn reap(shared: Weak<Shared>) {
    loop {
        tokio::time::sleep(LOOK).await;
        let Some(shared) = shared.upgrade() else { return };
        let is_due = shared.core().next_expiry().is_some_and(|end| end <= Instant::now());
        if is_due {
            super::blocking(move || shared.reap()).await;
        }
    }
}

impl Shared {
    fn reap(&self) {
        let expired = self.core().expired(Instant::now());
        for lease in expired {
            if let Err(error) = self.revoke(lease) {
                tracing::warn!(store = %self.path.display(), lease = lease.0, error = error.story(), "an expired lease stays");
            }
        }
    }
}
