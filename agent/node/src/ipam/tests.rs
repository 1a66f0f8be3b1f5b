//! Addresses against one plain map, and what networks and promises change about them.

use poplin_policy::model::Scope;
use proptest::prelude::*;

use std::collections::BTreeMap;

use super::*;
use crate::cooling::Resting;
use crate::name::{NetworkName, PoolName};
use crate::object::{Object, Versioned};
use crate::prefix::host_prefix;
use crate::range::Range;
use crate::transaction::Transaction;

fn id(number: usize) -> AttachmentId {
    AttachmentId { container: format!("c{number}"), interface: "eth0".to_owned() }
}

fn host(number: usize) -> Host {
    Host::bare(format!("h{number}"))
}

fn pool(name: &str, cidr: &str, block_bits: u8) -> Pool {
    Pool::open(PoolName::new(name), cidr.parse().unwrap(), block_bits)
}

fn wish(holder: usize) -> Attach {
    Attach {
        attachment: id(holder),
        name: None,
        labels: poplin_policy::label::Labels::default(),
        namespace: None,
        ports: Vec::new(),
        published: Vec::new(),
        netns: "/run/netns/x".into(),
        addresses: BTreeSet::new(),
        preferred: Vec::new(),
        has_all_addresses: false,
        mac: None,
        network: None,
        pools: BTreeSet::new(),
        is_sticky: false,
        profiles: Vec::new(),
        at: None,
        aliases: BTreeSet::new(),
    }
}

/// A store that takes every transaction at once.
#[derive(Default)]
struct Shelf {
    mirror: Mirror,
    revision: i64,
    held: BTreeSet<IpAddr>,
}

impl Shelf {
    fn with(pools: impl IntoIterator<Item = Pool>) -> Self {
        let mut shelf = Self::default();
        shelf.write(pools.into_iter().map(Object::Pool).collect());
        shelf
    }

    fn write(&mut self, objects: Vec<Object>) {
        self.revision += 1;
        let version = self.revision;
        let puts = objects.into_iter().map(|value| Versioned { value, version }).collect();
        self.mirror.change(version, puts, vec![], vec![]);
    }

    fn choose(&mut self, on: usize, holder: usize, wanted: &[&str]) -> Result<BTreeSet<IpAddr>, Refusal> {
        let addresses = wanted.iter().map(|text| text.parse().unwrap()).collect();
        self.grant(on, &Attach { addresses, ..wish(holder) })
    }

    fn grant(&mut self, on: usize, attach: &Attach) -> Result<BTreeSet<IpAddr>, Refusal> {
        let mut draft = Draft::default();
        let ground = Ground::of(&self.mirror, None, attach.namespace.as_deref()).expect("no network is asked for");
        let chosen = choose(&self.mirror, &mut draft, &host(on), attach, &ground)?;
        self.keep(draft);
        Ok(chosen)
    }

    fn choose_in(&mut self, on: usize, holder: usize, network: &str, wanted: &[&str]) -> Result<IpAddr, Refusal> {
        let addresses = wanted.iter().map(|text| text.parse().unwrap()).collect();
        let name = NetworkName::new(network);
        let attach = Attach { addresses, network: Some(name.clone()), ..wish(holder) };
        let mut draft = Draft::default();
        let ground = Ground::of(&self.mirror, Some(&name), None)?;
        let chosen = choose(&self.mirror, &mut draft, &host(on), &attach, &ground)?;
        self.keep(draft);
        Ok(chosen.into_iter().next().unwrap())
    }

    /// As a runtime does it: what is held is taken a moment later.
    fn hold(&mut self, on: usize, network: &str) -> Result<IpAddr, Refusal> {
        let name = NetworkName::new(network);
        loop {
            let mut draft = Draft::beside(self.held.clone(), Resting::default());
            let ground = Ground::of(&self.mirror, Some(&name), None)?;
            if let Some(address) = hold(&self.mirror, &mut draft, &host(on), false, &ground)? {
                self.held.insert(address);
                return Ok(address);
            }
            self.keep(draft);
        }
    }

    fn release(&mut self, holder: usize, addresses: &BTreeSet<IpAddr>) {
        let mut draft = Draft::default();
        addresses.iter().for_each(|address| draft.release(&self.mirror, *address, &id(holder), None));
        self.keep(draft);
    }

