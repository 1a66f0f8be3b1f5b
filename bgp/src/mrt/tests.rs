//! Octets as RFC 6396 draws them.

use std::time::Duration;

use super::*;
use crate::{
    Asn,
    wire::{AsPath, Attributes, Origin},
};

const TIME: Duration = Duration::from_secs(0x0102_0304);

/// Time, kind, subtype and length, then the body.
fn split(octets: &[u8]) -> (&[u8], &[u8]) {
    let (header, body) = octets.split_at(12);
    assert_eq!(header[..6], [1, 2, 3, 4, 0, 13], "time and TABLE_DUMP_V2");
    assert_eq!(u32::from_be_bytes(header[8..].try_into().unwrap()) as usize, body.len());
    (&header[6..8], body)
}

#[test]
fn the_index_names_each_neighbour_with_four_octets_of_as() {
    let peers = vec![
        Peer { address: "192.0.2.2".parse().unwrap(), asn: Asn(4_200_000_001), router_id: [9, 9, 9, 9].into() },
        Peer { address: "2001:db8::2".parse().unwrap(), asn: Asn(65001), router_id: [8, 8, 8, 8].into() },
    ];
    let mut octets = Vec::new();

    PeerIndex { router_id: [192, 0, 2, 1].into(), name: "h1".into(), peers }.encode(TIME, &mut octets);

    let (subtype, body) = split(&octets);
    assert_eq!(subtype, [0, 1]);
    let mut expected = vec![192, 0, 2, 1, 0, 2, b'h', b'1', 0, 2, 2, 9, 9, 9, 9, 192, 0, 2, 2, 0xfa, 0x56, 0xea, 1];
    expected.extend([3, 8, 8, 8, 8, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0xfd, 0xe9]);
    assert_eq!(body, expected);
}

fn rib(prefix: &str, next_hop: &str, path_id: u32) -> Vec<u8> {
    let attributes = Attributes::new(Origin::Igp, AsPath::default());
    let entry = Entry { peer: 1, path_id, next_hop: next_hop.parse().unwrap(), attributes: &attributes };
    let mut octets = Vec::new();
    Rib { number: 7, prefix: prefix.parse().unwrap(), entries: vec![entry] }.encode(TIME, &mut octets);
    octets
}

#[test]
fn a_prefix_has_its_number_its_significant_octets_and_its_paths() {
    let octets = rib("10.0.0.0/9", "192.0.2.2", 0);

    let (subtype, body) = split(&octets);
    assert_eq!(subtype, [0, 2]);
    let mut expected = vec![0, 0, 0, 7, 9, 10, 0, 0, 1, 0, 1, 1, 2, 3, 4, 0, 14];
    expected.extend([0x40, 1, 1, 0, 0x40, 2, 0, 0x40, 3, 4, 192, 0, 2, 2]);
    assert_eq!(body, expected);
}

#[test]
fn the_next_hop_of_ipv6_stands_in_an_attribute_that_has_nothing_else() {
    let octets = rib("2001:db8::/32", "2001:db8::2", 0);

    let (subtype, body) = split(&octets);
    assert_eq!(subtype, [0, 4]);
    let reach = [[0x80, 14, 17, 16].as_slice(), &[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]].concat();
    assert!(body.ends_with(&reach), "{body:?}");
}

#[test]
fn rfc8050_4_paths_with_identifiers_have_subtypes_of_their_own() {
    assert_eq!(split(&rib("10.0.0.0/9", "192.0.2.2", 5)).0, [0, 8]);
    assert_eq!(split(&rib("2001:db8::/32", "2001:db8::2", 5)).0, [0, 10]);
    let octets = rib("10.0.0.0/9", "192.0.2.2", 5);
    assert_eq!(split(&octets).1[9..19], [0, 1, 1, 2, 3, 4, 0, 0, 0, 5]);
}
