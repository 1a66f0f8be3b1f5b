//! Worlds with packets, of which some have much that hangs on what ports of hosts are called: of worlds at random few do.

use std::net::IpAddr;

use poplin_policy::model::{NamedPort, PortMatch, Rule};
use poplin_policy::packet::{Packet, Transport};
use poplin_policy::world::{World, together};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select, subsequence};

use crate::packets::packets;
use crate::strategy::world;

/// Addresses of hosts, IPv4 and IPv6; the last of each an endpoint may have too.
const HOSTS: [[&str; 4]; 2] =
    [["10.0.0.200", "192.0.2.1", "192.0.2.200", "10.0.0.3"], ["fd00::c8", "2001:db8::1", "2600::9", "fd00::3"]];

const NAMES: [&str; 4] = ["http=tcp/80", "http=tcp/8005", "http=udp/53", "dns=udp/53"];

const ASKED: [&str; 4] = ["tcp/http", "udp/http", "udp/dns", "tcp/443"];

/// A world, and packets that meet its rules.
pub(crate) fn met() -> impl Strategy<Value = (World, Vec<Packet>)> {
    prop_oneof![3 => (world(), packets()), 1 => (naming(), vec(named_packet(), 24))]
}

/// Most addresses of hosts have names for ports, and rules ask for names.
fn naming() -> impl Strategy<Value = World> {
    let ports = || subsequence(NAMES.to_vec(), 0..=3).prop_map(named);
    let asked = subsequence(ASKED.to_vec(), 1..=2)
        .prop_map(|texts| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<PortMatch>>());
    let asked = vec((asked, 0..6u8), 8);
    (world(), vec(ports(), 8), asked).prop_map(|(mut world, ports, asked)| {
        let addresses = HOSTS.iter().flatten().map(|text| text.parse().unwrap());
        world.host_ports = addresses.zip(ports).filter(|(_, ports)| !ports.is_empty()).collect();
        let rules = world.policies.values_mut().flat_map(|policy| policy.ingress.iter_mut().chain(&mut policy.egress));
        for (rule, (ports, place)) in rules.flatten().zip(asked.iter().cycle()) {
            ask(rule, ports, *place);
        }
        world
    })
}

fn named(texts: Vec<&str>) -> Vec<NamedPort> {
    let ports: Vec<NamedPort> = texts.iter().map(|text| text.parse().unwrap()).collect();
    together([&ports[..]])
}

/// Mostly as what the packet is addressed to.
fn ask(rule: &mut Rule, ports: &[PortMatch], place: u8) {
    match place {
        0 => rule.not_ports = ports.to_vec().into(),
        1 => rule.source_ports = ports.to_vec().into(),
        2 => rule.not_source_ports = ports.to_vec().into(),
        _ => rule.ports = ports.to_vec(),
    }
}

fn named_packet() -> impl Strategy<Value = Packet> {
    let port = || select(vec![53, 80, 443, 8005]);
    let parts = (any::<bool>(), any::<[Index; 2]>(), any::<bool>(), select(vec![6, 17]), port(), port());
    parts.prop_map(|(is_v6, [host, endpoint], goes_there, protocol, source, destination)| {
        let host: IpAddr = host.get(&HOSTS[usize::from(is_v6)]).parse().unwrap();
        let number = u8::try_from(endpoint.index(usize::from(crate::strategy::ENDPOINTS))).unwrap() + 1;
        let endpoint = crate::strategy::endpoint_address(number, is_v6);
        let (from, to) = if goes_there { (endpoint, host) } else { (host, endpoint) };
        Packet { source: from, destination: to, transport: Transport::Ports { protocol, source, destination } }
    })
}
