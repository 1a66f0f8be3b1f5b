//! Where a packet was dropped, or met a rule that logs, as told to the listener.
//!
//! In: a place. Out: the log that stands before the drop there; and back from its prefix. Which policy rule denied a packet is not
//! told by the kernel: whoever listens asks [`explain`](crate::explain) with the packet and the direction.

use std::fmt;

use crate::model::Direction;
use crate::ruleset::Log;

/// The group the kernel tells of drops: a number nobody else is known to use, one agent listens in a network namespace.
pub const LOG_GROUP: u16 = 1430;

/// So many drops a second are told of for each rule that drops. A person reads no more, and a flood costs the agent no more than this.
pub const LOGS_PER_SECOND: u32 = 100;

/// How every prefix of ours begins.
const OURS: &str = "poplin ";

/// A place where packets are dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// Denied by the policy of one end.
    Denied(Direction),
    /// Not dropped, but told of because a rule says so.
    Logged(Direction),
    /// The interface has no policy.
    NoPolicy(Direction),
    /// The packet fits no known flow and begins none.
    Invalid(Direction),
    /// TCP from the middle of a stream that is not known.
    MidStream(Direction),
    /// The source address is not the endpoint's own.
    Spoof,
    /// Workloads may not open this to their own host.
    ToHost,
}

impl Place {
    /// Every place.
    pub const ALL: [Place; 12] = [
        Place::Denied(Direction::Egress),
        Place::Denied(Direction::Ingress),
        Place::Logged(Direction::Egress),
        Place::Logged(Direction::Ingress),
        Place::NoPolicy(Direction::Egress),
        Place::NoPolicy(Direction::Ingress),
        Place::Invalid(Direction::Egress),
        Place::Invalid(Direction::Ingress),
        Place::MidStream(Direction::Egress),
        Place::MidStream(Direction::Ingress),
        Place::Spoof,
        Place::ToHost,
    ];

    /// The log for the rule before the one that drops.
    pub fn log(self) -> Log {
        Log::new(LOG_GROUP, format!("{OURS}{self}"), LOGS_PER_SECOND)
    }

    /// The place a prefix tells of; nothing if it is not ours.
    pub fn from_prefix(prefix: &str) -> Option<Self> {
        let told = prefix.strip_prefix(OURS)?;
        Self::ALL.into_iter().find(|place| place.to_string() == told)
    }

    /// Which end dropped it: the source's or the destination's.
    pub fn direction(self) -> Direction {
        match self {
            Place::Denied(direction)
            | Place::Logged(direction)
            | Place::NoPolicy(direction)
            | Place::Invalid(direction)
            | Place::MidStream(direction) => direction,
            Place::Spoof | Place::ToHost => Direction::Egress,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Denied(direction) => write!(out, "{direction}"),
            Place::Logged(direction) => write!(out, "{direction} logged"),
            Place::NoPolicy(direction) => write!(out, "{direction} no-policy"),
            Place::Invalid(direction) => write!(out, "{direction} invalid"),
            Place::MidStream(direction) => write!(out, "{direction} mid-stream"),
            Place::Spoof => out.write_str("spoof"),
            Place::ToHost => out.write_str("to-host"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_known_by_its_prefix() {
        for place in Place::ALL {
            assert_eq!(Place::from_prefix(&place.log().prefix), Some(place));
        }
        assert_eq!(Place::from_prefix("somebody else's "), None);
        assert_eq!(Place::Denied(Direction::Egress).log().prefix, "poplin egress");
    }
}
