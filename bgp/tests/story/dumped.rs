//! A table written down in MRT, and read again by a reader as simple as the format.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use poplin_bgp::{Address, RouteRules, mrt};

use super::world::{World, address};

/// What a record says of a prefix: who tells of it, by which identifier.
type Told = BTreeMap<Vec<u8>, BTreeSet<(Address, u32)>>;

fn read(world: &World, host: usize) -> Told {
    let octets: Vec<u8> = mrt::dump(&world.hosts[host].speaker, "", Duration::from_secs(9)).flatten().collect();
    let (mut left, mut peers, mut told, mut numbers) = (&*octets, Vec::new(), Told::new(), 0);
    while !left.is_empty() {
        let length = u32::from_be_bytes(left[8..12].try_into().unwrap()) as usize;
        let (record, rest) = left.split_at(12 + length);
        let (subtype, body) = (record[7], &record[12..]);
        if subtype == 1 {
            peers = peers_of(&body[6..]);
        } else {
            assert_eq!(body[..4], u32::to_be_bytes(numbers), "numbers follow one another");
            numbers += 1;
            let prefix = 5 + usize::from(body[4]).div_ceil(8);
            told.insert(body[4..prefix].to_vec(), entries(&body[prefix..], subtype >= 8, &peers));
        }
        left = rest;
    }
    told
}

/// The addresses of an index without a name, all of IPv4.
fn peers_of(octets: &[u8]) -> Vec<Address> {
    let count = usize::from(u16::from_be_bytes([octets[0], octets[1]]));
    let peers = octets[2..].chunks(13);
    assert_eq!(peers.len(), count);
    peers.map(|peer| Address::from(<[u8; 4]>::try_from(&peer[5..9]).unwrap())).collect()
}

fn entries(octets: &[u8], has_ids: bool, peers: &[Address]) -> BTreeSet<(Address, u32)> {
    let (count, mut left) = (u16::from_be_bytes([octets[0], octets[1]]), &octets[2..]);
    let mut all = BTreeSet::new();
    for _ in 0..count {
        let peer = peers[usize::from(u16::from_be_bytes([left[0], left[1]]))];
        let id = if has_ids { u32::from_be_bytes(left[6..10].try_into().unwrap()) } else { 0 };
        let at = if has_ids { 10 } else { 6 };
        let length = usize::from(u16::from_be_bytes([left[at], left[at + 1]]));
        left = &left[at + 2 + length..];
        all.insert((peer, id));
    }
    assert!(left.is_empty(), "a record ends with its last path");
    all
}

fn three() -> World {
    let mut world = World::mesh(&[64512, 64512, 65001], 3);
    world.originate(0, &["10.0.0.0/24"]);
    world.originate(1, &["10.0.1.0/24", "10.0.9.0/24"]);
    world.originate(2, &["10.0.2.0/24", "10.0.9.0/24", "10.0.0.0/24"]);
    world.settle();
    world
}

#[test]
fn every_path_that_counts_is_written_down_and_our_own_prefix_as_ours_alone() {
    let told = read(&three(), 0);

    let of = |octet: u8| told[&vec![24, 10, 0, octet]].iter().map(|(peer, _)| *peer).collect::<Vec<_>>();
    assert_eq!(told.len(), 4);
    assert_eq!(of(0), [Address::from([0, 0, 0, 0])]);
    assert_eq!([of(1), of(2), of(9)], [vec![address(1)], vec![address(2)], vec![address(1), address(2)]]);
}

#[test]
fn what_import_rules_turn_away_is_left_out() {
    let mut world = three();

    world.exchange(0, 2, |exchange| exchange.import = RouteRules::Closed);
    world.settle();

    assert_eq!(read(&world, 0).keys().map(|prefix| prefix[3]).collect::<Vec<_>>(), [0, 1, 9]);
}

#[test]
fn several_paths_of_a_neighbour_keep_their_identifiers() {
    let told = read(&super::paths::reflected(8), 0);

    let paths = &told[&vec![16, 10, 9]];
    assert_eq!(paths.len(), 2);
    assert!(paths.iter().all(|(peer, id)| *peer == address(1) && *id != 0), "{paths:?}");
}

#[test]
fn an_empty_table_is_an_index() {
    assert!(read(&World::mesh(&[64512, 64512], 1), 0).is_empty());
}
