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
use poplin_policy::compile::Effect;
use poplin_policy::gate::Lane;
use poplin_policy::host::{Doorway, HostEndpoint};
use poplin_policy::label::Labels;
use poplin_policy::model::{Action, Direction, Hosts, Mode, Policy, Rule, Selection};
use poplin_policy::packet::Packet;
use poplin_policy::place::Place;
use poplin_policy::ruleset::{HookPoint, Interface, Name};
use poplin_policy::selector::Selector;

const WEB: &str = "10.77.0.1";
const DB: &str = "10.77.0.2";
const FAR: &str = "10.77.9.9";

#[test]
fn a_denial_has_the_names_of_both_ends_and_the_rule() {
    let node = node(vec![endpoint("web", WEB), endpoint("db", DB), db_without_sql()]);
    let chain = node.counted().into_iter().find(|(_, counted)| counted.effect == Effect::Deny).map(|(chain, _)| chain);
    let sql = Packet::tcp(address(WEB), address(DB), (40000, 5432));

    let account = node.account_of(&Dropped { chain, ..dropped(Place::Denied(Direction::Ingress), "popdb", sql) });

    let Account { direction, endpoint, peer, reason, by, .. } = account;
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

/// By a workload's rules: from the link or to it, the other end being somewhere else.
fn dropped(place: Place, link: &str, packet: Packet) -> Dropped {
    let (interface_in, interface_out) = match place.direction() {
        Direction::Egress => (Interface::new(link), Interface::new("up0")),
        Direction::Ingress => (Interface::new("up0"), Interface::new(link)),
    };
    Dropped { place, chain: None, hook: Some(HookPoint::Forward), interface_in, interface_out, packet }
}

/// What a host endpoint's rules drop.
fn at_host(place: Place, hook: HookPoint, [from, to]: [&str; 2], packet: Packet) -> Dropped {
    Dropped {
        hook: Some(hook),
        interface_in: Interface::new(from),
        interface_out: Interface::new(to),
        ..dropped(place, "", packet)
    }
}

#[test]
fn a_denial_at_a_host_endpoint_has_its_name_its_lane_and_who_is_behind_it() {
    let node = node(vec![endpoint("web", WEB), edge(), closed("edge", Hosts::Forward)]);
    let told = |place, hook, interfaces, packet| {
        let account = node.account_of(&at_host(place, hook, interfaces, packet));
        let interface = account.interface.map(|one| one.to_string());
        (account.endpoint.unwrap_or_default(), account.behind.unwrap_or_default(), account.lane, interface)
    };
    let (into, out) = (Direction::Ingress, Direction::Egress);
    let (to_web, to_host) = (sql(FAR, WEB), sql(FAR, "172.31.0.1"));
    let edge = |behind: &str, lane| ("edge".to_owned(), behind.to_owned(), Some(lane), Some("up0".to_owned()));

    assert_eq!(told(Place::Denied(into), HookPoint::Input, ["up0", ""], to_host), edge("", Lane::Input));
    assert_eq!(
        told(Place::NoPolicy(out), HookPoint::Output, ["", "up0"], sql("172.31.0.1", FAR)),
        edge("", Lane::Output)
    );
    assert_eq!(told(Place::Denied(into), HookPoint::Forward, ["up0", "popweb"], to_web), edge("web", Lane::ForwardIn));
    assert_eq!(
        told(Place::Denied(out), HookPoint::Forward, ["popweb", "up0"], sql(WEB, FAR)),
        edge("web", Lane::ForwardOut)
    );
}

#[test]
fn what_a_workloads_policy_denies_is_not_laid_at_the_host_endpoints_door() {
    let closed_web = Object::Policy(Policy {
        hosts: Hosts::Never,
        subject: Selection::anywhere(Selector::parse("app == 'web'").unwrap()),
        ..policy("web", vec![])
    });
    let node = node(vec![endpoint("web", WEB), edge(), closed("edge", Hosts::Forward), closed_web]);

    let account = node.account_of(&at_host(
        Place::Denied(Direction::Ingress),
        HookPoint::Forward,
        ["up0", "popweb"],
        sql(FAR, WEB),
    ));

    assert_eq!((account.endpoint.as_deref(), account.lane), (Some("web"), None));
}

fn sql(from: &str, to: &str) -> Packet {
    Packet::tcp(address(from), address(to), (40000, 5432))
}

/// A host endpoint of this host.
fn edge() -> Object {
    Object::HostEndpoint(HostEndpoint {
        name: "edge".to_owned(),
        labels: Labels::try_from_pairs([("role", "edge")]).unwrap(),
        profiles: Vec::new(),
        host: "h1".to_owned(),
        doorway: Doorway::Named(Interface::new("up0").unwrap()),
        addresses: BTreeSet::new(),
        ports: Vec::new(),
    })
}

fn closed(name: &str, hosts: Hosts) -> Object {
    Object::Policy(Policy { hosts, egress: Some(Vec::new().into()), ..policy(name, vec![]) })
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
        machine: None,
        release: None,
    };
    let identity = Identity {
        host,
        labels: Labels::default(),
        addresses,
        asn: None,
        router_id: None,
        machine: None,
        release: None,
    };
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
        addresses: [address(at)].into(),
        interface: Interface::new(format!("pop{name}")).unwrap(),
        mac: Mac([2, 0, 0, 0, 0, 1]),
        namespace: None,
        ports: Vec::new(),
        published: Vec::new(),
        netns: format!("/run/netns/{name}").into(),
        mtu_bytes: 1500,
        network: None,
        is_sticky: false,
        profiles: Vec::new(),
        since: None,
        aliases: BTreeSet::new(),
        container: None,
        parent: None,
    })
}

fn db_without_sql() -> Object {
    let rule = |name: &str, action, ports| Rule { ports, ..Rule::any(name, action) };
    let sql = vec!["tcp/5432".parse().unwrap()];
    let rules = vec![rule("no-sql", Action::Deny, sql), rule("rest", Action::Allow, vec![])];
    Object::Policy(Policy {
        subject: Selection::anywhere(Selector::parse("app == 'db'").unwrap()),
        ..policy("db", rules)
    })
}

/// A policy of the host endpoint, unless its subject is another.
fn policy(name: &str, ingress: Vec<Rule>) -> Policy {
    Policy {
        name: name.into(),
        mode: Mode::Enforce,
        hosts: Hosts::Never,
        tier: "default".to_owned(),
        order: None,
        subject: Selection::anywhere(Selector::parse("role == 'edge'").unwrap()),
        ingress: Some(ingress.into()),
        egress: None,
    }
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}
