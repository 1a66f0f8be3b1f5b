//! Random worlds, small and dense, so that rules, sets and packets meet.
//!
//! Eight endpoint addresses a family, prefixes around them, few labels, few ports: most packets hit something.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use poplin_policy::circle::Circle;
use poplin_policy::label::Labels;
use poplin_policy::model::{
    Action, AddressSet, DefaultAction, Endpoint, Hosts, IpVersion, Mode, NamedPort, Order, Peers, Policy, PortMatch,
    QualifiedName, Rule, Rules, Scope, Selection, Tier,
};
use poplin_policy::selector::Selector;
use poplin_policy::world::{World, together};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

/// Most endpoints of a world; endpoint *n* has 10.0.0.*n* and fd00::*n*.
pub(crate) const ENDPOINTS: u8 = 6;

const NETS: [&str; 14] = [
    "0.0.0.0/0",
    "10.0.0.0/24",
    "10.0.0.0/30",
    "10.0.0.2/32",
    "10.0.0.4/31",
    "192.0.2.0/24",
    "192.0.2.128/25",
    "::/0",
    "fd00::/64",
    "fd00::/126",
    "fd00::2/128",
    "fd00::4/127",
    "2001:db8::/32",
    "2001:db8:8000::/33",
];

const PORTS: [&str; 24] = [
    "tcp",
    "tcp/80",
    "tcp/81",
    "tcp/443",
    "tcp/8000-8010",
    "tcp/8005-8020",
    "tcp/1-79",
    "tcp/1024-65535",
    "tcp/http",
    "udp/dns",
    "udp/http",
    "udp/53",
    "udp/*",
    "sctp/80",
    "udplite",
    "udplite/80",
    "udplite/8000-8010",
    "icmp",
    "icmp/8",
    "icmp/8/0",
    "icmp6/128",
    "icmp6",
    "proto/47",
    "proto/1",
];

/// Whole protocols, as "every one but this" names them.
const PROTOCOLS: [&str; 9] = ["tcp", "udp", "udplite", "sctp", "icmp", "icmp6", "proto/1", "proto/47", "proto/58"];

/// Names of host endpoints; where each stands, see `fleet`.
pub(crate) const HOST_ENDPOINTS: [&str; 3] = ["any", "lan", "wan"];

/// Namespaces things may live in; `n` is declared with labels, `m` sometimes.
const NAMESPACES: [&str; 2] = ["m", "n"];

pub(crate) fn world() -> impl Strategy<Value = World> {
    let tiers = btree_map(select(vec!["first", "second", "default", "kube-baseline"]), tier(), 0..3);
    let policies = btree_map(qualified("[p-s]"), policy(), 0..6);
    let sets = btree_map(qualified("[x-z]"), (labels(), vec(net(), 0..4)), 0..3);
    let namespaces = btree_map(select(&NAMESPACES[..]), labels(), 0..3);
    let host_endpoints = btree_map(select(&HOST_ENDPOINTS[..]).prop_map(str::to_owned), labels(), 0..4);
    let host_ports = btree_map(host_address(), named_ports(), 0..4);
    let networks = vec(option::weighted(0.2, circle()), NAMESPACES.len());
    let parts = (tiers, (policies, networks), sets, namespaces, endpoints(), host_endpoints, host_ports);
    parts.prop_map(|(tiers, (policies, networks), sets, namespaces, endpoints, host_endpoints, host_ports)| World {
        tiers: tiers.into_iter().map(|(name, tier)| (name.into(), Tier { name: name.into(), ..tier })).collect(),
        policies: policies
            .into_iter()
            .map(|(name, policy)| (name.clone(), Policy { name, ..policy }))
            .chain(policies_of(networks))
            .collect(),
        sets: sets
            .into_iter()
            .map(|(name, (labels, nets))| (name.clone(), AddressSet { name, labels, nets }))
            .collect(),
        namespaces: namespaces.into_iter().map(|(name, labels)| (name.to_owned(), labels)).collect(),
        endpoints,
        host_endpoints,
        host_ports: host_ports
            .into_iter()
            .map(|(address, ports)| (address, together([&ports[..]])))
            .filter(|(_, ports)| !ports.is_empty())
            .collect(),
    })
}

/// Addresses outside that packets have, and, lest that go unasked, one that an endpoint may have too.
fn host_address() -> impl Strategy<Value = IpAddr> {
    let addresses = ["10.0.0.200", "192.0.2.1", "192.0.2.200", "10.0.0.3", "fd00::c8", "2001:db8::1", "fd00::3"];
    select(addresses.to_vec()).prop_map(|text: &str| text.parse().unwrap())
}

