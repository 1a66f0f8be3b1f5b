//! Under which address a host itself speaks to containers that it reaches through the tunnel.
//!
//! In: the host as others know it, the kernel as last seen. Out: the address for a route. The device has none, so the kernel would take the first it finds, on
//! `lo` or on any link. But what a container answers goes back through the tunnel only to what hosts are known by; anything else of a container's the
//! network between does not route. The same address on the device itself would do, too; but who sends multicast from it, or joins a group by it, would
//! then be on the device (linux net/ipv4/route.c, `ip_route_output_key_hash_rcu`; net/ipv4/igmp.c, `ip_mc_find_dev`).

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::kernel::{Gateway, KernelState};
use crate::object::Host;

/// The device, and the addresses others know this host by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources {
    /// Index of the device; absent = nothing is wrapped.
    device: Option<u32>,
    /// At most one of each family.
    addresses: BTreeSet<IpAddr>,
}

impl Sources {
    /// Those of this host. An address that it does not have at the moment is none: the kernel takes no route that names it.
    pub fn new(me: &Host, kernel: &KernelState) -> Self {
        let device = kernel.tunnel.as_ref().map(|standing| standing.index);
        let addresses = me.addresses.intersection(&kernel.local).copied();
        Self { device, addresses: addresses.filter(|_| device.is_some()).collect() }
    }

    /// Whether any of these gateways is in the tunnel.
    pub fn are_for(&self, gateways: &BTreeSet<Gateway>) -> bool {
        self.device.is_some() && gateways.iter().any(|gateway| gateway.interface == self.device)
    }

    /// The one for a route to this prefix by these gateways, if it leads into the tunnel.
    pub fn of(&self, prefix: &IpNet, gateways: &BTreeSet<Gateway>) -> Option<IpAddr> {
        let is_of_its_family = |one: &&IpAddr| one.is_ipv6() == prefix.addr().is_ipv6();
        self.addresses.iter().find(is_of_its_family).filter(|_| self.are_for(gateways)).copied()
    }
}
