//! UPDATEs on their way, gathered by connection: all that one event has to say to a neighbour goes out at once, however many messages it is.
//!
//! In: messages, shared by those who hear the same. Out: one [`Action::Send`] for each connection; neighbours that are told the same by an event
//! from its beginning to its end are sent the same memory, so that what waits for many waits once.

use std::{collections::BTreeMap, sync::Arc};

use crate::{Action, ConnectionId};

use super::octets::Octets;

/// Messages made at once, for all who hear the same.
pub(super) type Messages = Arc<Vec<Vec<u8>>>;

/// Messages for one neighbour, which others may be told too.
#[derive(Debug)]
pub(super) struct Telling {
    pub(super) connection: ConnectionId,
    pub(super) messages: Messages,
}

/// What waits for the end of an event, and is empty between events.
#[derive(Debug, Default)]
pub(super) struct Outbox(BTreeMap<ConnectionId, Vec<Messages>>);

impl Outbox {
    pub(super) fn put(&mut self, telling: Telling) {
        self.0.entry(telling.connection).or_default().push(telling.messages);
    }

    /// What waits for one connection: before something else is done there.
    pub(super) fn take(&mut self, connection: ConnectionId) -> Option<Action> {
        self.0.remove(&connection).map(|messages| Action::Send { connection, octets: joined(&messages) })
    }

    /// All that waits.
    pub(super) fn take_all(&mut self) -> Vec<Action> {
        let waiting = std::mem::take(&mut self.0);
        // By their places in memory, which are theirs as long as `waiting` is here.
        let mut known: BTreeMap<Vec<*const Vec<Vec<u8>>>, Octets> = BTreeMap::new();
        let send = |(&connection, messages): (&ConnectionId, &Vec<Messages>)| {
            let places = messages.iter().map(Arc::as_ptr).collect();
            let octets = known.entry(places).or_insert_with(|| joined(messages)).clone();
            Action::Send { connection, octets }
        };
        waiting.iter().map(send).collect()
    }
}

fn joined(messages: &[Messages]) -> Octets {
    let all = || messages.iter().flat_map(|messages| messages.iter());
    let mut octets = Vec::with_capacity(all().map(Vec::len).sum());
    all().for_each(|message| octets.extend_from_slice(message));
    octets.into()
}