fn qualified(name: &'static str) -> impl Strategy<Value = QualifiedName> {
    (namespace(), name).prop_map(|(namespace, name)| match namespace {
        Some(namespace) => QualifiedName::within(namespace, name),
        None => QualifiedName::global(name),
    })
}

fn namespace() -> impl Strategy<Value = Option<String>> {
    option::weighted(0.4, select(&NAMESPACES[..]).prop_map(str::to_owned))
}

fn endpoints() -> impl Strategy<Value = std::collections::BTreeMap<String, Endpoint>> {
    let families = subsequence(vec![false, true], 1..=2);
    let spread = option::of((labels(), namespace(), named_ports(), families));
    vec(spread, usize::from(ENDPOINTS)).prop_map(|all| {
        let present = (1..).zip(all).filter_map(|(number, spread)| Some((number, spread?)));
        let endpoint = |(number, (labels, namespace, ports, families)): (u8, (_, _, _, Vec<bool>))| {
            let addresses = families.into_iter().map(|is_v6| endpoint_address(number, is_v6)).collect();
            (format!("e{number}"), Endpoint { labels, namespace, addresses, ports })
        };
        present.map(endpoint).collect()
    })
}

fn named_ports() -> impl Strategy<Value = Vec<NamedPort>> {
    let port = select(vec!["http=tcp/80", "http=tcp/8005", "http=udp/53", "dns=udp/53", "dns=tcp/53"]);
    vec(port, 0..3).prop_map(|texts| texts.into_iter().map(|text| text.parse().unwrap()).collect())
}

pub(crate) fn endpoint_address(number: u8, is_v6: bool) -> IpAddr {
    match is_v6 {
        false => Ipv4Addr::new(10, 0, 0, number).into(),
        true => Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, number.into()).into(),
    }
}

/// A network: which doors of it are open.
fn circle() -> impl Strategy<Value = Circle> {
    let doors = (any::<bool>(), any::<bool>(), any::<bool>());
    doors.prop_map(|(is_open_within, is_open_to_others, is_open_outside)| Circle {
        name: String::new(),
        labels: Labels::default(),
        index: 0x2801,
        is_open_within,
        is_open_to_others,
        is_open_outside,
    })
}

/// Each namespace may be a network's.
fn policies_of(networks: Vec<Option<Circle>>) -> impl Iterator<Item = (QualifiedName, Policy)> {
    let named = NAMESPACES.into_iter().zip(networks);
    let named = named.filter_map(|(name, circle)| Some(Circle { name: name.to_owned(), ..circle? }));
    named.map(|circle| (Circle::policy_name(&circle.name), circle.policy()))
}

fn tier() -> impl Strategy<Value = Tier> {
    let default_action = select(vec![DefaultAction::Deny, DefaultAction::Pass]);
    (order(), default_action).prop_map(|(order, default_action)| Tier { name: String::new(), order, default_action })
}

fn policy() -> impl Strategy<Value = Policy> {
    let tier = select(vec!["first", "second", "default", "kube-baseline", "undeclared"]);
    let mode = prop_oneof![6 => Just(Mode::Enforce), 1 => Just(Mode::Stage), 1 => Just(Mode::Off)];
    let rules = || option::weighted(0.7, vec(rule(), 0..5));
    let parts = (tier, order(), mode, selection(), select(&Hosts::ALL[..]), rules(), rules());
    parts.prop_map(|(tier, order, mode, subject, hosts, ingress, egress)| {
        let [ingress, egress] = [ingress, egress].map(|rules| rules.map(named).map(Rules::from));
        Policy { name: QualifiedName::default(), tier: tier.to_owned(), order, mode, subject, hosts, ingress, egress }
    })
}

fn named(rules: Vec<Rule>) -> Vec<Rule> {
    (1..).zip(rules).map(|(position, rule): (usize, Rule)| Rule { name: position.to_string(), ..rule }).collect()
}

fn rule() -> impl Strategy<Value = Rule> {
    let action = select(vec![Action::Allow, Action::Allow, Action::Deny, Action::Pass, Action::Log]);
    let ip_version = prop_oneof![6 => Just(None), 1 => Just(Some(IpVersion::V4)), 1 => Just(Some(IpVersion::V6))];
    let seldom = || prop_oneof![5 => Just(Vec::new()), 1 => ports()];
    // Most rules ask of one end only, as people's do; the other end is now and then asked too.
    let ends = prop_oneof![
        4 => (peers(), Just(Peers::default())),
        4 => (Just(Peers::default()), peers()),
        1 => (peers(), peers()),
    ];
    let wanted = prop_oneof![
        6 => (ports(), seldom()),
        1 => (Just(Vec::new()), every_protocol_but()),
    ];
    (action, ip_version, any::<bool>(), ends, wanted, seldom(), seldom()).prop_map(
        |(action, ip_version, log, (source, destination), (ports, not_ports), source_ports, not_source_ports)| Rule {
            log,
            ip_version,
            source: source.into(),
            destination: destination.into(),
            ports,
            not_ports: not_ports.into(),
            source_ports: source_ports.into(),
            not_source_ports: not_source_ports.into(),
            ..Rule::any("", action)
        },
    )
}

