//! What an audit finds in worlds that were damaged, and what mending them may do.

#![allow(clippy::unwrap_used)] // a test that cannot go on should stop

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use poplin_node::audit::{Fault, Standing, Truth, faults};
use poplin_node::kernel::Mac;
use poplin_node::mend::{Kept, Release, mending, release};
use poplin_node::name::{AttachmentId, EndpointName, HostName, PoolName};
use poplin_node::object::{Block, Endpoint, Host, Object, Pool};
use poplin_node::prefix::{address_at, ordinal_of};
use poplin_node::usage::{State, by_host, by_pool, whereabouts};
use poplin_policy::label::Labels;
use poplin_policy::ruleset::Interface;
use proptest::collection::vec;
use proptest::prelude::*;

fn host(number: u8) -> HostName {
    HostName::new(format!("h{number}"))
}

fn id(number: usize) -> AttachmentId {
    AttachmentId { container: format!("c{number}"), interface: "eth0".to_owned() }
}

fn name(number: usize) -> EndpointName {
    EndpointName::new(format!("e{number}"))
}

fn address(block: u8, ordinal: u32) -> IpAddr {
    address_at(cidr(block), ordinal)
}

fn cidr(block: u8) -> ipnet::IpNet {
    format!("10.77.{block}.0/30").parse().unwrap()
}

fn written(host: HostName) -> Object {
    Object::Host(Host {
        name: host,
        labels: Labels::default(),
        addresses: BTreeSet::new(),
        asn: None,
        router_id: Ipv4Addr::LOCALHOST,
        is_draining: false,
        told: None,
        machine: None,
        release: None,
    })
}

fn endpoint(number: usize, on: u8, address: IpAddr) -> Endpoint {
    Endpoint {
        name: name(number),
        labels: Labels::default(),
        host: host(on),
        attachment: id(number),
        addresses: [address].into(),
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
        since: Some(1_800_000_000),
        aliases: BTreeSet::new(),
        container: None,
        parent: None,
    }
}

fn block(number: u8, of: u8) -> Block {
    Block::empty(PoolName::new("four"), cidr(number), host(of))
}

/// A pool, three hosts, and these.
fn world(objects: impl IntoIterator<Item = Object>) -> Standing {
    let pool = Pool::open(PoolName::new("four"), "10.77.0.0/16".parse().unwrap(), 30);
    let base = (0..3).map(|number| written(host(number))).chain([Object::Pool(pool)]);
    base.chain(objects).map(|object| (object.key(), object)).collect()
}

fn truth(of: u8) -> Truth {
    Truth {
        host: host(of),
        unwired: BTreeSet::new(),
        led: BTreeSet::new(),
        busy: BTreeSet::new(),
        resting: BTreeSet::new(),
        contested: Vec::new(),
    }
}

fn blocks(standing: &Standing) -> impl Iterator<Item = &Block> {
    standing.values().filter_map(|object| object.try_into().ok())
}

fn endpoints(standing: &Standing) -> impl Iterator<Item = &Endpoint> {
    standing.values().filter_map(|object| object.try_into().ok())
}

fn carry_out(standing: &mut Standing, truth: &Truth) {
    let planned = mending(&faults(standing, Some(truth)), standing, truth);
    for step in planned.steps {
        assert!(step.puts.len() + step.deletes.len() < 128, "etcd takes it");
        standing.extend(step.puts.into_iter().map(|object| (object.key(), object)));
        step.deletes.iter().for_each(|key| drop(standing.remove(key)));
    }
}

/// The faults by their names, after what one host mends.
fn after(standing: &Standing, truth: &Truth) -> Vec<&'static str> {
    let mut mended = standing.clone();
    carry_out(&mut mended, truth);
    faults(&mended, Some(truth)).iter().map(Fault::reason).collect()
}

