//! An agent older than the store takes writes from: who is there stays, who can leave and join without a write does, and nothing is sent to the store.

#![allow(clippy::unwrap_used)]

mod world;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use poplin_node::debt::Debt;
use poplin_node::kernel::{KernelState, Step};
use poplin_node::name::HostName;
use poplin_node::object::{ObjectKey, Versioned};
use poplin_node::release::{MinWriter, Outdated, Release};
use poplin_node::request::{Answer, Attach, Detach, Refusal, RequestId};
use poplin_node::transaction::{Transaction, TransactionId, TransactionOutcome};
use poplin_node::{Action, Event, Identity, Node};
use poplin_policy::label::Labels;
use world::{id, pool, wish};

/// A host of schema 1 with one container, whose store and kernel do what they are told.
struct Desk {
    node: Node,
    now: Instant,
    revision: i64,
    transaction: Option<(TransactionId, Transaction)>,
    answers: Vec<Answer>,
    owed: BTreeSet<Debt>,
    kernel: KernelState,
}

impl Desk {
    fn with_one() -> Self {
        let identity = Identity {
            host: HostName::new("h1"),
            labels: Labels::default(),
            addresses: ["172.31.0.1".parse().unwrap()].into(),
            asn: None,
            router_id: None,
            machine: None,
            release: Some(Release { version: "0.1.0".to_owned(), schema: 1 }),
        };
        let mut desk = Self {
            node: Node::new(identity),
            now: Instant::now(),
            revision: 10,
            transaction: None,
            answers: Vec::new(),
            owed: BTreeSet::new(),
            kernel: KernelState::default(),
        };
        desk.tell(Event::KernelRead(KernelState::default()));
        let objects = vec![Versioned { value: pool("one", "10.77.0.0/16", 26), version: 10 }];
        desk.tell(Event::StoreRead { revision: 10, objects, unreadable: Vec::new() });
        desk.commit();
        desk.attach(wish("first", None));
        desk.commit();
        assert!(matches!(desk.answers.pop(), Some(Answer::Attached(_))));
        desk
    }

    fn tell(&mut self, event: Event) {
        let mut events = vec![event];
        while let Some(event) = events.pop() {
            self.node.handle(self.now, event);
            while let Some(action) = self.node.next_action() {
                match action {
                    Action::Apply(steps) => {
                        steps.iter().for_each(|step: &Step| poplin_node::plan::advance(&mut self.kernel, step));
                        events.push(Event::StepsDone(Ok(())));
                    }
                    Action::Transact(id, transaction) => assert_eq!(self.transaction.replace((id, transaction)), None),
                    Action::Answer(_, answer) => self.answers.push(answer),
                    Action::Owe(debts) => {
                        self.owed = debts;
                        events.push(Event::DebtsWritten(Ok(())));
                    }
                    Action::ReadFlows(..) => events.push(Event::FlowsDone(Ok(()))),
                    _ => {}
                }
            }
        }
    }

    fn commit(&mut self) -> Transaction {
        let (id, transaction) = self.transaction.take().expect("a transaction is under way");
        self.revision += 1;
        self.tell(Event::TransactionDone { id, outcome: TransactionOutcome::Committed { revision: self.revision } });
        transaction
    }

    fn attach(&mut self, attach: Attach) {
        self.tell(Event::AttachRequested(RequestId(1), attach));
    }

    fn detach(&mut self, container: &str) {
        self.tell(Event::DetachRequested(RequestId(2), Detach::Attachment(id(container))));
    }
}

#[test]
fn who_joins_gets_an_address_of_a_block_that_is_held_and_is_told_to_the_store_once_it_may_be() {
    let mut desk = Desk::with_one();
    desk.tell(Event::MinWriter(MinWriter::From(2)));

    desk.attach(wish("second", None));

    assert!(matches!(desk.answers.as_slice(), [Answer::Attached(_)]), "{:?}", desk.answers);
    assert_eq!(desk.transaction, None);
    assert_eq!(desk.node.status(desk.now).untold, 1);
    desk.tell(Event::MinWriter(MinWriter::From(1)));
    let told = desk.commit();
    assert!(told.puts.iter().any(|put| matches!(put.key(), ObjectKey::Endpoint(_))), "{told:?}");
    assert_eq!(desk.node.status(desk.now).untold, 0);
}

#[test]
fn who_leaves_is_let_go_and_owed_to_the_store_until_it_may_be_told() {
    let mut desk = Desk::with_one();
    desk.tell(Event::MinWriter(MinWriter::From(2)));

    desk.detach("first");

    assert!(matches!(desk.answers.as_slice(), [Answer::Detached(Some(_))]), "{:?}", desk.answers);
    assert_eq!((desk.owed.len(), desk.transaction.is_none()), (1, true));
    desk.tell(Event::MinWriter(MinWriter::From(1)));
    assert_eq!(desk.commit().deletes.len(), 1);
    assert_eq!(desk.owed.len(), 0);
}

#[test]
fn what_only_a_write_could_give_is_refused_at_once_and_the_refusal_names_both_schemas() {
    let mut desk = Desk::with_one();
    desk.tell(Event::MinWriter(MinWriter::From(2)));

    desk.attach(Attach { addresses: ["10.77.200.1".parse().unwrap()].into(), ..wish("picky", None) });

    let [Answer::Refused(Refusal::ReadOnly(outdated))] = desk.answers.as_slice() else { panic!("{:?}", desk.answers) };
    assert_eq!(*outdated, Outdated::Older { version: "0.1.0".to_owned(), schema: 1, least: 2 });
    assert_eq!(desk.node.status(desk.now).read_only.as_ref(), Some(outdated));
}

#[test]
fn nothing_is_sent_however_long_it_lasts() {
    let mut desk = Desk::with_one();
    desk.tell(Event::MinWriter(MinWriter::Unreadable));
    desk.detach("first");

    for _ in 0..100 {
        desk.now += Duration::from_secs(60);
        desk.tell(Event::Tick);
        assert_eq!(desk.transaction, None);
    }

    desk.tell(Event::MinWriter(MinWriter::Unsaid));
    assert!(desk.transaction.is_some());
}
