//! Whether a rule fits a packet, and if not, why not.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::model::{IpVersion, Peers, PortMatch, PortSide, QualifiedName, Rule, Selection};
use crate::packet::{Packet, Transport, protocol_name};
use crate::world::{End, World};

/// The first thing a rule asks for that a packet does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mismatch {
    /// The packet is of the other family.
    Family {
        /// What the rule asks for.
        wanted: IpVersion,
    },
    /// No entry of `ports` or `source_ports` has the packet's protocol.
    Protocol {
        /// The packet's.
        protocol: u8,
        /// What the rule asks for.
        wanted: Vec<PortMatch>,
    },
    /// The protocol fits, the port or the ICMP message does not.
    Port {
        /// Which of the two ports.
        side: PortSide,
        /// What the packet carries.
        transport: Transport,
        /// What the rule asks for.
        wanted: Vec<PortMatch>,
    },
    /// The port or message is one that was taken out.
    ExcludedPort {
        /// Which of the two ports.
        side: PortSide,
        /// What was taken out.
        excluded: PortMatch,
    },
    /// No endpoint or address set that is selected has the address.
    NotSelected {
        /// The end that was looked at.
        peer: Peer,
        /// What the rule asks for.
        select: Selection,
    },
    /// An endpoint or address set that must not be selected has the address.
    Excluded {
        /// The end that was looked at.
        peer: Peer,
        /// What the rule takes out.
        select: Selection,
    },
    /// None of the prefixes holds the address.
    OutsideNets {
        /// The end that was looked at.
        peer: Peer,
        /// What the rule asks for.
        nets: Vec<IpNet>,
    },
    /// A prefix that was taken out holds the address.
    InNotNets {
        /// The end that was looked at.
        peer: Peer,
        /// Which prefix.
        net: IpNet,
    },
    /// None of the named sets holds the address.
    OutsideSets {
        /// The end that was looked at.
        peer: Peer,
        /// What the rule asks for.
        sets: Vec<QualifiedName>,
    },
    /// The address is an endpoint's, and the rule is for those outside of the fabric.
    NotOutside {
        /// The end that was looked at.
        peer: Peer,
    },
}

/// One end of a packet, as a rule sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Which end.
    pub side: PortSide,
    /// Its address.
    pub address: IpAddr,
}

/// A packet and whose its two ends are.
#[derive(Clone, Copy, Debug)]
pub struct Flow<'w> {
    /// The packet.
    pub packet: &'w Packet,
    /// Whence.
    pub source: End<'w>,
    /// Whither.
    pub destination: End<'w>,
}

impl<'w> Flow<'w> {
    /// Finds out whose the ends are.
    pub fn of(world: &'w World, packet: &'w Packet) -> Self {
        Self { packet, source: world.end(packet.source), destination: world.end(packet.destination) }
    }

    fn end(&self, side: PortSide) -> End<'w> {
        match side {
            PortSide::Source => self.source,
            PortSide::Destination => self.destination,
        }
    }
}

/// Why the rule does not fit; nothing if it does.
pub fn mismatch(world: &World, rule: &Rule, flow: &Flow<'_>) -> Option<Mismatch> {
    family_mismatch(rule, flow.packet)
        .or_else(|| port_mismatch(rule, PortSide::Destination, flow))
        .or_else(|| port_mismatch(rule, PortSide::Source, flow))
        .or_else(|| peer_mismatch(world, &rule.source, PortSide::Source, flow.source))
        .or_else(|| peer_mismatch(world, &rule.destination, PortSide::Destination, flow.destination))
}

/// Whether the packet's protocol, ports or message are what the rule asks for; its family and ends are not looked at.
pub(crate) fn ports_fit(rule: &Rule, flow: &Flow<'_>) -> bool {
    [PortSide::Destination, PortSide::Source].into_iter().all(|side| {
        let (wanted, not) = rule.ports_on(side);
        let admits = |port: &PortMatch| port.admits(side, flow.packet, flow.end(side).ports);
        !not.iter().any(admits) && (wanted.is_empty() || wanted.iter().any(admits))
    })
}

fn family_mismatch(rule: &Rule, packet: &Packet) -> Option<Mismatch> {
    let wanted = rule.ip_version?;
    (IpVersion::of(packet.source) != wanted).then_some(Mismatch::Family { wanted })
}

