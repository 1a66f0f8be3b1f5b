//! A peer that has a link to himself: who shows himself there is the neighbour, as long as the link lives.

#![allow(clippy::unwrap_used)]

mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use poplin_bgp::wire::{AsPath, Attributes, Capability, Dialect, Family, Message, Open, Origin, pack_reach};
use poplin_bgp::{Address, Asn, ConnectionId, Event as BgpEvent, RemoteAs, Zone};
use poplin_node::kernel::{Gateway, KernelState, Step, Target};
use poplin_node::name::HostName;
use poplin_node::object::{Host, Object, Peer, PeerAs, Place, Versioned};
use poplin_node::{Action, Event, Identity, Node, Role};
use poplin_policy::label::Labels;
use world::peer;

const DIALECT: Dialect = Dialect { four_octets: true, external: true, ..Dialect::PLAIN };

/// A router with a peer on eth0, in whatever other AS.
struct Leaf {
    node: Node,
    now: Instant,
    connections: u64,
    actions: Vec<Action>,
}

fn zone() -> Zone {
    Zone::new("eth0").unwrap()
}

fn kernel(index: Option<u32>) -> KernelState {
    let live = index.map(|index| (zone(), index)).into_iter().collect();
    KernelState { live, ..KernelState::default() }
}

impl Leaf {
    fn new() -> Self {
        let host = HostName::new("leaf");
        let addresses = BTreeSet::from(["10.0.0.1".parse().unwrap()]);
        let record = Host {
            name: host.clone(),
            labels: Labels::default(),
            addresses: addresses.clone(),
            asn: None,
            router_id: [10, 0, 0, 1].into(),
            is_draining: false,
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
        let node = Node::with_role(identity, Role::Speaker { installs: true });
        let mut leaf = Self { node, now: Instant::now(), connections: 0, actions: Vec::new() };
        let objects = [Object::Host(record), Object::Peer(spine())];
        let objects = objects.into_iter().map(|value| Versioned { value, version: 1 }).collect();
        leaf.tell(Event::StoreRead { revision: 1, objects, unreadable: Vec::new() });
        leaf
    }

    fn with_link() -> Self {
        let mut leaf = Self::new();
        leaf.tell(Event::KernelRead(kernel(Some(2))));
        leaf
    }

    fn tell(&mut self, event: Event) {
        self.node.handle(self.now, event);
        while let Some(action) = self.node.next_action() {
            let is_batch = matches!(action, Action::Apply(_));
            self.actions.push(action);
            if is_batch {
                self.node.handle(self.now, Event::StepsDone(Ok(())));
            }
        }
    }

    fn advertises(&mut self, address: &str) {
        self.tell(Event::NeighbourMet { zone: zone(), address: address.parse().unwrap() });
    }

    /// Somebody calls from this address; whether he is spoken to.
    fn call(&mut self, from: &str) -> bool {
        self.connections += 1;
        let connection = ConnectionId(self.connections);
        let (neighbour, local) = (from.parse().unwrap(), "fe80::1%eth0".parse().unwrap());
        self.tell(Event::Bgp(BgpEvent::ConnectionOpened { connection, neighbour, outgoing: false, local }));
        !self.actions.contains(&Action::Bgp(poplin_bgp::Action::Close { connection }))
    }

    /// Who has called introduces himself, and has one route.
    fn agree(&mut self) {
        let capabilities = [
            Capability::Multiprotocol(Family::Ipv4),
            Capability::FourOctetAsn(Asn(65001)),
            Capability::ExtendedNextHop([Family::Ipv4].into()),
        ];
        let router_id = [10, 0, 0, 2].into();
        let open = Open { my_as: 65001, hold_time_secs: 90, router_id, capabilities: capabilities.into() };
        let attributes = Attributes::new(Origin::Igp, AsPath::through([Asn(65001)]));
        let hop: Address = "fe80::2".parse().unwrap();
        let prefix: ipnet::IpNet = "10.9.0.0/16".parse().unwrap();
        let said = [Message::Open(open).encode(DIALECT), Message::Keepalive.encode(DIALECT)].into_iter();
        for octets in said.chain(pack_reach(&attributes, hop, [prefix], DIALECT)) {
            let connection = ConnectionId(self.connections);
            self.tell(Event::Bgp(BgpEvent::Received { connection, octets }));
        }
    }

    fn neighbours(&self) -> Vec<String> {
        self.node
            .status(self.now)
            .sessions
            .iter()
            .map(|session| format!("{}@{}", session.name, session.address))
            .collect()
    }

    fn dialled(&self) -> Vec<String> {
        let dialled = self.actions.iter().filter_map(|action| match action {
            Action::Bgp(poplin_bgp::Action::Connect { neighbour, .. }) => Some(neighbour.to_string()),
            _ => None,
        });
        dialled.collect()
    }

    fn discovers(&self) -> Option<BTreeMap<Zone, u32>> {
        self.actions.iter().rev().find_map(|action| match action {
            Action::Discover(links) => Some(links.clone()),
            _ => None,
        })
    }

    /// What became of the route, the latest last.
    fn steps(&self) -> Vec<Step> {
        let batches = self.actions.iter().filter_map(|action| match action {
            Action::Apply(steps) => Some(steps.clone()),
            _ => None,
        });
        batches.flatten().filter(|step| matches!(step, Step::SetRoute { .. } | Step::RemoveRoute(_))).collect()
    }
}

fn spine() -> Peer {
    peer("spine", Place::On(zone()), PeerAs::External)
}

#[test]
fn a_link_is_searched_while_it_lives_and_who_is_found_is_dialled() {
    let mut leaf = Leaf::new();
    leaf.tell(Event::KernelRead(kernel(None)));
    assert_eq!(leaf.discovers(), None);
    assert_eq!(
        leaf.node.status(leaf.now).routing_problems,
        ["peer spine: interface eth0 does not exist, is down, or has no carrier"]
    );

    leaf.tell(Event::KernelRead(kernel(Some(2))));
    assert_eq!(leaf.discovers(), Some(BTreeMap::from([(zone(), 2)])));
    leaf.advertises("fe80::2");

    assert_eq!(leaf.neighbours(), ["spine@fe80::2%eth0"]);
    assert_eq!(leaf.dialled(), ["fe80::2%eth0"]);
    assert_eq!(leaf.node.status(leaf.now).routing_problems, Vec::<String>::new());
    assert_eq!(leaf.node.neighbour_called("spine"), leaf.node.neighbour_called("fe80::2%eth0"));
}

#[test]
fn who_calls_on_the_link_is_the_neighbour_and_his_routes_lead_there() {
    let mut leaf = Leaf::with_link();

    assert!(leaf.call("fe80::2%eth0"));
    assert!(!leaf.call("fe80::2%eth1") && !leaf.call("2001:db8::2"));
    leaf.connections = 1;
    leaf.agree();

    let gateway = Gateway { address: "fe80::2".parse().unwrap(), interface: Some(2) };
    let (destination, target) = ("10.9.0.0/16".parse().unwrap(), Target::Gateways([gateway].into()));
    assert_eq!(leaf.steps(), [Step::SetRoute { destination, target, source: None }]);
    assert!(!leaf.call("fe80::3%eth0"), "another caller ends no session");
    assert_eq!(leaf.neighbours(), ["spine@fe80::2%eth0"]);
}

#[test]
fn a_link_that_goes_takes_the_session_and_its_routes_along_and_nobody_is_dialled_there() {
    let mut leaf = Leaf::with_link();
    leaf.call("fe80::2%eth0");
    leaf.agree();

    leaf.tell(Event::KernelRead(KernelState { routes: BTreeMap::new(), ..kernel(None) }));

    assert_eq!(leaf.neighbours(), Vec::<String>::new());
    assert_eq!(leaf.discovers(), Some(BTreeMap::new()));
    let before = leaf.dialled().len();
    leaf.now += std::time::Duration::from_secs(60);
    leaf.tell(Event::Tick);
    assert_eq!(leaf.dialled().len(), before);
}

#[test]
fn a_neighbour_with_another_address_is_another_neighbour() {
    let mut leaf = Leaf::with_link();
    leaf.advertises("fe80::2");
    assert!(!leaf.call("fe80::9%eth0"), "who advertises himself counts for more than a caller");

    leaf.advertises("fe80::3");

    assert_eq!(leaf.neighbours(), ["spine@fe80::3%eth0"]);
    assert_eq!(leaf.dialled(), ["fe80::2%eth0", "fe80::3%eth0"]);
}

#[test]
fn internal_and_external_are_seen_from_the_host() {
    assert_eq!(PeerAs::Internal.seen_from(Asn(64512)), RemoteAs::Is(Asn(64512)));
    assert_eq!(PeerAs::External.seen_from(Asn(64512)), RemoteAs::External);
}
