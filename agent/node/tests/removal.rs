//! A host that is gone for good, and what becomes of what it held.

#![allow(clippy::unwrap_used)] // a test that cannot go on should stop

use std::collections::{BTreeMap, BTreeSet};

use poplin_node::kernel::Mac;
use poplin_node::name::{AttachmentId, EndpointName, HostName, PoolName};
use poplin_node::object::{Block, Endpoint, Object, ObjectKey};
use poplin_node::prefix::address_at;
use poplin_node::removal::{Step, removal};
use poplin_policy::label::Labels;
use poplin_policy::ruleset::Interface;
use proptest::{collection::vec, prelude::*};

/// Who has which address of which block: (block, ordinal, host of the endpoint, or nobody's).
type Taken = (usize, u32, Option<u8>);

fn host(number: u8) -> HostName {
    HostName::new(format!("h{number}"))
}

fn attachment(number: usize) -> AttachmentId {
    AttachmentId { container: format!("c{number}"), interface: "eth0".to_owned() }
}

/// Blocks held by these hosts, and addresses taken out of them.
fn world(holders: &[u8], taken: &[Taken]) -> BTreeMap<ObjectKey, Object> {
    let mut blocks: Vec<Block> = Vec::new();
    for (index, holder) in holders.iter().enumerate() {
        let cidr = format!("10.0.{index}.0/26").parse().unwrap();
        blocks.push(Block::empty(PoolName::new("p"), cidr, host(*holder)));
    }
    let mut objects = Vec::new();
    for (number, (block, ordinal, user)) in taken.iter().enumerate() {
        let block = &mut blocks[block % holders.len()];
        if block.taken.contains_key(ordinal) {
            continue;
        }
        block.taken.insert(*ordinal, attachment(number));
        objects.extend(user.map(|user| endpoint(number, user, block, *ordinal)));
    }
    objects.extend(blocks.into_iter().map(Object::Block));
    objects.into_iter().map(|object| (object.key(), object)).collect()
}

fn endpoint(number: usize, user: u8, block: &Block, ordinal: u32) -> Object {
    Object::Endpoint(Endpoint {
        name: EndpointName::new(format!("e{number}")),
        labels: Labels::default(),
        host: host(user),
        attachment: attachment(number),
        addresses: [address_at(block.cidr, ordinal)].into(),
        interface: Interface::new(format!("pop{number}")).unwrap(),
        mac: Mac([2, 0, 0, 0, 0, 1]),
        namespace: None,
        ports: Vec::new(),
        published: Vec::new(),
        netns: format!("/run/netns/{number}").into(),
        mtu_bytes: 1500,
        network: None,
        is_sticky: false,
        profiles: Vec::new(),
        since: None,
        aliases: BTreeSet::new(),
        container: None,
        parent: None,
    })
}

fn blocks(objects: &BTreeMap<ObjectKey, Object>) -> impl Iterator<Item = &Block> {
    objects.values().filter_map(|object| object.try_into().ok())
}

fn endpoints(objects: &BTreeMap<ObjectKey, Object>) -> impl Iterator<Item = &Endpoint> {
    objects.values().filter_map(|object| object.try_into().ok())
}

fn carry_out(step: &Step, objects: &mut BTreeMap<ObjectKey, Object>) {
    objects.extend(step.puts.iter().map(|object| (object.key(), object.clone())));
    for key in &step.deletes {
        objects.remove(key);
    }
}

/// Each address of an endpoint is taken by it.
fn assert_no_address_is_lost(objects: &BTreeMap<ObjectKey, Object>) {
    for endpoint in endpoints(objects) {
        let holds = |block: &Block| block.taken.values().any(|holder| *holder == endpoint.attachment);
        assert!(blocks(objects).any(holds), "the address of {} is free", endpoint.name);
    }
}

fn taken() -> impl Strategy<Value = Vec<Taken>> {
    vec((0usize..260, 0u32..64, prop::option::of(0u8..3)), 0..400)
}

proptest! {
    #[test]
    fn after_it_nothing_is_the_hosts_and_nothing_of_others_is_touched(holders in vec(0u8..3, 1..250), taken in taken()) {
        let mut objects = world(&holders, &taken);
        let others: BTreeMap<_, _> = endpoints(&objects)
            .filter(|endpoint| endpoint.host != host(0))
            .map(|endpoint| (endpoint.name.clone(), endpoint.clone()))
            .collect();
        let leaked: Vec<Block> = blocks(&objects).filter(|block| block.host != host(0)).cloned().collect();
        let before: usize = blocks(&objects).map(|block| block.taken.len()).sum();

        let removal = removal(&host(0), &objects);
        for step in &removal.steps {
            prop_assert!(step.puts.len() + step.deletes.len() < 128, "etcd takes it");
            carry_out(step, &mut objects);
            assert_no_address_is_lost(&objects);
        }

        prop_assert!(endpoints(&objects).all(|endpoint| endpoint.host != host(0)));
        prop_assert!(blocks(&objects).all(|block| block.host != host(0)));
        let left: BTreeMap<_, _> = endpoints(&objects).map(|one| (one.name.clone(), one.clone())).collect();
        prop_assert_eq!(left, others);
        prop_assert!(leaked.iter().all(|block| objects.contains_key(&Object::Block(block.clone()).key())));
        let after: usize = blocks(&objects).map(|block| block.taken.len()).sum();
        prop_assert_eq!(removal.addresses_freed, before - after);
    }

    #[test]
    fn a_removal_that_was_broken_off_leads_to_the_same_end(holders in vec(0u8..3, 1..250), taken in taken(), done in 0usize..6) {
        let mut whole = world(&holders, &taken);
        let mut broken = whole.clone();
        removal(&host(0), &whole.clone()).steps.iter().for_each(|step| carry_out(step, &mut whole));

        removal(&host(0), &broken.clone()).steps.iter().take(done).for_each(|step| carry_out(step, &mut broken));
        removal(&host(0), &broken.clone()).steps.iter().for_each(|step| carry_out(step, &mut broken));

        prop_assert_eq!(broken, whole);
    }
}

#[test]
fn a_block_others_have_addresses_of_goes_to_one_of_them() {
    let objects = world(&[0, 0], &[(0, 1, Some(0)), (0, 2, Some(2)), (1, 3, Some(0))]);

    let removal = removal(&host(0), &objects);

    assert_eq!(removal.blocks_moved, BTreeMap::from([("10.0.0.0/26".parse().unwrap(), host(2))]));
    assert_eq!(removal.blocks_freed, BTreeSet::from(["10.0.1.0/26".parse().unwrap()]));
    assert_eq!(removal.addresses_freed, 2);
}
