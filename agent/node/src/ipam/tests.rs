//! Addresses against one plain map, and what networks and promises change about them.

use proptest::prelude::*;

use super::*;
use crate::name::NetworkName;
use crate::object::{Object, Versioned};
use crate::prefix::host_prefix;
use crate::transaction::Transaction;

fn id(number: usize) -> AttachmentId {
    AttachmentId { container: format!("c{number}"), interface: "eth0".to_owned() }
}

fn host(number: usize) -> Host {
    Host {
        name: HostName::new(format!("h{number}")),
        labels: poplin_policy::label::Labels::default(),
        addresses: BTreeSet::new(),
        asn: None,
        router_id: std::net::Ipv4Addr::LOCALHOST,
        is_draining: false,
    }
}

fn pool(name: &str, cidr: &str, block_bits: u8) -> Pool {
    Pool {
        name: PoolName::new(name),
        cidr: cidr.parse().unwrap(),
        block_bits,
        hosts: poplin_policy::selector::Selector::all(),
        is_enabled: true,
        nat: None,
    }
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
        has_all_addresses: false,
        mac: None,
        network: None,
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
        self.mirror.change(version, puts, vec![]);
    }

    fn choose(&mut self, on: usize, holder: usize, wanted: &[&str]) -> Result<BTreeSet<IpAddr>, Refusal> {
        let wanted = wanted.iter().map(|text| text.parse().unwrap()).collect();
        let mut draft = Draft::default();
        let attach = Attach { addresses: wanted, ..wish(holder) };
        let ground = Ground::of(&self.mirror, None).expect("no network is asked for");
        let chosen = choose(&self.mirror, &mut draft, &host(on), &attach, &ground)?;
        self.keep(draft);
        Ok(chosen)
    }

    fn choose_in(&mut self, on: usize, holder: usize, network: &str, wanted: &[&str]) -> Result<IpAddr, Refusal> {
        let addresses = wanted.iter().map(|text| text.parse().unwrap()).collect();
        let name = NetworkName::new(network);
        let attach = Attach { addresses, network: Some(name.clone()), ..wish(holder) };
        let mut draft = Draft::default();
        let ground = Ground::of(&self.mirror, Some(&name))?;
        let chosen = choose(&self.mirror, &mut draft, &host(on), &attach, &ground)?;
        self.keep(draft);
        Ok(chosen.into_iter().next().unwrap())
    }

    /// As a runtime does it: what is held is taken a moment later.
    fn hold(&mut self, on: usize, network: &str) -> Result<IpAddr, Refusal> {
        let name = NetworkName::new(network);
        loop {
            let mut draft = Draft::beside(self.held.clone());
            let ground = Ground::of(&self.mirror, Some(&name))?;
            if let Some(address) = hold(&self.mirror, &mut draft, &host(on), false, &ground)? {
                self.held.insert(address);
                return Ok(address);
            }
            self.keep(draft);
        }
    }

    fn release(&mut self, holder: usize, addresses: &BTreeSet<IpAddr>) {
        let mut draft = Draft::default();
        addresses.iter().for_each(|address| draft.release(&self.mirror, *address, &id(holder)));
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
        is_open_within: true,
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

    let had: BTreeSet<IpAddr> =
        (0..128).map(|holder| shelf.choose_in(holder % 5, holder, "shop", &[]).unwrap()).collect();

    assert_eq!(had.len(), 128);
    assert_eq!(shelf.mirror.blocks().count(), 2);
    assert!(matches!(shelf.choose_in(1, 128, "shop", &[]), Err(Refusal::PoolFull { .. })));
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
