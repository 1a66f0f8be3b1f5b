//! What comes to a published port goes on to the container that publishes it, and nothing else is led away.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use poplin_policy::compile::{Compiler, compile};
use poplin_policy::delta::apply;
use poplin_policy::host::{Host, WorkloadToHost};
use poplin_policy::model::PortProtocol;
use poplin_policy::nat::{Edge, Publication, Published};
use poplin_policy::packet::{Packet, Transport};
use poplin_policy::ruleset::{HookPoint, Ruleset, SourceNat};
use poplin_policy::walk::{Outcome, Transit, destination_nat, source_nat, walk};
use poplin_policy::world::World;
use proptest::prelude::*;
use proptest::sample::select;

use crate::fleet::{at, interface_of, one_host, uplink};

const PROTOCOLS: [PortProtocol; 3] = [PortProtocol::Tcp, PortProtocol::Udp, PortProtocol::Sctp];
/// Addresses of the host.
const HOST: [&str; 4] = ["192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2"];

fn published() -> impl Strategy<Value = Published> {
    let address = select(vec!["", "0.0.0.0:", "[::]:", "192.0.2.1:", "192.0.2.2:", "[2001:db8::1]:", "127.0.0.1:"]);
    let protocol = select(PROTOCOLS.to_vec());
    (address, 1..9u16, 0..3u16, 1..9u16, protocol).prop_map(|(address, host, more, container, protocol)| {
        let text = format!("{address}{host}-{}:{container}-{}/{protocol}", host + more, container + more);
        text.parse().unwrap()
    })
}

/// Endpoints with one address, or one of each family, that publish what nobody else does.
fn edge() -> impl Strategy<Value = Edge> {
    let wished = prop::collection::vec((select(vec!["4", "6", "46"]), prop::collection::vec(published(), 1..4)), 0..5);
    wished.prop_map(|wished| {
        let mut edge = Edge::default();
        let mut taken: Vec<Published> = Vec::new();
        for (number, (families, ports)) in wished.into_iter().enumerate() {
            let mut publication = Publication::default();
            publication
                .addresses
                .extend(families.contains('4').then(|| IpAddr::from([10, 0, 0, u8::try_from(number).unwrap()])));
            publication
                .addresses
                .extend(families.contains('6').then(|| format!("fd00::{number}").parse::<IpAddr>().unwrap()));
            for port in ports {
                if !taken.iter().any(|other| other.overlaps(&port)) {
                    taken.push(port.clone());
                    publication.ports.push(port);
                }
            }
            edge.published.insert(format!("e{number}"), publication);
        }
        edge
    })
}

fn with(edge: &Edge) -> Ruleset {
    compile(&World::default(), &Host { edge: edge.clone(), ..one_host(&World::default(), WorkloadToHost::Drop) })
}

fn to(protocol: PortProtocol, destination: IpAddr, port: u16) -> Packet {
    let source = if destination.is_ipv4() { "198.51.100.7" } else { "2600::7" };
    let transport = Transport::Ports { protocol: protocol.number(), source: 40_000, destination: port };
    Packet { source: source.parse().unwrap(), destination, transport }
}

fn arriving(packet: &Packet) -> Transit {
    at(HookPoint::Prerouting, &uplink(), None, packet)
}

proptest! {
    #[test]
    fn a_packet_to_a_port_goes_where_the_port_is_published(edge in edge(), port in 0..12u16, protocol in select(PROTOCOLS.to_vec())) {
        let rules = with(&edge);

        prop_assert_eq!(rules.dangling(), None);
        for address in HOST.map(|text| text.parse::<IpAddr>().unwrap()) {
            let wanted = edge.published_at(protocol, address, port);
            let packet = to(protocol, address, port);
            let sent = at(HookPoint::Output, &uplink(), Some(&uplink()), &packet);
            prop_assert_eq!(destination_nat(&rules, &arriving(&packet), true), wanted);
            prop_assert_eq!(destination_nat(&rules, &sent, true), wanted);
            prop_assert_eq!(destination_nat(&rules, &arriving(&packet), false), None, "an address of somebody else");
        }
    }

    #[test]
    fn whatever_road_led_to_a_publication_the_rules_are_the_same(edges in prop::collection::vec(edge(), 2..6)) {
        let mut compiler = Compiler::of(&World::default(), &one_host(&World::default(), WorkloadToHost::Drop));
        let mut kernel = Ruleset::default();
        for edge in edges {
            for number in 0..5 {
                let name = format!("e{number}");
                compiler.set_published(&name, edge.published.get(&name).cloned());
            }
            apply(&mut kernel, &compiler.take_changes());
            prop_assert_eq!(&kernel, &with(&edge));
        }
    }
}

