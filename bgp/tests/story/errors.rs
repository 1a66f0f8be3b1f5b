//! RFC 4271 §6 and RFC 7606 by their paragraphs, as far as `foreign` and `malformed` leave out: lengths by kind of message, what an internal or a
//! two-octet neighbour may say wrongly, and the fields of other families.

use poplin_bgp::{
    Action, Note, SessionState,
    wire::{Fault, FlawKind},
};

use crate::{
    foreign::{Foreign, keepalive, message, open, update},
    world::net,
};

const ORIGIN: &[u8] = &[0x40, 1, 1, 0];
const NEXT_HOP: &[u8] = &[0x40, 3, 4, 192, 0, 2, 2];
const LOCAL_PREF: &[u8] = &[0x40, 5, 4, 0, 0, 0, 100];
const PREFIX: &str = "10.0.0.0/8";
const NLRI: &[u8] = &[8, 10];

/// What becomes of an UPDATE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// Its routes count.
    Taken,
    /// They count, and the attribute does not.
    Discarded(u8),
    /// They are treated as withdrawn.
    Withdrawn(u8),
    /// The session ends.
    Ended(Fault),
}

#[test]
fn rfc4271_6_1_each_kind_of_message_has_its_least_length() {
    for (kind, octets) in [(1, 9), (2, 3), (3, 1), (4, 1), (5, 3)] {
        let mut foreign = Foreign::established();

        foreign.hear(&message(kind, &vec![0; octets]));

        let length = u16::try_from(19 + octets).unwrap().to_be_bytes();
        foreign.assert_ended(Fault::BAD_LENGTH, &length);
    }
}

#[test]
fn rfc7606_7_what_an_internal_neighbour_says_wrongly() {
    let path: &[u8] = &[0x40, 2, 0];
    let whole = [ORIGIN, path, NEXT_HOP, LOCAL_PREF].concat();
    let cases: [(&str, Vec<u8>, Fate); 9] = [
        ("all is well", vec![], Fate::Taken),
        ("7.5 local preference of length 3", vec![0x40, 5, 3, 0, 0, 0], Fate::Withdrawn(5)),
        ("7.9 originator of length 5", vec![0x80, 9, 5, 1, 2, 3, 4, 5], Fate::Withdrawn(9)),
        ("7.9 originator of length 0", vec![0x80, 9, 0], Fate::Withdrawn(9)),
        ("7.10 clusters of length 6", vec![0x80, 10, 6, 1, 2, 3, 4, 5, 6], Fate::Withdrawn(10)),
        ("7.10 no clusters", vec![0x80, 10, 0], Fate::Withdrawn(10)),
        ("3 c) originator as transitive", vec![0xc0, 9, 4, 1, 2, 3, 4], Fate::Withdrawn(9)),
        ("RFC 9234 5 OTC of length 3", vec![0xc0, 35, 3, 0, 0, 1], Fate::Withdrawn(35)),
        ("RFC 9234 5 OTC as not transitive", vec![0x80, 35, 4, 0, 0, 0, 1], Fate::Withdrawn(35)),
    ];
    for (story, extra, fate) in cases {
        // A wrong local preference stands in place of the right one.
        let before = if extra.starts_with(&[0x40, 5]) { &whole[..whole.len() - LOCAL_PREF.len()] } else { &whole };

        assert_eq!(fate_of(internal(), &[before, &extra].concat(), NLRI), fate, "{story}");
    }
}

#[test]
fn rfc6793_6_what_a_two_octet_neighbour_says_wrongly() {
    let path: &[u8] = &[0x40, 2, 4, 2, 1, 0xfc, 0x01];
    let whole = [ORIGIN, path, NEXT_HOP].concat();
    let cases: [(&str, &[u8], Fate); 6] = [
        ("all is well", &[], Fate::Taken),
        ("AS4_PATH of an unknown segment", &[0xc0, 17, 6, 9, 1, 0, 1, 0, 1], Fate::Discarded(17)),
        ("AS4_PATH that passes its end", &[0xc0, 17, 6, 2, 2, 0, 1, 0, 1], Fate::Discarded(17)),
        ("AS4_AGGREGATOR of length 6", &[0xc0, 18, 6, 0, 1, 192, 0, 2, 2], Fate::Discarded(18)),
        ("RFC 7606 7.7 aggregator of length 8", &[0xc0, 7, 8, 0, 0, 0xfc, 1, 192, 0, 2, 2], Fate::Discarded(7)),
        ("RFC 7606 3 c) AS4_PATH as well-known", &[0x40, 17, 6, 2, 1, 0, 1, 0, 1], Fate::Withdrawn(17)),
    ];
    for (story, extra, fate) in cases {
        assert_eq!(fate_of(Foreign::old_established(), &[&whole, extra].concat(), NLRI), fate, "{story}");
    }
}