    /// An endpoint goes, and its addresses are kept for one of its name.
    fn part(&mut self, holder: usize, addresses: &BTreeSet<IpAddr>, name: &str) {
        let (mut draft, name) = (Draft::default(), EndpointName::new(name));
        addresses.iter().for_each(|address| draft.release(&self.mirror, *address, &id(holder), Some(&name)));
        self.keep(draft);
    }

    fn keep(&mut self, draft: Draft) {
        let puts: Vec<Object> = draft.into_blocks().map(Object::Block).collect();
        self.revision += 1;
        self.mirror.commit(self.revision, Transaction { puts, ..Transaction::default() });
    }

    fn taken(&self) -> BTreeMap<IpAddr, AttachmentId> {
        let of_block = |block: &Block| -> Vec<_> {
            block.taken.iter().map(|(ordinal, holder)| (address_at(block.cidr, *ordinal), holder.clone())).collect()
        };
        self.mirror.blocks().flat_map(of_block).collect()
    }
}

#[test]
fn a_host_fills_its_block_before_it_claims_another() {
    let mut shelf = Shelf::with([pool("four", "10.77.0.0/29", 30)]);

    let chosen: Vec<_> = (0..4).map(|holder| shelf.choose(1, holder, &[]).unwrap()).collect();
    assert_eq!(shelf.mirror.blocks().count(), 1);
    shelf.choose(1, 4, &[]).unwrap();
    assert_eq!(shelf.mirror.blocks().count(), 2);

    shelf.release(2, &chosen[2]);
    assert_eq!(shelf.choose(1, 9, &[]).unwrap(), chosen[2]);
}

#[test]
fn a_full_pool_gives_way_to_the_next_and_the_last_is_told() {
    let mut shelf = Shelf::with([pool("a", "10.77.0.0/32", 32), pool("b", "10.78.0.0/32", 32)]);

    let first = shelf.choose(1, 1, &[]).unwrap();
    let second = shelf.choose(1, 2, &[]).unwrap();
    let third = shelf.choose(1, 3, &[]);

    assert_eq!(first, BTreeSet::from(["10.77.0.0".parse().unwrap()]));
    assert_eq!(second, BTreeSet::from(["10.78.0.0".parse().unwrap()]));
    assert!(matches!(third, Err(Refusal::PoolFull { pool, blocks: 1, .. }) if pool.as_str() == "b"));
}

#[test]
fn a_disabled_pool_gives_nothing_and_takes_back() {
    let mut shelf = Shelf::with([pool("four", "10.77.0.0/24", 26)]);
    let chosen = shelf.choose(1, 1, &[]).unwrap();
    shelf.write(vec![Object::Pool(Pool { is_enabled: false, ..pool("four", "10.77.0.0/24", 26) })]);

    assert!(matches!(shelf.choose(1, 2, &[]), Err(Refusal::NoPool { .. })));
    shelf.release(1, &chosen);

    assert_eq!(shelf.taken(), BTreeMap::new());
}

#[test]
fn each_family_that_has_a_pool_gives_one_address() {
    let mut shelf = Shelf::with([pool("four", "10.77.0.0/24", 26), pool("six", "fd77::/64", 122)]);

    let chosen = shelf.choose(1, 1, &[]).unwrap();

    assert_eq!(chosen.iter().map(IpAddr::is_ipv6).collect::<Vec<_>>(), vec![false, true]);
}

#[test]
fn a_wanted_address_is_had_from_a_block_of_another_host_and_then_not_again() {
    let mut shelf = Shelf::with([pool("four", "10.77.0.0/24", 26)]);
    shelf.choose(1, 1, &["10.77.0.1"]).unwrap();

    let chosen = shelf.choose(2, 2, &["10.77.0.2"]).unwrap();

    assert_eq!(chosen, BTreeSet::from(["10.77.0.2".parse().unwrap()]));
    assert_eq!(shelf.mirror.blocks_of(&host(1).name).count(), 1);
    assert!(matches!(shelf.choose(1, 3, &["10.77.0.2"]), Err(Refusal::AddressTaken { holder, .. }) if holder == id(2)));
    assert!(matches!(shelf.choose(1, 3, &["10.99.0.2"]), Err(Refusal::AddressOutsidePools { .. })));
    let two = shelf.choose(1, 3, &["10.77.0.3", "10.77.0.4"]);
    assert!(matches!(two, Err(Refusal::TwoAddressesOfOneFamily { .. })));
}

