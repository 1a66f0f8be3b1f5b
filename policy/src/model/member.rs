//! Who can be at an end of a packet and be found by labels.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::label::Labels;

/// One attached container interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoint {
    /// What subjects and peers select it by.
    pub labels: Labels,
    /// Its addresses, of both families; no other endpoint has them.
    pub addresses: Vec<IpAddr>,
}

/// A named, labelled list of prefixes. No policy governs it; it only stands at the other end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddressSet {
    /// Unique among sets.
    pub name: String,
    /// What peers select it by.
    pub labels: Labels,
    /// What is in it, of both families; they may overlap.
    pub nets: Vec<IpNet>,
}

impl AddressSet {
    /// Whether one of its prefixes holds the address.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.nets.iter().any(|net| net.contains(&address))
    }
}
