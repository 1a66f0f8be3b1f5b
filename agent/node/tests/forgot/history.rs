//! Which history the store tells, and who has still to tell what it forgot.

use std::collections::BTreeSet;
use std::time::Duration;

use poplin_node::Event;
use poplin_node::lineage::{Id, Lineage};
use poplin_node::name::{EndpointName, HostName, PoolName};
use poplin_node::object::{Block, Endpoint, Host, Object, ObjectKey, Versioned};
use poplin_node::prefix::address_at;
use poplin_node::request::{Answer, Attach, Refusal, RequestId};

use crate::desk::{Desk, attach, pool};
use crate::world::{id, node};

impl Desk {
    /// One that has a fabric with another host, `h2`.
    fn with_another() -> Self {
        let mut desk = Self::seeded(vec![pool(), h2(None)]);
        desk.read();
        desk
    }

    fn seeded(objects: Vec<Object>) -> Self {
        let mut desk = Self::at_rest();
        desk.node = node();
        desk.stored = objects.into_iter().map(|value| Versioned { value, version: 1 }).collect();
        desk.tell(Event::Seeded(7));
        desk.tell(Event::KernelRead(desk.kernel.clone()));
        desk
    }

    /// Another life, with what the last one wrote down or without.
    fn lives_again(&mut self, remembers: Option<(i64, Vec<Versioned<Object>>)>) {
        let kept = std::mem::take(&mut self.kept);
        self.node = node();
        self.answers.clear();
        self.tell(Event::Seeded(8));
        if let Some((revision, mut objects)) = remembers {
            objects.extend(kept.into_iter().map(|value| Versioned { value, version: 0 }));
            self.tell(Event::StoreRemembered { revision, objects, shared: 0 });
        }
        self.tell(Event::KernelRead(self.kernel.clone()));
    }

    fn lineage(&self) -> Lineage {
        self.stored.iter().find_map(|one| <&Lineage>::try_from(&one.value).ok()).unwrap().clone()
    }

    /// Somebody else writes, and it is heard of.
    fn hears(&mut self, value: Object) {
        self.revision += 1;
        self.put(value.clone());
        let (revision, puts) = (self.revision, vec![Versioned { value, version: self.revision }]);
        self.tell(Event::StoreChanged { revision, puts, unreadable: vec![], deletes: vec![] });
    }

    fn asks(&mut self, attach: Attach) -> Option<Answer> {
        self.tell(Event::AttachRequested(RequestId(9), attach));
        self.answers.pop()
    }

    fn told(&self) -> Option<Id> {
        self.stored
            .iter()
            .find_map(|one| <&Host>::try_from(&one.value).ok().filter(|host| host.name == HostName::new("h1")))?
            .told
    }
}

fn h2(told: Option<Id>) -> Object {
    Object::Host(Host {
        name: HostName::new("h2"),
        labels: Default::default(),
        addresses: BTreeSet::from(["172.31.0.2".parse().unwrap()]),
        asn: None,
        router_id: "172.31.0.2".parse().unwrap(),
        is_draining: false,
        told,
        machine: None,
        release: None,
    })
}

fn hosts(names: &[&str]) -> BTreeSet<HostName> {
    names.iter().map(|name| HostName::new(*name)).collect()
}

#[test]
fn the_first_agent_says_once_which_fabric_the_store_is_of() {
    let mut desk = Desk::with_another();
    let first = desk.lineage();
    desk.attach("a");

    desk.lives_again(None);
    desk.read();

    assert_eq!((desk.lineage(), first.history, desk.told()), (first, None, None));
}

#[test]
fn nobody_joins_until_each_host_has_told_and_what_an_operator_writes_of_a_host_is_not_its_word() {
    let mut desk = Desk::with_another();
    let fabric = desk.lineage().fabric;
    let backup = desk.backup();
    desk.attach("a");
    desk.restore(backup);
    desk.read();

    let lineage = desk.lineage();
    assert_eq!((lineage.fabric, &lineage.awaited), (fabric, &hosts(&["h1", "h2"])));
    assert!(desk.endpoint("a").is_some() && desk.told() == lineage.history && lineage.history.is_some());
    assert_eq!(desk.asks(attach("b")), None);
    match h2(None) {
        Object::Host(host) => desk.hears(Object::Host(Host { is_draining: true, ..host })),
        other => panic!("{other:?} is no host"),
    }
    assert_eq!(desk.answers.pop(), None, "a person wrote that");

    desk.hears(h2(lineage.history));
    assert!(matches!(desk.answers.pop(), Some(Answer::Attached(_))));
    assert!(desk.lineage().awaited.is_empty() && desk.lineage().history == lineage.history, "that is over");
}

