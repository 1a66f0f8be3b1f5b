//! Addresses in virtual time: what was given back rests, what is sticky waits, and what is empty goes back to its pool.

#![allow(clippy::unwrap_used)] // a test that cannot go on should stop

mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use poplin_node::kernel::{KernelState, Step};
use poplin_node::name::{EndpointName, PoolName};
use poplin_node::object::{Block, COOLDOWN, Endpoint, Fabric, Object, ObjectKey, Pool, Versioned};
use poplin_node::request::{Answer, Attach, Detach, Refusal, RequestId};
use poplin_node::transaction::{Compare, Transaction, TransactionOutcome};
use poplin_node::{Action, Event, Node};
use world::{id, node};

/// A node, and a store and a kernel that do at once what it asks.
struct Desk {
    node: Node,
    now: Instant,
    revision: i64,
    store: BTreeMap<ObjectKey, Versioned<Object>>,
    /// All it wrote since somebody emptied this.
    written: Vec<Transaction>,
    answers: Vec<Answer>,
}

impl Desk {
    fn new(objects: Vec<Object>) -> Self {
        let (node, now) = (node(), Instant::now());
        let mut desk =
            Self { node, now, revision: 10, store: BTreeMap::new(), written: Vec::new(), answers: Vec::new() };
        objects.into_iter().for_each(|object| desk.keep(object));
        desk.begin();
        desk
    }

    /// The node starts, or another in its place.
    fn begin(&mut self) {
        self.node = node();
        self.tell(Event::KernelRead(KernelState::default()));
        let objects = self.store.values().cloned().collect();
        self.tell(Event::StoreRead { revision: self.revision, objects, unreadable: vec![] });
        self.written.clear();
    }

    fn keep(&mut self, value: Object) {
        self.store.insert(value.key(), Versioned { value, version: self.revision });
    }

    /// Somebody else writes something.
    fn declare(&mut self, value: Object) {
        self.revision += 1;
        self.keep(value.clone());
        let puts = vec![Versioned { value, version: self.revision }];
        self.tell(Event::StoreChanged { revision: self.revision, puts, unreadable: vec![], deletes: vec![] });
    }

    fn tell(&mut self, event: Event) {
        self.node.handle(self.now, event);
        while let Some(action) = self.node.next_action() {
            match action {
                Action::Transact(id, transaction) => {
                    let outcome = self.judge(transaction);
                    self.node.handle(self.now, Event::TransactionDone { id, outcome });
                }
                Action::Apply(steps) => self.apply(&steps),
                Action::Answer(_, answer) => self.answers.push(answer),
                Action::ReadFlows(..)
                | Action::EndFlows(_)
                | Action::Probe(_)
                | Action::Discover(_)
                | Action::Owe(_)
                | Action::Keep { .. }
                | Action::ProtectCallers(_)
                | Action::AdvertiseNeighbours(_)
                | Action::ChangeNames(_)
                | Action::ReadStore
                | Action::OpenNameDoors(_)
                | Action::Bgp(_)
                | Action::Note(_) => {}
            }
        }
    }

    fn apply(&mut self, steps: &[Step]) {
        assert!(!steps.is_empty());
        self.node.handle(self.now, Event::StepsDone(Ok(())));
    }

    fn judge(&mut self, transaction: Transaction) -> TransactionOutcome {
        let stands = |key: &ObjectKey| self.store.get(key).map(|object| object.version);
        let holds = |compare: &Compare| match compare {
            Compare::Absent(key) => stands(key).is_none(),
            Compare::Unchanged(key, version) => stands(key) == Some(*version),
        };
        assert!(transaction.compares.iter().all(holds), "nobody else writes here: {transaction:?}");
        self.revision += 1;
        transaction.puts.iter().cloned().for_each(|object| self.keep(object));
        transaction.deletes.iter().for_each(|key| drop(self.store.remove(key)));
        self.written.push(transaction);
        TransactionOutcome::Committed { revision: self.revision }
    }

    fn wait(&mut self, duration: Duration) {
        let end = self.now + duration;
        while let Some(next) = self.node.next_deadline().filter(|next| *next <= end) {
            self.now = next.max(self.now);
            self.tell(Event::Tick);
        }
        self.now = end;
        self.tell(Event::Tick);
    }

