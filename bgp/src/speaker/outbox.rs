//! UPDATEs on their way, gathered by connection: all that one event has to say to a neighbour goes out at once, however many messages it is.

use std::{collections::BTreeMap, sync::Arc};

use crate::{Action, ConnectionId};

/// Messages for one neighbour, which others may be told too.
#[derive(Debug)]
pub(super) struct Telling {
    pub(super) connection: ConnectionId,
    pub(super) messages: Arc<Vec<Vec<u8>>>,
}

/// What waits for the end of an event, and is empty between events.
#[derive(Debug, Default)]
pub(super) struct Outbox(BTreeMap<ConnectionId, Vec<u8>>);

impl Outbox {
    pub(super) fn put(&mut self, telling: &Telling) {
        let waiting = self.0.entry(telling.connection).or_default();
        telling.messages.iter().for_each(|message| waiting.extend_from_slice(message));
    }

    /// What waits for one connection: before something else is done there.
    pub(super) fn take(&mut self, connection: ConnectionId) -> Option<Action> {
        self.0.remove(&connection).map(|octets| Action::Send { connection, octets })
    }

    /// All that waits.
    pub(super) fn take_all(&mut self) -> impl Iterator<Item = Action> {
        std::mem::take(&mut self.0).into_iter().map(|(connection, octets)| Action::Send { connection, octets })
    }
}
