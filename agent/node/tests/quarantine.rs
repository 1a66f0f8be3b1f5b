//! A value of the store that cannot be read concerns its own object, and no other.

#![allow(clippy::unwrap_used)]

mod world;

use std::time::Instant;

use ipnet::IpNet;
use poplin_node::kernel::{KernelState, Step, Target};
use poplin_node::name::{EndpointName, HostName, PoolName};
use poplin_node::object::{Object, ObjectKey, Versioned};
use poplin_node::quarantine::Unreadable;
use poplin_node::request::{Answer, Attach, Attached, Detach, Refusal, RequestId};
use poplin_node::transaction::{Compare, Transaction, TransactionId, TransactionOutcome};
use poplin_node::{Action, Event, Node};
use world::{node, wish};

/// A node at rest, whose store does what it is told.
struct Desk {
    node: Node,
    now: Instant,
    revision: i64,
    batch: Option<Vec<Step>>,
    transaction: Option<(TransactionId, Transaction)>,
    answers: Vec<Answer>,
}

impl Desk {
    fn at_rest() -> Self {
        let mut desk =
            Self { node: node(), now: Instant::now(), revision: 10, batch: None, transaction: None, answers: vec![] };
        desk.tell(Event::KernelRead(KernelState::default()));
        let objects = vec![Versioned { value: pool(), version: 10 }];
        desk.tell(Event::StoreRead { revision: 10, objects, unreadable: vec![] });
        desk.commit();
        desk.finish_batches();
        desk
    }

    fn tell(&mut self, event: Event) {
        self.node.handle(self.now, event);
        while let Some(action) = self.node.next_action() {
            match action {
                Action::Apply(steps) => assert_eq!(self.batch.replace(steps), None),
                Action::Transact(id, transaction) => assert_eq!(self.transaction.replace((id, transaction)), None),
                Action::Answer(_, answer) => self.answers.push(answer),
                _ => {}
            }
        }
    }

    fn commit(&mut self) -> Transaction {
        let (id, transaction) = self.transaction.take().expect("a transaction is under way");
        self.revision += 1;
        self.tell(Event::TransactionDone { id, outcome: TransactionOutcome::Committed { revision: self.revision } });
        transaction
    }

    fn finish_batches(&mut self) {
        while self.batch.take().is_some() {
            self.tell(Event::StepsDone(Ok(())));
        }
    }

    fn attach(&mut self, container: &str) -> Attached {
        self.tell(Event::AttachRequested(RequestId(1), attach(container)));
        self.commit();
        self.finish_batches();
        match self.answers.pop() {
            Some(Answer::Attached(attached)) => attached,
            other => panic!("it was answered with {other:?}"),
        }
    }

    /// Somebody writes what nobody can read.
    fn damage(&mut self, key: &ObjectKey) {
        self.revision += 1;
        let unreadable = vec![garbage(key, self.revision)];
        self.tell(Event::StoreChanged { revision: self.revision, puts: vec![], unreadable, deletes: vec![] });
        self.finish_batches();
    }

    fn blocks(&self) -> Vec<IpNet> {
        self.node.status(self.now).blocks.iter().map(|block| block.cidr).collect()
    }
}

#[test]
fn an_own_block_that_cannot_be_read_is_never_written_and_no_other_waits_for_it() {
    let mut desk = Desk::at_rest();
    let first = desk.attach("a");
    let block = ObjectKey::Block(PoolName::new("p"), desk.blocks()[0]);
    desk.damage(&block);

    let second = desk.attach("b");

    let of = |attached: &Attached| *attached.endpoint.addresses.first().unwrap();
    assert_eq!(desk.blocks().len(), 2, "another block is claimed");
    assert!(desk.blocks().iter().any(|block| block.contains(&of(&second)) && !block.contains(&of(&first))));

    desk.tell(Event::DetachRequested(RequestId(2), Detach::Endpoint(EndpointName::new("a"))));
    desk.finish_batches();
    let written = desk.commit();
    assert!(written.puts.is_empty(), "{written:?}");
    assert!(matches!(desk.answers.pop(), Some(Answer::Detached(Some(_)))));
}

