//! What is told about a neighbour beforehand, and the states its session passes through.

use std::{
    collections::BTreeSet,
    fmt,
    net::{Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use crate::{
    Address, Asn, RouteRules, bfd,
    wire::{AddPaths, Family},
};

use super::{PrefixLimits, Protection, RoleConfig, restart::RESTART_SECS_MAX};

/// What is told about one neighbour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NeighbourConfig {
    /// Its address, and its name.
    pub address: Address,
    /// The TCP port it listens on, usually 179.
    pub port: u16,
    /// The autonomous system it must be in; our own makes it an internal neighbour.
    pub asn: RemoteAs,
    /// The hold time we propose, in whole seconds: 0 for none, else 3 to 65535; other values are moved to the nearest.
    pub hold_time: Duration,
    /// How long we are silent at most, at least a second; `None`, and wherever that is shorter: a third of the hold time agreed on (RFC 4271 §4.4).
    pub keepalive: Option<Duration>,
    /// How long it may take nothing of what waits for it before its session ends; `None`: 8 minutes or twice the hold time agreed on, whichever
    /// is longer (RFC 9687 §4).
    pub send_hold: Option<Duration>,
    /// How long a dial may take, and how long to wait after one that failed.
    pub connect_retry: Duration,
    /// How long we may be away before it stops to lead traffic by what we told it, in whole seconds from 1 to 4095 (RFC 4724 §3), other values are
    /// moved to the nearest; also how long we keep its routes at most while it is away, and then again until it has told all.
    pub restart: Duration,
    /// Whether we only wait for its call.
    pub passive: bool,
    /// The families of routes we offer to exchange; one for which we have no next hop is not offered all the same.
    pub families: BTreeSet<Family>,
    /// Whether we offer to hear IPv4 prefixes over routers of IPv6, and tell them so to whoever offers the same (RFC 8950); `None`: over
    /// connections of IPv6.
    pub extended_next_hop: Option<bool>,
    /// The next hop of the IPv4 prefixes we originate; `None` takes our end of the connection if that is IPv4. Over a link-local connection
    /// our end of it comes first where the neighbour can hear that.
    pub next_hop_v4: Option<Ipv4Addr>,
    /// The next hop of the IPv6 prefixes we originate; `None` takes our end of the connection if that is IPv6. Over a link-local connection our
    /// end of it is told beside.
    pub next_hop_v6: Option<Ipv6Addr>,
    /// Whether more than one path to a prefix is exchanged with it (RFC 7911).
    pub add_paths: AddPaths,
    /// What we are to it, if it is in another system (RFC 9234); `None`: nobody says.
    pub role: Option<RoleConfig>,
    /// Whether messages may be up to 65,535 octets long instead of 4,096, if it can read them (RFC 8654).
    pub extended_messages: bool,
    /// How long its routes may stay as a last choice after it has been away for longer than a restart takes, and how long ours may with it
    /// (RFC 9494): what it says of itself counts where that is less. `None`: not at all, and it is not spoken of.
    pub long_lived: Option<Duration>,
    /// Whether its routes, and ours with it, outlive the end of a session by a NOTIFICATION or by its silence, as they outlive a restart, if it
    /// does the same (RFC 8538). An end that is meant to be one still takes them along.
    pub gentle: bool,
    /// How the way to it is watched by BFD; `None` leaves that to the hold time.
    pub bfd: Option<BfdConfig>,
    /// Which routes are exchanged with it. A change here ends no session: what differs is told.
    pub exchange: Exchange,
    /// What keeps strangers off the connections to it.
    pub protection: Protection,
    /// How many prefixes it may announce, and what follows if it does not keep to that.
    pub limits: PrefixLimits,
    /// Present: there is to be no session, and the neighbour is told so in these words, at most 255 octets, which may be none (RFC 9003).
    pub shutdown: Option<String>,
}

/// Which autonomous system a neighbour must be in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RemoteAs {
    /// This one.
    Is(Asn),
    /// Any but ours: its OPEN tells.
    External,
}

impl RemoteAs {
    /// Whether it is another system than this one, which is ours.
    pub fn is_external(self, ours: Asn) -> bool {
        self != Self::Is(ours)
    }

    /// Whether a neighbour in this system is the one that is meant.
    pub fn admits(self, asn: Asn, ours: Asn) -> bool {
        match self {
            Self::Is(wanted) => asn == wanted,
            Self::External => asn != ours,
        }
    }

    /// Which, if it is named.
    pub fn named(self) -> Option<Asn> {
        match self {
            Self::Is(asn) => Some(asn),
            Self::External => None,
        }
    }
}

impl From<Asn> for RemoteAs {
    fn from(asn: Asn) -> Self {
        Self::Is(asn)
    }
}

/// How the way to a neighbour is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BfdConfig {
    /// How often, and how far.
    pub settings: bfd::Settings,
    /// Whether there is no session before BFD is up. Else a neighbour that does not speak BFD is a neighbour like any other.
    pub is_strict: bool,
}

/// Which routes are exchanged with a neighbour; by default it hears what we originate, and we take what it offers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exchange {
    /// Which of the routes it offers we take.
    pub import: RouteRules,
    /// Which of the routes we would tell it we tell.
    pub export: RouteRules,
    /// The cluster we reflect routes for it in, if it is a client of ours (RFC 4456 §7): by custom our BGP identifier, or a number
    /// the reflectors of one cluster share. Only among internal neighbours.
    pub client_of: Option<Ipv4Addr>,
    /// Whether what we hear from others is passed on to it, and what it offers to others, where one of the two is external.
    pub transit: bool,
    /// How many paths to one prefix it is told at most, the best first, where it can hear more than one; 0 counts as 1.
    pub paths: usize,
    /// Whether it is to be let go, without a word, once others offer all that it offers: see `speaker/retire.rs`.
    pub retiring: bool,
}

impl NeighbourConfig {
    /// The hold time as it stands in an OPEN: one or two seconds do not exist, RFC 4271 §4.2.
    pub(crate) fn hold_time_secs(&self) -> u16 {
        match u16::try_from(self.hold_time.as_secs()).unwrap_or(u16::MAX) {
            0 if self.hold_time.is_zero() => 0,
            seconds => seconds.max(3),
        }
    }

    /// The time of a restart as it stands in an OPEN: 12 bits, RFC 4724 §3.
    pub(crate) fn restart_secs(&self) -> u16 {
        u16::try_from(self.restart.as_secs()).unwrap_or(u16::MAX).clamp(1, RESTART_SECS_MAX)
    }

    /// The same as a time.
    pub(crate) fn restart_time(&self) -> Duration {
        Duration::from_secs(self.restart_secs().into())
    }

    /// The time between two dials, at least a second: a neighbour that refuses at once must not make us spin.
    pub(crate) fn connect_retry(&self) -> Duration {
        self.connect_retry.max(Duration::from_secs(1))
    }
}

/// Where a session stands, RFC 4271 §8.2.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SessionState {
    /// Resting after an error; calls are turned away.
    Idle,
    /// Dialling.
    Connect,
    /// Waiting for a call, or for the time to dial.
    Active,
    /// Connected, and waiting for the neighbour's OPEN.
    OpenSent,
    /// Agreed, and waiting for the neighbour to confirm.
    OpenConfirm,
    /// Exchanging routes.
    Established,
}

impl fmt::Display for SessionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Idle => "idle",
            Self::Connect => "connect",
            Self::Active => "active",
            Self::OpenSent => "open sent",
            Self::OpenConfirm => "open confirm",
            Self::Established => "established",
        })
    }
}
