//! What is wanted of a session.

use std::time::Duration;

/// The time between two packets that nobody chose otherwise.
/// Three times 300 ms is what switches commonly take for software: sooner, and a busy host counts as dead.
pub const INTERVAL: Duration = Duration::from_millis(300);

/// The shortest: below it a thread of an ordinary kernel does not keep time when its processor is busy.
pub const INTERVAL_MIN: Duration = Duration::from_millis(10);

/// The longest: beyond it BGP's own hold time is as soon.
pub const INTERVAL_MAX: Duration = Duration::from_secs(60);

/// How many packets in a row may be missed that nobody chose otherwise.
pub const MULTIPLIER: u8 = 3;

/// How far away the other end may be; each has a port of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Path {
    /// On the link: what passed a router is not taken (RFC 5881 §5).
    Direct,
    /// Behind routers (RFC 5883).
    Multihop,
}

impl Path {
    /// The UDP port packets are sent to, RFC 5881 §4 and RFC 5883 §5.
    pub fn port(self) -> u16 {
        match self {
            Self::Direct => 3784,
            Self::Multihop => 4784,
        }
    }
}

/// What is wanted of one session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The time between two packets, in both directions; moved into [`INTERVAL_MIN`] to [`INTERVAL_MAX`].
    pub interval: Duration,
    /// How many of our packets in a row the other end may miss; zero counts as one.
    pub multiplier: u8,
    /// How far away the other end may be.
    pub path: Path,
}

impl Settings {
    pub(super) fn interval(&self) -> Duration {
        self.interval.clamp(INTERVAL_MIN, INTERVAL_MAX)
    }

    pub(super) fn multiplier(&self) -> u8 {
        self.multiplier.max(1)
    }
}