/// One container that publishes some ports.
fn web(ports: &[&str]) -> Ruleset {
    let addresses = ["10.0.0.1", "fd00::1"].map(|text| text.parse().unwrap()).into();
    let ports = ports.iter().map(|text| text.parse().unwrap()).collect();
    with(&Edge { published: BTreeMap::from([("web".to_owned(), Publication { addresses, ports })]), ..Edge::default() })
}

#[test]
fn loopback_addresses_are_the_hosts_own_to_dial() {
    let rules = web(&["127.0.0.1:8080:80", "9090:90"]);
    let dialled = |address: &str, port, point| {
        let packet = to(PortProtocol::Tcp, address.parse().unwrap(), port);
        destination_nat(&rules, &at(point, &uplink(), Some(&uplink()), &packet), true)
    };
    let web = |text: &str| Some(text.parse::<SocketAddr>().unwrap());

    assert_eq!(dialled("127.0.0.1", 8080, HookPoint::Output), web("10.0.0.1:80"));
    assert_eq!(dialled("127.0.0.1", 9090, HookPoint::Output), web("10.0.0.1:90"));
    assert_eq!(dialled("127.0.0.53", 9090, HookPoint::Output), None, "whoever listens there is meant");
    assert_eq!(dialled("127.0.0.1", 8080, HookPoint::Prerouting), None, "a neighbour may not");
    assert_eq!(dialled("127.0.0.1", 9090, HookPoint::Prerouting), None);
    assert_eq!(dialled("::1", 9090, HookPoint::Output), None, "no packet of ::1 leaves a host");
    assert_eq!(dialled("2001:db8::1", 9090, HookPoint::Output), web("[fd00::1]:90"));
}

#[test]
fn the_source_stays_unless_no_answer_would_come_back() {
    let rules = web(&["8080:80"]);
    let leaves_as = |source: &str, destination: &str| {
        let packet =
            Packet { source: source.parse().unwrap(), ..to(PortProtocol::Tcp, destination.parse().unwrap(), 80) };
        source_nat(&rules, &at(HookPoint::Postrouting, &uplink(), Some(&interface_of("web")), &packet))
    };

    assert_eq!(leaves_as("198.51.100.7", "10.0.0.1"), None);
    assert_eq!(leaves_as("10.0.0.2", "10.0.0.1"), None, "a neighbour is answered by way of the host");
    assert_eq!(leaves_as("127.0.0.1", "10.0.0.1"), Some(SourceNat::Masquerade));
    assert_eq!(leaves_as("10.0.0.1", "10.0.0.1"), Some(SourceNat::Masquerade));
    assert_eq!(leaves_as("fd00::1", "fd00::1"), Some(SourceNat::Masquerade));
}

#[test]
fn a_container_that_comes_back_to_itself_is_asked_nothing() {
    let (published, not) = (web(&["8080:80"]), web(&[]));
    let link = interface_of("web");
    let packet =
        Packet { source: "10.0.0.1".parse().unwrap(), ..to(PortProtocol::Tcp, "10.0.0.1".parse().unwrap(), 80) };
    let passes = |rules: &Ruleset| walk(rules, &at(HookPoint::Forward, &link, Some(&link), &packet)) == Outcome::Accept;

    assert!(passes(&published));
    assert!(!passes(&not), "nothing brings it here unless it is published");
}

#[test]
fn a_host_where_nothing_is_published_has_no_chain_for_it() {
    assert_eq!(web(&[]), with(&Edge::default()));
}