fn peers() -> impl Strategy<Value = Peers> {
    let some = (
        option::weighted(0.5, selection()),
        option::weighted(0.15, selection()),
        prop_oneof![2 => Just(Vec::new()), 1 => vec(net(), 1..4)],
        prop_oneof![3 => Just(Vec::new()), 1 => vec(net(), 1..3)],
        prop_oneof![3 => Just(Vec::new()), 1 => vec(qualified("[x-z]"), 1..3)],
        prop::bool::weighted(0.1),
    );
    let some = some.prop_map(|(select, not_select, nets, not_nets, sets, outside)| Peers {
        select,
        not_select,
        nets,
        not_nets,
        sets,
        outside,
    });
    prop_oneof![1 => Just(Peers::default()), 4 => some]
}

fn selection() -> impl Strategy<Value = Selection> {
    let scope = prop_oneof![
        5 => Just(Scope::Anywhere),
        1 => select(&NAMESPACES[..]).prop_map(|name| Scope::Namespace(name.to_owned())),
        1 => selector().prop_map(Scope::Namespaces),
        1 => Just(Scope::Global),
    ];
    // `global()` alone, as Calico's users write it, is whatever lives in no namespace.
    let global = Just(Selection { labels: Selector::all(), scope: Scope::Global });
    let any = (selector(), scope).prop_map(|(labels, scope)| Selection { labels, scope });
    prop_oneof![12 => any, 1 => global]
}

fn ports() -> impl Strategy<Value = Vec<PortMatch>> {
    let few = vec(select(&PORTS[..]), 0..3);
    let many = vec(select(&PORTS[..]), 3..8);
    let scattered = Just(vec!["tcp/80", "tcp/90", "tcp/100", "tcp/443", "tcp/1000", "tcp/8000"]);
    prop_oneof![6 => few, 2 => many, 1 => scattered]
        .prop_map(|texts| texts.into_iter().map(|text| text.parse().unwrap()).collect())
}

/// What Calico's `notProtocol` becomes, of one protocol or two.
fn every_protocol_but() -> impl Strategy<Value = Vec<PortMatch>> {
    let some = vec(select(&PROTOCOLS[..]), 1..3);
    some.prop_map(|texts| texts.into_iter().map(|text| text.parse().unwrap()).collect())
}

fn selector() -> impl Strategy<Value = Selector> {
    let leaf = select(vec![
        "all()",
        "a == 'x'",
        "a == 'y'",
        "a != 'x'",
        "has(b)",
        "b in {'x', 'z'}",
        "b not in {'y'}",
        "a starts with 'x'",
        "a contains 'y'",
        "b ends with 'z'",
    ]);
    let text = leaf.prop_map(str::to_owned).prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(|part| format!("!({part})")),
            (inner.clone(), inner.clone()).prop_map(|(left, right)| format!("({left}) && ({right})")),
            (inner.clone(), inner).prop_map(|(left, right)| format!("({left}) || {right}")),
        ]
    });
    text.prop_map(|text| Selector::parse(&text).unwrap())
}

fn labels() -> impl Strategy<Value = Labels> {
    btree_map(select(vec!["a", "b"]), select(vec!["x", "y", "z", "xy"]), 0..3)
        .prop_map(|pairs| Labels::try_from_pairs(pairs).unwrap())
}

fn order() -> impl Strategy<Value = Option<Order>> {
    option::of((0..3u8).prop_map(|number| Order::try_from(f64::from(number)).unwrap()))
}

fn net() -> impl Strategy<Value = IpNet> {
    select(&NETS[..]).prop_map(|text| text.parse().unwrap())
}

proptest! {
    #[test]
    fn a_selector_printed_and_read_again_is_the_same(selector in selector(), labels in labels()) {
        let again = Selector::parse(&selector.to_string()).unwrap();

        prop_assert_eq!(again.admits(&labels), selector.admits(&labels));
        prop_assert_eq!(again, selector);
    }

    #[test]
    fn no_text_brings_the_parser_down(text in "[a-c !&|()'\"{},=.]{0,40}|.{0,20}") {
        if let Ok(selector) = Selector::parse(&text) {
            prop_assert_eq!(Selector::parse(selector.as_str()), Ok(selector));
        }
    }
}
