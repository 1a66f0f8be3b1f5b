//! The store is away: who leaves is let go and owed, and a life that begins meanwhile goes on by what an earlier one knew.

#![allow(clippy::unwrap_used)]

mod world;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use poplin_node::debt::Debt;
use poplin_node::kernel::{KernelState, LinkState, Mac, Step, Target};
use poplin_node::name::EndpointName;
use poplin_node::object::{Object, ObjectKey, Versioned};
use poplin_node::quarantine::Unreadable;
use poplin_node::request::{Answer, Attach, Attached, Detach, Refusal, RequestId};
use poplin_node::transaction::{Transaction, TransactionId, TransactionOutcome};
use poplin_node::{Action, Event, Node};
use poplin_policy::ruleset::Interface;
use world::{id, node, wish};

/// One host, over several lives: its kernel's links, what it wrote down, and the store.
struct Desk {
    node: Node,
    now: Instant,
    kernel: KernelState,
    stored: Vec<Versioned<Object>>,
    revision: i64,
    owed: BTreeSet<Debt>,
    /// Why nothing can be written down, if nothing can.
    disk_error: Option<String>,
    transaction: Option<(TransactionId, Transaction)>,
    answers: Vec<Answer>,
    done: Vec<Step>,
}

impl Desk {
    fn at_rest() -> Self {
        let mut desk = Self {
            node: node(),
            now: Instant::now(),
            kernel: KernelState::default(),
            stored: vec![Versioned { value: pool(), version: 1 }],
            revision: 1,
            owed: BTreeSet::new(),
            disk_error: None,
            transaction: None,
            answers: vec![],
            done: vec![],
        };
        desk.tell(Event::KernelRead(desk.kernel.clone()));
        desk.read();
        desk.commit();
        desk
    }

    /// The agent is killed, and the next life reads the kernel.
    fn dies(&mut self) {
        (self.node, self.transaction) = (node(), None);
        self.answers.clear();
        self.done.clear();
        self.tell(Event::DebtsRecalled(self.owed.clone()));
        self.tell(Event::KernelRead(self.kernel.clone()));
    }

    fn recalls(&mut self) {
        self.tell(Event::StoreRecalled {
            revision: self.revision,
            objects: self.stored.clone(),
            shared: 0,
            rules_stand: true,
        });
        self.loses_store();
    }

    /// The same, and no rules of an earlier life stand.
    fn recalls_without_rules(&mut self) {
        self.tell(Event::StoreRecalled {
            revision: self.revision,
            objects: self.stored.clone(),
            shared: 0,
            rules_stand: false,
        });
        self.loses_store();
    }

    fn loses_store(&mut self) {
        self.tell(Event::StoreLost { reason: "away".to_owned() });
    }

    fn read(&mut self) {
        let (revision, objects) = (self.revision, self.stored.clone());
        self.tell(Event::StoreRead { revision, objects, unreadable: vec![] });
    }

    fn tell(&mut self, event: Event) {
        self.node.handle(self.now, event);
        let (mut steps, mut writing) = (Vec::new(), None);
        while let Some(action) = self.node.next_action() {
            match action {
                Action::Apply(batch) => steps.extend(batch),
                Action::Transact(id, transaction) => assert_eq!(self.transaction.replace((id, transaction)), None),
                Action::Answer(_, answer) => self.answers.push(answer),
                Action::Owe(owed) => {
                    assert!(self.answers.is_empty(), "it is written down before anybody is told");
                    assert_eq!(writing.replace(owed), None, "one after the other");
                }
                _ => {}
            }
        }
        if let Some(owed) = writing {
            let outcome = self.disk_error.clone().map_or(Ok(()), Err);
            if outcome.is_ok() {
                self.owed = owed;
            }
            self.tell(Event::DebtsWritten(outcome));
        }
        if !steps.is_empty() {
            for step in &steps {
                poplin_node::plan::advance(&mut self.kernel, step);
            }
            self.done.extend(steps);
            self.tell(Event::StepsDone(Ok(())));
        }
    }

    /// Has the kernel do what is asked of it, and nothing be written down yet.
    fn carried_out(&mut self) -> Vec<BTreeSet<Debt>> {
        let (mut steps, mut owed) = (Vec::new(), Vec::new());
        while let Some(action) = self.node.next_action() {
            match action {
                Action::Apply(batch) => steps.extend(batch),
                Action::Owe(debts) => owed.push(debts),
                Action::Answer(_, answer) => self.answers.push(answer),
                _ => {}
            }
        }
        if !steps.is_empty() {
            steps.iter().for_each(|step| poplin_node::plan::advance(&mut self.kernel, step));
            self.node.handle(self.now, Event::StepsDone(Ok(())));
            owed.extend(self.carried_out());
        }
        owed
    }

