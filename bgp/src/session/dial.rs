//! What happens between connections: dialling, waiting, resting after an error.
//!
//! Rules: RFC 4271 §8.1.3 (ConnectRetryTimer, IdleHoldTimer) and §8.2.2 (Idle, Connect, Active).

use std::time::{Duration, Instant};

use super::SessionState;

/// What we do about having a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dial {
    /// Nothing: there is a connection, or the neighbour is to call.
    Quiet,
    /// After an error: nobody is dialled and no call is taken until then.
    Resting {
        /// When we dial again.
        until: Instant,
    },
    /// Somebody must change something first: nobody is dialled and no call is taken until then.
    Stopped,
    /// Calls are taken.
    Waiting {
        /// When we dial again.
        until: Instant,
    },
    /// The hands are at it.
    Dialling {
        /// When we ask them anew.
        retry_at: Instant,
    },
}

impl Dial {
    pub(super) fn deadline(self) -> Option<Instant> {
        match self {
            Self::Quiet | Self::Stopped => None,
            Self::Resting { until } | Self::Waiting { until } => Some(until),
            Self::Dialling { retry_at } => Some(retry_at),
        }
    }

    /// The state of a session without a connection.
    pub(super) fn state(self) -> SessionState {
        match self {
            Self::Resting { .. } | Self::Stopped => SessionState::Idle,
            Self::Quiet | Self::Waiting { .. } => SessionState::Active,
            Self::Dialling { .. } => SessionState::Connect,
        }
    }
}

/// How often the rest doubles: 1 s becomes 64 s, so that a neighbour that was mended is back within about a minute.
const DOUBLINGS_MAX: u32 = 6;

/// A session that lasted this long makes us forget the failures before it.
pub(super) const STEADY: Duration = Duration::from_secs(64);

/// How long to rest after this many failures in a row.
pub(super) fn rest(failures: u32) -> Duration {
    Duration::from_secs(1 << failures.min(DOUBLINGS_MAX))
}
