//! What a speaker wants in the log.

use std::{fmt, time::Duration};

use ipnet::IpNet;

use crate::{
    Address, Asn, Refusal,
    bfd::Diagnostic,
    wire::{Family, Flaw, Notification},
};

/// Something worth a line in the log; its `Display` is that line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// A session is established.
    SessionUp {
        /// With whom.
        neighbour: Address,
        /// In which autonomous system.
        asn: Asn,
    },
    /// An established session ended.
    SessionDown {
        /// With whom.
        neighbour: Address,
        /// Why.
        reason: String,
        /// How long its routes are kept, should it have restarted; `None` if they are gone.
        kept: Option<Duration>,
    },
    /// A neighbour did not come back in time, or not with its whole table: what was kept of its routes is gone.
    RestartExpired {
        /// Who.
        neighbour: Address,
    },
    /// A neighbour began to tell all of a family again and did not end: what it did not tell again is gone.
    RefreshExpired {
        /// Who.
        neighbour: Address,
        /// Which family.
        family: Family,
    },
    /// A neighbour is away for longer than a restart takes: its routes are the last choice from now on.
    LongLivedBegun {
        /// Who.
        neighbour: Address,
        /// How long they are kept at most.
        kept: Duration,
    },
    /// BFD says that a neighbour does not even forward while it restarts: what was kept of its routes is gone.
    RestartAbandoned {
        /// Who.
        neighbour: Address,
    },
    /// BFD sees a neighbour.
    PathUp {
        /// Whom.
        neighbour: Address,
    },
    /// BFD does not see a neighbour any more.
    PathDown {
        /// Whom.
        neighbour: Address,
        /// Why, in the words of the standard.
        diagnostic: Diagnostic,
    },
    /// A dial came to nothing; it is tried again.
    ConnectFailed {
        /// Whom we dialled.
        neighbour: Address,
        /// Why.
        reason: String,
    },
    /// The neighbour found fault with us.
    ErrorReceived {
        /// Who.
        neighbour: Address,
        /// In its words.
        error: Notification,
    },
    /// We found fault with the neighbour.
    ErrorSent {
        /// With whom.
        neighbour: Address,
        /// In our words.
        error: Notification,
    },
    /// A connection was turned away.
    Refused {
        /// Whence it came.
        neighbour: Address,
        /// Why.
        reason: String,
    },
    /// An UPDATE had a flaw that RFC 7606 lets a session survive.
    Malformed {
        /// Who sent it.
        neighbour: Address,
        /// What was wrong, and what became of it.
        flaw: Flaw,
    },
    /// A neighbour announces more prefixes than it should.
    TooManyPrefixes {
        /// Who.
        neighbour: Address,
        /// Of which family.
        family: Family,
        /// How many.
        count: usize,
        /// How many it may.
        limit: usize,
    },
    /// Routes were turned away by an import guard.
    RoutesRefused {
        /// Who offered them.
        neighbour: Address,
        /// Which.
        prefixes: Vec<IpNet>,
        /// Why.
        refusal: Refusal,
    },
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SessionUp { neighbour, asn } => write!(f, "session with {neighbour} (AS {asn}) is up"),
            Self::SessionDown { neighbour, reason, kept } => {
                write!(f, "session with {neighbour} is down: {reason}")?;
                kept.map_or(Ok(()), |kept| write!(f, "; its routes are kept for {} s", kept.as_secs()))
            }
            Self::RestartExpired { neighbour } => {
                write!(f, "{neighbour} did not tell its routes again in time: those kept are removed")
            }
            Self::RefreshExpired { neighbour, family } => {
                write!(
                    f,
                    "{neighbour} began to tell its {family} routes again and did not end: those it left out are removed"
                )
            }
            Self::LongLivedBegun { neighbour, kept } => {
                let seconds = kept.as_secs();
                write!(f, "{neighbour} stays away: its routes are kept as the last choice for {seconds} s")
            }
            Self::RestartAbandoned { neighbour } => {
                write!(f, "{neighbour} does not forward while it restarts, says BFD: the routes kept are removed")
            }
            Self::PathUp { neighbour } => write!(f, "BFD with {neighbour} is up"),
            Self::PathDown { neighbour, diagnostic } => write!(f, "BFD with {neighbour} is down: {diagnostic}"),
            Self::ConnectFailed { neighbour, reason } => write!(f, "cannot connect to {neighbour}: {reason}"),
            Self::ErrorReceived { neighbour, error } => write!(f, "{neighbour} reports an error: {error}"),
            Self::ErrorSent { neighbour, error } => write!(f, "reported an error to {neighbour}: {error}"),
            Self::Refused { neighbour, reason } => write!(f, "refused a connection of {neighbour}: {reason}"),
            Self::Malformed { neighbour, flaw } => write!(f, "malformed update from {neighbour}: {flaw}"),
            Self::TooManyPrefixes { neighbour, family, count, limit } => {
                write!(f, "{neighbour} announces {count} {family} prefixes, and {limit} are allowed")
            }
            Self::RoutesRefused { neighbour, prefixes, refusal } => {
                write!(f, "refused {} of {neighbour}: {refusal}", Listed(prefixes))
            }
        }
    }
}

/// The first few prefixes by name, the rest by number: a full table must not become one log line.
struct Listed<'a>(&'a [IpNet]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMED: usize = 3;
        let named: Vec<_> = self.0.iter().take(NAMED).map(IpNet::to_string).collect();
        write!(f, "{}", named.join(", "))?;
        match self.0.len().saturating_sub(NAMED) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}