    fn ask(&mut self, event: Event) -> Answer {
        self.tell(event);
        self.answers.pop().expect("it is answered at once")
    }

    fn attach(&mut self, attach: Attach) -> IpAddr {
        match self.ask(Event::AttachRequested(RequestId(1), attach)) {
            Answer::Attached(attached) => *attached.endpoint.addresses.first().unwrap(),
            other => panic!("it was answered with {other:?}"),
        }
    }

    fn detach(&mut self, container: &str) {
        let answer = self.ask(Event::DetachRequested(RequestId(2), Detach::Attachment(id(container))));
        assert!(matches!(answer, Answer::Detached(Some(_))), "{answer:?}");
    }

    fn blocks(&self) -> Vec<&Block> {
        self.store.values().filter_map(|object| (&object.value).try_into().ok()).collect()
    }

    fn endpoints(&self) -> Vec<&Endpoint> {
        self.store.values().filter_map(|object| (&object.value).try_into().ok()).collect()
    }
}

fn wish(container: &str) -> Attach {
    Attach { at: Some(1_800_000_000), ..world::wish(container, None) }
}

fn pool(cidr: &str, block_bits: u8) -> Object {
    world::pool("four", cidr, block_bits)
}

fn sticky(container: &str, name: &str) -> Attach {
    Attach { name: Some(EndpointName::new(name)), is_sticky: true, ..wish(container) }
}

#[test]
fn an_address_that_was_given_back_goes_to_nobody_else_for_a_while() {
    let mut desk = Desk::new(vec![pool("10.77.0.0/29", 29)]);
    let first = desk.attach(wish("a"));
    desk.written.clear();

    desk.detach("a");
    assert_eq!(desk.written.len(), 1, "the release is one transaction, as ever");
    let early = desk.attach(wish("b"));
    desk.wait(COOLDOWN - Duration::from_millis(1));
    let still_early = desk.attach(wish("c"));
    desk.wait(Duration::from_millis(1));
    let late = desk.attach(wish("d"));

    assert!(early != first && still_early != first);
    assert_eq!(late, first);
}

#[test]
fn who_names_a_resting_address_gets_it_at_once() {
    let mut desk = Desk::new(vec![pool("10.77.0.0/29", 29)]);
    let first = desk.attach(wish("a"));
    desk.detach("a");

    let again = desk.attach(Attach { addresses: BTreeSet::from([first]), ..wish("b") });

    assert_eq!(again, first);
    assert!(desk.blocks()[0].freed.is_empty());
}

#[test]
fn where_nothing_else_is_free_the_address_that_rests_longest_is_given() {
    let mut desk = Desk::new(vec![pool("10.77.0.0/30", 30)]);
    let all: Vec<IpAddr> = ["a", "b", "c", "d"].map(|name| desk.attach(wish(name))).into();

    for name in ["c", "a"] {
        desk.detach(name);
        desk.wait(Duration::from_secs(1));
    }

    assert_eq!(desk.attach(wish("e")), all[2]);
    assert_eq!(desk.attach(wish("f")), all[0]);
}

#[test]
fn the_address_that_rests_longest_is_looked_for_in_all_blocks() {
    let mut desk = Desk::new(vec![pool("10.77.0.0/30", 31)]);
    let all: Vec<IpAddr> = ["a", "b", "c", "d"].map(|name| desk.attach(wish(name))).into();
    assert_eq!(desk.blocks().len(), 2);

    for name in ["d", "b", "c", "a"] {
        desk.detach(name);
        desk.wait(Duration::from_secs(1));
    }

    for place in [3, 1, 2, 0] {
        assert_eq!(desk.attach(wish(&format!("again-{place}"))), all[place]);
    }
}

#[test]
fn an_agent_that_starts_again_lets_what_was_given_back_rest_again() {
    let mut desk = Desk::new(vec![pool("10.77.0.0/29", 29)]);
    let first = desk.attach(wish("a"));
    desk.detach("a");
    desk.wait(COOLDOWN / 2);

    desk.begin();
    desk.wait(COOLDOWN / 2 + Duration::from_secs(1));
    let early = desk.attach(wish("b"));
    desk.wait(COOLDOWN / 2);
    let late = desk.attach(wish("c"));

    assert_ne!(early, first);
    assert_eq!(late, first);
}

