//! What is a host's it tells again, and what is another's by then it leaves to him.

use std::collections::BTreeSet;
use std::time::Duration;

use poplin_node::Event;
use poplin_node::kernel::Target;
use poplin_node::name::{EndpointName, HostName, PoolName};
use poplin_node::object::{Block, Endpoint, Object, ObjectKey, Versioned};

use crate::desk::Desk;
use crate::world::{id, node};

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
fn what_the_store_acknowledged_and_forgot_before_its_watch_told_of_it_is_told_again() {
    let mut desk = Desk::at_rest();
    desk.attach("stays");
    let backup = desk.backup();
    desk.is_watch_late = true;
    desk.attach("new");
    let known = desk.revision;
    desk.done.clear();

    desk.restore(backup);
    desk.read(); // where the watch stood: it may be a reading from before
    assert!(desk.endpoint("new").is_none());
    desk.is_watch_late = false;
    desk.revision = known + 1;
    let puts = vec![Versioned { value: desk.stored[0].value.clone(), version: desk.revision }];
    desk.put(puts[0].value.clone());
    desk.tell(Event::StoreChanged { revision: desk.revision, puts, unreadable: vec![], deletes: vec![] });

    assert!(desk.endpoint("stays").is_some() && desk.endpoint("new").is_some() && !desk.was_harmed());
    assert_eq!(desk.takers(), BTreeSet::from(["stays".to_owned(), "new".to_owned()]));
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
    assert_eq!(desk.node.truth(desk.now).unwrap().contested, status.contested);
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
    desk.tell(Event::StoreRemembered { revision, objects, shared: 0 });
    desk.tell(Event::KernelRead(desk.kernel.clone()));
    desk.read();

    assert!(desk.endpoint("a").is_some() && !desk.was_harmed());
}

#[test]
fn a_life_that_ends_before_it_wrote_down_what_it_told_takes_no_address_for_those_who_left_since() {
    let mut desk = Desk::at_rest();
    desk.attach("leaves");
    desk.attach("stays");
    desk.tell(Event::StoreLost { reason: "away".to_owned() });
    desk.now += Duration::from_secs(2);
    desk.tell(Event::Tick);
    desk.attach("late");
    let ((revision, mut memory), kept) = (desk.backup(), desk.kept.clone());
    assert!(kept.iter().any(|one| matches!(one, Object::Block(_))), "{kept:?}");
    desk.read();
    assert_eq!(desk.takers(), ["late", "leaves", "stays"].map(str::to_owned).into());
    desk.detach("leaves");
    desk.detach("late");

    desk.node = node();
    memory.extend(kept.into_iter().map(|value| Versioned { value, version: 0 }));
    desk.tell(Event::StoreRemembered { revision, objects: memory, shared: 0 });
    desk.tell(Event::KernelRead(desk.kernel.clone()));
    desk.read();

    assert_eq!(desk.takers(), ["stays"].map(str::to_owned).into());
    assert!(desk.endpoint("late").is_none());
}

#[test]
fn what_was_deleted_while_a_life_was_over_is_believed() {
    let mut desk = Desk::at_rest();
    let interface = desk.attach("a").endpoint.interface;
    let (revision, objects) = desk.backup();
    desk.revision += 1;
    desk.stored.retain(|one| !matches!(one.value, Object::Endpoint(_)));

    desk.node = node();
    desk.tell(Event::StoreRemembered { revision, objects, shared: 0 });
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
