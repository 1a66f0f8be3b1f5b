//! What leaves the fabric does so under the source that its pool says, and nothing else is translated.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use poplin_policy::compile::Compiler;
use poplin_policy::delta::Change;
use poplin_policy::host::WorkloadToHost;
use poplin_policy::nat::{Edge, Outgoing, Pool};
use poplin_policy::ruleset::SourceNat;
use poplin_policy::world::World;
use proptest::prelude::*;

use crate::edge::{assert_roads_agree, leaving, with};
use crate::fleet::one_host;

/// So few addresses that sources, destinations and prefixes meet.
fn address() -> impl Strategy<Value = IpAddr> {
    let last = prop_oneof![0..4u8, 126..130u8, 252..=255u8];
    (any::<bool>(), 0..3u8, last).prop_map(|(is_v6, third, last)| match is_v6 {
        false => IpAddr::from([10, 77, third, last]),
        true => IpAddr::from([0xfd77, 0, 0, 0, 0, 0, third.into(), last.into()]),
    })
}

fn net() -> impl Strategy<Value = IpNet> {
    (address(), 0..10u8).prop_map(|(address, host_bits)| {
        let longest = IpNet::from(address).max_prefix_len();
        IpNet::new(address, longest - host_bits).unwrap().trunc()
    })
}

fn outgoing(cidr: IpNet) -> impl Strategy<Value = Option<Outgoing>> {
    let is_of_family = move |net: &IpNet| net.addr().is_ipv4() == cidr.addr().is_ipv4();
    let given = if cidr.addr().is_ipv4() { "192.0.2.9" } else { "2001:db8::9" };
    let source = prop_oneof![Just(SourceNat::Masquerade), Just(SourceNat::To(given.parse().unwrap()))];
    let exclude = prop::collection::vec(net(), 0..3);
    prop::option::weighted(0.7, (source, exclude)).prop_map(move |nat| {
        let (source, exclude) = nat?;
        Some(Outgoing { source, exclude: exclude.into_iter().filter(is_of_family).collect() })
    })
}

fn pool() -> impl Strategy<Value = Pool> {
    net().prop_flat_map(|cidr| outgoing(cidr).prop_map(move |outgoing| Pool { cidr, outgoing }))
}

/// Pools that do not overlap, and hosts.
fn edge() -> impl Strategy<Value = Edge> {
    let hosts = prop::collection::btree_map("[ab]", prop::collection::btree_set(address(), 0..3), 0..3);
    (prop::collection::vec(pool(), 0..5), hosts).prop_map(|(all, hosts)| {
        let mut pools: BTreeMap<String, Pool> = BTreeMap::new();
        for pool in all {
            let overlaps = |other: &Pool| other.cidr.contains(&pool.cidr) || pool.cidr.contains(&other.cidr);
            if !pools.values().any(overlaps) {
                pools.insert(format!("p{}", pools.len()), pool);
            }
        }
        Edge { pools, hosts, ..Edge::default() }
    })
}

proptest! {
    #[test]
    fn a_packet_leaves_under_the_source_its_pool_says(
        edge in edge(),
        ends in prop::collection::vec((address(), address()), 1..40),
    ) {
        let rules = with(&edge);

        prop_assert_eq!(rules.dangling(), None);
        for (source, destination) in ends.into_iter().filter(|(one, other)| one.is_ipv4() == other.is_ipv4()) {
            prop_assert_eq!(leaving(&rules, source, destination), edge.outgoing(source, destination));
        }
    }

    #[test]
    fn whatever_road_led_to_an_edge_the_rules_are_the_same(edges in prop::collection::vec(edge(), 2..5)) {
        assert_roads_agree(edges);
    }
}

#[test]
fn a_pool_more_that_asks_for_the_same_is_elements_more() {
    let pool = |cidr: &str| {
        let outgoing = Outgoing { source: SourceNat::Masquerade, exclude: Vec::new() };
        Some(Pool { cidr: cidr.parse().unwrap(), outgoing: Some(outgoing) })
    };
    let mut compiler = Compiler::of(&World::default(), &one_host(&World::default(), WorkloadToHost::Drop));
    compiler.set_pool("a", pool("10.77.0.0/16"));
    compiler.take_changes();

    compiler.set_pool("b", pool("10.79.0.0/16"));

    let changes = compiler.take_changes();
    assert!(matches!(&changes[..], [Change::AlterSet { .. }, Change::AlterMap { .. }]), "{changes:?}");
}

#[test]
fn a_fabric_whose_pools_do_not_ask_is_not_translated_and_has_no_chain_for_it() {
    let pool = Pool { cidr: "10.77.0.0/16".parse().unwrap(), outgoing: None };
    let edge = Edge { pools: BTreeMap::from([("a".to_owned(), pool)]), ..Edge::default() };

    assert_eq!(with(&edge), with(&Edge::default()));
}
