//! Whose turn it is to have a whole table: one may be hundreds of megabytes, and is held until its reader has it.
//!
//! In: callers who want one. Out: a turn, which lasts as long as the answer. Who may do everything need not wait: a reader who reads nothing holds up
//! other readers, never the operator.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use poplin_proto::Failure;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tonic::Code;

use super::guard::may_do_everything;

/// How many at once.
const AT_ONCE: usize = 2;

/// How long one waits for a turn.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a turn lasts at most, however slow its reader is.
const LONGEST: Duration = Duration::from_secs(120);

/// All turns. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Wholes(Arc<Semaphore>);

/// One of them.
#[derive(Clone, Debug)]
pub(in crate::serve) struct Turn {
    _permit: Arc<Mutex<Option<OwnedSemaphorePermit>>>,
}

impl Default for Wholes {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE)))
    }
}

impl Wholes {
    /// A turn for this caller.
    pub(in crate::serve) async fn turn<T>(&self, request: &tonic::Request<T>) -> Result<Turn, Failure> {
        if may_do_everything(request) {
            return Ok(Turn { _permit: Arc::default() });
        }
        let permit = timeout(PATIENCE, self.0.clone().acquire_owned()).await;
        permit.ok().and_then(Result::ok).map(lent).ok_or_else(busy)
    }
}

/// A turn that ends by itself.
fn lent(permit: OwnedSemaphorePermit) -> Turn {
    let turn = Arc::new(Mutex::new(Some(permit)));
    let held = Arc::downgrade(&turn);
    tokio::spawn(async move {
        sleep(LONGEST).await;
        if let Some(turn) = held.upgrade() {
            turn.lock().unwrap_or_else(PoisonError::into_inner).take();
        }
    });
    Turn { _permit: turn }
}

fn busy() -> Failure {
    let message = format!("{AT_ONCE} others are reading whole tables, and did not end within {PATIENCE:?}");
    let failure = Failure::new(Code::ResourceExhausted, "BUSY", message);
    failure.advice("ask for one prefix, which waits for nobody, or try again in a moment")
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn two_have_a_turn_at_once_and_the_next_when_one_ends() {
        let wholes = Wholes::default();
        let request = tonic::Request::new(());
        let first = wholes.turn(&request).await.unwrap();
        let _second = wholes.turn(&request).await.unwrap();

        assert!(wholes.turn(&request).now_or_never().is_none());
        drop(first);
        assert!(wholes.turn(&request).await.is_ok());
    }
}
