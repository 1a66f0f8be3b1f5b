//! The store forgot: it was restored from a backup, or emptied. A host tells it again what is its own, and takes nothing from who came since.

#![allow(clippy::unwrap_used)]

mod world;

use std::collections::BTreeSet;
use std::time::Instant;

use poplin_node::kernel::{KernelState, Step, Target};
use poplin_node::name::{EndpointName, HostName, PoolName};
use poplin_node::object::{Block, Endpoint, Object, ObjectKey, Versioned};
use poplin_node::request::{Answer, Attach, Attached, Detach, Renew, RequestId};
use poplin_node::transaction::{Compare, Transaction, TransactionId, TransactionOutcome};
use poplin_node::{Action, Event, Node, Note};
use poplin_policy::label::Labels;
use world::{id, node, wish};

/// One host, and a store that judges.
struct Desk {
    node: Node,
    now: Instant,
    kernel: KernelState,
    stored: Vec<Versioned<Object>>,
    revision: i64,
    transaction: Option<(TransactionId, Transaction)>,
    answers: Vec<Answer>,
    kept: Vec<Object>,
    done: Vec<Step>,
    warnings: Vec<String>,
    /// Somebody else's write comes between: so many transactions are refused.
    refusals: usize,
}

impl Desk {
    fn at_rest() -> Self {
        let mut desk = Self {
            node: node(),
            now: Instant::now(),
            kernel: KernelState::default(),
            stored: vec![Versioned { value: pool(), version: 1 }],
            revision: 1,
            transaction: None,
            answers: vec![],
            kept: vec![],
            done: vec![],
            warnings: vec![],
            refusals: 0,
        };
        desk.tell(Event::KernelRead(desk.kernel.clone()));
        desk.read();
        desk
    }

    fn tell(&mut self, event: Event) {
        self.node.handle(self.now, event);
        let mut steps = Vec::new();
        while let Some(action) = self.node.next_action() {
            match action {
                Action::Apply(batch) => steps.extend(batch),
                Action::Transact(id, transaction) => assert_eq!(self.transaction.replace((id, transaction)), None),
                Action::Answer(_, answer) => self.answers.push(answer),
                Action::Keep(kept) => self.kept = kept,
                Action::Note(Note::Warning(text)) => self.warnings.push(text),
                _ => {}
            }
        }
        if !steps.is_empty() {
            for step in &steps {
                poplin_node::plan::advance(&mut self.kernel, step);
            }
            self.done.extend(steps);
            self.tell(Event::StepsDone(Ok(())));
        }
        if let Some((id, transaction)) = self.transaction.take() {
            let mut deletes = transaction.deletes.clone();
            let outcome = self.judge(transaction);
            if let TransactionOutcome::Refused { .. } = outcome {
                deletes.clear();
            }
            self.tell(Event::TransactionDone { id, outcome });
            let revision = self.revision;
            let puts = self.stored.iter().filter(|one| one.version == revision).cloned().collect();
            self.tell(Event::StoreChanged { revision, puts, unreadable: vec![], deletes });
        }
    }

    fn judge(&mut self, transaction: Transaction) -> TransactionOutcome {
        let version = |key: &ObjectKey| self.stored.iter().find(|one| one.value.key() == *key).map(|one| one.version);
        let holds = |compare: &Compare| match compare {
            Compare::Absent(key) => version(key).is_none(),
            Compare::Unchanged(key, wanted) => version(key) == Some(*wanted),
        };
        assert!(transaction.compares.iter().all(holds), "{transaction:?} is refused");
        self.revision += 1;
        if self.refusals > 0 {
            self.refusals -= 1;
            let is_compared =
                |one: &&Versioned<Object>| transaction.compares.iter().any(|compare| *compare.key() == one.value.key());
            let current = self.stored.iter().filter(is_compared).cloned().collect();
            return TransactionOutcome::Refused { revision: self.revision, current, unreadable: vec![] };
        }
        self.stored.retain(|one| !transaction.deletes.contains(&one.value.key()));
        transaction.puts.into_iter().for_each(|put| self.put(put));
        TransactionOutcome::Committed { revision: self.revision }
    }

    /// Somebody else writes, unheard.
    fn put(&mut self, value: Object) {
        self.stored.retain(|one| one.value.key() != value.key());
        self.stored.push(Versioned { value, version: self.revision });
    }