#[test]
fn an_endpoint_that_cannot_be_read_is_still_wired_and_can_still_leave() {
    let mut desk = Desk::at_rest();
    desk.attach("a");
    let key = ObjectKey::Endpoint(EndpointName::new("a"));
    desk.damage(&key);
    assert_eq!(desk.node.status(desk.now).endpoints, 1);

    desk.tell(Event::DetachRequested(RequestId(2), Detach::Endpoint(EndpointName::new("a"))));
    desk.finish_batches();
    let written = desk.commit();

    assert!(written.compares.contains(&Compare::Unchanged(key, desk.revision - 1)), "{:?}", written.compares);
    assert!(matches!(desk.answers.pop(), Some(Answer::Detached(Some(_)))));
    assert!(desk.node.status(desk.now).unreadable.is_empty());
}

#[test]
fn a_name_that_stands_in_the_store_unreadable_is_nobodys_to_take() {
    let mut desk = Desk::at_rest();
    desk.damage(&ObjectKey::Endpoint(EndpointName::new("a")));

    desk.tell(Event::AttachRequested(RequestId(1), attach("a")));

    let refusal = Refusal::Unreadable { what: "endpoint a".to_owned() };
    assert_eq!(desk.answers.pop(), Some(Answer::Refused(refusal)));
    assert!(desk.transaction.is_none());
}

#[test]
fn a_refusal_that_shows_garbage_ends_in_an_answer_and_not_in_a_circle() {
    let mut desk = Desk::at_rest();
    let key = ObjectKey::Endpoint(EndpointName::new("a"));
    desk.tell(Event::AttachRequested(RequestId(1), attach("a")));
    let (id, _) = desk.transaction.take().unwrap();

    let unreadable = vec![garbage(&key, 15)];
    let outcome = TransactionOutcome::Refused { revision: 16, current: vec![], unreadable };
    desk.tell(Event::TransactionDone { id, outcome });

    assert!(desk.transaction.is_none());
    assert!(matches!(desk.answers.pop(), Some(Answer::Refused(Refusal::Unreadable { .. }))));
}

#[test]
fn the_record_of_this_host_is_its_own_to_mend() {
    let mut desk = Desk::at_rest();
    let key = ObjectKey::Host(HostName::new("h1"));
    desk.damage(&key);

    let written = desk.commit();

    assert_eq!(written.puts.iter().map(Object::key).collect::<Vec<_>>(), [key]);
    assert!(desk.node.status(desk.now).unreadable.is_empty());
    assert!(desk.transaction.is_none());
}

#[test]
fn a_link_that_may_be_of_an_unreadable_endpoint_stays() {
    let mut desk = Desk::at_rest();
    desk.attach("a");
    let kernel = {
        let link = poplin_node::kernel::LinkState {
            index: 7,
            is_up: true,
            mac: poplin_node::kernel::Mac([2, 0, 0, 0, 0, 1]),
            mtu_bytes: 1500,
            is_configured: true,
            has_loopback: false,
        };
        let interface = poplin_policy::ruleset::Interface::new("pop0123456789ab").unwrap();
        let mut kernel = KernelState::default();
        kernel.links.insert(interface.clone(), link);
        kernel.routes.insert("10.9.0.77/32".parse().unwrap(), Target::Link(interface));
        kernel.routes.insert("10.9.0.64/26".parse().unwrap(), Target::Blackhole);
        kernel
    };
    desk.damage(&ObjectKey::Endpoint(EndpointName::new("unknown")));

    desk.tell(Event::KernelRead(kernel.clone()));
    let removes = |step: &Step| matches!(step, Step::DeleteLink(_) | Step::RemoveRoute(_));
    assert_eq!(desk.batch.iter().flatten().filter(|step| removes(step)).count(), 0);

    desk.finish_batches();
    desk.revision += 1;
    let deletes = vec![ObjectKey::Endpoint(EndpointName::new("unknown"))];
    desk.tell(Event::StoreChanged { revision: desk.revision, puts: vec![], unreadable: vec![], deletes });
    assert_eq!(desk.batch.iter().flatten().filter(|step| removes(step)).count(), 2, "{:?}", desk.batch);
}

fn garbage(key: &ObjectKey, version: i64) -> Unreadable {
    Unreadable { key: key.clone(), version, reason: "made so".to_owned() }
}

fn pool() -> Object {
    world::pool("p", "10.9.0.0/16", 26)
}

fn attach(container: &str) -> Attach {
    wish(container, Some(container))
}