#[test]
fn a_leaked_address_is_freed_by_who_holds_its_block_and_by_nobody_else() {
    let mut leaky = block(1, 1);
    leaky.taken.insert(2, id(7));
    let standing = world([Object::Block(leaky)]);

    assert_eq!(after(&standing, &truth(1)), [""; 0]);
    assert_eq!(after(&standing, &truth(2)), ["LEAKED"]);
    let led = Truth { led: BTreeSet::from([address(1, 2)]), ..truth(1) };
    assert_eq!(after(&standing, &led), ["LEAKED"], "packets are led there, so somebody may be there");
    let busy = Truth { busy: BTreeSet::from([id(7)]), ..truth(1) };
    assert_eq!(after(&standing, &busy), ["LEAKED"], "a request is about it");
}

#[test]
fn an_address_that_no_block_knows_is_taken_by_the_endpoints_own_host() {
    let standing = world([Object::Endpoint(endpoint(1, 1, address(1, 2)))]);

    assert_eq!(after(&standing, &truth(2)), ["UNTAKEN"]);
    let mut mended = standing.clone();
    carry_out(&mut mended, &truth(1));

    assert_eq!(faults(&mended, None), BTreeSet::new());
    let claimed: Vec<&Block> = blocks(&mended).collect();
    assert_eq!((claimed[0].cidr, &claimed[0].host, claimed[0].taken[&2].clone()), (cidr(1), &host(1), id(1)));
}

#[test]
fn an_address_taken_by_somebody_who_is_gone_is_given_to_who_has_it_and_never_freed() {
    let mut block = block(1, 0);
    block.taken.insert(2, id(7));
    let has = Object::Endpoint(endpoint(1, 1, address(1, 2)));
    let standing = world([Object::Block(block.clone()), has.clone()]);

    assert_eq!(after(&standing, &truth(0)), ["TAKEN_BY_OTHER"], "the block's holder frees nothing that is had");
    assert_eq!(after(&standing, &truth(1)), [""; 0]);

    let alive = Object::Endpoint(endpoint(7, 2, address(1, 3)));
    let standing = world([Object::Block(block), has, alive]);
    assert!(after(&standing, &truth(1)).contains(&"TAKEN_BY_OTHER"), "who took it is there");
}

#[test]
fn one_address_of_two_endpoints_is_told_and_left_to_people() {
    let mut block = block(1, 0);
    block.taken.insert(2, id(1));
    let both = [endpoint(1, 0, address(1, 2)), endpoint(2, 1, address(1, 2))];
    let standing = world(both.map(Object::Endpoint).into_iter().chain([Object::Block(block)]));

    let found = faults(&standing, None);
    let shared = found.iter().find(|fault| fault.reason() == "SHARED").unwrap();

    assert_eq!(shared.to_string(), "10.77.1.2 is that of endpoint e1 on host h0 and of endpoint e2 on host h1");
    assert!(shared.advice().contains("poplin detach e1, or e2"));
    for of in 0..3 {
        assert_eq!(after(&standing, &truth(of)), ["TAKEN_BY_OTHER", "SHARED"]);
    }
}

#[test]
fn what_a_host_that_is_gone_holds_is_told_with_the_way_to_free_it() {
    let of_nobody = endpoint(1, 9, address(1, 2));
    let mut block = block(1, 9);
    block.taken.insert(2, id(1));
    let standing = world([Object::Block(block), Object::Endpoint(of_nobody)]);

    let found = faults(&standing, None);

    let told: Vec<(String, String)> = found.iter().map(|fault| (fault.to_string(), fault.advice())).collect();
    assert_eq!(told[0].0, "host h9 is not there, and holds 1 blocks and 1 endpoints");
    assert_eq!(told[0].1, "if it does not run for good: poplin host remove h9");
    assert_eq!(after(&standing, &truth(1)), ["NO_HOST"]);
}

