//! Who joins waits for BGP neighbours where the fabric says so, and no longer than it says.

#![allow(clippy::unwrap_used)]

mod world;

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use poplin_bgp::wire::{Capability, Dialect, Family, Message, Open};
use poplin_bgp::{Asn, ConnectionId, Event as BgpEvent};
use poplin_node::kernel::{KernelState, Step};
use poplin_node::name::{HostName, PoolName, ServiceName};
use poplin_node::object::{
    AwaitedPeers, Fabric, Host, Object, ObjectKey, Peer, PeerAs, Place, Pool, Readiness, Versioned,
};
use poplin_node::prefix::host_prefix;
use poplin_node::request::{Answer, Detach, Refusal, RequestId};
use poplin_node::service::Service;
use poplin_node::transaction::{Transaction, TransactionOutcome};
use poplin_node::{Action, Event, Node, plan};
use poplin_policy::label::Labels;
use poplin_policy::selector::Selector;
use world::{node, peer, pool, wish};

const TIMEOUT: Duration = Duration::from_secs(7);

const TOR1: Ipv4Addr = Ipv4Addr::new(172, 31, 0, 11);
const TOR2: Ipv4Addr = Ipv4Addr::new(172, 31, 0, 12);
const OTHER_HOST: Ipv4Addr = Ipv4Addr::new(172, 31, 0, 2);

/// A host whose store and kernel do at once what they are asked for, and whose neighbours are played by the test.
struct Desk {
    node: Node,
    now: Instant,
    revision: i64,
    connections: u64,
    transactions: Vec<Transaction>,
    kernel: KernelState,
    steps: Vec<Step>,
    answers: Vec<Answer>,
    /// Connections where an acknowledgement is asked for.
    asked: Vec<ConnectionId>,
}

impl Desk {
    fn new(peers: AwaitedPeers, objects: Vec<Object>) -> Self {
        let mut desk = Self {
            node: node(),
            now: Instant::now(),
            revision: 10,
            connections: 0,
            transactions: Vec::new(),
            kernel: KernelState::default(),
            steps: Vec::new(),
            answers: Vec::new(),
            asked: Vec::new(),
        };
        desk.tell(Event::KernelRead(KernelState::default()));
        let objects = [fabric(peers), pool("four", "10.77.0.0/16", 26)].into_iter().chain(objects);
        let objects = objects.map(|value| Versioned { value, version: 1 }).collect();
        desk.tell(Event::StoreRead { revision: desk.revision, objects, unreadable: Vec::new() });
        desk
    }

    /// One with two ToR switches that speak to it.
    fn under_two(peers: AwaitedPeers) -> (Self, ConnectionId, ConnectionId) {
        let mut desk = Self::new(peers, vec![tor("tor1", TOR1), tor("tor2", TOR2), other_host()]);
        let (one, other) = (desk.call(TOR1, 64513), desk.call(TOR2, 64513));
        (desk, one, other)
    }

    fn tell(&mut self, event: Event) {
        self.node.handle(self.now, event);
        while let Some(action) = self.node.next_action() {
            match action {
                Action::Apply(steps) => {
                    steps.iter().for_each(|step| plan::advance(&mut self.kernel, step));
                    self.steps.extend(steps);
                    self.node.handle(self.now, Event::StepsDone(Ok(())));
                }
                Action::Transact(id, transaction) => {
                    self.revision += 1;
                    self.transactions.push(transaction);
                    let outcome = TransactionOutcome::Committed { revision: self.revision };
                    self.node.handle(self.now, Event::TransactionDone { id, outcome });
                }
                Action::Owe(_) => self.node.handle(self.now, Event::DebtsWritten(Ok(()))),
                Action::Answer(_, answer) => self.answers.push(answer),
                Action::Bgp(poplin_bgp::Action::AwaitAcknowledged { connection }) => self.asked.push(connection),
                _ => {}
            }
        }
    }