#[test]
fn twins_on_two_hosts_never_have_one_address() {
    let mut shelf = Shelf::with([pool("four", "10.77.0.0/24", 26)]);
    shelf.choose(1, 1, &["10.77.0.1"]).unwrap();

    let twin = shelf.choose(2, 1, &["10.77.0.1"]);

    assert!(matches!(twin, Err(Refusal::AddressTaken { .. })));
}

fn network(name: &str, subnet: &str, ranges: &[&str], reserved: &[&str]) -> Object {
    let circle = poplin_policy::circle::Circle {
        name: name.to_owned(),
        labels: poplin_policy::label::Labels::default(),
        index: 7,
        is_open_within: true,
        is_open_to_others: false,
        is_open_outside: true,
    };
    Object::Network(crate::object::Network {
        name: NetworkName::new(name),
        circle,
        subnets: BTreeSet::from([subnet.parse().unwrap()]),
        ranges: ranges.iter().map(|text| text.parse().unwrap()).collect(),
        reserved: reserved.iter().map(|text| text.parse().unwrap()).collect(),
        mtu_bytes: None,
        index: 513,
        records: crate::names::Records::new(),
        macvlan: None,
    })
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn a_networks_addresses_are_its_own() {
    let mut shelf = Shelf::with([pool("four", "10.77.0.0/25", 26)]);
    shelf.write(vec![network("shop", "10.77.0.64/26", &[], &[])]);

    let mut common: Vec<IpAddr> = (0..64).flat_map(|holder| shelf.choose(1, holder, &[]).unwrap()).collect();
    common.sort();

    assert_eq!((common[0], common[63]), (address("10.77.0.0"), address("10.77.0.63")));
    assert!(matches!(shelf.choose(1, 64, &[]), Err(Refusal::PoolFull { .. })));
    assert!(matches!(shelf.choose(1, 64, &["10.77.0.64"]), Err(Refusal::AddressOutsidePools { .. })));
    assert_eq!(shelf.choose_in(1, 65, "shop", &[]).unwrap(), address("10.77.0.64"));
    assert!(matches!(shelf.choose_in(1, 66, "shop", &["10.77.0.1"]), Err(Refusal::AddressOutsidePools { .. })));
    assert!(matches!(shelf.choose_in(1, 66, "bank", &[]), Err(Refusal::NoNetwork { .. })));
}

#[test]
fn a_network_gives_of_its_range_and_what_is_reserved_to_nobody() {
    let mut shelf = Shelf::with([pool("four", "10.77.0.0/24", 26)]);
    shelf.write(vec![network("shop", "10.77.0.0/24", &["10.77.0.8/31"], &["10.77.0.9", "10.77.0.1"])]);

    assert_eq!(shelf.choose_in(1, 1, "shop", &[]).unwrap(), address("10.77.0.8"));
    assert!(matches!(shelf.choose_in(1, 2, "shop", &[]), Err(Refusal::PoolFull { .. })));
    assert_eq!(shelf.choose_in(1, 2, "shop", &["10.77.0.20"]).unwrap(), address("10.77.0.20"));
    assert!(matches!(shelf.choose_in(1, 3, "shop", &["10.77.0.1"]), Err(Refusal::AddressOutsidePools { .. })));
}

#[test]
fn a_small_network_serves_more_hosts_than_it_has_blocks() {
    let mut shelf = Shelf::with([pool("four", "10.77.0.0/24", 26)]);
    shelf.write(vec![network("shop", "10.77.0.0/25", &[], &[])]);

    let mut had: BTreeSet<IpAddr> =
        (0..100).map(|holder| shelf.choose_in(holder % 5, holder, "shop", &[]).unwrap()).collect();
    let owners: BTreeSet<_> = shelf.mirror.blocks().map(|block| block.host.clone()).collect();
    assert_eq!(owners.len(), 2);
    let owns = |one: &usize| owners.contains(&host(*one).name);
    let (first, last) = ((0..5).find(owns).unwrap(), (0..5).rfind(owns).unwrap());
    had.extend((100..128).filter_map(|holder| shelf.choose_in([first, last][holder % 2], holder, "shop", &[]).ok()));
    had.extend((128..156).filter_map(|holder| shelf.choose_in([first, last][holder / 142], holder, "shop", &[]).ok()));

    assert_eq!(had.len(), 128, "those that hold the blocks have the last of them");
    assert!(matches!(shelf.choose_in(1, 200, "shop", &[]), Err(Refusal::PoolFull { .. })));
}

#[test]
fn the_last_of_a_block_are_its_hosts_alone_and_the_rest_of_it_is_not_given_while_the_store_is_away() {
    let mut shelf = Shelf::with([pool("four", "10.77.0.0/26", 26)]);
    shelf.choose(1, 1, &[]).unwrap();
    let afar = |shelf: &Shelf, wanted: &[&str]| {
        let mut draft = Draft::afar(BTreeSet::new(), Resting::default());
        let attach = Attach { addresses: wanted.iter().map(|text| address(text)).collect(), ..wish(9) };
        choose(&shelf.mirror, &mut draft, &host(1), &attach, &Ground::of(&shelf.mirror, None, None).unwrap())
    };

    let borrowed = shelf.choose(2, 2, &[]).unwrap();
    assert_eq!(borrowed, BTreeSet::from([address("10.77.0.55")]), "the last that is not the host's alone");
    assert!(
        matches!(shelf.choose(2, 3, &["10.77.0.56"]), Err(Refusal::AddressInReserve { host, .. }) if host.as_str() == "h1")
    );
    assert_eq!(afar(&shelf, &[]).unwrap(), BTreeSet::from([address("10.77.0.56")]));
    assert_eq!(afar(&shelf, &["10.77.0.63"]).unwrap(), BTreeSet::from([address("10.77.0.63")]));
    assert!(matches!(afar(&shelf, &["10.77.0.9"]), Err(Refusal::StoreUnreachable { .. })));
    let unclaimed = Shelf::with([Pool { is_strict: true, ..pool("four", "10.77.0.0/26", 26) }]);
    assert!(
        matches!(afar(&unclaimed, &["10.77.0.63"]), Err(Refusal::StoreUnreachable { .. })),
        "it may be claimed by now"
    );

    let mut strict = Shelf::with([Pool { is_strict: true, ..pool("four", "10.77.0.0/26", 26) }]);
    strict.choose(1, 1, &[]).unwrap();
    assert_eq!(afar(&strict, &[]).unwrap(), BTreeSet::from([address("10.77.0.1")]), "nobody else may have it");
}

#[test]
fn what_is_held_is_nobody_elses_until_it_is_had() {
    let mut shelf = Shelf::with([pool("four", "10.77.0.0/29", 30)]);
    shelf.write(vec![network("shop", "10.77.0.0/29", &[], &[])]);

    let held: BTreeSet<IpAddr> = (0..8).map(|number| shelf.hold(1 + number % 3, "shop").unwrap()).collect();

    assert_eq!(held.len(), 8, "three hosts share two blocks");
    assert!(matches!(shelf.hold(1, "shop"), Err(Refusal::PoolFull { .. })));
    assert_eq!(shelf.choose_in(1, 1, "shop", &["10.77.0.3"]).unwrap(), address("10.77.0.3"));
}

proptest! {
    /// The model: one map from address to holder.
    #[test]
    fn random_operations_agree_with_one_plain_map(
        operations in prop::collection::vec((0..3usize, 0..12usize, prop::option::of(0..8u8)), 1..80),
    ) {
        let mut shelf = Shelf::with([pool("four", "10.77.0.0/29", 31), pool("six", "fd77::/125", 127)]);
        let mut model: BTreeMap<IpAddr, AttachmentId> = BTreeMap::new();
        let mut held: BTreeMap<usize, BTreeSet<IpAddr>> = BTreeMap::new();
        for (on, holder, wanted) in operations {
            if let Some(addresses) = held.remove(&holder) {
                shelf.release(holder, &addresses);
                model.retain(|address, _| !addresses.contains(address));
            } else {
                let wanted: Vec<String> = wanted.iter().map(|last| format!("10.77.0.{last}")).collect();
                let wanted: Vec<&str> = wanted.iter().map(String::as_str).collect();
                if let Ok(addresses) = shelf.choose(on, holder, &wanted) {
                    prop_assert_eq!(addresses.len(), 2);
                    for address in &addresses {
                        prop_assert!(model.insert(*address, id(holder)).is_none(), "{} is given twice", host_prefix(*address));
                    }
                    prop_assert!(wanted.iter().all(|text| addresses.contains(&text.parse().unwrap())));
                    held.insert(holder, addresses);
                }
            }
            prop_assert_eq!(shelf.taken(), model.clone());
        }
    }
}

fn reserving(pool: Pool, ranges: &[&str]) -> Pool {
    Pool { reserved: ranges.iter().map(|text| text.parse::<Range>().unwrap()).collect(), ..pool }
}

#[test]
fn what_a_pool_reserves_is_nobodys_and_a_block_of_nothing_else_is_never_claimed() {
    let four = reserving(pool("four", "10.77.0.0/29", 30), &["10.77.0.0-10.77.0.4", "10.77.0.7"]);
    let mut shelf = Shelf::with([four]);

    let mut had: Vec<IpAddr> = (0..2).flat_map(|holder| shelf.choose(1, holder, &[]).unwrap()).collect();
    had.sort();

    assert_eq!(had, [address("10.77.0.5"), address("10.77.0.6")]);
    assert_eq!(shelf.mirror.blocks().count(), 1);
    assert!(matches!(shelf.choose(1, 2, &[]), Err(Refusal::PoolFull { .. })));
    let asked = shelf.choose(1, 2, &["10.77.0.7"]);
    assert!(matches!(asked, Err(Refusal::AddressReserved { .. })), "{asked:?}");
}

#[test]
fn who_has_an_address_that_is_reserved_later_keeps_it_and_gives_it_back() {
    let mut shelf = Shelf::with([pool("four", "10.77.0.0/30", 30)]);
    let chosen = shelf.choose(1, 1, &["10.77.0.1"]).unwrap();

    shelf.write(vec![Object::Pool(reserving(pool("four", "10.77.0.0/30", 30), &["10.77.0.0/31"]))]);

    assert_eq!(shelf.taken().len(), 1);
    shelf.release(1, &chosen);
    assert_eq!(shelf.taken().len(), 0);
    assert!(!shelf.choose(1, 2, &[]).unwrap().contains(&address("10.77.0.1")));
}

#[test]
fn a_manual_pool_gives_only_to_who_asks_for_it_or_for_an_address() {
    let manual = Pool { is_manual: true, ..pool("a", "10.77.0.0/30", 30) };
    let mut shelf = Shelf::with([manual, pool("b", "10.78.0.0/30", 30)]);
    let of_pool = |names: &[&str]| Attach { pools: names.iter().map(|name| PoolName::new(*name)).collect(), ..wish(9) };

    assert_eq!(shelf.choose(1, 1, &[]).unwrap(), BTreeSet::from([address("10.78.0.0")]));
    assert_eq!(shelf.choose(1, 2, &["10.77.0.2"]).unwrap(), BTreeSet::from([address("10.77.0.2")]));
    assert_eq!(shelf.grant(1, &of_pool(&["a"])).unwrap(), BTreeSet::from([address("10.77.0.0")]));
    let unknown = shelf.grant(1, &of_pool(&["c"]));
    assert!(matches!(unknown, Err(Refusal::PoolRefuses { reason: "it does not exist", .. })), "{unknown:?}");
    shelf.write(vec![Object::Pool(Pool { is_enabled: false, ..pool("b", "10.78.0.0/30", 30) })]);
    assert!(matches!(shelf.choose(1, 3, &[]), Err(Refusal::NoPool { .. })), "a manual one does not step in");
}

#[test]
fn a_pool_is_for_the_namespaces_and_networks_it_selects() {
    let blue = |text: &str| poplin_policy::selector::Selector::parse(text).unwrap();
    let teams = Pool { namespaces: Scope::Namespaces(blue("team == 'blue'")), ..pool("a", "10.77.0.0/30", 30) };
    let loners = Pool { namespaces: Scope::Global, ..pool("b", "10.78.0.0/30", 30) };
    let networks = Pool { networks: Some(blue("tier == 'gold'")), ..pool("c", "10.79.0.0/24", 26) };
    let mut shelf = Shelf::with([teams, loners, networks]);
    let labels = poplin_policy::label::Labels::try_from_pairs([("team", "blue")]).unwrap();
    let namespace = poplin_policy::model::Namespace { name: "shop".to_owned(), labels, ..Default::default() };
    shelf.write(vec![Object::Namespace(namespace), network("plain", "10.79.0.0/26", &[], &[])]);
    let living = |home: &str| Attach { namespace: Some(home.to_owned()), ..wish(1) };

    assert_eq!(shelf.grant(1, &living("shop")).unwrap(), BTreeSet::from([address("10.77.0.0")]));
    assert_eq!(shelf.grant(1, &wish(2)).unwrap(), BTreeSet::from([address("10.78.0.0")]));
    let nobody = shelf.grant(1, &living("bank")).unwrap_err();
    assert_eq!(nobody.to_string(), "no enabled pool admits host h1 and what lives in namespace bank");
    assert!(matches!(shelf.choose_in(1, 3, "plain", &[]), Err(Refusal::NoPool { .. })));
}

#[test]
fn where_all_is_claimed_a_single_address_of_another_host_does_unless_the_pool_is_strict() {
    for is_strict in [false, true] {
        let mut shelf = Shelf::with([Pool { is_strict, ..pool("four", "10.77.0.0/30", 30) }]);
        shelf.choose(1, 1, &[]).unwrap();

        let borrowed = shelf.choose(2, 2, &[]);
        let wanted = shelf.choose(2, 3, &["10.77.0.1"]);

        match is_strict {
            false => {
                assert_eq!(borrowed.unwrap(), BTreeSet::from([address("10.77.0.3")]), "the last of it");
                assert!(wanted.is_ok());
            }
            true => {
                assert!(matches!(borrowed, Err(Refusal::PoolFull { .. })));
                assert!(matches!(wanted, Err(Refusal::AddressOfOtherHost { host, .. }) if host.as_str() == "h1"));
            }
        }
        assert_eq!(shelf.mirror.blocks_of(&host(1).name).count(), 1);
    }
}

#[test]
fn a_host_holds_no_more_blocks_of_a_pool_than_it_may() {
    let bounded = Pool { is_strict: true, max_blocks: Some(1), ..pool("four", "10.77.0.0/29", 31) };
    let mut shelf = Shelf::with([bounded]);

    let first = shelf.choose(1, 1, &[]).unwrap();
    shelf.choose(1, 2, &[]).unwrap();
    let third = shelf.choose(1, 3, &[]);
    let elsewhere = if first.contains(&address("10.77.0.0")) { "10.77.0.2" } else { "10.77.0.0" };
    let asked = shelf.choose(1, 3, &[elsewhere]);

    for refused in [third, asked] {
        assert!(matches!(refused, Err(Refusal::TooManyBlocks { most: 1, .. })), "{refused:?}");
    }
}

#[test]
fn both_families_are_given_or_neither() {
    let mut shelf = Shelf::with([pool("four", "10.77.0.0/30", 30), pool("six", "fd77::/128", 128)]);
    shelf.choose(1, 1, &[]).unwrap();

    let second = shelf.choose(1, 2, &[]);

    assert!(matches!(second, Err(Refusal::PoolFull { pool, .. }) if pool.as_str() == "six"));
    assert_eq!(shelf.taken().len(), 2);
}

fn sticky(holder: usize, name: &str) -> Attach {
    Attach { name: Some(EndpointName::new(name)), is_sticky: true, ..wish(holder) }
}

#[test]
fn a_sticky_address_waits_for_its_name_and_comes_along_to_another_host() {
    let mut shelf = Shelf::with([pool("four", "10.77.0.0/30", 30)]);
    shelf.choose(1, 1, &[]).unwrap();
    let had = shelf.grant(1, &sticky(2, "db")).unwrap();
    shelf.part(2, &had, "db");

    assert!(shelf.choose(1, 3, &[]).unwrap().is_disjoint(&had), "others get others");
    let asked = shelf.choose(1, 4, &[&had.first().unwrap().to_string()]);
    assert!(matches!(asked, Err(Refusal::AddressKept { .. })), "{asked:?}");

    assert_eq!(shelf.grant(2, &sticky(5, "db")).unwrap(), had);
    assert!(shelf.mirror.blocks().all(|block| block.kept.is_empty()));
}

#[test]
fn a_sticky_address_that_cannot_be_had_any_more_is_let_go_for_another() {
    let mut shelf = Shelf::with([pool("four", "10.77.0.0/30", 30)]);
    let had = shelf.grant(1, &sticky(1, "db")).unwrap();
    shelf.part(1, &had, "db");
    let reserved = had.first().unwrap().to_string();
    shelf.write(vec![Object::Pool(reserving(pool("four", "10.77.0.0/30", 30), &[&reserved]))]);

    let other = shelf.grant(1, &sticky(2, "db")).unwrap();

    assert!(other.is_disjoint(&had));
    assert!(shelf.mirror.blocks().all(|block| block.kept.is_empty()));
}

proptest! {
    /// Whatever a pool says holds for each address it gives, and none is given twice.
    #[test]
    fn no_pool_gives_what_it_does_not(
        first in 0u8..16, length in 0u8..12, is_strict in any::<bool>(), max_blocks in prop::option::of(1u32..3),
        operations in prop::collection::vec((0..3usize, 0..14usize, prop::option::of(0..16u8), any::<bool>()), 1..80),
    ) {
        let range = format!("10.77.0.{first}-10.77.0.{}", (first + length).min(15));
        let four = reserving(pool("four", "10.77.0.0/28", 30), &[&range]);
        let reserved = four.reserved.clone();
        let mut shelf = Shelf::with([Pool { is_strict, max_blocks, ..four }]);
        let mut held: BTreeMap<usize, (usize, BTreeSet<IpAddr>, bool)> = BTreeMap::new();
        for (on, holder, wanted, is_sticky) in operations {
            let name = format!("e{holder}");
            if let Some((_, addresses, was_sticky)) = held.remove(&holder) {
                match was_sticky {
                    true => shelf.part(holder, &addresses, &name),
                    false => shelf.release(holder, &addresses),
                }
                continue;
            }
            let addresses = wanted.iter().map(|last| IpAddr::from([10, 77, 0, *last])).collect();
            let attach = Attach { addresses, name: Some(EndpointName::new(name.as_str())), is_sticky, ..wish(holder) };
            let kept = kept_for(&shelf.mirror, &EndpointName::new(name.as_str()), false);
            let Ok(chosen) = shelf.grant(on, &attach) else { continue };
            let chosen_one = *chosen.first().unwrap();
            prop_assert!(chosen.len() == 1 && !reserved.contains(chosen_one));
            prop_assert!(wanted.is_none_or(|last| chosen_one == IpAddr::from([10, 77, 0, last])));
            if is_sticky && wanted.is_none() && !is_strict && max_blocks.is_none() {
                prop_assert!(kept.is_empty() || kept.contains(&chosen_one), "{kept:?} is kept");
            }
            prop_assert!(held.values().all(|(_, addresses, _)| addresses.is_disjoint(&chosen)));
            held.insert(holder, (on, chosen, is_sticky));
        }
        let had: BTreeSet<IpAddr> = held.values().flat_map(|(_, addresses, _)| addresses).copied().collect();
        prop_assert_eq!(had, shelf.taken().into_keys().collect::<BTreeSet<_>>());
        for (on, addresses, _) in held.values().filter(|_| is_strict) {
            let own: Vec<_> = shelf.mirror.blocks_of(&host(*on).name).collect();
            prop_assert!(addresses.iter().all(|one| own.iter().any(|block| block.cidr.contains(one))));
        }
        for on in 0..3 {
            let most = max_blocks.unwrap_or(u32::MAX) as usize;
            prop_assert!(shelf.mirror.blocks_of(&host(on).name).count() <= most);
        }
    }
}