#[test]
fn who_waits_too_long_is_told_for_whom() {
    let mut desk = Desk::with_another();
    let backup = desk.backup();
    desk.attach("a");
    desk.restore(backup);
    desk.read();

    assert_eq!(desk.asks(attach("b")), None);
    desk.now += Duration::from_secs(11);
    desk.tell(Event::Tick);

    assert_eq!(desk.answers.pop(), Some(Answer::Refused(Refusal::StoreForgot { hosts: hosts(&["h2"]) })));
    assert_eq!(desk.node.status(desk.now).awaited, hosts(&["h2"]));
    desk.hears(Object::Lineage(Lineage { is_accepted: true, ..desk.lineage() }));
    desk.attach("b");
}

#[test]
fn a_host_that_lost_what_it_knew_gives_nothing_away_before_the_others_have_told() {
    let mut desk = Desk::with_another();
    let lineage = Lineage { history: Some(Id(1)), awaited: hosts(&["h1", "h2"]), ..desk.lineage() };
    desk.revision += 1;
    desk.put(Object::Lineage(lineage));
    desk.lives_again(None);
    desk.read();
    assert_eq!(desk.told(), Some(Id(1)), "it has nothing to tell");

    assert_eq!(desk.asks(attach("a")), None);
    desk.hears(h2(Some(Id(1))));
    assert!(matches!(desk.answers.pop(), Some(Answer::Attached(_))));
}

#[test]
fn an_address_of_another_hosts_block_is_told_in_that_block_where_its_host_tells_nothing() {
    let mut desk = Desk::with_another();
    let backup = desk.backup();
    let theirs = Block::empty(PoolName::new("p"), "10.9.0.0/26".parse().unwrap(), HostName::new("h2"));
    desk.hears(Object::Block(theirs.clone()));
    let borrowed = "10.9.0.5".parse().unwrap();
    assert!(matches!(
        desk.asks(Attach { addresses: BTreeSet::from([borrowed]), ..attach("a") }),
        Some(Answer::Attached(_))
    ));

    desk.restore(backup);
    desk.read();

    let block = desk.blocks().into_iter().find(|block| block.cidr == theirs.cidr).unwrap();
    assert_eq!((&block.host, block.taken.get(&5)), (&theirs.host, Some(&id("a"))));
    assert!(!desk.was_harmed() && desk.endpoint("a").is_some());
    desk.hears(h2(desk.lineage().history));
    assert!(desk.blocks().iter().any(|block| block.taken.get(&5) == Some(&id("a"))));
    assert!(desk.node.status(desk.now).lapsed.is_empty());
}

#[test]
fn a_block_of_ours_that_another_told_in_goes_on_to_be_as_we_knew_it() {
    let mut desk = Desk::with_another();
    let backup = desk.backup();
    let ours = desk.attach("a").endpoint;
    let own = desk.blocks()[0].clone();
    desk.restore(backup);
    let mut told = Block::empty(own.pool.clone(), own.cidr, own.host.clone());
    told.taken.insert(60, id("theirs"));
    let theirs = Endpoint {
        name: EndpointName::new("theirs"),
        host: HostName::new("h2"),
        attachment: id("theirs"),
        addresses: [address_at(told.cidr, 60)].into(),
        ..ours.clone()
    };
    desk.revision += 1;
    desk.put(Object::Block(told));
    desk.put(Object::Endpoint(theirs));

    desk.read();

    let holders = desk.takers();
    assert_eq!(holders, BTreeSet::from(["a".to_owned(), "theirs".to_owned()]));
    assert!(desk.endpoint("a").unwrap().addresses == ours.addresses);
}

#[test]
fn a_life_that_ends_before_another_history_is_begun_leaves_that_to_the_next() {
    let mut desk = Desk::with_another();
    let backup = desk.backup();
    desk.attach("a");
    desk.restore(backup);
    desk.refusals = usize::MAX;
    let (revision, stored) = desk.backup();
    desk.node.handle(desk.now, Event::StoreRead { revision, objects: stored.clone(), unreadable: vec![] });
    while let Some(action) = desk.node.next_action() {
        if let poplin_node::Action::Keep { objects, .. } = action {
            desk.kept = objects;
        }
    }
    assert!(desk.kept.iter().any(|one| one.key() == ObjectKey::Lineage));

    desk.refusals = 0;
    desk.lives_again(Some((revision, stored)));
    desk.read();

    assert!(desk.lineage().history.is_some() && desk.told() == desk.lineage().history && desk.endpoint("a").is_some());
}

#[test]
fn a_store_that_has_outrun_what_was_known_is_recognised_by_the_history_another_host_began() {
    let mut desk = Desk::with_another();
    let backup = desk.backup();
    desk.attach("a");
    desk.restore(backup);
    desk.revision += 40;
    let begun = Lineage { history: Some(Id(1)), awaited: hosts(&["h2"]), ..desk.lineage() };
    desk.put(Object::Lineage(begun));

    desk.read();

    assert!(desk.endpoint("a").is_some() && !desk.was_harmed());
    let lineage = desk.lineage();
    assert_eq!((lineage.history, &lineage.awaited), (Some(Id(1)), &hosts(&["h1", "h2"])));
    assert_eq!(desk.told(), Some(Id(1)));
}
