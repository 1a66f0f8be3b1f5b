//! The clocks of a session, for people.

use std::time::{Duration, Instant};

use super::{Connection, Session};

/// The clocks of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// The hold time we propose; zero for none.
    pub hold_proposed: Duration,
    /// The hold time agreed on; `None` before an agreement, or if there is to be none.
    pub hold: Option<Duration>,
    /// When the neighbour has been silent for too long.
    pub hold_until: Option<Instant>,
    /// When our next KEEPALIVE is due.
    pub keepalive_at: Option<Instant>,
    /// When the neighbour has taken nothing for too long, if something waits for it.
    pub send_until: Option<Instant>,
    /// When we dial next.
    pub dial_at: Option<Instant>,
    /// Until when its stale routes are kept, if there are any (RFC 4724 §4.2).
    pub stale_until: Option<Instant>,
}

impl Session {
    pub(crate) fn times(&self) -> Times {
        let furthest = self.connections.iter().max_by_key(|connection| connection.state());
        let (hold_until, keepalive_at) = furthest.map_or((None, None), Connection::clocks);
        Times {
            hold_proposed: Duration::from_secs(self.config.hold_time_secs().into()),
            hold: furthest.and_then(Connection::agreed).and_then(|agreed| agreed.hold_time),
            hold_until,
            keepalive_at,
            send_until: furthest.and_then(|connection| self.send_until(connection)),
            dial_at: self.dial.deadline().filter(|_| self.connections.is_empty()),
            stale_until: self.stale_until,
        }
    }
}