    fn commit(&mut self) -> Transaction {
        let (id, transaction) = self.transaction.take().expect("a transaction is under way");
        self.revision += 1;
        self.stored.retain(|object| !transaction.deletes.contains(&object.value.key()));
        for put in &transaction.puts {
            self.stored.retain(|object| object.value.key() != put.key());
            self.stored.push(Versioned { value: put.clone(), version: self.revision });
        }
        self.tell(Event::TransactionDone { id, outcome: TransactionOutcome::Committed { revision: self.revision } });
        transaction
    }

    fn attach(&mut self, container: &str) -> Attached {
        self.tell(Event::AttachRequested(RequestId(1), attach(container)));
        self.commit();
        match self.answers.pop() {
            Some(Answer::Attached(attached)) => attached,
            other => panic!("it was answered with {other:?}"),
        }
    }

    fn detach(&mut self, container: &str) -> Option<Answer> {
        self.tell(Event::DetachRequested(RequestId(2), Detach::Attachment(id(container))));
        self.answers.pop()
    }

    fn stands(&self, container: &str) -> bool {
        let key = ObjectKey::Endpoint(EndpointName::new(container));
        self.stored.iter().any(|object| object.value.key() == key)
    }
}

#[test]
fn who_leaves_while_the_store_is_away_is_let_go_and_the_store_is_told_later() {
    for dies in [false, true] {
        let mut desk = Desk::at_rest();
        desk.attach("a");
        desk.loses_store();

        assert!(matches!(desk.detach("a"), Some(Answer::Detached(Some(_)))));
        assert!(desk.kernel.links.is_empty() && desk.stands("a"));
        assert_eq!(desk.owed.iter().map(|debt| &debt.attachment).collect::<Vec<_>>(), [&id("a")]);
        assert!(matches!(desk.detach("a"), Some(Answer::Detached(Some(_)))), "who asks again is told again");

        if dies {
            desk.dies();
        }
        desk.read();
        desk.commit();

        assert!(!desk.stands("a"));
        assert_eq!((desk.owed.len(), desk.node.status(desk.now).owed), (0, 0));
        assert!(desk.answers.is_empty(), "nobody is told twice");
        desk.attach("a");
    }
}

#[test]
fn who_left_and_is_owed_cannot_come_again_before_the_store_knows() {
    let mut desk = Desk::at_rest();
    desk.attach("a");
    desk.loses_store();
    desk.detach("a");

    desk.tell(Event::AttachRequested(RequestId(3), attach("a")));

    assert_eq!(desk.answers.pop(), Some(Answer::Refused(Refusal::Busy { attachment: id("a") })));
}

#[test]
fn a_debt_whose_payment_is_not_answered_is_paid_again() {
    let mut desk = Desk::at_rest();
    desk.attach("a");
    desk.loses_store();
    desk.detach("a");
    desk.read();
    let (lost, _) = desk.transaction.take().unwrap();

    let outcome = TransactionOutcome::Unknown { reason: "no answer".to_owned() };
    desk.tell(Event::TransactionDone { id: lost, outcome });
    desk.loses_store();
    assert_eq!(desk.owed.len(), 1);
    desk.now += Duration::from_secs(30);
    desk.tell(Event::Tick);
    desk.read();
    desk.commit();

    assert!(desk.owed.is_empty() && !desk.stands("a"));
}

#[test]
fn who_leaves_and_cannot_be_written_down_is_told_to_try_again_unless_the_store_comes_back() {
    for comes_back in [false, true] {
        let mut desk = Desk::at_rest();
        desk.attach("a");
        desk.loses_store();
        desk.disk_error = Some("the disk is full".to_owned());

        assert_eq!(desk.detach("a"), None);
        assert_eq!((desk.owed.len(), desk.node.status(desk.now).owed), (0, 0));
        if comes_back {
            desk.read();
            desk.commit();
            assert!(matches!(desk.answers.pop(), Some(Answer::Detached(Some(_)))) && !desk.stands("a"));
            continue;
        }
        desk.now += Duration::from_secs(11);
        desk.tell(Event::Tick);
        assert!(matches!(desk.answers.pop(), Some(Answer::Refused(Refusal::StoreUnreachable { .. }))));
        desk.disk_error = None;
        assert!(matches!(desk.detach("a"), Some(Answer::Detached(Some(_)))), "there is room again");
        assert_eq!(desk.owed.len(), 1);
    }
}

