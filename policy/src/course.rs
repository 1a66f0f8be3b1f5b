//! Where a packet comes from and goes to, seen from one host.

use std::collections::BTreeSet;

use crate::packet::Packet;
use crate::ruleset::Interface;

/// A packet that begins a flow, and where its ends are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Course {
    /// As it comes.
    pub opened: Packet,
    /// After the translation of its destination, where one of our own ports is published.
    pub judged: Packet,
    /// Whence.
    pub source: Side,
    /// Whereto, after translation.
    pub destination: Side,
}

/// Where an end is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Side {
    /// This host itself.
    Host,
    /// An endpoint of this host, on its link.
    Link(Interface),
    /// Neither; these interfaces lead there, any of them. None = no route is known.
    Far(BTreeSet<Interface>),
}
