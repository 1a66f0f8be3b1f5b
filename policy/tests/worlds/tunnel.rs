//! What is for the end of a tunnel comes from an end, or from nobody.

use std::collections::BTreeSet;
use std::net::IpAddr;

use poplin_policy::compile::Compiler;
use poplin_policy::delta::Change;
use poplin_policy::host::WorkloadToHost;
use poplin_policy::nat::{Edge, Ends};
use poplin_policy::packet::Packet;
use poplin_policy::ruleset::HookPoint;
use poplin_policy::walk::{Outcome, walk};
use poplin_policy::world::World;
use proptest::prelude::*;

use crate::edge::{assert_roads_agree, with};
use crate::fleet::{at, one_host, uplink};

fn address() -> impl Strategy<Value = IpAddr> {
    (any::<bool>(), 0..6u8).prop_map(|(is_v6, last)| match is_v6 {
        false => IpAddr::from([192, 0, 2, last]),
        true => IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, last.into()]),
    })
}

fn edge() -> impl Strategy<Value = Edge> {
    let ports = prop::collection::btree_set(4789..4791_u16, 1..3);
    let ends = (prop::option::of(address()), ports, prop::collection::btree_set(address(), 0..6))
        .prop_map(|(own, ports, addresses)| Ends { own, ports, addresses });
    prop::option::of(ends).prop_map(|ends| Edge { ends, ..Edge::default() })
}

fn packet() -> impl Strategy<Value = Packet> {
    (address(), address(), 4788..4792_u16, any::<bool>()).prop_map(|(source, destination, port, is_udp)| {
        let make = if is_udp { Packet::udp } else { Packet::tcp };
        make(source, destination, (4789, port))
    })
}

proptest! {
    #[test]
    fn a_packet_from_elsewhere_goes_on_as_the_edge_says(
        edge in edge(),
        packets in prop::collection::vec(packet(), 1..40),
    ) {
        let rules = with(&edge);

        for packet in packets.into_iter().filter(|one| one.source.is_ipv4() == one.destination.is_ipv4()) {
            for (hook, is_to_host) in [(HookPoint::Prerouting, false), (HookPoint::Input, true)] {
                let passed = walk(&rules, &at(hook, &uplink(), None, &packet)) == Outcome::Accept;
                prop_assert_eq!(passed, edge.lets_into_tunnels(&packet, is_to_host), "{:?}", packet);
            }
        }
    }

    #[test]
    fn whatever_road_led_to_the_ends_the_rules_are_the_same(edges in prop::collection::vec(edge(), 2..6)) {
        assert_roads_agree(edges);
    }
}

#[test]
fn a_host_more_is_an_element_more() {
    let ends = |last: &[u8]| {
        let addresses: BTreeSet<IpAddr> = last.iter().map(|last| IpAddr::from([192, 0, 2, *last])).collect();
        Some(Ends { own: None, ports: [4789].into(), addresses })
    };
    let mut compiler = Compiler::of(&World::default(), &one_host(&World::default(), WorkloadToHost::Drop));
    compiler.set_tunnel_ends(ends(&[1, 5]));
    compiler.take_changes();

    compiler.set_tunnel_ends(ends(&[1, 5, 9]));

    let more = compiler.take_changes();
    assert!(matches!(more[..], [Change::AlterSet { .. }]), "{more:?}");
}
