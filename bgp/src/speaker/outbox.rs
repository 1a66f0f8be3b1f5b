//! UPDATEs on their way, gathered by connection: all that one event has to say to a neighbour goes out at once, however many messages it is.
//!
//! In: messages, shared by those who hear the same. Out: one [`Action::Send`] for each connection; neighbours that are told the same by an event
//! from its beginning to its end are sent the same memory, so that what waits for many waits once.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::Arc,
};

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

/// What waits for one connection: hardly ever more than one thing, which takes no room of its own then.
#[derive(Debug)]
struct Waiting {
    first: Messages,
    more: Vec<Messages>,
}

/// What waits for the end of an event, and is empty between events.
#[derive(Debug, Default)]
pub(super) struct Outbox(BTreeMap<ConnectionId, Waiting>);

impl Outbox {
    pub(super) fn put(&mut self, Telling { connection, messages }: Telling) {
        match self.0.entry(connection) {
            Entry::Vacant(place) => _ = place.insert(Waiting { first: messages, more: Vec::new() }),
            Entry::Occupied(mut place) => place.get_mut().more.push(messages),
        }
    }

    /// What waits for one connection: before something else is done there.
    pub(super) fn take(&mut self, connection: ConnectionId) -> Option<Action> {
        self.0.remove(&connection).map(|waiting| Action::Send { connection, octets: waiting.joined() })
    }

    /// All that waits.
    pub(super) fn take_all(&mut self) -> Vec<Action> {
        let waiting = std::mem::take(&mut self.0);
        let mut known: BTreeMap<Places, Octets> = BTreeMap::new();
        let send = |(&connection, one): (&ConnectionId, &Waiting)| {
            let octets = known.entry(one.places()).or_insert_with(|| one.joined()).clone();
            Action::Send { connection, octets }
        };
        waiting.iter().map(send).collect()
    }
}

/// Where messages lie in memory, which is theirs as long as they wait.
type Places = (*const Vec<Vec<u8>>, Vec<*const Vec<Vec<u8>>>);

impl Waiting {
    fn places(&self) -> Places {
        (Arc::as_ptr(&self.first), self.more.iter().map(Arc::as_ptr).collect())
    }

    fn joined(&self) -> Octets {
        let all = || [&self.first].into_iter().chain(&self.more).flat_map(|messages| messages.iter());
        let mut octets = Vec::with_capacity(all().map(Vec::len).sum());
        all().for_each(|message| octets.extend_from_slice(message));
        octets.into()
    }
}
