//! A node that only speaks BGP: what it does not touch.

#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use poplin_node::kernel::{Gateway, KernelState, LinkState, Mac, Step, Target};
use poplin_node::name::HostName;
use poplin_node::object::{Host, Object, Versioned};
use poplin_node::{Action, Event, Identity, Node, Role};
use poplin_policy::label::Labels;
use poplin_policy::ruleset::Interface;

/// How long routes of an earlier life are kept.
const ADOPTION: Duration = Duration::from_secs(30);

/// A kernel in which an agent of the same host has a container, and an earlier life of ours has learned a route.
fn kernel() -> KernelState {
    let container = Interface::new("pop1").unwrap();
    let link = LinkState {
        index: 7,
        is_up: false,
        mac: Mac([2; 6]),
        mtu_bytes: 1500,
        is_configured: false,
        has_loopback: false,
    };
    let mut kernel = KernelState { is_forwarding_off: true, ..KernelState::default() };
    kernel.links.insert(container.clone(), link);
    kernel.routes.insert("10.77.0.1/32".parse().unwrap(), Target::Link(container));
    kernel.routes.insert("10.77.0.0/26".parse().unwrap(), Target::Blackhole);
    let gateway = Gateway { address: "192.0.2.9".parse().unwrap(), interface: Some(2) };
    kernel.learned.insert("10.9.0.0/16".parse().unwrap(), Target::Gateways([gateway].into()));
    kernel
}

/// What a speaker asks for in its first minute, with nobody to speak to.
fn asked(installs: bool) -> Vec<Action> {
    let host = HostName::new("rr1");
    let record = Host {
        name: host.clone(),
        labels: Labels::default(),
        addresses: ["192.0.2.1".parse().unwrap()].into(),
        asn: None,
        router_id: [192, 0, 2, 1].into(),
        is_draining: false,
        told: None,
        machine: None,
        release: None,
    };
    let identity = Identity {
        host,
        labels: Labels::default(),
        addresses: record.addresses.clone(),
        asn: None,
        router_id: None,
        machine: None,
        release: None,
    };
    let mut node = Node::with_role(identity, Role::Speaker { installs });
    let now = Instant::now();
    let objects = vec![Versioned { value: Object::Host(record), version: 1 }];
    node.handle(now, Event::StoreRead { revision: 1, objects, unreadable: Vec::new() });
    node.handle(now, Event::KernelRead(kernel()));
    node.handle(now + ADOPTION, Event::Tick);
    assert!(node.is_ready());
    let all = std::iter::from_fn(|| node.next_action());
    all.filter(|action| !matches!(action, Action::Note(_) | Action::Bgp(_))).collect()
}

#[test]
fn a_speaker_asks_nothing_of_the_store_and_of_the_kernel() {
    assert_eq!(asked(false), []);
}

#[test]
fn one_that_installs_routes_lets_go_of_old_ones_and_leaves_what_an_agent_made() {
    let old = "10.9.0.0/16".parse().unwrap();
    assert_eq!(asked(true), [Action::Apply(vec![Step::RemoveRoute(old)])]);
}