    fn read(&mut self) {
        let (revision, objects) = (self.revision, self.stored.clone());
        self.tell(Event::StoreRead { revision, objects, unreadable: vec![] });
    }

    fn backup(&self) -> (i64, Vec<Versioned<Object>>) {
        (self.revision, self.stored.clone())
    }

    fn restore(&mut self, (revision, stored): (i64, Vec<Versioned<Object>>)) {
        (self.revision, self.stored) = (revision, stored);
    }

    fn attach(&mut self, container: &str) -> Attached {
        self.tell(Event::AttachRequested(RequestId(1), attach(container)));
        match self.answers.pop() {
            Some(Answer::Attached(attached)) => attached,
            other => panic!("it was answered with {other:?}"),
        }
    }

    fn detach(&mut self, container: &str) {
        self.tell(Event::DetachRequested(RequestId(2), Detach::Attachment(id(container))));
        assert!(matches!(self.answers.pop(), Some(Answer::Detached(_))));
    }

    fn rename(&mut self, container: &str, name: &str) {
        let renew = Renew {
            attachment: id(container),
            names: vec![EndpointName::new(name)],
            labels: Labels::default(),
            published: None,
            aliases: BTreeSet::new(),
            container: None,
        };
        self.tell(Event::RenewRequested(RequestId(3), renew));
        assert!(matches!(self.answers.pop(), Some(Answer::Attached(_))));
    }

    fn endpoint(&self, name: &str) -> Option<&Endpoint> {
        self.stored.iter().find_map(|one| match &one.value {
            Object::Endpoint(endpoint) if endpoint.name.as_str() == name => Some(endpoint),
            _ => None,
        })
    }

    fn blocks(&self) -> Vec<&Block> {
        self.stored.iter().filter_map(|one| <&Block>::try_from(&one.value).ok()).collect()
    }

    fn takers(&self) -> BTreeSet<String> {
        self.blocks().iter().flat_map(|block| block.taken.values()).map(|holder| holder.container.clone()).collect()
    }

    fn was_harmed(&self) -> bool {
        self.done.iter().any(|step| matches!(step, Step::DeleteLink(_) | Step::RemoveRoute(_)))
    }
}

#[test]
fn a_restored_store_is_told_again_who_came_since_and_who_left() {
    let mut desk = Desk::at_rest();
    desk.attach("stays");
    desk.attach("leaves");
    let backup = desk.backup();
    desk.attach("new");
    desk.detach("leaves");
    desk.done.clear();

    desk.restore(backup);
    desk.read();

    assert!(desk.endpoint("stays").is_some() && desk.endpoint("new").is_some() && desk.endpoint("leaves").is_none());
    assert_eq!(desk.takers(), BTreeSet::from(["stays".to_owned(), "new".to_owned()]));
    assert!(!desk.was_harmed());
    let status = desk.node.status(desk.now);
    assert!(status.lapsed.is_empty() && status.contested.is_empty() && desk.kept.is_empty(), "{status:?}");
}

#[test]
fn an_emptied_store_is_told_again_however_it_was_emptied_and_what_people_declared_goes_on_to_count() {
    for is_watched in [false, true] {
        let mut desk = Desk::at_rest();
        desk.attach("a");
        desk.done.clear();

        let deletes = desk.stored.iter().map(|one| one.value.key()).collect();
        let revision = if is_watched { desk.revision + 1 } else { 1 };
        desk.restore((revision, vec![]));
        match is_watched {
            true => desk.tell(Event::StoreChanged { revision, puts: vec![], unreadable: vec![], deletes }),
            false => desk.read(),
        }

        assert!(desk.endpoint("a").is_some() && desk.takers().len() == 1 && !desk.was_harmed());
        let pool = ObjectKey::Pool(PoolName::new("p"));
        assert_eq!(desk.node.status(desk.now).lapsed, vec![pool.clone()]);
        assert!(!desk.stored.iter().any(|one| one.value.key() == pool), "what people declare they declare themselves");
        desk.attach("b");
    }
}