#[test]
fn who_leaves_while_others_are_being_written_down_goes_with_the_next() {
    let mut desk = Desk::at_rest();
    desk.attach("a");
    desk.attach("b");
    desk.attach("c");
    desk.loses_store();
    let mut owed = Vec::new();
    for (number, container) in ["a", "b", "c"].into_iter().enumerate() {
        let attachment = Detach::Attachment(id(container));
        desk.node.handle(desk.now, Event::DetachRequested(RequestId(10 + number as u64), attachment));
        owed.extend(desk.carried_out());
    }
    assert_eq!(owed.iter().map(BTreeSet::len).collect::<Vec<_>>(), [1], "one at a time");

    desk.node.handle(desk.now, Event::DebtsWritten(Ok(())));
    let next = desk.carried_out();
    assert_eq!((desk.answers.len(), next.iter().map(BTreeSet::len).collect::<Vec<_>>()), (1, vec![3]));
    desk.node.handle(desk.now, Event::DebtsWritten(Ok(())));
    assert!(desk.carried_out().is_empty() && desk.answers.len() == 3);
}

#[test]
fn a_debt_is_only_for_the_very_endpoint_that_left() {
    let mut desk = Desk::at_rest();
    let attached = desk.attach("a");
    let stale = |name: &str, version| Debt { attachment: id("a"), endpoint: EndpointName::new(name), version };
    let version = desk.revision;
    for debt in [stale("a", version - 1), stale("other", version)] {
        desk.owed = BTreeSet::from([debt]);

        desk.dies();
        desk.recalls();
        assert!(desk.kernel.links.contains_key(&attached.endpoint.interface));
        desk.read();

        assert!(desk.kernel.links.contains_key(&attached.endpoint.interface) && desk.stands("a"));
        assert_eq!((desk.transaction.is_none(), desk.owed.len()), (true, 0));
    }
}

#[test]
fn nothing_is_owed_to_another_store() {
    let mut desk = Desk::at_rest();
    desk.attach("a");
    desk.loses_store();
    desk.detach("a");
    desk.dies();

    desk.tell(Event::StoreReplaced);

    assert_eq!((desk.owed.len(), desk.node.status(desk.now).owed), (0, 0));
}

#[test]
fn a_debt_for_what_cannot_be_read_stays() {
    for was_known in [true, false] {
        let mut desk = Desk::at_rest();
        desk.attach("a");
        desk.loses_store();
        desk.detach("a");
        if !was_known {
            desk.dies();
        }
        let key = ObjectKey::Endpoint(EndpointName::new("a"));
        let objects = desk.stored.iter().filter(|object| object.value.key() != key).cloned().collect();
        let unreadable = vec![Unreadable { key, version: desk.revision + 1, reason: "garbage".to_owned() }];

        desk.tell(Event::StoreRead { revision: desk.revision + 1, objects, unreadable });

        assert!(desk.transaction.is_none());
        assert_eq!((desk.owed.len(), desk.node.status(desk.now).owed), (1, 1));
        assert!(desk.kernel.links.is_empty());
    }
}

#[test]
fn a_life_that_begins_while_the_store_is_away_changes_nothing_and_lets_go() {
    let mut desk = Desk::at_rest();
    desk.attach("a");
    desk.attach("b");
    let before = desk.kernel.clone();

    desk.dies();
    assert!(desk.done.is_empty(), "nothing is known yet");
    desk.recalls();

    assert_eq!((&desk.kernel.links, &desk.kernel.routes), (&before.links, &before.routes));
    let status = desk.node.status(desk.now);
    assert!(status.is_recalled && status.store_error.is_some());
    assert_eq!((status.endpoints, status.blocks.len(), status.revision), (2, 1, desk.revision));
    assert!(matches!(desk.detach("b"), Some(Answer::Detached(Some(_)))));
    assert_eq!(desk.kernel.links.len(), 1);
    assert!(desk.transaction.is_none());

    desk.read();
    desk.commit();
    assert!(!desk.node.status(desk.now).is_recalled && desk.stands("a") && !desk.stands("b"));
}

#[test]
fn rules_that_stand_stay_as_they_are_until_the_store_is_read_and_those_that_do_not_are_made() {
    let makes_rules = |desk: &Desk| desk.done.iter().any(|step| matches!(step, Step::ChangeRules(_)));
    let mut desk = Desk::at_rest();
    desk.attach("a");

    desk.dies();
    desk.recalls();
    assert!(!makes_rules(&desk), "what was written down may be older than they are");
    desk.detach("a");
    assert!(!makes_rules(&desk) && desk.kernel.links.is_empty());
    desk.read();
    assert!(makes_rules(&desk));

    desk.dies();
    desk.recalls_without_rules();
    assert!(makes_rules(&desk));

    desk.dies();
    desk.recalls();
    desk.tell(Event::RulesAltered);
    assert!(makes_rules(&desk), "another hand was at them");
}

