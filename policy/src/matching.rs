//! Whether a rule fits a packet, and if not, why not.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::model::{Direction, Peers, PortMatch, PortSide, Rule};
use crate::packet::{Packet, Transport, protocol_name};
use crate::selector::Selector;
use crate::world::World;

/// The first thing a rule asks for that a packet does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mismatch {
    /// No entry of `ports` or `source_ports` has the packet's protocol.
    Protocol {
        /// The packet's.
        protocol: u8,
        /// What the rule asks for.
        wanted: Vec<PortMatch>,
    },
    /// The protocol fits, the destination port or the ICMP message does not.
    Port {
        /// What the packet carries.
        transport: Transport,
        /// What the rule asks for.
        wanted: Vec<PortMatch>,
    },
    /// The protocol fits, the source port does not.
    SourcePort {
        /// What the packet carries.
        transport: Transport,
        /// What the rule asks for.
        wanted: Vec<PortMatch>,
    },
    /// No endpoint or address set that the selector admits has the address.
    NotSelected {
        /// The other end: the source for ingress, the destination for egress.
        peer: Peer,
        /// What the rule asks for.
        select: Selector,
    },
    /// None of the prefixes holds the address.
    OutsideNets {
        /// The other end.
        peer: Peer,
        /// What the rule asks for.
        nets: Vec<IpNet>,
    },
    /// A prefix that was taken out holds the address.
    InNotNets {
        /// The other end.
        peer: Peer,
        /// Which prefix.
        net: IpNet,
    },
    /// None of the named sets holds the address.
    OutsideSets {
        /// The other end.
        peer: Peer,
        /// What the rule asks for.
        sets: Vec<String>,
    },
}

/// The other end of a packet, as a rule sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Ingress: it is the source. Egress: it is the destination.
    pub direction: Direction,
    /// Its address.
    pub address: IpAddr,
}

impl Peer {
    /// The end of a packet that rules of a direction look at.
    pub fn of(packet: &Packet, direction: Direction) -> Self {
        let address = match direction {
            Direction::Ingress => packet.source,
            Direction::Egress => packet.destination,
        };
        Self { direction, address }
    }
}

/// Why the rule does not fit; nothing if it does.
pub fn mismatch(world: &World, rule: &Rule, direction: Direction, packet: &Packet) -> Option<Mismatch> {
    port_mismatch(&rule.ports, PortSide::Destination, packet)
        .or_else(|| port_mismatch(&rule.source_ports, PortSide::Source, packet))
        .or_else(|| peer_mismatch(world, &rule.peers, Peer::of(packet, direction)))
}

fn port_mismatch(wanted: &[PortMatch], side: PortSide, packet: &Packet) -> Option<Mismatch> {
    if wanted.is_empty() || wanted.iter().any(|port| port.admits(side, packet)) {
        return None;
    }
    let (transport, protocol) = (packet.transport, packet.protocol());
    let wanted = wanted.to_vec();
    Some(match side {
        _ if wanted.iter().all(|port| port.protocol() != protocol) => Mismatch::Protocol { protocol, wanted },
        PortSide::Destination => Mismatch::Port { transport, wanted },
        PortSide::Source => Mismatch::SourcePort { transport, wanted },
    })
}

fn peer_mismatch(world: &World, peers: &Peers, peer: Peer) -> Option<Mismatch> {
    let address = peer.address;
    if let Some(select) = peers.select.as_ref().filter(|select| !world.selects(select, address)) {
        return Some(Mismatch::NotSelected { peer, select: select.clone() });
    }
    if !peers.nets.is_empty() && !peers.nets.iter().any(|net| net.contains(&address)) {
        return Some(Mismatch::OutsideNets { peer, nets: peers.nets.clone() });
    }
    if let Some(net) = peers.not_nets.iter().find(|net| net.contains(&address)) {
        return Some(Mismatch::InNotNets { peer, net: *net });
    }
    let is_in = |name: &String| world.sets.get(name).is_some_and(|set| set.contains(address));
    if !peers.sets.is_empty() && !peers.sets.iter().any(is_in) {
        return Some(Mismatch::OutsideSets { peer, sets: peers.sets.clone() });
    }
    None
}

impl fmt::Display for Mismatch {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Mismatch::Protocol { protocol, wanted } => {
                write!(out, "protocol is {}, not {}", protocol_name(*protocol), either(wanted))
            }
            Mismatch::Port { transport: Transport::Icmp { kind, code, .. }, wanted } => {
                write!(out, "message is type {kind} code {code}, not {}", either(wanted))
            }
            Mismatch::Port { transport: Transport::Ports { destination, .. }, wanted } => {
                write!(out, "port is {destination}, not {}", either(wanted))
            }
            Mismatch::SourcePort { transport: Transport::Ports { source, .. }, wanted } => {
                write!(out, "source port is {source}, not {}", either(wanted))
            }
            Mismatch::Port { wanted, .. } | Mismatch::SourcePort { wanted, .. } => {
                write!(out, "packet is not {}", either(wanted))
            }
            Mismatch::NotSelected { peer, select } => write!(out, "{peer} not in selector `{select}`"),
            Mismatch::OutsideNets { peer, nets } => write!(out, "{peer} not in {}", either(nets)),
            Mismatch::InNotNets { peer, net } => write!(out, "{peer} in excluded {net}"),
            Mismatch::OutsideSets { peer, sets } => write!(out, "{peer} not in set {}", either(sets)),
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.direction {
            Direction::Ingress => write!(out, "source {}", self.address),
            Direction::Egress => write!(out, "destination {}", self.address),
        }
    }
}

fn either<T: fmt::Display>(wanted: &[T]) -> String {
    wanted.iter().map(T::to_string).collect::<Vec<_>>().join(" or ")
}
