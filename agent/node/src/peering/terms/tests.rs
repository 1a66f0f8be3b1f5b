//! Who is joined to whom, under which terms.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use poplin_bgp::wire::Family;
use poplin_bgp::{PrefixLimits, Protection, RouteMap as Rules, Verdict};
use poplin_policy::label::Labels;
use poplin_policy::selector::Selector;

use super::super::Peering;
use super::*;
use crate::kernel::KernelState;
use crate::name::{HostName, PeerName};
use crate::object::{Object, PeerAs, Place, RouteMap, Versioned};

fn host(number: u8, label: &str) -> Host {
    Host {
        name: HostName::new(format!("h{number}")),
        labels: Labels::try_from_pairs(label.split_once('=')).unwrap(),
        addresses: [IpAddr::from([192, 0, 2, number])].into(),
        asn: None,
        router_id: Ipv4Addr::new(192, 0, 2, number),
        is_draining: false,
        told: None,
        machine: None,
        release: None,
    }
}

fn tor(asn: u32, maps: RouteMaps) -> Peer {
    Peer {
        name: PeerName::new("tor"),
        place: Place::At([192, 0, 2, 254].into()),
        port: 179,
        asn: PeerAs::Is(Asn(asn)),
        hosts: Selector::parse("").unwrap(),
        timers: Default::default(),
        bfd: None,
        protection: Protection::default(),
        limits: PrefixLimits::default(),
        shutdown: None,
        maps,
        is_client: false,
        is_transit: false,
        add_paths: Default::default(),
        extended_messages: true,
        extended_next_hop: None,
        role: None,
        paths: 8,
        is_passive: false,
        families: Family::ALL.into(),
        long_lived: None,
        is_gentle: false,
    }
}

fn named(name: &str) -> RouteMaps {
    RouteMaps { import: Some(RouteMapName::new(name)), export: None }
}

/// The neighbours, where no link says how far they are.
fn peering(mirror: &Mirror, me: &Host, before: Option<&Peering>, lingers: bool) -> Peering {
    super::super::peering(mirror, me, &KernelState::default(), before, lingers, &BTreeSet::new(), &Default::default())
}

fn world(objects: impl IntoIterator<Item = Object>) -> Mirror {
    let mut mirror = Mirror::default();
    let objects = objects.into_iter().map(|value| Versioned { value, version: 1 });
    mirror.change(1, objects.collect(), vec![], vec![]);
    mirror
}

/// Four hosts; those labelled so are reflectors if there are to be any.
fn rack(reflectors: Option<&str>) -> Mirror {
    let hosts = [host(1, "role=reflector"), host(2, "role=reflector"), host(3, ""), host(4, "")];
    let mut fabric = Fabric::default();
    fabric.routing.reflectors = reflectors.map(|text| Selector::parse(text).unwrap());
    world(hosts.map(Object::Host).into_iter().chain([Object::Fabric(fabric)]))
}

/// The neighbours by name, and what they are.
fn neighbours(peering: &Peering) -> BTreeMap<String, &'static str> {
    let word = |exchange: &Exchange| match (exchange.retiring, exchange.client_of) {
        (true, _) => "retires",
        (false, Some(_)) => "client",
        (false, None) => "peer",
    };
    peering.neighbours.iter().map(|one| (peering.names[&one.address].clone(), word(&one.exchange))).collect()
}

