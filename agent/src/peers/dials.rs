//! Dials under way.
//!
//! In: whom to dial, and whom not to dial any more. Out: a connection, or why there is none; of what was given up, nothing.

use std::sync::Arc;
use std::time::Duration;

use poplin_bgp::{Address, Event as BgpEvent};
use tokio::task::AbortHandle;
use tokio::time::timeout;

use super::Shared;

/// How long a dialled neighbour may take to answer.
pub(super) const DIAL: Duration = Duration::from_secs(5);

/// Dials that may still be answered. Dropped, they go on.
#[derive(Default)]
pub(super) struct Dials(Vec<(Address, AbortHandle)>);

impl Dials {
    /// Dials a neighbour. An earlier dial to it goes on until its own end: it may be the one that is answered, and tells more than the later.
    pub(super) fn begin(&mut self, shared: Arc<Shared>, neighbour: Address, port: u16) {
        self.0.retain(|(_, dial)| !dial.is_finished());
        let dial = tokio::spawn(dial(shared, neighbour, port));
        self.0.push((neighbour, dial.abort_handle()));
    }

    /// Nobody is to answer any more: what is unfinished ends without a word.
    pub(super) fn give_up(&mut self, neighbour: Address) {
        let dials = std::mem::take(&mut self.0).into_iter();
        let (given_up, others): (Vec<_>, _) = dials.partition(|(called, _)| *called == neighbour);
        self.0 = others;
        given_up.into_iter().for_each(|(_, dial)| dial.abort());
    }
}

async fn dial(shared: Arc<Shared>, neighbour: Address, port: u16) {
    let protection = shared.shield.protection(neighbour);
    shared.shield.begins(neighbour);
    let reason = match timeout(DIAL, shared.connect(neighbour, port, &protection)).await {
        // An unfinished dial outlives a change of the configuration, and would be answered unsigned.
        Ok(Ok(_)) if shared.shield.protection(neighbour) != protection => {
            "it is to be protected otherwise now".to_owned()
        }
        Ok(Ok(stream)) => {
            shared.shield.reached(neighbour);
            tokio::spawn(async move { shared.begin(stream, neighbour, true).await }); // too late to be given up
            return;
        }
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("no answer within {DIAL:?}{}", shared.shield.hints(neighbour)),
    };
    shared.tell(BgpEvent::ConnectFailed { neighbour, reason }).await;
}