fn port_mismatch(rule: &Rule, side: PortSide, flow: &Flow<'_>) -> Option<Mismatch> {
    let (packet, (wanted, not)) = (flow.packet, rule.ports_on(side));
    let admits = |port: &&PortMatch| port.admits(side, packet, flow.end(side).ports);
    if let Some(excluded) = not.iter().find(admits) {
        return Some(Mismatch::ExcludedPort { side, excluded: excluded.clone() });
    }
    if wanted.is_empty() || wanted.iter().any(|port| admits(&port)) {
        return None;
    }
    let (transport, protocol) = (packet.transport, packet.protocol());
    let has_protocol = wanted.iter().any(|port| port.protocol() == protocol);
    let wanted = wanted.to_vec();
    Some(match has_protocol {
        false => Mismatch::Protocol { protocol, wanted },
        true => Mismatch::Port { side, transport, wanted },
    })
}

/// Whether an end is as peers ask.
pub(crate) fn peers_fit(world: &World, peers: &Peers, end: End<'_>) -> bool {
    peer_mismatch(world, peers, PortSide::Source, end).is_none()
}

fn peer_mismatch(world: &World, peers: &Peers, side: PortSide, end: End<'_>) -> Option<Mismatch> {
    let address = end.address;
    let peer = Peer { side, address };
    if let Some(select) = peers.select.as_ref().filter(|select| !world.selects(select, end)) {
        return Some(Mismatch::NotSelected { peer, select: select.clone() });
    }
    if let Some(select) = peers.not_select.as_ref().filter(|select| world.selects(select, end)) {
        return Some(Mismatch::Excluded { peer, select: select.clone() });
    }
    if !peers.nets.is_empty() && !peers.nets.iter().any(|net| net.contains(&address)) {
        return Some(Mismatch::OutsideNets { peer, nets: peers.nets.clone() });
    }
    if let Some(net) = peers.not_nets.iter().find(|net| net.contains(&address)) {
        return Some(Mismatch::InNotNets { peer, net: *net });
    }
    let is_in = |name: &QualifiedName| world.sets.get(name).is_some_and(|set| set.contains(address));
    if !peers.sets.is_empty() && !peers.sets.iter().any(is_in) {
        return Some(Mismatch::OutsideSets { peer, sets: peers.sets.clone() });
    }
    (peers.outside && end.endpoint.is_some()).then_some(Mismatch::NotOutside { peer })
}

impl fmt::Display for Mismatch {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Mismatch::Family { wanted } => write!(out, "packet is not {wanted}"),
            Mismatch::Protocol { protocol, wanted } => {
                write!(out, "protocol is {}, not {}", protocol_name(*protocol), either(wanted))
            }
            Mismatch::Port { transport: Transport::Icmp { kind, code, .. }, wanted, .. } => {
                write!(out, "message is type {kind} code {code}, not {}", either(wanted))
            }
            Mismatch::Port { side: PortSide::Destination, transport: Transport::Ports { destination, .. }, wanted } => {
                write!(out, "port is {destination}, not {}", either(wanted))
            }
            Mismatch::Port { side: PortSide::Source, transport: Transport::Ports { source, .. }, wanted } => {
                write!(out, "source port is {source}, not {}", either(wanted))
            }
            Mismatch::Port { wanted, .. } => write!(out, "packet is not {}", either(wanted)),
            Mismatch::ExcludedPort { side: PortSide::Destination, excluded } => {
                write!(out, "port is the excluded {excluded}")
            }
            Mismatch::ExcludedPort { side: PortSide::Source, excluded } => {
                write!(out, "source port is the excluded {excluded}")
            }
            Mismatch::NotSelected { peer, select } => write!(out, "{peer} not in selector `{select}`"),
            Mismatch::Excluded { peer, select } => write!(out, "{peer} in excluded selector `{select}`"),
            Mismatch::OutsideNets { peer, nets } => write!(out, "{peer} not in {}", either(nets)),
            Mismatch::InNotNets { peer, net } => write!(out, "{peer} in excluded {net}"),
            Mismatch::OutsideSets { peer, sets } => write!(out, "{peer} not in set {}", either(sets)),
            Mismatch::NotOutside { peer } => write!(out, "{peer} is an endpoint of the fabric"),
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.side {
            PortSide::Source => write!(out, "source {}", self.address),
            PortSide::Destination => write!(out, "destination {}", self.address),
        }
    }
}

fn either<T: fmt::Display>(wanted: &[T]) -> String {
    wanted.iter().map(T::to_string).collect::<Vec<_>>().join(" or ")
}
