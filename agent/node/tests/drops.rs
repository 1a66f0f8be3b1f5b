//! What the rules say of packets they dropped.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Instant;

use poplin_node::drops::{Account, Dropped};
use poplin_node::kernel::{KernelState, Mac};
use poplin_node::name::{AttachmentId, EndpointName, HostName};
use poplin_node::object::{Endpoint, Host, Object, Versioned};
use poplin_node::{Event, Identity, Node};
use poplin_policy::label::Labels;
use poplin_policy::model::{Action, Direction, Hosts, Mode, Policy, Rule, Selection};
use poplin_policy::packet::Packet;
use poplin_policy::place::Place;
use poplin_policy::ruleset::{Interface, Name};
use poplin_policy::selector::Selector;

const WEB: &str = "10.77.0.1";
const DB: &str = "10.77.0.2";
const FAR: &str = "10.77.9.9";

#[test]
fn a_denial_has_the_names_of_both_ends_and_the_rule() {
    let node = node(vec![endpoint("web", WEB), endpoint("db", DB), db_without_sql()]);
    let chain = node.counted().into_iter().find(|(_, counted)| !counted.allowed).map(|(chain, _)| chain);
    let sql = Packet::tcp(address(WEB), address(DB), (40000, 5432));

    let account = node.account_of(&Dropped { chain, ..dropped(Place::Denied(Direction::Ingress), "popdb", sql) });

    let Account { direction, endpoint, peer, reason, by } = account;
    assert_eq!((direction, endpoint.as_deref(), peer.as_deref()), (Direction::Ingress, Some("db"), Some("web")));
    assert_eq!((reason.as_str(), by.is_some()), ("default/db/no-sql: denied", true));
}

#[test]
fn a_rule_that_is_gone_since_is_said_to_be() {
    let node = node(vec![endpoint("db", DB)]);
    let sql = Packet::tcp(address(FAR), address(DB), (40000, 5432));
    let chain = Some(Name::new("rule-0123456789abcdef"));

    let account = node.account_of(&Dropped { chain, ..dropped(Place::Denied(Direction::Ingress), "popdb", sql) });

    assert_eq!(account.reason, "denied by a rule that is no longer there");
    assert_eq!(account.peer, None, "who is far away has no name here");
}

#[test]
fn a_forged_source_is_its_links_and_not_its_owners() {
    let node = node(vec![endpoint("web", WEB), endpoint("db", DB)]);
    let forged = Packet::tcp(address(DB), address(FAR), (40000, 22));

    let account = node.account_of(&dropped(Place::Spoof, "popweb", forged));

    assert_eq!((account.direction, account.endpoint.as_deref()), (Direction::Egress, Some("web")));
    assert_eq!((account.reason.as_str(), account.by), ("10.77.0.2 is not an address of web", None));
}

fn dropped(place: Place, link: &str, packet: Packet) -> Dropped {
    Dropped { place, chain: None, interface: Interface::new(link), packet }
}

/// A node that has read a store of these.
fn node(objects: Vec<Object>) -> Node {
    let host = HostName::new("h1");
    let addresses = BTreeSet::from([address("172.31.0.1")]);
    let router_id = "172.31.0.1".parse().unwrap();
    let (labels, is_draining) = (Labels::default(), false);
    let me = Host {
        name: host.clone(),
        labels,
        addresses: addresses.clone(),
        asn: None,
        router_id,
        is_draining,
        told: None,
    };
    let identity = Identity { host, labels: Labels::default(), addresses, asn: None, router_id: None };
    let objects = objects.into_iter().chain([Object::Host(me)]);
    let objects = objects.map(|value| Versioned { value, version: 1 }).collect();
    let mut node = Node::new(identity);
    node.handle(Instant::now(), Event::KernelRead(KernelState::default()));
    node.handle(Instant::now(), Event::StoreRead { revision: 1, objects, unreadable: vec![] });
    node
}

fn endpoint(name: &str, at: &str) -> Object {
    Object::Endpoint(Endpoint {
        name: EndpointName::new(name),
        labels: Labels::try_from_pairs([("app", name)]).unwrap(),
        host: HostName::new("h1"),
        attachment: AttachmentId { container: name.to_owned(), interface: "eth0".to_owned() },
        addresses: BTreeSet::from([address(at)]),
        interface: Interface::new(format!("pop{name}")).unwrap(),
        mac: Mac([2, 0, 0, 0, 0, 1]),
        namespace: None,
        ports: Vec::new(),
        published: Vec::new(),
        netns: format!("/run/netns/{name}").into(),
        mtu_bytes: 1500,
        network: None,
        is_sticky: false,
        since: None,
        aliases: BTreeSet::new(),
        container: None,
    })
}

fn db_without_sql() -> Object {
    let rule = |name: &str, action, ports| Rule { ports, ..Rule::any(name, action) };
    let sql = vec!["tcp/5432".parse().unwrap()];
    Object::Policy(Policy {
        name: "db".into(),
        mode: Mode::Enforce,
        hosts: Hosts::Never,
        tier: "default".to_owned(),
        order: None,
        subject: Selection::anywhere(Selector::parse("app == 'db'").unwrap()),
        ingress: Some(vec![rule("no-sql", Action::Deny, sql), rule("rest", Action::Allow, vec![])]),
        egress: None,
    })
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}