fn seen<const N: usize>(pairs: [(&str, &'static str); N]) -> BTreeMap<String, &'static str> {
    pairs.map(|(name, word)| (name.to_owned(), word)).into()
}

const REFLECTORS: Option<&str> = Some("role == 'reflector'");

#[test]
fn without_reflectors_everybody_is_joined() {
    let all = [("h1", "peer"), ("h2", "peer"), ("h4", "peer")];
    assert_eq!(neighbours(&peering(&rack(None), &host(3, ""), None, false)), seen(all));
}

#[test]
fn a_reflector_is_joined_to_all_and_the_others_to_reflectors_alone() {
    let one = peering(&rack(REFLECTORS), &host(1, "role=reflector"), None, false);
    assert_eq!(neighbours(&one), seen([("h2", "peer"), ("h3", "client"), ("h4", "client")]));
    assert_eq!(one.neighbours[1].exchange.client_of, Some([192, 0, 2, 1].into()));

    let three = peering(&rack(REFLECTORS), &host(3, ""), None, false);
    assert_eq!(neighbours(&three), seen([("h1", "peer"), ("h2", "peer")]));
}

#[test]
fn neighbours_of_the_mesh_retire_when_reflectors_come() {
    let before = peering(&rack(None), &host(3, ""), None, false);

    let after = peering(&rack(REFLECTORS), &host(3, ""), Some(&before), false);

    assert_eq!(neighbours(&after), seen([("h1", "peer"), ("h2", "peer"), ("h4", "retires")]));
    assert_eq!(
        neighbours(&peering(&rack(None), &host(3, ""), Some(&after), false))["h4"],
        "peer",
        "and return without them"
    );
}

#[test]
fn a_reflector_no_more_goes_on_reflecting_for_those_that_retire() {
    let before = peering(&rack(REFLECTORS), &host(1, "role=reflector"), None, false);
    let mut mirror = rack(REFLECTORS);
    mirror.change(2, vec![Versioned { value: Object::Host(host(1, "")), version: 2 }], vec![], vec![]);

    let after = peering(&mirror, &host(1, ""), Some(&before), false);

    assert_eq!(neighbours(&after), seen([("h2", "peer"), ("h3", "retires"), ("h4", "retires")]));
    assert!(after.neighbours.iter().filter(|one| one.exchange.retiring).all(|one| one.exchange.client_of.is_some()));
}

#[test]
fn a_reflector_no_more_lingers_when_the_mesh_returns() {
    let before = peering(&rack(REFLECTORS), &host(1, "role=reflector"), None, false);

    let lingering = peering(&rack(None), &host(1, "role=reflector"), Some(&before), true);
    let after = peering(&rack(None), &host(1, "role=reflector"), Some(&lingering), false);

    assert_eq!(neighbours(&lingering), seen([("h2", "peer"), ("h3", "client"), ("h4", "client")]));
    assert_eq!(neighbours(&after), seen([("h2", "peer"), ("h3", "peer"), ("h4", "peer")]));
    assert_eq!((before.is_reflector, lingering.is_reflector), (true, false));
}

#[test]
fn hosts_of_another_system_are_joined_all_the_same() {
    let stranger = Host { asn: Some(Asn(64601)), ..host(4, "") };
    let mut mirror = rack(REFLECTORS);
    mirror.change(2, vec![Versioned { value: Object::Host(stranger), version: 2 }], vec![], vec![]);

    let three = peering(&mirror, &host(3, ""), None, false);

    assert_eq!(neighbours(&three), seen([("h1", "peer"), ("h2", "peer"), ("h4", "peer")]));
    let one = peering(&mirror, &host(1, "role=reflector"), None, false);
    assert_eq!(neighbours(&one)["h4"], "peer", "nobody reflects for it");
}

#[test]
fn a_peer_has_the_rules_it_names_and_none_pass_for_a_name_without_rules() {
    let rules = Arc::new(Rules { rules: Vec::new(), otherwise: Verdict::Accept });
    let map = Object::RouteMap(RouteMap { name: RouteMapName::new("from-tor"), rules: rules.clone() });

    let known = peering(&world([Object::Peer(tor(65000, named("from-tor"))), map]), &host(1, ""), None, false);
    assert_eq!(known.neighbours[0].exchange.import, RouteRules::Map(rules));
    assert_eq!(known.neighbours[0].exchange.export, RouteRules::Open);
    assert!(known.problems.is_empty());

    let unknown = peering(&world([Object::Peer(tor(65000, named("from-tor")))]), &host(1, ""), None, false);
    assert_eq!(unknown.neighbours[0].exchange.import, RouteRules::Closed);
    assert_eq!(unknown.problems, ["peer tor names route map from-tor, which is not there: no route passes"]);
}

#[test]
fn rfc8212_peers_of_another_system_are_closed_where_the_fabric_says_so() {
    for (asn, is_closed_outside, expected) in
        [(65000, false, RouteRules::Open), (65000, true, RouteRules::Closed), (64512, true, RouteRules::Open)]
    {
        let mut fabric = Fabric::default();
        fabric.routing.is_closed_outside = is_closed_outside;
        let peers = [Object::Peer(tor(asn, RouteMaps::default())), Object::Fabric(fabric)];

        let found = peering(&world(peers), &host(1, ""), None, false);

        assert_eq!(
            (&found.neighbours[0].exchange.import, &found.neighbours[0].exchange.export),
            (&expected, &expected)
        );
    }
}

#[test]
fn a_client_of_another_system_is_a_problem() {
    let peer = Peer { is_client: true, ..tor(65000, RouteMaps::default()) };

    let found = peering(&world([Object::Peer(peer)]), &host(1, ""), None, false);

    assert_eq!(found.neighbours[0].exchange.client_of, None);
    assert_eq!(found.problems, ["peer tor is in AS 65000, so nobody in AS 64512 can reflect for it"]);
}
