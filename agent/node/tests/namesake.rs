//! The name of this host is another machine's: whoever was there first goes on, and who comes second does nothing.

#![allow(clippy::unwrap_used)]

mod world;

use std::collections::BTreeSet;
use std::time::Instant;

use poplin_node::kernel::{KernelState, Step};
use poplin_node::lineage::Id;
use poplin_node::name::HostName;
use poplin_node::object::{Host, Object, ObjectKey, Versioned};
use poplin_node::renaming::renaming;
use poplin_node::request::{Answer, Refusal, RequestId};
use poplin_node::transaction::Transaction;
use poplin_node::{Action, Event, Node, Note};
use poplin_policy::label::Labels;
use world::{named, pool, wish};

const OURS: Id = Id(0xaa);
const THEIRS: Id = Id(0xbb);

/// What a node asked for since it was last asked.
#[derive(Debug, Default)]
struct Asked {
    steps: Vec<Step>,
    transactions: Vec<Transaction>,
    answers: Vec<Answer>,
    warnings: Vec<String>,
}

/// A machine at 172.31.0.1, and a store with one host, h1.
fn begun(called: &str, machine: Option<Id>, address: &str) -> (Node, Asked) {
    let mut node = named(called, Some(OURS));
    let objects = [record(machine, address), pool("p", "10.77.0.0/16", 26)];
    let objects = objects.map(|value| Versioned { value, version: 5 }).to_vec();
    tell(&mut node, Event::KernelRead(KernelState::default()));
    tell(&mut node, Event::AttachRequested(RequestId(7), wish("early", None)));
    let asked = tell(&mut node, Event::StoreRead { revision: 5, objects, unreadable: vec![] });
    (node, asked)
}

fn record(machine: Option<Id>, address: &str) -> Object {
    Object::Host(Host {
        name: HostName::new("h1"),
        labels: Labels::default(),
        addresses: BTreeSet::from([address.parse().unwrap()]),
        asn: None,
        router_id: "172.31.0.9".parse().unwrap(),
        is_draining: false,
        told: None,
        machine,
        release: None,
    })
}

fn tell(node: &mut Node, event: Event) -> Asked {
    node.handle(Instant::now(), event);
    let mut asked = Asked::default();
    while let Some(action) = node.next_action() {
        match action {
            Action::Apply(steps) => asked.steps.extend(steps),
            Action::Transact(_, transaction) => asked.transactions.push(transaction),
            Action::Answer(_, answer) => asked.answers.push(answer),
            Action::Note(Note::Warning(text)) => asked.warnings.push(text),
            _ => {}
        }
    }
    asked
}

/// The machine a transaction writes down.
fn written(asked: &Asked) -> Option<Id> {
    asked.transactions.iter().flat_map(|one| &one.puts).find_map(|put| <&Host>::try_from(put).ok()?.machine)
}

#[test]
fn a_record_of_this_machine_of_none_or_at_its_address_is_its_own() {
    for (machine, address) in [(Some(OURS), "172.31.0.9"), (None, "172.31.0.9"), (Some(THEIRS), "172.31.0.1")] {
        let (node, asked) = begun("h1", machine, address);

        assert!(node.is_ready() && asked.warnings.is_empty(), "{machine:?} at {address}: {asked:?}");
        assert_eq!(written(&asked), Some(OURS), "{machine:?} at {address}");
    }
}

#[test]
fn under_the_name_of_another_machine_nothing_is_done_until_it_is_free() {
    let (mut node, asked) = begun("h1", Some(THEIRS), "172.31.0.9");
    assert!(!node.is_ready() && asked.steps.is_empty() && asked.transactions.is_empty(), "{asked:?}");
    assert!(matches!(asked.answers[..], [Answer::Refused(Refusal::NameConflict(_))]), "who waits is told: {asked:?}");
    assert!(asked.warnings[0].contains("h1 is that of another machine, 00000000000000bb at 172.31.0.9"), "{asked:?}");
    let conflict = node.status(Instant::now()).name_conflict.unwrap();
    assert!(conflict.advice().contains("poplin host remove h1 --gone"), "{conflict}");

    let asked = tell(&mut node, Event::AttachRequested(RequestId(1), wish("web", None)));
    assert!(matches!(asked.answers[..], [Answer::Refused(Refusal::NameConflict(_))]), "{asked:?}");
    assert!(asked.steps.is_empty() && asked.transactions.is_empty() && asked.warnings.is_empty(), "{asked:?}");
    assert_eq!(node.next_deadline(), None, "whatever is due, it is not looked at again and again");

    let deletes = vec![ObjectKey::Host(HostName::new("h1"))];
    let asked = tell(&mut node, Event::StoreChanged { revision: 6, puts: vec![], unreadable: vec![], deletes });
    assert_eq!((written(&asked), node.status(Instant::now()).name_conflict), (Some(OURS), None));
}

#[test]
fn a_machine_that_is_renamed_does_nothing_until_the_fabric_knows_its_new_name() {
    let (mut node, asked) = begun("h9", Some(OURS), "172.31.0.1");
    assert!(!node.is_ready() && asked.steps.is_empty() && asked.transactions.is_empty(), "{asked:?}");
    let conflict = node.status(Instant::now()).name_conflict.unwrap();
    assert!(conflict.advice().contains("poplin host rename h1 h9"), "{conflict}");

    let standing = [record(Some(OURS), "172.31.0.1")].map(|object| (object.key(), object));
    let renamed = renaming(&HostName::new("h1"), &HostName::new("h9"), &standing.into());
    let [step] = &renamed.steps[..] else { panic!("{renamed:?}") };
    let puts = step.puts.iter().map(|value| Versioned { value: value.clone(), version: 6 }).collect();
    let deletes = step.deletes.clone();
    let asked = tell(&mut node, Event::StoreChanged { revision: 6, puts, unreadable: vec![], deletes });
    assert!(node.is_ready() && node.status(Instant::now()).name_conflict.is_none(), "{asked:?}");
}
