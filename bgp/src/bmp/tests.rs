//! Octets as RFC 7854 draws them.

use std::time::Duration;

use super::*;
use crate::{Asn, SpeakerConfig, wire::Family};

const TIME: Duration = Duration::new(0x0102_0304, 5_000);

fn peer(view: View, address: &str) -> Peer {
    let address = address.parse().unwrap();
    Peer { view, address, asn: Asn(65001), router_id: [192, 0, 2, 9].into(), time: TIME }
}

fn octets(message: &Message) -> Vec<u8> {
    let mut out = Vec::new();
    message.encode(&mut out);
    assert_eq!(u32::from_be_bytes(out[1..5].try_into().unwrap()) as usize, out.len(), "the length counts the header");
    assert_eq!(out[0], 3, "the version");
    out
}

#[test]
fn a_station_learns_first_who_speaks() {
    let system = System { name: "h1".into(), description: "poplind".into() };

    let octets = octets(&Message::Initiation(system));

    assert_eq!(octets[5..], *b"\x04\x00\x01\x00\x07poplind\x00\x02\x00\x02h1");
}

#[test]
fn a_neighbour_is_named_by_address_system_identifier_and_time() {
    let update = vec![0xff; 23];

    let octets = octets(&Message::Routes(peer(View::AdjRibInPre, "192.0.2.9"), update.clone()));

    let (header, body) = octets[5..].split_at(43);
    let mut expected = vec![0, 0, 0];
    expected.extend([0; 8 + 12]);
    expected.extend([192, 0, 2, 9, 0, 0, 0xfd, 0xe9, 192, 0, 2, 9, 1, 2, 3, 4, 0, 0, 0, 5]);
    assert_eq!(header, expected);
    assert_eq!(body, update);
}

#[test]
fn flags_tell_the_family_and_the_table() {
    let leading = |view, address| octets(&Message::Routes(peer(view, address), Vec::new()))[6..8].to_vec();

    assert_eq!(leading(View::AdjRibInPre, "2001:db8::1"), [0, 0x80]);
    assert_eq!(leading(View::AdjRibInPost, "2001:db8::1"), [0, 0xc0]);
    assert_eq!(leading(View::AdjRibInPost, "192.0.2.1"), [0, 0x40]);
    assert_eq!(leading(View::LocRib, "2001:db8::1"), [3, 0]);
}

#[test]
fn each_end_of_a_session_has_its_reason() {
    let body = |reason| octets(&Message::PeerDown(peer(View::AdjRibInPre, "192.0.2.9"), reason))[48..].to_vec();

    assert_eq!(body(Reason::Ours(vec![7])), [1, 7]);
    assert_eq!(body(Reason::OursInSilence(8)), [2, 0, 8]);
    assert_eq!(body(Reason::Theirs(vec![7])), [3, 7]);
    assert_eq!(body(Reason::Lost), [4]);
    assert_eq!(body(Reason::NotMonitored), [5]);
    assert_eq!(body(Reason::Table), *b"\x06\x00\x03\x00\x06global");
}

#[test]
fn a_table_comes_up_with_two_opens_that_say_what_it_holds() {
    let us = SpeakerConfig { asn: Asn(4_200_000_001), router_id: [192, 0, 2, 1].into() };

    let up = Up::table(us);

    assert_eq!(up.sent, up.received);
    let octets = octets(&Message::PeerUp(peer(View::LocRib, "0.0.0.0"), up.clone()));
    assert_eq!(octets.len(), 6 + 42 + 20 + 2 * up.sent.len() + 10);
    assert!(octets.ends_with(b"\x00\x03\x00\x06global"));
}

#[test]
fn counters_take_four_octets_and_gauges_eight() {
    let statistics =
        vec![Statistic::RejectedByRules((1 << 32) + 2), Statistic::AdjRibIn(3), Statistic::AdjRibInOf(Family::Ipv6, 4)];

    let octets = octets(&Message::Statistics(peer(View::AdjRibInPre, "192.0.2.9"), statistics));

    let expected = [
        [0, 0, 0, 3].as_slice(),
        &[0, 0, 0, 4, 0, 0, 0, 2],
        &[0, 7, 0, 8, 0, 0, 0, 0, 0, 0, 0, 3],
        &[0, 9, 0, 11, 0, 2, 1, 0, 0, 0, 0, 0, 0, 0, 4],
    ];
    assert_eq!(octets[48..], expected.concat());
}

#[test]
fn the_last_word_is_why() {
    assert_eq!(octets(&Message::Termination)[5..], [5, 0, 1, 0, 2, 0, 0]);
}

#[test]
fn text_that_is_too_long_is_cut_between_letters() {
    let name = "ä".repeat(40_000);
    let octets = octets(&Message::Initiation(System { name, description: String::new() }));

    assert_eq!(octets.len(), 6 + 4 + 4 + 65_534);
    assert!(std::str::from_utf8(&octets[14..]).is_ok());
}
