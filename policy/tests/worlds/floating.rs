//! A floating address leads to its endpoint, which has it towards the outside and to itself, and nobody else's packets are translated for it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use poplin_policy::compile::Compiler;
use poplin_policy::delta::Change;
use poplin_policy::host::WorkloadToHost;
use poplin_policy::nat::{Edge, Floating, Outgoing, Pool};
use poplin_policy::packet::Packet;
use poplin_policy::ruleset::{HookPoint, Ruleset, SourceNat};
use poplin_policy::walk::{Outcome, destination_nat, walk};
use poplin_policy::world::World;
use proptest::prelude::*;

use crate::edge::{assert_roads_agree, leaving, with};
use crate::fleet::{at, interface_of, one_host, uplink};

fn own(is_v6: bool, last: u8) -> IpAddr {
    match is_v6 {
        false => IpAddr::from([10, 77, 0, last]),
        true => IpAddr::from([0xfd77, 0, 0, 0, 0, 0, 0, last.into()]),
    }
}

fn outer(is_v6: bool, last: u8) -> IpAddr {
    match is_v6 {
        false => IpAddr::from([198, 51, 100, last]),
        true => IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, last.into()]),
    }
}

fn address() -> impl Strategy<Value = IpAddr> {
    (any::<bool>(), any::<bool>(), 0..5u8)
        .prop_map(|(is_own, is_v6, last)| if is_own { own(is_v6, last) } else { outer(is_v6, last) })
}

fn floating() -> impl Strategy<Value = BTreeMap<String, Floating>> {
    prop::collection::vec((any::<bool>(), 0..4u8, 0..4u8), 0..5).prop_map(|all| {
        let mut floating: BTreeMap<String, Floating> = BTreeMap::new();
        for (is_v6, outside, inside) in all {
            let one = Floating { outside: outer(is_v6, outside), inside: own(is_v6, inside) };
            let meets = |other: &Floating| other.outside == one.outside || other.inside == one.inside;
            if !floating.values().any(meets) {
                floating.insert(format!("f{}", floating.len()), one);
            }
        }
        floating
    })
}

/// A pool that leaves as it is or under its host's address, a host, and some floating addresses, of which all are inside.
fn edge() -> impl Strategy<Value = Edge> {
    (any::<bool>(), floating(), prop::option::of(address())).prop_map(|(masquerades, floating, host)| {
        let outgoing = masquerades.then(|| Outgoing { source: SourceNat::Masquerade, exclude: Vec::new() });
        let pool = |cidr: &str| Pool { cidr: cidr.parse().unwrap(), outgoing: outgoing.clone() };
        let pools = BTreeMap::from([("four".to_owned(), pool("10.77.0.0/30")), ("six".to_owned(), pool("fd77::/126"))]);
        let mut hosts: BTreeMap<String, BTreeSet<IpAddr>> =
            floating.iter().map(|(name, one)| (name.clone(), BTreeSet::from([one.outside]))).collect();
        hosts.extend(host.map(|host| ("h".to_owned(), BTreeSet::from([host]))));
        Edge { pools, hosts, floating, ..Edge::default() }
    })
}

fn coming(rules: &Ruleset, hook: HookPoint, source: IpAddr, destination: IpAddr) -> Option<IpAddr> {
    let packet = Packet::tcp(source, destination, (40_000, 443));
    let to = destination_nat(rules, &at(hook, &uplink(), None, &packet), false);
    assert!(to.is_none_or(|to| to.port() == 443), "ports stay");
    to.map(|to: SocketAddr| to.ip())
}

proptest! {
    #[test]
    fn a_packet_is_translated_as_the_edge_says(
        edge in edge(),
        ends in prop::collection::vec((address(), address()), 1..40),
    ) {
        let rules = with(&edge);

        prop_assert_eq!(rules.dangling(), None);
        for (source, destination) in ends.into_iter().filter(|(one, other)| one.is_ipv4() == other.is_ipv4()) {
            prop_assert_eq!(leaving(&rules, source, destination), edge.outgoing(source, destination));
            for hook in [HookPoint::Prerouting, HookPoint::Output] {
                prop_assert_eq!(coming(&rules, hook, source, destination), edge.floating_at(destination));
            }
        }
    }

    #[test]
    fn whatever_road_led_to_an_edge_the_rules_are_the_same(edges in prop::collection::vec(edge(), 2..5)) {
        assert_roads_agree(edges);
    }
}

fn one(outside: &str, inside: &str) -> Floating {
    Floating { outside: outside.parse().unwrap(), inside: inside.parse().unwrap() }
}

#[test]
fn an_endpoint_that_calls_its_own_floating_address_is_asked_nothing_and_sees_itself_by_it() {
    let floating = BTreeMap::from([("a".to_owned(), one("198.51.100.7", "10.77.0.1"))]);
    let rules = with(&Edge { floating, ..Edge::default() });
    let (it, link) = ("10.77.0.1".parse().unwrap(), interface_of("web"));

    let to_itself = Packet::tcp(it, it, (40_000, 443));
    let passing = walk(&rules, &at(HookPoint::Forward, &link, Some(&link), &to_itself));

    assert_eq!(passing, Outcome::Accept);
    assert_eq!(leaving(&rules, it, it), Some(SourceNat::To("198.51.100.7".parse().unwrap())));
}

#[test]
fn one_more_is_elements_more_and_without_any_there_is_no_chain_for_them() {
    let host = one_host(&World::default(), WorkloadToHost::Drop);
    let mut compiler = Compiler::of(&World::default(), &host);
    compiler.take_changes();
    compiler.set_floating("a", Some(one("198.51.100.7", "10.77.0.1")));
    compiler.take_changes();

    compiler.set_floating("b", Some(one("198.51.100.8", "10.77.0.2")));
    let more = compiler.take_changes();
    compiler.set_floating("a", None);
    compiler.set_floating("b", None);
    compiler.take_changes();

    let is_element = |change: &Change| matches!(change, Change::AlterSet { .. } | Change::AlterMap { .. });
    assert!(more.len() == 3 && more.iter().all(is_element), "{more:?}");
    assert_eq!(*compiler.ruleset(), with(&Edge::default()));
}