    fn bgp(&mut self, event: BgpEvent) {
        self.tell(Event::Bgp(event));
    }

    /// A neighbour in that AS calls, and agrees on a session.
    fn call(&mut self, from: Ipv4Addr, asn: u32) -> ConnectionId {
        self.connections += 1;
        let connection = ConnectionId(self.connections);
        let (neighbour, local) = (from.into(), [172, 31, 0, 1].into());
        self.bgp(BgpEvent::ConnectionOpened { connection, neighbour, outgoing: false, local });
        let capabilities = vec![Capability::Multiprotocol(Family::Ipv4), Capability::FourOctetAsn(Asn(asn))];
        let my_as = u16::try_from(asn).unwrap();
        let open = Open { my_as, hold_time_secs: 90, router_id: from, capabilities };
        for message in [Message::Open(open), Message::Keepalive] {
            self.bgp(BgpEvent::Received { connection, octets: message.encode(Dialect::PLAIN) });
        }
        connection
    }

    fn acknowledges(&mut self, connection: ConnectionId) {
        self.asked.retain(|asked| *asked != connection);
        self.bgp(BgpEvent::Acknowledged { connection });
    }

    fn attach(&mut self, container: &str) {
        self.tell(Event::AttachRequested(RequestId(1), wish(container, Some(container))));
    }

    /// What the kernel calls links by number is known once it is read.
    fn read_kernel(&mut self) {
        self.kernel.links.values_mut().for_each(|link| link.index = 7);
        self.tell(Event::KernelRead(self.kernel.clone()));
    }

    fn wait(&mut self, duration: Duration) {
        self.now += duration;
        self.tell(Event::Tick);
    }

    /// Who joined since this was last asked.
    fn joined(&mut self) -> Vec<String> {
        let names = self.answers.drain(..).map(|answer| match answer {
            Answer::Attached(attached) => attached.endpoint.name.to_string(),
            other => panic!("{other:?}"),
        });
        names.collect()
    }

    fn refusal(&mut self) -> Refusal {
        match self.answers.pop() {
            Some(Answer::Refused(refusal)) => refusal,
            other => panic!("{other:?}"),
        }
    }
}

fn fabric(peers: AwaitedPeers) -> Object {
    Object::Fabric(Fabric { readiness: Readiness { peers, timeout: TIMEOUT }, ..Fabric::default() })
}

fn other_host() -> Object {
    Object::Host(Host {
        name: HostName::new("h2"),
        labels: Labels::default(),
        addresses: [OTHER_HOST.into()].into(),
        asn: None,
        router_id: OTHER_HOST,
        is_draining: false,
        told: None,
        machine: None,
        release: None,
    })
}

fn tor(name: &str, address: Ipv4Addr) -> Object {
    let tor = peer(name, Place::At(address.into()), PeerAs::Is(Asn(64513)));
    Object::Peer(Peer { is_passive: true, families: [Family::Ipv4].into(), ..tor })
}

#[test]
fn one_of_the_peers_is_enough_where_any_is() {
    let (mut desk, one, other) = Desk::under_two(AwaitedPeers::Any);

    desk.attach("a");
    assert_eq!(desk.joined(), [""; 0], "wired, and nobody knows the way to it");
    assert_eq!(desk.asked, [one, other]);
    desk.acknowledges(other);

    assert_eq!(desk.joined(), ["a"]);
}

#[test]
fn all_are_those_that_speak_to_us() {
    let (mut desk, one, other) = Desk::under_two(AwaitedPeers::All);
    desk.attach("a");
    desk.acknowledges(other);
    assert_eq!(desk.joined(), [""; 0]);

    desk.bgp(BgpEvent::ConnectionClosed { connection: one, reason: "reset".to_owned() });

    assert_eq!(desk.joined(), ["a"]);
}

