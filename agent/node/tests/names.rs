//! Names as the head tells them to those who answer.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Instant;

use poplin_node::kernel::{KernelState, LinkState, Mac, TUN_DEVICE};
use poplin_node::name::{AttachmentId, EndpointName, HostName, NetworkName, ServiceName};
use poplin_node::names::{Found, NameDoor, Names, Naming};
use poplin_node::object::{Endpoint, Fabric, Host, Object, ObjectKey, Versioned};
use poplin_node::service::Service;
use poplin_node::{Action, Event, Identity, Node};
use poplin_policy::label::Labels;
use poplin_policy::ruleset::Interface;
use poplin_policy::selector::Selector;

#[test]
fn what_the_store_tells_is_in_the_table_at_once_and_what_it_forgets_is_not() {
    let mut desk = Desk::new(vec![endpoint("web", "h1", "10.77.0.1", None)]);

    desk.put(endpoint("db", "h2", "10.77.0.2", None));
    assert_eq!(desk.find("web", "db"), at("10.77.0.2"));

    desk.put(endpoint("db", "h2", "10.77.0.3", None));
    assert_eq!(desk.find("web", "db"), at("10.77.0.3"));

    desk.forget(ObjectKey::Endpoint(EndpointName::new("db")));
    assert_eq!(desk.find("web", "db"), Found::NotOurs);
}

#[test]
fn a_service_has_a_name_as_long_as_it_is_declared() {
    let mut desk = Desk::new(vec![endpoint("web", "h1", "10.77.0.1", None)]);
    let name = ServiceName::new("api");
    let service = Service {
        name: name.clone(),
        labels: Labels::default(),
        addresses: [address("198.51.100.7")].into(),
        endpoints: Selector::parse("app == 'api'").unwrap(),
        health: None,
    };

    desk.put(Object::Service(service));
    assert_eq!(desk.find("web", "api"), at("198.51.100.7"));

    desk.forget(ObjectKey::Service(name));
    assert_eq!(desk.find("web", "api"), Found::NotOurs);
}

#[test]
fn a_store_that_is_read_again_without_somebody_has_forgotten_him() {
    let mut desk = Desk::new(vec![endpoint("web", "h1", "10.77.0.1", None), endpoint("db", "h2", "10.77.0.2", None)]);
    assert_eq!(desk.find("web", "db"), at("10.77.0.2"));

    desk.read(vec![endpoint("web", "h1", "10.77.0.1", None)]);

    assert_eq!(desk.find("web", "db"), Found::NotOurs);
}

#[test]
fn names_that_runtimes_make_lose_what_only_keeps_them_apart() {
    let [db, twin] = [("db.shop", "10.77.0.2"), ("db.shop.h2", "10.77.0.3")];
    let desk = Desk::new(vec![
        endpoint("web.shop", "h1", "10.77.0.1", Some("shop")),
        endpoint(db.0, "h1", db.1, Some("shop")),
        endpoint(twin.0, "h2", twin.1, Some("shop")),
    ]);

    let found = desk.find("web.shop", "db");

    assert_eq!(found, Found::Addresses([db.1, twin.1].map(address).into()));
}

#[test]
fn machines_by_tap_are_not_one_container_for_all_their_far_ends_are_one_file() {
    let machine = |name: &str, at: &str, network: &str| match endpoint(name, "h1", at, Some(network)) {
        Object::Endpoint(one) => Object::Endpoint(Endpoint { netns: TUN_DEVICE.into(), ..one }),
        other => other,
    };
    let db = endpoint("db.bank", "h2", "10.77.0.3", Some("bank"));
    let desk = Desk::new(vec![machine("a.shop", "10.77.0.1", "shop"), machine("b.bank", "10.77.0.2", "bank"), db]);

    assert_eq!(desk.find("b.bank", "db"), at("10.77.0.3"));
    assert_ne!(desk.find("a.shop", "db"), at("10.77.0.3"), "a machine of one network does not see names of another's");
}

#[test]
fn there_is_a_door_at_the_gateway_and_on_each_link_with_ipv6_alone_and_none_if_names_are_off() {
    let mut desk = Desk::new(vec![endpoint("web", "h1", "10.77.0.1", None), endpoint("six", "h1", "fd77::1", None)]);
    let gateway = NameDoor::Gateway(address("169.254.1.1"));
    let link = NameDoor::Link(address("fe80::1"), Interface::new("popsix").unwrap(), 6);
    assert_eq!(desk.doors, [gateway.clone(), link].into());

    desk.forget(ObjectKey::Endpoint(EndpointName::new("six")));
    assert_eq!(desk.doors, [gateway.clone()].into());

    let naming = Naming { is_served: false, ..Naming::default() };
    desk.put(Object::Fabric(Fabric { naming, ..Fabric::default() }));
    assert_eq!(desk.doors, BTreeSet::new());
    desk.forget(ObjectKey::Fabric);
    assert_eq!(desk.doors, [gateway].into());
}