#[test]
fn rfc7606_5_3_and_7_11_fields_of_other_families() {
    let path: &[u8] = &[0x40, 2, 6, 2, 1, 0, 0, 0xfc, 0x01];
    let whole = [ORIGIN, path, NEXT_HOP].concat();
    let reach = |value: &[u8]| [&[0x80, 14, u8::try_from(value.len()).unwrap()], value].concat();
    let unreach = |value: &[u8]| [&[0x80, 15, u8::try_from(value.len()).unwrap()], value].concat();
    let hop: &[u8] = &[0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];
    let v6 = |nlri: &[u8]| reach(&[&[0, 2, 1, 16], hop, &[0], nlri].concat());
    let broken = Fate::Ended(Fault::OPTIONAL_ATTRIBUTE);
    let v4 = |hop: &[u8]| reach(&[&[0, 1, 1, u8::try_from(hop.len()).unwrap()], hop, &[0, 8, 11]].concat());
    let cases: [(&str, Vec<u8>, Fate); 12] = [
        ("a family that was not agreed on", v6(&[32, 0x20, 1, 0x0d, 0xb8]), Fate::Taken),
        ("a family that nobody speaks", reach(&[0, 25, 70, 4, 1, 2, 3, 4, 0]), Fate::Discarded(14)),
        ("one that nobody speaks goes", unreach(&[0, 25, 70, 9, 9]), Fate::Discarded(15)),
        ("MP_REACH without a family", reach(&[0, 2]), broken),
        ("MP_REACH without a next hop", reach(&[0, 2, 1]), broken),
        ("RFC 8950 4 IPv4 over IPv6 that was not agreed on", v4(hop), broken),
        ("RFC 8950 4 nor over two of its addresses", v4(&[hop, hop].concat()), broken),
        ("7.11 IPv4 over a next hop of no kind", v4(&hop[..8]), broken),
        ("7.11 a next hop that passes the end", reach(&[0, 2, 1, 16, 1]), broken),
        ("5.3 a prefix of 129 bits", v6(&[129, 0x20]), broken),
        ("5.3 a prefix that passes the end", v6(&[64, 0x20]), broken),
        ("7.12 MP_UNREACH of 129 bits", unreach(&[0, 2, 1, 129, 0]), broken),
    ];
    for (story, extra, fate) in cases {
        assert_eq!(fate_of(Foreign::established(), &[extra, whole.clone()].concat(), NLRI), fate, "{story}");
    }
}

#[test]
fn rfc7606_3_the_gravest_of_several_flaws_decides() {
    let path: &[u8] = &[0x40, 2, 6, 2, 1, 0, 0, 0xfc, 0x01];
    let trifle: &[u8] = &[0x40, 6, 1, 0];
    let origin: &[u8] = &[0x40, 1, 1, 7];
    let unknown: &[u8] = &[0x40, 99, 1, 7];

    let both = [origin, path, NEXT_HOP, trifle].concat();
    assert_eq!(fate_of(Foreign::established(), &both, NLRI), Fate::Withdrawn(1));
    let all = [origin, path, NEXT_HOP, trifle, unknown].concat();
    assert_eq!(fate_of(Foreign::established(), &all, NLRI), Fate::Ended(Fault::UNRECOGNIZED_WELL_KNOWN));
}

#[test]
fn rfc7606_5_2_an_update_without_routes_loses_only_what_is_wrong() {
    let mut foreign = Foreign::established();

    foreign.hear(&update(&[0x40, 1, 1, 7], &[]));

    assert_eq!(foreign.state(), SessionState::Established);
}

/// A session with a neighbour in our own AS.
fn internal() -> Foreign {
    let mut foreign = Foreign::connected(64512);
    foreign.hear(&open(64512, 90, &[2, 6, 65, 4, 0, 0, 0xfc, 0x00]));
    foreign.hear(&keepalive());
    assert_eq!(foreign.state(), SessionState::Established);
    foreign.actions.clear();
    foreign
}

/// What becomes of an UPDATE of these attributes and prefixes, told by the worst flaw that was noted.
fn fate_of(mut foreign: Foreign, attributes: &[u8], nlri: &[u8]) -> Fate {
    foreign.hear(&update(attributes, nlri));
    let is_there = foreign.is_installed(PREFIX);
    let flaws: Vec<_> = foreign.actions.iter().filter_map(flaw).collect();
    if foreign.state() != SessionState::Established {
        let last = foreign.sent().pop().unwrap();
        return Fate::Ended(Fault(last[19], last[20]));
    }
    match (flaws.iter().find(|(kind, _)| *kind == FlawKind::Withdrawn), flaws.first()) {
        (Some((_, attribute)), _) if !is_there => Fate::Withdrawn(*attribute),
        (None, Some((_, attribute))) if is_there => Fate::Discarded(*attribute),
        (None, None) if is_there => Fate::Taken,
        (_, _) => panic!("{} is there: {is_there}, and noted was {flaws:?}", net(PREFIX)),
    }
}

fn flaw(action: &Action) -> Option<(FlawKind, u8)> {
    match action {
        Action::Note(note) => match &**note {
            Note::Malformed { flaw, .. } => Some((flaw.kind, flaw.attribute)),
            _ => None,
        },
        _ => None,
    }
}
