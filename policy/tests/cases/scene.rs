//! Words to write a small world with.

use std::net::IpAddr;

use ipnet::IpNet;
use poplin_policy::label::Labels;
use poplin_policy::model::{
    Action, AddressSet, DefaultAction, Endpoint, Hosts, Mode, Order, Peers, Policy, Rule, Selection, Tier,
};
use poplin_policy::packet::Packet;
use poplin_policy::selector::Selector;
use poplin_policy::world::World;

/// `app=web tier=front`.
pub(crate) fn labels(text: &str) -> Labels {
    Labels::try_from_pairs(text.split_whitespace().map(|pair| pair.split_once('=').unwrap())).unwrap()
}

pub(crate) fn with_endpoint(mut world: World, name: &str, labelled: &str, addresses: &str) -> World {
    let addresses = addresses.split_whitespace().map(|text| text.parse().unwrap()).collect();
    world.endpoints.insert(name.to_owned(), Endpoint { labels: labels(labelled), addresses, ..Endpoint::default() });
    world
}

pub(crate) fn with_set(mut world: World, name: &str, labelled: &str, all: &str) -> World {
    let set = AddressSet { name: name.into(), labels: labels(labelled), nets: nets(all) };
    world.sets.insert(name.into(), set);
    world
}

pub(crate) fn with_tier(mut world: World, name: &str, order: f64, default_action: DefaultAction) -> World {
    let tier = Tier { name: name.to_owned(), order: Some(Order::try_from(order).unwrap()), default_action };
    world.tiers.insert(name.to_owned(), tier);
    world
}

pub(crate) fn with(mut world: World, policy: Policy) -> World {
    world.policies.insert(policy.name.clone(), policy);
    world
}

/// `web` 10.0.0.1 and fd00::1, `api` 10.0.0.2, `db` 10.0.0.3 and fd00::3, and a set `office` at site=hq.
pub(crate) fn shop() -> World {
    let world = with_endpoint(World::default(), "web", "app=web", "10.0.0.1 fd00::1");
    let world = with_endpoint(world, "api", "app=api", "10.0.0.2");
    let world = with_endpoint(world, "db", "app=db", "10.0.0.3 fd00::3");
    with_set(world, "office", "site=hq", "192.0.2.0/25 192.0.2.128/25 2001:db8::/32")
}

/// A policy of tier `default` that governs ingress.
pub(crate) fn ingress(name: &str, subject: &str, rules: Vec<Rule>) -> Policy {
    Policy {
        name: name.into(),
        tier: "default".to_owned(),
        order: None,
        mode: Mode::Enforce,
        hosts: Hosts::Never,
        subject: Selection::anywhere(Selector::parse(subject).unwrap()),
        ingress: Some(rules.into()),
        egress: None,
    }
}

pub(crate) fn egress(name: &str, subject: &str, rules: Vec<Rule>) -> Policy {
    let turned = |rule: Rule| Rule { source: rule.destination, destination: rule.source, ..rule };
    let rules = rules.into_iter().map(turned).collect();
    Policy { ingress: None, egress: Some(rules), ..ingress(name, subject, Vec::new()) }
}

pub(crate) fn at(order: f64, policy: Policy) -> Policy {
    Policy { order: Some(Order::try_from(order).unwrap()), ..policy }
}

pub(crate) fn in_tier(tier: &str, policy: Policy) -> Policy {
    Policy { tier: tier.to_owned(), ..policy }
}

/// A rule of [`ingress`] named by its action; [`egress`] turns it round.
pub(crate) fn rule(action: Action, peers: Peers, ports: &str) -> Rule {
    let name = match action {
        Action::Allow => "allow",
        Action::Deny => "deny",
        Action::Pass => "pass",
        Action::Log => "log",
    };
    let ports = ports.split_whitespace().map(|text| text.parse().unwrap()).collect();
    Rule { source: peers.into(), ports, ..Rule::any(name, action) }
}

pub(crate) fn anybody() -> Peers {
    Peers::default()
}

pub(crate) fn select(text: &str) -> Peers {
    Peers { select: Some(Selection::anywhere(Selector::parse(text).unwrap())), ..Peers::default() }
}

pub(crate) fn nets(text: &str) -> Vec<IpNet> {
    text.split_whitespace().map(|net| net.parse().unwrap()).collect()
}

/// A connection to a TCP port.
pub(crate) fn tcp(source: &str, destination: &str, port: u16) -> Packet {
    Packet::tcp(address(source), address(destination), (40_000, port))
}

pub(crate) fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}