#[test]
fn by_what_is_only_recalled_no_route_and_no_link_becomes_another() {
    let mut desk = Desk::at_rest();
    desk.attach("a");
    let mut stale = desk.stored.clone();
    for object in &mut stale {
        match &mut object.value {
            Object::Endpoint(endpoint) => endpoint.addresses = ["10.9.9.9".parse().unwrap()].into(),
            Object::Block(block) => block.cidr = "10.9.9.0/26".parse().unwrap(),
            _ => {}
        }
    }
    let before = desk.kernel.clone();

    desk.dies();
    desk.tell(Event::StoreRecalled { revision: 1, objects: stale, shared: 0, rules_stand: true });

    assert_eq!(desk.kernel, before);
    assert!(desk.done.iter().all(|step| *step == Step::EnableForwarding), "{:?}", desk.done);
    desk.read();
    assert_eq!(desk.kernel.routes, before.routes);
}

#[test]
fn nobody_joins_by_what_is_only_recalled() {
    let mut desk = Desk::at_rest();
    desk.dies();
    desk.recalls();

    desk.tell(Event::AttachRequested(RequestId(1), attach("a")));
    desk.now += Duration::from_secs(11);
    desk.tell(Event::Tick);

    assert!(matches!(desk.answers.pop(), Some(Answer::Refused(Refusal::StoreUnreachable { .. }))));
    assert!(desk.kernel.links.is_empty() && desk.transaction.is_none());
}

#[test]
fn a_link_that_came_after_it_was_written_down_stays_until_the_store_is_read() {
    let mut desk = Desk::at_rest();
    let stale = desk.stored.clone();
    let attached = desk.attach("a");
    let truth = std::mem::replace(&mut desk.stored, stale);

    desk.dies();
    desk.recalls();

    assert!(desk.kernel.links.contains_key(&attached.endpoint.interface));
    assert!(desk.kernel.routes.values().any(|target| matches!(target, Target::Link(_))));
    desk.stored = truth;
    desk.read();
    assert!(desk.kernel.links.contains_key(&attached.endpoint.interface));
    assert!(!desk.done.iter().any(|step| matches!(step, Step::DeleteLink(_) | Step::RemoveRoute(_))));
}

#[test]
fn a_link_of_nobody_goes_once_the_store_is_read() {
    let mut desk = Desk::at_rest();
    let interface = Interface::new("pop0123456789ab").unwrap();
    let (mac, mtu_bytes) = (Mac([2, 0, 0, 0, 0, 1]), 1500);
    let link = LinkState { index: 7, is_up: true, mac, mtu_bytes, is_configured: true, has_loopback: false };
    desk.kernel.links.insert(interface.clone(), link);

    desk.dies();
    desk.recalls();
    assert!(desk.kernel.links.contains_key(&interface));
    desk.read();
    assert!(!desk.kernel.links.contains_key(&interface));
}

#[test]
fn while_an_import_is_under_way_nobody_joins_and_no_link_of_nobody_goes() {
    let mut desk = Desk::at_rest();
    let attached = desk.attach("a");
    desk.dies();
    desk.stored.retain(|object| !matches!(object.value, Object::Endpoint(_)));

    desk.tell(Event::Importing(true));
    desk.read();
    desk.tell(Event::AttachRequested(RequestId(1), attach("b")));
    assert_eq!(desk.answers.pop(), Some(Answer::Refused(Refusal::ImportUnderWay)));
    assert!(desk.kernel.links.contains_key(&attached.endpoint.interface));
    assert!(desk.node.status(desk.now).is_importing && desk.transaction.is_none());

    desk.revision += 1;
    desk.stored.push(Versioned { value: Object::Endpoint(attached.endpoint.clone()), version: desk.revision });
    desk.read();
    desk.tell(Event::Importing(false));
    assert!(desk.kernel.links.contains_key(&attached.endpoint.interface));
    desk.attach("b");
}

#[test]
fn a_store_that_was_read_is_not_forgotten_for_what_was_known_before() {
    let mut desk = Desk::at_rest();
    desk.attach("a");

    desk.tell(Event::StoreRecalled { revision: 900, objects: vec![], shared: 0, rules_stand: true });

    assert_eq!(desk.node.status(desk.now).endpoints, 1);
    assert!(!desk.node.status(desk.now).is_recalled);
}

fn pool() -> Object {
    world::pool("p", "10.9.0.0/16", 26)
}

fn attach(container: &str) -> Attach {
    wish(container, Some(container))
}
