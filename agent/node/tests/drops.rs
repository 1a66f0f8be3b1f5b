//! What the rules say of packets they dropped.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use poplin_node::drops::{Account, Dropped, account_of};
use poplin_node::kernel::{KernelState, Mac};
use poplin_node::name::{AttachmentId, EndpointName, HostName};
use poplin_node::object::{Endpoint, Host, Object, Versioned};
use poplin_node::{Event, Identity, Loaded, Node};
use poplin_policy::label::Labels;
use poplin_policy::model::{Action, Direction, Peers, Policy, Rule};
use poplin_policy::packet::Packet;
use poplin_policy::place::Place;
use poplin_policy::ruleset::Interface;
use poplin_policy::selector::Selector;

const WEB: &str = "10.77.0.1";
const DB: &str = "10.77.0.2";
const FAR: &str = "10.77.9.9";

#[test]
fn a_denial_has_the_names_of_both_ends_and_the_rule() {
    let rules = rules(vec![endpoint("web", WEB), endpoint("db", DB), db_without_sql()]);
    let sql = Packet::tcp(address(WEB), address(DB), (40000, 5432));

    let account = account_of(&dropped(Place::Denied(Direction::Ingress), "popdb", sql), &rules, None);

    let Account { direction, endpoint, peer, reason, by } = account;
    assert_eq!((direction, endpoint.as_deref(), peer.as_deref()), (Direction::Ingress, Some("db"), Some("web")));
    assert_eq!((reason.as_str(), by.is_some()), ("default/db/no-sql: denied", true));
}

#[test]
fn what_the_rules_of_now_would_let_through_was_dropped_by_those_before() {
    let before = rules(vec![endpoint("db", DB), db_without_sql()]);
    let now = rules(vec![endpoint("db", DB)]);
    let sql = Packet::tcp(address(FAR), address(DB), (40000, 5432));
    let dropped = dropped(Place::Denied(Direction::Ingress), "popdb", sql);

    let reason = |now: &Loaded, before| account_of(&dropped, now, before).reason;

    assert_eq!(reason(&now, Some(&before)), "default/db/no-sql: denied");
    assert_eq!(reason(&before, Some(&now)), "default/db/no-sql: denied");
    assert_eq!(reason(&now, None), "denied by rules that have changed since");
    assert_eq!(account_of(&dropped, &now, None).peer, None, "who is far away has no name here");
}

#[test]
fn a_forged_source_is_its_links_and_not_its_owners() {
    let rules = rules(vec![endpoint("web", WEB), endpoint("db", DB)]);
    let forged = Packet::tcp(address(DB), address(FAR), (40000, 22));

    let account = account_of(&dropped(Place::Spoof, "popweb", forged), &rules, None);

    assert_eq!((account.direction, account.endpoint.as_deref()), (Direction::Egress, Some("web")));
    assert_eq!((account.reason.as_str(), account.by), ("10.77.0.2 is not an address of web", None));
}

fn dropped(place: Place, link: &str, packet: Packet) -> Dropped {
    Dropped { place, interface: Interface::new(link), packet }
}

/// What a node loads for a store of these.
fn rules(objects: Vec<Object>) -> Arc<Loaded> {
    let host = HostName::new("h1");
    let addresses = BTreeSet::from([address("172.31.0.1")]);
    let router_id = "172.31.0.1".parse().unwrap();
    let me = Host { name: host.clone(), labels: Labels::default(), addresses: addresses.clone(), asn: None, router_id };
    let identity = Identity { host, labels: Labels::default(), addresses, asn: None, router_id: None };
    let objects = objects.into_iter().chain([Object::Host(me)]);
    let objects = objects.map(|value| Versioned { value, version: 1 }).collect();
    let mut node = Node::new(identity);
    node.handle(Instant::now(), Event::KernelRead(KernelState::default()));
    node.handle(Instant::now(), Event::StoreRead { revision: 1, objects, unreadable: vec![] });
    node.rules().unwrap()
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
        netns: format!("/run/netns/{name}").into(),
        mtu_bytes: 1500,
    })
}

fn db_without_sql() -> Object {
    let rule = |name: &str, action, ports| Rule {
        name: name.to_owned(),
        action,
        peers: Peers::default(),
        ports,
        source_ports: vec![],
    };
    let sql = vec!["tcp/5432".parse().unwrap()];
    Object::Policy(Policy {
        name: "db".to_owned(),
        tier: "default".to_owned(),
        order: None,
        subject: Selector::parse("app == 'db'").unwrap(),
        ingress: Some(vec![rule("no-sql", Action::Deny, sql), rule("rest", Action::Allow, vec![])]),
        egress: None,
    })
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}
