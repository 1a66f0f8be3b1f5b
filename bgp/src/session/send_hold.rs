//! How long a neighbour may take nothing of what we send it.
//!
//! In: whether something waits for it, told whenever it has taken some. Out: a deadline, by the operator's word as it stands. Rules: RFC 9687.
//!
//! A neighbour that goes on sending KEEPALIVEs and reads nothing looks alive to the hold timer, and never hears that a route is gone.

use std::time::{Duration, Instant};

use crate::ConnectionId;

use super::{Session, connection::Connection};

/// The least default, RFC 9687 §4: longer than any neighbour is busy with itself.
const SEND_HOLD_MIN: Duration = Duration::from_secs(8 * 60);

impl Session {
    /// So many octets wait for the neighbour; some were taken if any waited before.
    pub(crate) fn waits(&mut self, now: Instant, id: ConnectionId, octets: usize) {
        if let Some(connection) = self.connection_mut(id) {
            connection.waiting_since = (octets > 0).then_some(now);
        }
    }

    /// When a neighbour has taken nothing for too long; `None` while nothing waits for it.
    pub(super) fn send_until(&self, connection: &Connection) -> Option<Instant> {
        let time = self.config.send_hold.unwrap_or_else(|| connection.send_hold());
        connection.waiting_since.map(|since| since + time)
    }

    pub(super) fn is_stuck(&self, now: Instant, connection: &Connection) -> bool {
        self.send_until(connection).is_some_and(|until| until <= now)
    }
}

impl Connection {
    fn send_hold(&self) -> Duration {
        let hold_time = self.agreed().and_then(|agreed| agreed.hold_time).unwrap_or_default();
        SEND_HOLD_MIN.max(hold_time * 2)
    }
}
