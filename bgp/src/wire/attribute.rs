//! What is said about a route.
//!
//! Rules: RFC 4271 §4.3 and §5, RFC 1997, RFC 4360 and RFC 8092 (communities), RFC 4456 (reflection), RFC 6793 (AS numbers), RFC 9234 (for whom a route is).
//! How attributes are read, and what is done about broken ones, stands in `collect.rs`.

mod encode;

use std::{fmt, net::Ipv4Addr};

use crate::Asn;

use super::{AnyCommunity, AsPath, Community, ExtendedCommunity, LargeCommunity};

pub(super) use encode::attribute;

/// The registered numbers of the attributes we know.
pub(super) mod code {
    pub(crate) const ORIGIN: u8 = 1;
    pub(crate) const AS_PATH: u8 = 2;
    pub(crate) const NEXT_HOP: u8 = 3;
    pub(crate) const MED: u8 = 4;
    pub(crate) const LOCAL_PREF: u8 = 5;
    pub(crate) const ATOMIC_AGGREGATE: u8 = 6;
    pub(crate) const AGGREGATOR: u8 = 7;
    pub(crate) const COMMUNITIES: u8 = 8;
    pub(crate) const ORIGINATOR_ID: u8 = 9;
    pub(crate) const CLUSTER_LIST: u8 = 10;
    pub(crate) const MP_REACH: u8 = 14;
    pub(crate) const MP_UNREACH: u8 = 15;
    pub(crate) const EXTENDED_COMMUNITIES: u8 = 16;
    pub(crate) const AS4_PATH: u8 = 17;
    pub(crate) const AS4_AGGREGATOR: u8 = 18;
    pub(crate) const LARGE_COMMUNITIES: u8 = 32;
    pub(crate) const ONLY_TO_CUSTOMER: u8 = 35;
}

/// The bits of an attribute's flags octet, RFC 4271 §4.3.
pub(super) mod flag {
    pub(crate) const OPTIONAL: u8 = 0x80;
    pub(crate) const TRANSITIVE: u8 = 0x40;
    pub(crate) const PARTIAL: u8 = 0x20;
    pub(crate) const EXTENDED_LENGTH: u8 = 0x10;
    pub(crate) const WELL_KNOWN: u8 = TRANSITIVE;
    pub(crate) const OPTIONAL_TRANSITIVE: u8 = OPTIONAL | TRANSITIVE;
}

/// How a route came into BGP; the earlier the better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    /// From within the originating system.
    Igp = 0,
    /// From the exterior gateway protocol of old.
    Egp = 1,
    /// By some other means.
    Incomplete = 2,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Igp => "igp",
            Self::Egp => "egp",
            Self::Incomplete => "incomplete",
        })
    }
}

/// Who made one route out of several.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Aggregator {
    /// Its autonomous system.
    pub asn: Asn,
    /// Its address, usually its BGP identifier.
    pub address: Ipv4Addr,
}

/// An optional transitive attribute we do not know; it is passed on as it came, and marked as not understood.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Unknown {
    /// Its registered number.
    pub code: u8,
    /// Its octets.
    pub value: Vec<u8>,
}

/// What is said about one or many routes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Attributes {
    /// How it came into BGP.
    pub origin: Origin,
    /// Through which systems.
    pub path: AsPath,
    /// Over which router; only for prefixes of the classic IPv4 field, others carry theirs in [`Reach`](super::Reach).
    pub next_hop: Option<Ipv4Addr>,
    /// Which of several entries into one system that system prefers: the lower the better.
    pub med: Option<u32>,
    /// How much our system prefers it: the higher the better. Only among internal neighbours.
    pub local_pref: Option<u32>,
    /// Whether detail was lost by aggregation.
    pub atomic_aggregate: bool,
    /// Who aggregated it.
    pub aggregator: Option<Aggregator>,
    /// Tags of four octets, in the order they came.
    pub communities: Vec<Community>,
    /// Tags of eight octets, in the order they came.
    pub extended: Vec<ExtendedCommunity>,
    /// Tags of twelve octets, in the order they came, none of them twice.
    pub large: Vec<LargeCommunity>,
    /// Who brought it into our system, if a route reflector passed it on.
    pub originator: Option<Ipv4Addr>,
    /// The reflectors it passed, the latest first.
    pub clusters: Vec<Ipv4Addr>,
    /// Present: it is for customers only from here on, as this system has said (OTC, RFC 9234 §5).
    pub only_to_customer: Option<Asn>,
    /// What we do not know.
    pub unknown: Vec<Unknown>,
    /// The numbers of those known to us that somebody on the way did not know, in their order: the Partial bit stays set for ever.
    pub partial: Vec<u8>,
}

impl Attributes {
    /// What must be said, and nothing more.
    pub fn new(origin: Origin, path: AsPath) -> Self {
        Self {
            origin,
            path,
            next_hop: None,
            med: None,
            local_pref: None,
            atomic_aggregate: false,
            aggregator: None,
            communities: Vec::new(),
            extended: Vec::new(),
            large: Vec::new(),
            originator: None,
            clusters: Vec::new(),
            only_to_customer: None,
            unknown: Vec::new(),
            partial: Vec::new(),
        }
    }

    /// Whether whoever told it, or told whoever told it, is away for long: RFC 9494.
    pub fn is_long_lived_stale(&self) -> bool {
        self.communities.contains(&Community::LLGR_STALE)
    }

    /// What was so before is so still: no rule may take that mark away (RFC 9494 §4.3).
    pub(crate) fn stay_long_lived_stale(&mut self, before: &Self) {
        if before.is_long_lived_stale() && !self.is_long_lived_stale() {
            self.communities.push(Community::LLGR_STALE);
        }
    }

    /// All tags of the route, the short ones first.
    pub fn all_communities(&self) -> impl Iterator<Item = AnyCommunity> {
        let standard = self.communities.iter().copied().map(AnyCommunity::Standard);
        let extended = self.extended.iter().copied().map(AnyCommunity::Extended);
        standard.chain(extended).chain(self.large.iter().copied().map(AnyCommunity::Large))
    }

    /// At most how many octets they take in a message, whatever was agreed on with the neighbour.
    pub(crate) fn octets_max(&self) -> usize {
        // All that is bounded, each with its own head of at most four octets, and the heads of what is not.
        const FIXED: usize = 160;
        let tags = 4 * self.communities.len() + 8 * self.extended.len() + LargeCommunity::OCTETS * self.large.len();
        let unknown: usize = self.unknown.iter().map(|unknown| 4 + unknown.value.len()).sum();
        FIXED + self.path.octets_max() + tags + unknown + 4 * self.clusters.len()
    }

    /// How a route reads in one line, for `explain`.
    pub fn summary(&self, next_hop: impl fmt::Display) -> String {
        format!("via {next_hop} path [{}] origin {}", self.path, self.origin)
    }
}
