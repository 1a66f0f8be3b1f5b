//! What those who monitor are told of a session beyond what the session itself needs: the first words of either side, and the last.
//!
//! Rules: RFC 7854 §4.9 and §4.10; events are numbered as in RFC 4271 §8.1.

use std::sync::Arc;

use crate::{
    ConnectionId,
    rib::Source,
    wire::{Dialect, Message, Notification},
};

use super::{Effect, Session, connection::Connection};

/// Event 8: we end the session on our own account, RFC 4271 §8.1.2.
pub(super) const AUTOMATIC_STOP: u16 = 8;

/// Event 17: the neighbour has called again, RFC 4271 §8.1.4 and RFC 4724 §4.2.
pub(super) const TCP_CONNECTION_CONFIRMED: u16 = 17;

/// The OPEN of either side, whole messages; empty as long as it has not been said.
#[derive(Debug, Default)]
pub(crate) struct Opens {
    pub(crate) ours: Vec<u8>,
    pub(crate) theirs: Vec<u8>,
}

/// An established session that ended.
#[derive(Debug)]
pub(crate) struct Parted {
    pub(crate) source: Arc<Source>,
    pub(crate) goodbye: Goodbye,
}

/// How it ended.
#[derive(Debug)]
pub(crate) enum Goodbye {
    /// We said this.
    Ours(Notification),
    /// We hung up without a word, because of this event.
    OursInSilence(u16),
    /// The neighbour said this.
    Theirs(Notification),
    /// The connection broke.
    Lost,
}

impl Session {
    /// Keeps our OPEN as it is sent.
    pub(super) fn say_first(&mut self, id: ConnectionId, open: &Message) {
        if let Some(connection) = self.connection_mut(id) {
            connection.opens.ours = open.encode(Dialect::PLAIN);
        }
    }

    /// A connection ended; of interest if it was established.
    pub(super) fn tell_end(&mut self, connection: &Connection, goodbye: Goodbye) {
        if let Some(agreed) = connection.agreed().filter(|_| connection.is_established()) {
            self.effects.push(Effect::Parted(Parted { source: Arc::clone(&agreed.source), goodbye }));
        }
    }
}