#[test]
fn blocks_that_overlap_or_are_of_no_pool_or_contradict_themselves_are_found() {
    let wide = Block { cidr: "10.77.1.0/29".parse().unwrap(), ..block(1, 0) };
    let stray = Block { pool: PoolName::new("gone"), cidr: "10.99.0.0/30".parse().unwrap(), ..block(1, 1) };
    let mut muddled = block(2, 2);
    muddled.taken.extend([(0, id(1)), (9, id(2))]);
    muddled.freed = vec![0, 1];
    let has = Object::Endpoint(endpoint(1, 2, address(2, 0)));
    let standing = world([wide, block(1, 1), stray, muddled].map(Object::Block).into_iter().chain([has]));

    let found: Vec<_> = faults(&standing, None).iter().map(Fault::reason).collect();
    assert_eq!(found, ["NO_POOL", "NO_POOL", "OVERLAP", "MUDDLED", "MUDDLED"]);

    assert_eq!(
        after(&standing, &truth(0)),
        ["NO_POOL", "MUDDLED", "MUDDLED"],
        "its empty stray block goes, and the overlap"
    );
    assert_eq!(after(&standing, &truth(1)), ["NO_POOL", "OVERLAP", "MUDDLED", "MUDDLED"]);
    let mut mended = standing.clone();
    carry_out(&mut mended, &truth(2));
    let left = blocks(&mended).find(|block| block.cidr == cidr(2)).unwrap();
    assert_eq!((left.taken.clone(), left.freed.clone()), (BTreeMap::from([(0, id(1))]), vec![1]));
}

#[test]
fn an_endpoint_whose_interface_is_gone_is_found_by_its_own_host() {
    let mut block = block(1, 1);
    block.taken.insert(2, id(1));
    let standing = world([Object::Block(block), Object::Endpoint(endpoint(1, 1, address(1, 2)))]);
    let gone = Truth { unwired: BTreeSet::from([name(1)]), ..truth(1) };

    let found = faults(&standing, Some(&gone));

    assert_eq!(found.iter().map(Fault::reason).collect::<Vec<_>>(), ["UNWIRED"]);
    assert_eq!(mending(&found, &standing, &gone).remains, BTreeSet::from([name(1)]));
    assert_eq!(faults(&standing, None), BTreeSet::new());
}

#[test]
fn an_address_is_released_only_if_nobody_can_have_it() {
    let mut block = block(1, 1);
    block.taken.extend([(0, id(1)), (1, id(7))]);
    block.kept.insert(2, name(3));
    block.freed = vec![3];
    let standing = world([Object::Block(block), Object::Endpoint(endpoint(1, 2, address(1, 0)))]);
    let done = |truth: &Truth, ordinal| match release(&standing, truth, address(1, ordinal)) {
        Ok(Release::Write(step, words)) => (step.puts.len() == 1).then_some(words).unwrap(),
        other => format!("{other:?}"),
    };

    let in_use = release(&standing, &truth(2), address(1, 0)).unwrap_err();
    assert_eq!(in_use.to_string(), "endpoint e1 on host h2 has 10.77.1.0");
    assert!(matches!(release(&standing, &truth(0), address(1, 1)), Err(Kept::OfOtherHost { .. })));
    let led = Truth { led: BTreeSet::from([address(1, 1)]), ..truth(1) };
    assert!(matches!(release(&standing, &led, address(1, 1)), Err(Kept::Led { .. })));
    assert_eq!(done(&truth(1), 1), "10.77.1.1 was taken by c7/eth0, of which there is no endpoint, and is free");
    assert_eq!(done(&truth(0), 2), "10.77.1.2 is not kept for endpoint e3 any more");
    assert_eq!(done(&truth(0), 3), "10.77.1.3 rests no more");
    assert_eq!(release(&standing, &truth(0), address(9, 0)), Ok(Release::Nothing));
    let gone = Truth { unwired: BTreeSet::from([name(1)]), ..truth(2) };
    assert_eq!(release(&standing, &gone, address(1, 0)), Ok(Release::Detach(name(1))));
}

