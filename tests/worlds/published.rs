//! Ports of the host that lead to containers, and packets that come to them.
//!
//! In: nothing. Out: who publishes what, and packets biased to hit it. What the host publishes is near the ports that rules speak of, on both
//! sides of the translation: rules of hosts see the port that was dialled, those of containers the one they listen on.

use std::collections::BTreeMap;
use std::net::IpAddr;

use poplin_policy::model::PortProtocol;
use poplin_policy::nat::Published;
use poplin_policy::packet::{Packet, Transport};
use proptest::prelude::*;
use proptest::sample::select;

use crate::fabric::HOST_ADDRESSES;
use crate::packets::packet;
use crate::strategy::ENDPOINTS;

/// Of the host and of a container.
const PORTS: [&str; 6] = ["80-90:8000-8010", "80-81:80-81", "443:443", "1000:53", "8000-8020:70-90", "8020:8020"];
const PROTOCOLS: [PortProtocol; 4] = [PortProtocol::Tcp, PortProtocol::Tcp, PortProtocol::Udp, PortProtocol::Sctp];

/// What endpoints publish, by name, whether they are there or not. None overlaps another.
pub(crate) fn published() -> impl Strategy<Value = BTreeMap<String, Vec<Published>>> {
    let address = select(vec!["", "", "0.0.0.0:", "[::]:", "172.31.0.2:", "[fd31::2]:", "172.31.0.9:"]);
    let one = (1..=ENDPOINTS, address, select(&PORTS[..]), select(vec!["tcp", "tcp", "udp", "sctp"]));
    let one = one.prop_map(|(endpoint, address, ports, protocol)| {
        (format!("e{endpoint}"), format!("{address}{ports}/{protocol}").parse().unwrap())
    });
    proptest::collection::vec(one, 0..32).prop_map(|wished: Vec<(String, Published)>| {
        let mut published: BTreeMap<String, Vec<Published>> = BTreeMap::new();
        for (endpoint, port) in wished {
            if !published.values().flatten().any(|other| other.overlaps(&port)) {
                published.entry(endpoint).or_default().push(port);
            }
        }
        published
    })
}

/// Packets to ports of the host that may be published, half of them from outside.
pub(crate) fn dialled() -> impl Strategy<Value = Packet> {
    let port = select(vec![80, 81, 90, 443, 1000, 8000, 8002, 8005, 8020]);
    let outside = [["192.0.2.1", "203.0.113.9"], ["2001:db8::1", "2600::9"]];
    let from = proptest::option::of(select(vec![0, 1]));
    (packet(), from, select(&PROTOCOLS[..]), port).prop_map(move |(packet, from, protocol, destination)| {
        let is_v6 = packet.destination.is_ipv6();
        let outside = from.map(|from| outside[usize::from(is_v6)][from].parse().unwrap());
        let source = match packet.transport {
            Transport::Ports { source, .. } => source,
            Transport::Icmp { .. } | Transport::Other(_) => 1024,
        };
        let transport = Transport::Ports { protocol: protocol.number(), source, destination };
        Packet { source: outside.unwrap_or(packet.source), destination: host_address(packet.destination), transport }
    })
}

/// The host's address of a family.
pub(crate) fn host_address(of_family: IpAddr) -> IpAddr {
    HOST_ADDRESSES[usize::from(of_family.is_ipv6())]
}
