//! Peers known by a prefix: who calls from it is a neighbour, and nobody else.

#![allow(clippy::unwrap_used)]

mod world;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use poplin_bgp::{Asn, ConnectionId, Event as BgpEvent, Protection};
use poplin_node::kernel::KernelState;
use poplin_node::name::{HostName, PeerName};
use poplin_node::object::{Host, Object, Peer, PeerAs, Place, Versioned};
use poplin_node::{Action, Event, Identity, Node, Role};
use poplin_policy::label::Labels;
use world::peer;

/// A reflector that two may call from 192.0.2.0/24.
struct Called {
    node: Node,
    now: Instant,
    connections: u64,
}

impl Called {
    fn new() -> Self {
        Self::with(vec![Object::Peer(racks())])
    }

    fn with(objects: Vec<Object>) -> Self {
        let host = HostName::new("rr1");
        let addresses = BTreeSet::from(["192.0.2.1".parse().unwrap()]);
        let record = Host {
            name: host.clone(),
            labels: Labels::default(),
            addresses: addresses.clone(),
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
            addresses,
            asn: None,
            router_id: None,
            machine: None,
            release: None,
        };
        let mut node = Node::with_role(identity, Role::Speaker { installs: false });
        let now = Instant::now();
        let values = std::iter::once(Object::Host(record)).chain(objects);
        let objects = values.into_iter().map(|value| Versioned { value, version: 1 }).collect();
        node.handle(now, Event::StoreRead { revision: 1, objects, unreadable: Vec::new() });
        node.handle(now, Event::KernelRead(KernelState::default()));
        Self { node, now, connections: 0 }
    }

    /// Somebody calls; whether it is spoken to, and not turned away.
    fn call(&mut self, from: &str) -> bool {
        self.connections += 1;
        let connection = ConnectionId(self.connections);
        let (neighbour, local) = (from.parse().unwrap(), "192.0.2.1".parse().unwrap());
        let opened = BgpEvent::ConnectionOpened { connection, neighbour, outgoing: false, local };
        self.node.handle(self.now, Event::Bgp(opened));
        let actions: Vec<Action> = std::iter::from_fn(|| self.node.next_action()).collect();
        let is_closed = |action: &Action| *action == Action::Bgp(poplin_bgp::Action::Close { connection });
        let is_dialled = |action: &Action| matches!(action, Action::Bgp(poplin_bgp::Action::Connect { .. }));
        assert!(!actions.iter().any(is_dialled), "who calls is not dialled");
        !actions.iter().any(is_closed)
    }

    fn hang_up(&mut self, call: u64) {
        let closed = BgpEvent::ConnectionClosed { connection: ConnectionId(call), reason: "bye".into() };
        self.node.handle(self.now, Event::Bgp(closed));
        while self.node.next_action().is_some() {}
    }

    fn names(&self) -> Vec<String> {
        self.node.status(self.now).sessions.into_iter().map(|session| session.name).collect()
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.node.handle(self.now, Event::Tick);
    }
}

fn racks() -> Peer {
    let racks = peer("racks", Place::Within("192.0.2.0/24".parse().unwrap(), 2), PeerAs::Is(Asn(64512)));
    Peer { is_client: true, ..racks }
}

#[test]
fn who_calls_from_the_prefix_is_a_neighbour_and_nobody_else() {
    let mut called = Called::new();
    assert_eq!(called.names(), Vec::<String>::new());

    assert!(called.call("192.0.2.11"));
    assert!(!called.call("198.51.100.1"));

    assert_eq!(called.names(), ["racks@192.0.2.11"]);
    assert_eq!(called.node.neighbour_called("racks@192.0.2.11"), Some([192, 0, 2, 11].into()));
}

#[test]
fn who_has_hung_up_is_forgotten_and_makes_room() {
    let mut called = Called::new();
    assert!(called.call("192.0.2.11") && called.call("192.0.2.12"));
    assert!(!called.call("192.0.2.13"), "there may be two");
    assert!(called.call("192.0.2.11"), "one that is known may call again");

    called.hang_up(1);
    called.hang_up(4);
    called.pass(Duration::from_secs(60));

    assert_eq!(called.names(), ["racks@192.0.2.12"]);
    assert!(called.call("192.0.2.13"));
}

#[test]
fn a_neighbour_without_a_password_among_those_who_sign_is_told_that_it_cannot_call() {
    let signed = |peer| {
        let protection = Protection { password_file: Some("/etc/poplin/racks.key".into()), hops_max: None };
        Peer { protection, ..peer }
    };
    let tor =
        |name, address: &str| Peer { name: PeerName::new(name), place: Place::At(address.parse().unwrap()), ..racks() };
    let peers =
        [signed(racks()), tor("near", "192.0.2.9"), signed(tor("known", "192.0.2.8")), tor("far", "198.51.100.1")];

    let called = Called::with(peers.map(Object::Peer).into());

    assert_eq!(
        called.node.status(called.now).routing_problems,
        [
            "near cannot call: 192.0.2.0/24, which it is in, signs by a password, and it has none. Give it a passwordFile of its own"
        ]
    );
}