#[test]
fn counts_add_up_and_an_address_is_found() {
    let mut block = block(1, 1);
    block.taken.extend([(0, id(1)), (1, id(2))]);
    block.kept.insert(2, name(3));
    block.freed = vec![3];
    let pool = Pool {
        reserved: ["10.77.1.1-10.77.1.1", "10.77.128.0/17"]
            .iter()
            .map(|text| text.parse::<poplin_node::range::Range>().unwrap())
            .collect(),
        ..Pool::open(PoolName::new("four"), "10.77.0.0/16".parse().unwrap(), 30)
    };
    let had = [endpoint(1, 1, address(1, 0)), endpoint(2, 2, address(1, 1))].map(Object::Endpoint);
    let standing = world(had.into_iter().chain([Object::Block(block), Object::Pool(pool)]));
    let resting = BTreeSet::from([address(1, 3)]);

    let pools = by_pool(&standing, &resting);
    let one = &pools[0];
    assert_eq!((one.used, one.reserved, one.kept, one.cooling, one.free()), (2, 1 << 15, 1, 1, (1 << 15) - 4));
    assert_eq!((one.blocks, one.blocks_total), (1, 1 << 14));
    let hosts = by_host(&standing);
    assert_eq!(hosts[&(host(1), PoolName::new("four"))].used, 2);
    assert_eq!(hosts[&(host(2), PoolName::new("four"))].borrowed, 1);
    let state = |address| whereabouts(&standing, &resting, address).state;
    let seen = [0, 1, 2, 3].map(|ordinal| state(address(1, ordinal)));
    assert_eq!(seen, [State::Taken, State::Taken, State::Kept, State::Cooling]);
    assert_eq!(state("10.77.200.1".parse().unwrap()), State::Reserved);
    assert_eq!(state("10.77.2.0".parse().unwrap()), State::Free);
    assert_eq!(state("10.78.0.0".parse().unwrap()), State::Outside);
}

/// (block, ordinal, who took it, who has it on which host)
type Entry = (u8, u32, Option<usize>, Option<(usize, u8)>);

proptest! {
    /// However a world was damaged: what an endpoint has is never freed, what is mended stays mended, and each host touches only its own.
    #[test]
    fn mending_never_frees_what_somebody_has(
        holders in vec(0u8..4, 1..6), entries in vec((0u8..6, 0u32..4, prop::option::of(0usize..12), prop::option::of((0usize..12, 0u8..4))), 0..24),
        mender in 0u8..3,
    ) {
        let entries: Vec<Entry> = entries;
        let mut made: Vec<Block> = holders.iter().zip(0u8..).map(|(of, number)| block(number, *of)).collect();
        let mut had = BTreeMap::new();
        for (block, ordinal, taker, haver) in entries {
            let address = address(block, ordinal);
            if let (Some(taker), Some(block)) = (taker, made.iter_mut().find(|one| one.cidr.contains(&address))) {
                block.taken.insert(ordinal, id(taker));
            }
            had.extend(haver.map(|(number, on)| (number, endpoint(number, on, address))));
        }
        let standing = world(made.into_iter().map(Object::Block).chain(had.into_values().map(Object::Endpoint)));
        let truth = truth(mender);
        let before = faults(&standing, Some(&truth));
        let planned = mending(&before, &standing, &truth);
        let mut mended = standing.clone();
        carry_out(&mut mended, &truth);

        let is_guarded = |standing: &Standing, endpoint: &Endpoint, address: IpAddr| blocks(standing).any(|block| {
            block.cidr.contains(&address) && block.taken.get(&ordinal_of(block.cidr, address)) == Some(&endpoint.attachment)
        });
        for endpoint in endpoints(&standing) {
            for address in endpoint.addresses.iter().filter(|address| is_guarded(&standing, endpoint, **address)) {
                prop_assert!(is_guarded(&mended, endpoint, *address), "{} of {} was freed", address, endpoint.name);
            }
        }
        let left = faults(&mended, Some(&truth));
        prop_assert!(left.is_subset(&before), "it makes nothing new: {left:?}");
        prop_assert!(planned.of.keys().all(|fault| !left.contains(fault)), "{left:?}");
        prop_assert!(mending(&left, &mended, &truth).of.is_empty(), "once is enough");
        for (key, object) in &standing {
            let is_others = matches!(object, Object::Block(block) if block.host != host(mender));
            let lost = |before: &Block, now: &Block| before.taken.keys().any(|ordinal| !now.taken.contains_key(ordinal));
            if let (true, Object::Block(before), Some(Object::Block(now))) = (is_others, object, mended.get(key)) {
                prop_assert!(!lost(before, now), "an address of another host's block was freed");
            }
        }
    }
}