#[test]
fn a_container_with_several_interfaces_on_lans_has_one_door_at_each_gateway_of_its_own() {
    let on_a_lan = |name: &str, at: &str| match endpoint(name, "h1", at, None) {
        Object::Endpoint(one) => {
            Object::Endpoint(Endpoint { parent: Interface::new("eth1"), netns: "/run/netns/c".into(), ..one })
        }
        other => other,
    };
    let mut desk = Desk::new(vec![on_a_lan("a", "10.77.0.1"), on_a_lan("b", "10.77.0.2")]);
    let gateway = address("169.254.1.1");
    let door = |name: &str| NameDoor::Sandbox(gateway, Interface::new(name).unwrap(), "/run/netns/c".into());

    assert_eq!(desk.doors, [NameDoor::Gateway(gateway), door("popa")].into(), "two cannot stand at one address");

    desk.forget(ObjectKey::Endpoint(EndpointName::new("a")));
    assert_eq!(desk.doors, [NameDoor::Gateway(gateway), door("popb")].into());
}

#[test]
fn a_node_without_names_tells_of_none() {
    let desk = Desk::of(node().without_names(), vec![endpoint("web", "h1", "10.77.0.1", None)]);

    assert_eq!((desk.names.count(), desk.doors), (0, BTreeSet::new()));
}

/// A node, and the table and the doors of those it tells.
struct Desk {
    node: Node,
    revision: i64,
    names: Names,
    doors: BTreeSet<NameDoor>,
    is_applying: bool,
}

impl Desk {
    fn new(objects: Vec<Object>) -> Self {
        Self::of(node(), objects)
    }

    fn of(node: Node, objects: Vec<Object>) -> Self {
        let (names, doors) = (Names::default(), BTreeSet::new());
        let mut desk = Self { node, revision: 1, names, doors, is_applying: false };
        let mut kernel = KernelState::default();
        let mac = Mac([2; 6]);
        let link = LinkState { index: 6, is_up: true, mac, mtu_bytes: 1500, is_configured: true, has_loopback: false };
        kernel.links.insert(Interface::new("popsix").unwrap(), link);
        desk.tell(Event::KernelRead(kernel));
        desk.read(objects);
        desk
    }

    fn read(&mut self, objects: Vec<Object>) {
        self.revision += 1;
        let version = self.revision;
        let objects = objects.into_iter().chain([Object::Host(me())]).map(|value| Versioned { value, version });
        self.tell(Event::StoreRead { revision: version, objects: objects.collect(), unreadable: vec![] });
    }

    fn put(&mut self, value: Object) {
        self.revision += 1;
        let version = self.revision;
        self.tell(Event::StoreChanged {
            revision: version,
            puts: vec![Versioned { value, version }],
            unreadable: vec![],
            deletes: vec![],
        });
    }

    fn forget(&mut self, key: ObjectKey) {
        self.revision += 1;
        self.tell(Event::StoreChanged {
            revision: self.revision,
            puts: vec![],
            unreadable: vec![],
            deletes: vec![key],
        });
    }

    fn tell(&mut self, event: Event) {
        self.node.handle(Instant::now(), event);
        while let Some(action) = self.node.next_action() {
            match action {
                Action::ChangeNames(changes) => changes.into_iter().for_each(|change| self.names.change(change)),
                Action::OpenNameDoors(doors) => self.doors = doors,
                Action::Apply(_) => self.is_applying = true,
                Action::Transact(..)
                | Action::ReadStore
                | Action::Owe(_)
                | Action::Keep { .. }
                | Action::ReadFlows(..)
                | Action::EndFlows(_)
                | Action::Answer(..)
                | Action::Discover(_)
                | Action::Probe(_)
                | Action::ProtectCallers(_)
                | Action::AdvertiseNeighbours(_)
                | Action::Bgp(_)
                | Action::Note(_) => {}
            }
        }
        if std::mem::take(&mut self.is_applying) {
            self.tell(Event::StepsDone(Ok(())));
        }
    }

    fn find(&self, asker: &str, name: &str) -> Found {
        self.names.seen_by(&EndpointName::new(asker)).unwrap().find(name)
    }
}

fn me() -> Host {
    let addresses = BTreeSet::from([address("172.31.0.1")]);
    let (labels, router_id) = (Labels::default(), "172.31.0.1".parse().unwrap());
    Host {
        name: HostName::new("h1"),
        labels,
        addresses,
        asn: None,
        router_id,
        is_draining: false,
        told: None,
        machine: None,
        release: None,
    }
}

fn node() -> Node {
    let Host { name: host, labels, addresses, .. } = me();
    Node::new(Identity { host, labels, addresses, asn: None, router_id: None, machine: None, release: None })
}

fn endpoint(name: &str, host: &str, at: &str, network: Option<&str>) -> Object {
    Object::Endpoint(Endpoint {
        name: EndpointName::new(name),
        labels: Labels::default(),
        host: HostName::new(host),
        attachment: AttachmentId { container: name.to_owned(), interface: "eth0".to_owned() },
        addresses: [address(at)].into(),
        interface: Interface::new(format!("pop{}", name.replace('.', ""))).unwrap(),
        mac: Mac([2, 0, 0, 0, 0, 1]),
        namespace: network.map(str::to_owned),
        ports: Vec::new(),
        published: Vec::new(),
        netns: format!("/run/netns/{name}").into(),
        mtu_bytes: 1500,
        network: network.map(NetworkName::new),
        is_sticky: false,
        profiles: Vec::new(),
        since: None,
        aliases: BTreeSet::new(),
        container: None,
        parent: None,
    })
}

fn at(text: &str) -> Found {
    Found::Addresses([address(text)].into())
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}
