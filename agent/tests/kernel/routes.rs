//! Our routes among those of others.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;
use poplin_agent::kernel::Hands;
use poplin_bgp::{Address, Zone};
use poplin_node::kernel::{Gateway, NextHop, NextHopId, Step, Target, UnderlayRoute};

use crate::lab::{Namespace, eventually, interface};

#[test]
fn every_target_takes_the_place_of_every_other() {
    let host = uplinked();

    host.within(|| {
        let mut hands = Hands::open().unwrap();
        let up = host.index("up0");
        hands.apply(&groups(up)).unwrap();
        for (destination, targets) in [("10.65.0.0/26", targets4(up)), ("fd65::/122", targets6(up))] {
            let destination: IpNet = destination.parse().unwrap();
            for first in &targets {
                for second in &targets {
                    for target in [first, second] {
                        hands.apply(&[Step::SetRoute { destination, target: target.clone(), source: None }]).unwrap();
                        let state = hands.read().unwrap();
                        let routes: BTreeMap<_, _> = state.routes.into_iter().chain(state.learned).collect();
                        assert_eq!(routes.get(&destination), Some(target), "{first:?} then {second:?}");
                        assert_eq!(routes.len(), 1, "{routes:?}");
                    }
                }
            }
            hands.apply(&[Step::RemoveRoute(destination), Step::RemoveRoute(destination)]).unwrap();
            let state = hands.read().unwrap();
            assert!(state.routes.is_empty() && state.learned.is_empty());
        }
    });
}

#[test]
fn a_route_says_under_which_address_the_host_speaks_and_says_it_no_more() {
    let host = uplinked();
    host.ip("addr add 192.0.2.1/32 dev lo");
    host.ip("addr add 2001:db8::1/128 dev lo");

    host.within(|| {
        let mut hands = Hands::open().unwrap();
        let up = host.index("up0");
        hands.apply(&groups(up)).unwrap();
        for (destination, targets, own) in
            [("10.65.0.0/26", targets4(up), "192.0.2.1"), ("fd65::/122", targets6(up), "2001:db8::1")]
        {
            let destination: IpNet = destination.parse().unwrap();
            let leads_away = |target: &&Target| matches!(target, Target::Gateways(_) | Target::Group(_));
            for target in targets.iter().filter(leads_away) {
                for source in [Some(own.parse().unwrap()), None] {
                    hands.apply(&[Step::SetRoute { destination, target: target.clone(), source }]).unwrap();
                    let state = hands.read().unwrap();
                    assert_eq!(state.sources.get(&destination).copied(), source, "{target:?}");
                    assert_eq!(state.learned.get(&destination), Some(target));
                }
            }
        }
    });
}

#[test]
fn routes_of_others_to_the_same_destination_are_left_alone() {
    let host = uplinked();
    host.ip("route add 10.65.0.0/26 via 10.0.0.9");
    host.ip("route add fd65::/122 via fd00::9");
    let (net4, net6): (IpNet, IpNet) = ("10.65.0.0/26".parse().unwrap(), "fd65::/122".parse().unwrap());

    host.within(|| {
        let mut hands = Hands::open().unwrap();
        let set = |destination| Step::SetRoute { destination, target: Target::Blackhole, source: None };
        hands.apply(&[set(net4), set(net6), set(net4)]).unwrap();
        let state = hands.read().unwrap();
        assert_eq!(state.routes, [(net4, Target::Blackhole), (net6, Target::Blackhole)].into());
        assert_eq!(state.underlay[&net4], UnderlayRoute::Via(addresses(&["10.0.0.9"])));

        hands.apply(&[Step::RemoveRoute(net4), Step::RemoveRoute(net6), Step::RemoveRoute(net4)]).unwrap();
    });

    assert!(host.ip("route show 10.65.0.0/26").contains("via 10.0.0.9"));
    assert!(host.ip("-6 route show fd65::/122").contains("via fd00::9"));
}

#[test]
fn the_underlay_is_what_others_wrote() {
    let host = uplinked();
    host.ip("route add default via 10.0.0.9");
    host.ip("route add 10.7.0.0/16 nexthop via 10.0.0.7 nexthop via 10.0.0.8");
    host.ip("link set up0 mtu 9000");

    let state = host.within(|| Hands::open().unwrap().read().unwrap());

    let route = |destination: &str| &state.underlay[&destination.parse::<IpNet>().unwrap()];
    assert_eq!(route("0.0.0.0/0"), &UnderlayRoute::Via(addresses(&["10.0.0.9"])));
    assert_eq!(route("10.7.0.0/16"), &UnderlayRoute::Via(addresses(&["10.0.0.7", "10.0.0.8"])));
    assert_eq!(route("10.0.0.0/24"), &UnderlayRoute::OnLink(host.index("up0")));
    assert_eq!(route("fd00::/64"), &UnderlayRoute::OnLink(host.index("up0")));
    assert!(state.routes.is_empty());
    let found: Vec<_> = state.addresses.iter().map(|(address, name)| (address.to_string(), name.as_str())).collect();
    assert_eq!(found, [("10.0.0.1".into(), "up0"), ("fd00::1".into(), "up0")]);
    assert_eq!(state.mtus["up0"], 9000);
}

