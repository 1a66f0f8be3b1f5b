//! By which of the host's own interfaces a packet comes and goes.
//!
//! In: the kernel as it was last read, and addresses. Out: where each end of a packet is, seen from this host. An address that is far is
//! looked up in the main table as the kernel would; one that comes from there is taken to come by the way an answer would go.
//! Rules that lead to other tables (ip-rule(8)) are not known here.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use poplin_bgp::Address;
pub use poplin_policy::course::{Course, Side};
use poplin_policy::packet::{Packet, Transport};
use poplin_policy::ruleset::Interface;

use crate::kernel::{Gateway, KernelState, Target};
use crate::underlay::{Learned, longest_match, resolve};

/// The host's own loopback, which is nobody's doorway.
const LOOPBACK: &str = "lo";

/// A packet whose destination was translated.
pub(crate) fn led_to(packet: &Packet, socket: SocketAddr) -> Packet {
    let transport = match packet.transport {
        Transport::Ports { protocol, source, destination: _ } => {
            Transport::Ports { protocol, source, destination: socket.port() }
        }
        other @ (Transport::Icmp { .. } | Transport::Other(_)) => other,
    };
    Packet { source: packet.source, destination: socket.ip(), transport }
}

/// The host's own interfaces, and what they lead to.
#[derive(Clone, Copy, Debug)]
pub struct Doors<'k> {
    kernel: &'k KernelState,
}

impl<'k> Doors<'k> {
    /// Those of a host whose kernel was read so.
    pub fn of(kernel: &'k KernelState) -> Self {
        Self { kernel }
    }

    /// All of them.
    pub fn all(self) -> BTreeSet<Interface> {
        self.kernel.interfaces.keys().filter(|name| name.as_str() != LOOPBACK).cloned().collect()
    }

    /// Those that lead to an address; several where routes of equal cost do, none where no route is known.
    pub fn leading_to(self, address: IpAddr) -> BTreeSet<Interface> {
        let Self { kernel } = self;
        let near = longest_match(&kernel.underlay, address).map(|(prefix, _)| prefix.prefix_len());
        let ours = longest_match(&kernel.learned, address).filter(|(prefix, _)| near < Some(prefix.prefix_len()));
        let gateways = match ours {
            Some((_, Target::Gateways(gateways))) => gateways.clone(),
            Some((_, Target::Group(group))) => kernel.gateways_of(*group).unwrap_or_default(),
            Some((_, Target::Link(_) | Target::Endpoints(_) | Target::Blackhole)) => BTreeSet::new(),
            None => BTreeSet::from([Gateway { address, interface: None }]),
        };
        gateways.into_iter().flat_map(|gateway| self.behind(gateway)).collect()
    }

    /// Those that lead to a gateway.
    fn behind(self, Gateway { address, interface }: Gateway) -> BTreeSet<Interface> {
        let on_link = match interface {
            Some(index) => BTreeSet::from([index]),
            None => {
                let resolved = resolve(self.kernel, &Learned::new(), &[Address::from(address)]);
                resolved.gateways.into_iter().filter_map(|gateway| gateway.interface).collect()
            }
        };
        let is_there = |(_, index): &(_, &u32)| on_link.contains(index);
        self.kernel.interfaces.iter().filter(is_there).map(|(name, _)| name.clone()).collect()
    }
}

#[cfg(test)]
mod tests;