#[test]
fn who_joins_beside_others_of_its_block_waits_for_nothing_new() {
    let (mut desk, one, other) = Desk::under_two(AwaitedPeers::All);
    desk.attach("a");
    desk.acknowledges(one);
    desk.acknowledges(other);

    desk.attach("b");

    assert_eq!(desk.joined(), ["a", "b"]);
    assert!(desk.asked.is_empty());
}

#[test]
fn who_is_not_known_in_time_is_taken_back_whole() {
    let (mut desk, one, _) = Desk::under_two(AwaitedPeers::All);
    desk.attach("a");
    desk.acknowledges(one);
    desk.wait(TIMEOUT - Duration::from_millis(1));
    assert!(desk.answers.is_empty());

    desk.wait(Duration::from_millis(1));

    let refusal = desk.refusal().to_string();
    let expected = "/26 was not acknowledged within 7 s: tor2 (172.31.0.12) has not acknowledged it";
    assert!(refusal.starts_with("the route to 10.77.") && refusal.ends_with(expected), "{refusal}");
    let deleted = desk.transactions.iter().flat_map(|one| &one.deletes);
    assert!(deleted.into_iter().any(|key| matches!(key, ObjectKey::Endpoint(name) if name.as_str() == "a")));
    assert!(desk.steps.iter().any(|step| matches!(step, Step::DeleteLink(_))), "{:?}", desk.steps);
    assert_eq!(desk.node.status(desk.now).endpoints, 0);
}

#[test]
fn who_stood_before_he_was_asked_for_again_stays() {
    let (mut desk, one, other) = Desk::under_two(AwaitedPeers::Any);
    desk.attach("a");
    desk.acknowledges(one);
    assert_eq!(desk.joined(), ["a"]);
    for connection in [one, other] {
        desk.bgp(BgpEvent::ConnectionClosed { connection, reason: "reset".to_owned() });
    }

    let mut again = wish("a", Some("a"));
    again.labels = Labels::try_from_pairs([("app", "web")]).unwrap();
    desk.tell(Event::AttachRequested(RequestId(1), again));
    desk.wait(TIMEOUT);

    let refusal = desk.refusal().to_string();
    assert!(refusal.contains("tor1 (172.31.0.11) is Active: reset; tor2 (172.31.0.12) is Active: reset"), "{refusal}");
    assert_eq!(desk.node.status(desk.now).endpoints, 1);
}

#[test]
fn without_a_peer_the_other_hosts_count() {
    let mut desk = Desk::new(AwaitedPeers::Any, vec![other_host()]);
    let host = desk.call(OTHER_HOST, 64512);

    desk.attach("a");
    assert_eq!(desk.asked, [host]);
    desk.acknowledges(host);

    assert_eq!(desk.joined(), ["a"]);
}

#[test]
fn a_peer_that_is_down_is_no_reason_to_ask_another_host() {
    let mut desk = Desk::new(AwaitedPeers::Any, vec![other_host(), tor("tor1", TOR1)]);
    desk.call(OTHER_HOST, 64512);

    desk.attach("a");
    assert!(desk.asked.is_empty());
    let tor = desk.call(TOR1, 64513);
    assert_eq!(desk.asked, [tor], "its session began meanwhile");
    desk.acknowledges(tor);

    assert_eq!(desk.joined(), ["a"]);
}

#[test]
fn a_peer_nobody_has_seen_yet_is_waited_for_all_the_same() {
    let Object::Peer(leaf) = tor("leaf", TOR1) else { panic!("it is a peer") };
    let leaf = Peer { place: Place::Within("172.31.0.8/29".parse().unwrap(), 2), ..leaf };
    let mut desk = Desk::new(AwaitedPeers::Any, vec![other_host(), Object::Peer(leaf)]);
    let host = desk.call(OTHER_HOST, 64512);

    desk.attach("a");
    assert!(desk.asked.is_empty(), "{:?} is {host:?}", desk.asked);
    let leaf = desk.call(TOR1, 64513);
    desk.acknowledges(leaf);

    assert_eq!(desk.joined(), ["a"]);
}

