//! How a session stands, for the speaker and for people.

use std::{
    fmt,
    time::{Duration, Instant},
};

use crate::Address;

use super::{Diagnostic, Path};

/// Where a session stands, RFC 5880 §6.2.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// Switched off by a person.
    AdminDown,
    /// The other end is not heard, or has just begun.
    #[default]
    Down,
    /// The other end is heard, and is not known to hear us.
    Init,
    /// Both hear each other.
    Up,
}

impl State {
    pub(super) fn from_bits(bits: u8) -> Self {
        match bits & 0b11 {
            0 => Self::AdminDown,
            1 => Self::Down,
            2 => Self::Init,
            _ => Self::Up,
        }
    }

    pub(super) fn bits(self) -> u8 {
        match self {
            Self::AdminDown => 0,
            Self::Down => 1,
            Self::Init => 2,
            Self::Up => 3,
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AdminDown => "AdminDown",
            Self::Down => "Down",
            Self::Init => "Init",
            Self::Up => "Up",
        })
    }
}

/// How one session stands at this moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// The other end.
    pub neighbour: Address,
    /// How far away it may be.
    pub path: Path,
    /// Where the session stands.
    pub state: State,
    /// When that state was entered.
    pub since: Instant,
    /// Why we last left the state Up.
    pub diagnostic: Diagnostic,
    /// Why the other end says it last left the state Up.
    pub remote_diagnostic: Diagnostic,
    /// The time between two packets that we send, before chance shortens it (RFC 5880 §6.8.7).
    pub transmit_interval: Duration,
    /// How long silence is borne (RFC 5880 §6.8.4); zero while the other end was never heard.
    pub detection_time: Duration,
    /// How the session last left the state Up; `None` if it never did.
    pub fall: Option<Fall>,
}

/// How a session left the state Up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fall {
    /// When.
    pub at: Instant,
    /// When the last packet had come.
    pub heard: Instant,
    /// What it says about the way.
    pub cause: Cause,
    /// Whether the other end's part does not share the fate of its control plane (the C bit, RFC 5880 §4.1): then its silence
    /// means that it does not forward either.
    pub is_independent: bool,
}

/// What a fall says about the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Nothing comes through to us.
    Silence,
    /// Nothing comes through to the other end.
    Signalled,
    /// The other end has begun anew: it has another discriminator, or says that it heard us. The way works, and what stood
    /// before is gone.
    Restarted,
    /// Somebody switched the session off: nothing is said about the way (RFC 5880 §6.2).
    Administrative,
}
