//! The two address families, in the words of rules.

use std::net::IpAddr;

use crate::model::Direction;
use crate::ruleset::{Atom, Datatype, FAMILY_4, FAMILY_6, Field};

/// IPv4 or IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Family {
    V4,
    V6,
}

impl Family {
    pub(super) const BOTH: [Self; 2] = [Self::V4, Self::V6];

    pub(super) fn of(address: IpAddr) -> Self {
        if address.is_ipv4() { Self::V4 } else { Self::V6 }
    }

    /// What `meta nfproto` says.
    pub(super) fn atom(self) -> Atom {
        match self {
            Self::V4 => FAMILY_4,
            Self::V6 => FAMILY_6,
        }
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
}

/// An address as a rule's value.
pub(super) fn address_atom(address: IpAddr) -> Atom {
    match address {
        IpAddr::V4(address) => Atom::Address4(address),
        IpAddr::V6(address) => Atom::Address6(address),
    }
}