#[test]
fn what_is_known_at_the_last_moment_counts() {
    let (mut desk, one, _) = Desk::under_two(AwaitedPeers::Any);
    desk.attach("a");

    desk.now += TIMEOUT;
    desk.acknowledges(one);

    assert_eq!(desk.joined(), ["a"]);
}

#[test]
fn services_lead_to_nobody_who_is_not_ready() {
    let (mut desk, one, _) = Desk::under_two(AwaitedPeers::Any);
    let address: IpAddr = "198.51.100.7".parse().unwrap();
    let service = Service {
        name: ServiceName::new("dns"),
        labels: Labels::default(),
        addresses: [address].into(),
        endpoints: Selector::all(),
        health: None,
    };
    let puts = vec![Versioned { value: Object::Service(service), version: 2 }];
    desk.revision += 1;
    desk.tell(Event::StoreChanged { revision: desk.revision, puts, unreadable: vec![], deletes: vec![] });
    let is_led = |desk: &Desk| {
        let of_service =
            |step: &Step| matches!(step, Step::SetRoute { destination, .. } if *destination == host_prefix(address));
        desk.steps.iter().any(of_service)
    };

    desk.attach("a");
    desk.read_kernel();
    assert!(!is_led(&desk));
    desk.acknowledges(one);

    assert!(is_led(&desk));
}

#[test]
fn what_joined_while_the_store_was_away_is_taken_back_too() {
    let (mut desk, ..) = Desk::under_two(AwaitedPeers::Any);
    desk.attach("first");
    desk.tell(Event::StoreLost { reason: "away".to_owned() });
    desk.wait(TIMEOUT); // the block is there; nobody knows of it
    desk.answers.clear();

    desk.attach("a");
    desk.wait(TIMEOUT);

    assert!(matches!(desk.refusal(), Refusal::NotAcknowledged { .. }));
    let status = desk.node.status(desk.now);
    assert_eq!((status.endpoints, status.owed), (2, 2), "the store is to be told that both are gone");
}

#[test]
fn with_nobody_to_wait_for_nothing_opens() {
    let mut desk = Desk::new(AwaitedPeers::All, vec![]);

    desk.attach("a");
    desk.wait(TIMEOUT);

    assert!(desk.refusal().to_string().ends_with(": this host has no BGP neighbour"));
}

#[test]
fn who_is_on_a_lan_is_reached_there() {
    let cidr = "192.0.2.0/24".parse().unwrap();
    let lan = Pool { is_lan: true, ..Pool::open(PoolName::new("lan"), cidr, 28) };
    let mut desk = Desk::new(AwaitedPeers::All, vec![Object::Pool(lan)]);

    let mut wish = wish("a", Some("a"));
    wish.pools = [PoolName::new("lan")].into();
    desk.tell(Event::AttachRequested(RequestId(1), wish));

    assert_eq!(desk.joined(), ["a"]);
}

#[test]
fn a_setting_that_is_taken_back_holds_nobody_up() {
    let (mut desk, ..) = Desk::under_two(AwaitedPeers::All);
    desk.attach("a");

    let puts = vec![Versioned { value: fabric(AwaitedPeers::Nobody), version: 2 }];
    desk.tell(Event::StoreChanged { revision: 100, puts, unreadable: vec![], deletes: vec![] });

    assert_eq!(desk.joined(), ["a"]);
}

#[test]
fn who_leaves_meanwhile_is_told_to_wait() {
    let (mut desk, one, _) = Desk::under_two(AwaitedPeers::Any);
    desk.attach("a");

    desk.tell(Event::DetachRequested(RequestId(2), Detach::Attachment(world::id("a"))));
    assert!(matches!(desk.refusal(), Refusal::Busy { .. }));
    desk.acknowledges(one);

    assert_eq!(desk.joined(), ["a"]);
}