#[test]
fn the_fabric_says_how_long_addresses_rest_and_may_say_not_at_all() {
    let mut desk = Desk::new(vec![pool("10.77.0.0/29", 29)]);
    let first = desk.attach(wish("a"));
    desk.detach("a");

    desk.declare(Object::Fabric(Fabric { cooldown: Duration::ZERO, ..Fabric::default() }));

    assert_eq!(desk.attach(wish("b")), first);
    desk.detach("b");
    assert_eq!(desk.attach(wish("c")), first);
}

#[test]
fn a_sticky_address_is_kept_for_its_name_and_nobody_else_gets_it() {
    let mut desk = Desk::new(vec![pool("10.77.0.0/30", 30)]);
    let first = desk.attach(sticky("a", "db"));
    desk.detach("a");
    let others: Vec<IpAddr> = ["b", "c", "d"].map(|name| desk.attach(wish(name))).into();
    desk.tell(Event::AttachRequested(RequestId(1), wish("e")));
    desk.wait(Duration::from_secs(2));
    assert!(!others.contains(&first));
    assert!(matches!(desk.answers.pop(), Some(Answer::Refused(Refusal::PoolFull { .. }))), "it is not given to others");

    desk.begin();
    let back = desk.attach(sticky("f", "db"));

    assert_eq!(back, first);
    assert_eq!(desk.endpoints().iter().filter(|one| one.is_sticky).count(), 1);
}

#[test]
fn an_empty_block_goes_back_to_its_pool_once_nothing_of_it_rests_and_one_stays() {
    let mut desk = Desk::new(vec![pool("10.77.0.0/28", 30)]);
    let names = ["a", "b", "c", "d", "e"];
    for name in names {
        desk.attach(wish(name));
    }
    assert_eq!(desk.blocks().len(), 2);

    names.iter().for_each(|name| desk.detach(name));
    desk.wait(COOLDOWN / 2);
    assert_eq!(desk.blocks().len(), 2, "its addresses still rest");
    desk.wait(COOLDOWN);

    assert_eq!(desk.blocks().len(), 1);
    desk.written.clear();
    desk.wait(2 * COOLDOWN);
    assert_eq!(desk.written, [], "the last one stays, for the next container");
}

#[test]
fn a_block_with_room_beside_a_full_one_stays() {
    let mut desk = Desk::new(vec![pool("10.77.0.0/28", 30)]);
    for name in ["a", "b", "c", "d", "e"] {
        desk.attach(wish(name));
    }

    desk.detach("e");
    desk.wait(2 * COOLDOWN);

    assert_eq!(desk.blocks().len(), 2);
}

#[test]
fn a_pool_that_is_closed_gets_all_its_empty_blocks_back() {
    let mut desk = Desk::new(vec![pool("10.77.0.0/28", 30)]);
    desk.attach(wish("a"));
    desk.detach("a");
    let closed = Pool { is_enabled: false, ..Pool::open(PoolName::new("four"), "10.77.0.0/28".parse().unwrap(), 30) };

    desk.declare(Object::Pool(closed));
    desk.wait(COOLDOWN);

    assert_eq!(desk.blocks(), Vec::<&Block>::new());
}

#[test]
fn only_the_remains_of_an_endpoint_are_cleared_away() {
    let mut desk = Desk::new(vec![pool("10.77.0.0/29", 29)]);
    desk.attach(Attach { name: Some(EndpointName::new("web")), ..wish("a") });
    let remains = || Event::DetachRequested(RequestId(3), Detach::Remains(EndpointName::new("web")));

    let alive = desk.ask(remains());
    assert!(matches!(alive, Answer::Refused(Refusal::StillWired { .. })), "{alive:?}");
    assert_eq!(desk.node.truth(desk.now).unwrap().unwired, BTreeSet::new());

    desk.tell(Event::KernelRead(KernelState::default()));
    assert_eq!(desk.node.truth(desk.now).unwrap().unwired, BTreeSet::from([EndpointName::new("web")]));
    let gone = desk.ask(remains());

    assert!(matches!(gone, Answer::Detached(Some(_))), "{gone:?}");
    assert!(desk.endpoints().is_empty() && desk.blocks()[0].taken.is_empty());
}
