//! What a speaker says it can do.
//!
//! Rules: RFC 5492 (the form), RFC 4760 (families), RFC 2918 and RFC 7313 (route refresh), RFC 4724 and RFC 9494 (graceful
//! restart), RFC 6793 (four-octet AS numbers), RFC 8654 (extended messages), RFC 8950 (extended next hops), RFC 9234 (roles).

mod next_hops;
mod text;

use std::collections::{BTreeMap, BTreeSet};

use crate::Asn;

use super::{AddPaths, GracefulRestart, LongLived, Role, reader::Reader};

/// Which kind of address a route is for; always unicast.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4 unicast: AFI 1, SAFI 1.
    Ipv4,
    /// IPv6 unicast: AFI 2, SAFI 1.
    Ipv6,
}

impl std::fmt::Display for Family {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Ipv4 => "IPv4",
            Self::Ipv6 => "IPv6",
        })
    }
}

impl Family {
    /// Both, in the order of their numbers.
    pub const ALL: [Family; 2] = [Family::Ipv4, Family::Ipv6];

    const UNICAST: u8 = 1;

    /// The family with these numbers, if we speak it.
    pub fn of(afi: u16, safi: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|family| family.numbers() == (afi, safi))
    }

    /// AFI and SAFI.
    pub fn numbers(self) -> (u16, u8) {
        match self {
            Self::Ipv4 => (1, Self::UNICAST),
            Self::Ipv6 => (2, Self::UNICAST),
        }
    }

    /// The family that a prefix belongs to.
    pub fn of_prefix(prefix: &ipnet::IpNet) -> Self {
        match prefix {
            ipnet::IpNet::V4(_) => Self::Ipv4,
            ipnet::IpNet::V6(_) => Self::Ipv6,
        }
    }
}

/// One thing a speaker can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Capability {
    /// Carries routes of this family.
    Multiprotocol(Family),
    /// Answers a ROUTE-REFRESH.
    RouteRefresh,
    /// Marks where a refresh begins and ends (RFC 7313).
    EnhancedRefresh,
    /// Is this to its neighbour (RFC 9234).
    Role(Role),
    /// Can read prefixes of these families over routers of IPv6 (RFC 8950); of IPv6 itself nobody need say so.
    ExtendedNextHop(BTreeSet<Family>),
    /// Can read messages longer than 4,096 octets (RFC 8654).
    ExtendedMessages,
    /// May restart without its routes being dropped at once.
    GracefulRestart(GracefulRestart),
    /// Can do more than one path to one prefix, by family (RFC 7911).
    AddPaths(BTreeMap<Family, AddPaths>),
    /// May stay away for long without its routes being dropped.
    LongLived(LongLived),
    /// Writes AS numbers with four octets; this is its own.
    FourOctetAsn(Asn),
    /// Something we do not know, and need not.
    Other {
        /// Its registered code.
        code: u8,
        /// At most 255 octets.
        value: Vec<u8>,
    },
}

const MULTIPROTOCOL: u8 = 1;
const ROUTE_REFRESH: u8 = 2;
const EXTENDED_NEXT_HOP: u8 = 5;
const EXTENDED_MESSAGES: u8 = 6;
const ROLE: u8 = 9;
const GRACEFUL_RESTART: u8 = 64;
const FOUR_OCTET_ASN: u8 = 65;
const ADD_PATH: u8 = 69;
const ENHANCED_REFRESH: u8 = 70;
const LONG_LIVED: u8 = 71;

impl Capability {
    /// All capabilities of one optional parameter; `None` if their lengths do not add up.
    pub(super) fn decode_all(parameter: &[u8]) -> Option<Vec<Self>> {
        let mut reader = Reader::new(parameter);
        let mut all = Vec::new();
        while !reader.is_empty() {
            let code = reader.u8()?;
            all.push(Self::decode(code, reader.counted_u8()?));
        }
        Some(all)
    }

    /// A capability we know by its code but not by its form is kept as one we do not know.
    fn decode(code: u8, value: &[u8]) -> Self {
        match (code, value) {
            (MULTIPROTOCOL, &[afi0, afi1, _, safi]) => Family::of(u16::from_be_bytes([afi0, afi1]), safi)
                .map_or_else(|| Self::other(code, value), Self::Multiprotocol),
            (ROUTE_REFRESH, []) => Self::RouteRefresh,
            (ENHANCED_REFRESH, []) => Self::EnhancedRefresh,
            (ROLE, &[octet]) => Role::of(octet).map_or_else(|| Self::other(code, value), Self::Role),
            (EXTENDED_NEXT_HOP, _) => {
                next_hops::decode_all(value).map_or_else(|| Self::other(code, value), Self::ExtendedNextHop)
            }
            (EXTENDED_MESSAGES, []) => Self::ExtendedMessages,
            (GRACEFUL_RESTART, _) => {
                GracefulRestart::decode(value).map_or_else(|| Self::other(code, value), Self::GracefulRestart)
            }
            (LONG_LIVED, _) => LongLived::decode(value).map_or_else(|| Self::other(code, value), Self::LongLived),
            (FOUR_OCTET_ASN, &[a, b, c, d]) => Self::FourOctetAsn(Asn(u32::from_be_bytes([a, b, c, d]))),
            (ADD_PATH, _) => AddPaths::decode_all(value).map_or_else(|| Self::other(code, value), Self::AddPaths),
            _ => Self::other(code, value),
        }
    }

    fn other(code: u8, value: &[u8]) -> Self {
        Self::Other { code, value: value.to_vec() }
    }

    /// The capability as it stands in an OPEN.
    pub fn octets(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.encode(&mut out);
        out
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Multiprotocol(family) => {
                let (afi, safi) = family.numbers();
                out.extend([MULTIPROTOCOL, 4]);
                out.extend(afi.to_be_bytes());
                out.extend([0, safi]);
            }
            Self::RouteRefresh => out.extend([ROUTE_REFRESH, 0]),
            Self::EnhancedRefresh => out.extend([ENHANCED_REFRESH, 0]),
            Self::Role(role) => out.extend([ROLE, 1, *role as u8]),
            Self::ExtendedNextHop(all) => encode_counted(EXTENDED_NEXT_HOP, &next_hops::encode_all(all), out),
            Self::ExtendedMessages => out.extend([EXTENDED_MESSAGES, 0]),
            Self::FourOctetAsn(asn) => {
                out.extend([FOUR_OCTET_ASN, 4]);
                out.extend(asn.0.to_be_bytes());
            }
            Self::GracefulRestart(restart) => encode_counted(GRACEFUL_RESTART, &restart.encode(), out),
            Self::AddPaths(all) => encode_counted(ADD_PATH, &AddPaths::encode_all(all), out),
            Self::LongLived(long_lived) => encode_counted(LONG_LIVED, &long_lived.encode(), out),
            Self::Other { code, value } => encode_counted(*code, &value[..value.len().min(255)], out),
        }
    }
}

fn encode_counted(code: u8, value: &[u8], out: &mut Vec<u8>) {
    out.extend([code, u8::try_from(value.len()).unwrap_or(u8::MAX)]);
    out.extend(value);
}