#[test]
fn a_gateway_that_others_know_by_its_link_is_read_with_it() {
    let host = uplinked();
    host.ip("-6 route add default via fe80::9 dev up1");
    host.ip("route add 10.7.0.0/16 via inet6 fe80::9 dev up0");

    let state = host.within(|| Hands::open().unwrap().read().unwrap());

    let route = |destination: &str| &state.underlay[&destination.parse::<IpNet>().unwrap()];
    assert_eq!(route("::/0"), &UnderlayRoute::Via(addresses(&["fe80::9%up1"])));
    assert_eq!(route("10.7.0.0/16"), &UnderlayRoute::Via(addresses(&["fe80::9%up0"])));
}

#[test]
fn a_link_lives_while_it_is_up_and_has_a_carrier() {
    let host = uplinked();
    let live = || -> Vec<String> {
        let state = host.within(|| Hands::open().unwrap().read().unwrap());
        state.live.keys().map(Zone::to_string).filter(|name| !name.ends_with('x')).collect()
    };
    // A carrier that comes or goes is told by the kernel's link watch, which takes its time (linux net/core/link_watch.c).
    assert!(eventually(|| live() == ["up0", "up1"]), "lo and our links are left out: {:?}", live());

    host.ip("link set up0 down");
    host.ip("link add pair0 type veth peer name pair1");
    host.ip("link set pair0 up");
    assert!(eventually(|| live() == ["up1"]), "nothing is at the other end of pair0 yet: {:?}", live());

    host.ip("link set pair1 up");
    assert!(eventually(|| live() == ["pair0", "pair1", "up1"]), "{:?}", live());
}

#[test]
fn a_host_with_nothing_reads_as_nothing() {
    let host = Namespace::new();

    let state = host.within(|| Hands::open().unwrap().read().unwrap());

    assert!(state.links.is_empty() && state.routes.is_empty() && state.underlay.is_empty(), "{state:?}");
    assert_eq!(state.mtus.keys().collect::<Vec<_>>(), ["lo"]);
}

/// A host with two uplinks, up0 and one that nobody numbered, up1, and a link of ours, popa.
fn uplinked() -> Namespace {
    let host = Namespace::new();
    host.add_interface("up0");
    host.add_interface("up1");
    host.add_interface("popa");
    host.ip("addr add 10.0.0.1/24 dev up0");
    host.ip("addr add fd00::1/64 dev up0 nodad");
    host
}

fn targets4(up: u32) -> Vec<Target> {
    vec![
        Target::Link(interface("popa")),
        Target::Gateways(gateways(up, &["10.0.0.2"])),
        Target::Gateways(gateways(up, &["10.0.0.2", "10.0.0.3"])),
        Target::Gateways(gateways(up, &["fd00::2"])),
        Target::Gateways(gateways(up, &["fe80::9"])),
        Target::Gateways(gateways(up, &["10.0.0.2", "fe80::9"])),
        Target::Group(number(10)),
        Target::Group(number(12)),
        Target::Blackhole,
    ]
}

fn targets6(up: u32) -> Vec<Target> {
    vec![
        Target::Link(interface("popa")),
        Target::Gateways(gateways(up, &["fd00::2"])),
        Target::Gateways(gateways(up, &["fd00::2", "fd00::3"])),
        Target::Gateways(gateways(up, &["fd00::4", "fd00::5", "fd00::6"])),
        Target::Gateways(gateways(up, &["fe80::9"])),
        Target::Group(number(11)),
        Target::Blackhole,
    ]
}

/// Next hops of both families, and groups: 10 of IPv4, 11 of IPv6, 12 of both.
fn groups(up: u32) -> Vec<Step> {
    let singles = [(1, "10.0.0.2"), (2, "10.0.0.3"), (3, "fd00::2"), (4, "fd00::3")];
    let single = |(id, address): (u32, &str)| {
        let gateway = Gateway { address: address.parse().unwrap(), interface: Some(up) };
        Step::SetNextHop { id: number(id), next_hop: NextHop::Single(gateway) }
    };
    let groups = [(10, [1, 2]), (11, [3, 4]), (12, [2, 3])];
    let group = |(id, members): (u32, [u32; 2])| {
        let members = members.map(number).into();
        Step::SetNextHop { id: number(id), next_hop: NextHop::Group(members) }
    };
    singles.map(single).into_iter().chain(groups.map(group)).collect()
}

fn number(offset: u32) -> NextHopId {
    NextHopId::new(NextHopId::FIRST.number() + offset).unwrap()
}

fn gateways(interface: u32, texts: &[&str]) -> BTreeSet<Gateway> {
    let gateway = |text: &&str| Gateway { address: text.parse().unwrap(), interface: Some(interface) };
    texts.iter().map(gateway).collect()
}

fn addresses(texts: &[&str]) -> BTreeSet<Address> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}
