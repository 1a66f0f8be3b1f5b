//! Next hops as the kernel keeps them: objects of their own, which thousands of routes point at.
//!
//! In: nothing, these are values. A route of ours points at a group, also where there is one gateway only: the kernel puts a group in the
//! place of a group, never in that of a single next hop (linux net/ipv4/nexthop.c, `replace_nexthop`).

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

use crate::kernel::ROUTE_PROTOCOL;

/// A router on a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Gateway {
    /// Its address, of either family.
    pub address: IpAddr,
    /// Index of the interface it is on; absent = wherever the kernel finds it. A next hop object needs one.
    pub interface: Option<u32>,
}

impl fmt::Display for Gateway {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.interface {
            Some(interface) => write!(out, "{}%{interface}", self.address),
            None => self.address.fmt(out),
        }
    }
}

/// Number of a next hop object of ours, in `NHA_ID`. All programs of a host share these numbers: ours begin with our protocol's number,
/// far from those the kernel gives by itself, which count from 1.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NextHopId(u32);

impl NextHopId {
    /// The lowest.
    pub const FIRST: Self = Self((ROUTE_PROTOCOL as u32) << 24);
    /// The highest.
    pub const LAST: Self = Self(Self::FIRST.0 | 0x00ff_ffff);

    /// Nothing if the number is not one of ours.
    pub fn new(number: u32) -> Option<Self> {
        (Self::FIRST.0..=Self::LAST.0).contains(&number).then_some(Self(number))
    }

    /// As the kernel has it.
    pub fn number(self) -> u32 {
        self.0
    }

    /// The one after it; after the last, the first.
    #[must_use]
    pub fn next(self) -> Self {
        Self::new(self.0.wrapping_add(1)).unwrap_or(Self::FIRST)
    }
}

impl fmt::Debug for NextHopId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "#{}", self.0 - Self::FIRST.0)
    }
}

impl fmt::Display for NextHopId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

/// One object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NextHop {
    /// A gateway, with its interface.
    Single(Gateway),
    /// Several singles of equal weight, or one.
    Group(BTreeSet<NextHopId>),
}
