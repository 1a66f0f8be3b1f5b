//! Where a packet was dropped, or met a rule that logs, as told to the listener.
//!
//! In: a place, and where a policy had its say the chain that stands for what settled the packet. Out: the log that stands there; and
//! back from its prefix. So the kernel itself names the rule, whatever has become of the policy since.

use std::fmt;

use crate::model::Direction;
use crate::ruleset::{Log, Name};

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
    /// The interface has no policy, or it is a host endpoint's and none of its policies lets the packet pass.
    NoPolicy(Direction),
    /// The packet fits no known flow and begins none.
    Invalid(Direction),
    /// TCP from the middle of a stream that is not known.
    MidStream(Direction),
    /// The source address is not the endpoint's own.
    Spoof,
    /// Workloads may not open this to their own host.
    ToHost,
    /// It is for the end of a tunnel, and comes from none.
    Tunnel,
}

impl Place {
    /// Every place.
    pub const ALL: [Place; 13] = [
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
        Place::Tunnel,
    ];

    /// The log for the rule before the one that drops.
    pub fn log(self) -> Log {
        Log::new(LOG_GROUP, format!("{OURS}{self}"), LOGS_PER_SECOND)
    }

    /// The same, where a chain stands for what settled the packet.
    pub fn log_by(self, chain: &Name) -> Log {
        Log::new(LOG_GROUP, format!("{OURS}{self} {chain}"), LOGS_PER_SECOND)
    }

    /// The place a prefix tells of, and the chain if it names one; nothing if it is not ours.
    pub fn from_prefix(prefix: &str) -> Option<(Self, Option<Name>)> {
        let told = prefix.strip_prefix(OURS)?;
        let place = |text: &str| Self::ALL.into_iter().find(|place| place.to_string() == text);
        if let Some(place) = place(told) {
            return Some((place, None));
        }
        let (text, chain) = told.rsplit_once(' ')?;
        Some((place(text)?, Some(Name::parse(chain)?)))
    }

    /// Why, in a word, whichever end it was.
    pub const fn word(self) -> &'static str {
        match self {
            Place::Denied(_) => "denied",
            Place::Logged(_) => "logged",
            Place::NoPolicy(_) => "no-policy",
            Place::Invalid(_) => "invalid",
            Place::MidStream(_) => "mid-stream",
            Place::Spoof => "spoof",
            Place::ToHost => "to-host",
            Place::Tunnel => "tunnel",
        }
    }

    /// Which end dropped it: the source's or the destination's.
    pub fn direction(self) -> Direction {
        match self {
            Place::Denied(direction)
            | Place::Logged(direction)
            | Place::NoPolicy(direction)
            | Place::Invalid(direction)
            | Place::MidStream(direction) => direction,
            Place::Spoof | Place::ToHost | Place::Tunnel => Direction::Egress,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = self.word();
        match self {
            Place::Denied(direction) => write!(out, "{direction}"),
            Place::Logged(direction)
            | Place::NoPolicy(direction)
            | Place::Invalid(direction)
            | Place::MidStream(direction) => write!(out, "{direction} {word}"),
            Place::Spoof | Place::ToHost | Place::Tunnel => out.write_str(word),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_known_by_its_prefix() {
        for place in Place::ALL {
            let chain = Name::new("rule-0123456789abcdef");

            assert_eq!(Place::from_prefix(&place.log().prefix), Some((place, None)));
            assert_eq!(Place::from_prefix(&place.log_by(&chain).prefix), Some((place, Some(chain))));
        }
        assert_eq!(Place::from_prefix("somebody else's "), None);
        assert_eq!(Place::Denied(Direction::Egress).log().prefix, "poplin egress");
    }
}
