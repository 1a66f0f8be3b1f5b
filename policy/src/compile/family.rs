//! The two address families, in the words of rules.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::condition::equals;
use crate::model::{Direction, IpVersion};
use crate::ruleset::{Atom, Datatype, FAMILY_4, FAMILY_6, Field, Match};

impl IpVersion {
    /// What `meta nfproto` says.
    pub(super) fn atom(self) -> Atom {
        match self {
            Self::V4 => FAMILY_4,
            Self::V6 => FAMILY_6,
        }
    }

    pub(super) fn is_it(self) -> Match {
        equals(Field::Family, self.atom())
    }

    pub(super) fn datatype(self) -> Datatype {
        match self {
            Self::V4 => Datatype::Address4,
            Self::V6 => Datatype::Address6,
        }
    }

    /// Where the other end's address stands.
    pub(super) fn peer_field(self, direction: Direction) -> Field {
        match (self, direction) {
            (Self::V4, Direction::Ingress) => Field::Source4,
            (Self::V4, Direction::Egress) => Field::Destination4,
            (Self::V6, Direction::Ingress) => Field::Source6,
            (Self::V6, Direction::Egress) => Field::Destination6,
        }
    }

    /// `4` or `6`, as names of sets end their kind.
    pub(super) fn digit(self) -> char {
        match self {
            Self::V4 => '4',
            Self::V6 => '6',
        }
    }

    /// The greatest address, as a number.
    pub(super) fn greatest(self) -> u128 {
        match self {
            Self::V4 => u32::MAX.into(),
            Self::V6 => u128::MAX,
        }
    }

    /// The address of a number.
    pub(super) fn address(self, bits: u128) -> IpAddr {
        match self {
            Self::V4 => Ipv4Addr::from_bits(u32::try_from(bits).expect("IPv4 ends within 32 bits")).into(),
            Self::V6 => Ipv6Addr::from_bits(bits).into(),
        }
    }
}

/// An address as a number.
pub(super) fn bits_of(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_bits().into(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// An address as a rule's value.
pub(super) fn address_atom(address: IpAddr) -> Atom {
    match address {
        IpAddr::V4(address) => Atom::Address4(address),
        IpAddr::V6(address) => Atom::Address6(address),
    }
}