#[test]
fn who_came_since_keeps_the_address_and_ours_is_closed_off_until_he_left() {
    let mut desk = Desk::at_rest();
    let backup = desk.backup();
    let ours = desk.attach("ours").endpoint;
    desk.restore(backup);
    let block = taken_by_theirs(&ours);
    desk.revision += 1;
    desk.put(Object::Block(block.clone()));
    desk.put(Object::Endpoint(Endpoint {
        name: EndpointName::new("theirs"),
        host: HostName::new("h2"),
        attachment: id("theirs"),
        ..ours.clone()
    }));

    desk.read();

    let status = desk.node.status(desk.now);
    assert_eq!(
        (status.contested[0].rival.as_str(), status.contested[0].address),
        ("theirs", ours.addresses.first().copied())
    );
    assert!(desk.kernel.links.contains_key(&ours.interface) && desk.endpoint("ours").is_none());
    assert!(!desk.kernel.routes.values().any(|target| matches!(target, Target::Link(_))), "nothing leads to it");
    assert_eq!(desk.kept.iter().map(Object::key).collect::<Vec<_>>(), vec![ObjectKey::Endpoint(ours.name.clone())]);

    let gone = ObjectKey::Endpoint(EndpointName::new("theirs"));
    let freed = Block { taken: Default::default(), ..block };
    desk.revision += 1;
    desk.stored.retain(|one| one.value.key() != gone);
    desk.put(Object::Block(freed.clone()));
    let (revision, puts) = (desk.revision, vec![Versioned { value: Object::Block(freed), version: desk.revision }]);
    desk.tell(Event::StoreChanged { revision, puts, unreadable: vec![], deletes: vec![gone] });

    assert!(desk.endpoint("ours").is_some() && desk.node.status(desk.now).contested.is_empty());
    assert!(desk.kernel.routes.values().any(|target| *target == Target::Link(ours.interface.clone())));
}

#[test]
fn a_former_name_is_removed_also_where_the_first_try_was_refused_and_the_store_has_not_forgotten_again() {
    for refusals in [0, 1, 2] {
        let mut desk = Desk::at_rest();
        desk.attach("before");
        let backup = desk.backup();
        desk.rename("before", "after");
        desk.restore(backup);
        desk.refusals = refusals;
        desk.read();
        for _ in 0..refusals {
            desk.read();
        }

        assert!(desk.endpoint("after").is_some() && desk.endpoint("before").is_none(), "after {refusals} refusals");
        desk.read();
        let forgot = desk.warnings.iter().filter(|text| text.starts_with("the store forgot"));
        assert_eq!(forgot.count(), 1, "after {refusals} refusals");
    }
}

#[test]
fn a_life_that_begins_with_a_restored_store_compares_it_with_what_the_last_one_wrote_down() {
    let mut desk = Desk::at_rest();
    let backup = desk.backup();
    desk.attach("a");
    let (revision, objects) = desk.backup();
    desk.restore(backup);
    desk.done.clear();

    desk.node = node();
    desk.tell(Event::StoreRemembered { revision, objects });
    desk.tell(Event::KernelRead(desk.kernel.clone()));
    desk.read();

    assert!(desk.endpoint("a").is_some() && !desk.was_harmed());
}

#[test]
fn what_was_deleted_while_a_life_was_over_is_believed() {
    let mut desk = Desk::at_rest();
    let interface = desk.attach("a").endpoint.interface;
    let (revision, objects) = desk.backup();
    desk.revision += 1;
    desk.stored.retain(|one| !matches!(one.value, Object::Endpoint(_)));

    desk.node = node();
    desk.tell(Event::StoreRemembered { revision, objects });
    desk.tell(Event::KernelRead(desk.kernel.clone()));
    desk.read();

    assert!(desk.endpoint("a").is_none() && !desk.kernel.links.contains_key(&interface));
}

/// The block of an endpoint's address, which another host has claimed and given to another.
fn taken_by_theirs(endpoint: &Endpoint) -> Block {
    let address = *endpoint.addresses.first().unwrap();
    let cidr = ipnet::IpNet::new(address, 26).unwrap().trunc();
    let mut block = Block::empty(PoolName::new("p"), cidr, HostName::new("h2"));
    block.taken.insert(block.ordinal_of(address).unwrap(), id("theirs"));
    block
}

fn pool() -> Object {
    world::pool("p", "10.9.0.0/16", 26)
}

fn attach(container: &str) -> Attach {
    wish(container, Some(container))
}
