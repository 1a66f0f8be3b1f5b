//! RFC 7606: what a session survives, and what becomes of the routes.

use poplin_bgp::{
    Action, Note, Refusal, SessionState,
    wire::{Fault, FlawKind},
};

use crate::{
    foreign::{Foreign, message, update},
    world::{address, net},
};

const ORIGIN: &[u8] = &[0x40, 1, 1, 0];
const AS_PATH: &[u8] = &[0x40, 2, 6, 2, 1, 0, 0, 0xfc, 0x01];
const NEXT_HOP: &[u8] = &[0x40, 3, 4, 192, 0, 2, 2];
const NLRI: &[u8] = &[8, 10];
const PREFIX: &str = "10.0.0.0/8";

/// An established session over which 10.0.0.0/8 was heard.
fn with_route() -> Foreign {
    let mut foreign = Foreign::established();
    foreign.hear(&update(&[ORIGIN, AS_PATH, NEXT_HOP].concat(), NLRI));
    assert!(foreign.is_installed(PREFIX));
    foreign.actions.clear();
    foreign
}

/// What is said to be wrong with the latest update.
fn flaw_kinds(foreign: &Foreign) -> Vec<(FlawKind, u8)> {
    let flaws = foreign.actions.iter().filter_map(|action| match action {
        Action::Note(note) => match &**note {
            Note::Malformed { flaw, .. } => Some((flaw.kind, flaw.attribute)),
            _ => None,
        },
        _ => None,
    });
    flaws.collect()
}

#[test]
fn rfc7606_7_broken_attributes_withdraw_the_routes() {
    let cases: [(&str, u8, &[&[u8]]); 38] = [
        ("7.1 origin of value 7", 1, &[&[0x40, 1, 1, 7], AS_PATH, NEXT_HOP]),
        ("7.1 origin of length 2", 1, &[&[0x40, 1, 2, 0, 0], AS_PATH, NEXT_HOP]),
        ("7.2 unknown segment", 2, &[ORIGIN, &[0x40, 2, 6, 9, 1, 0, 0, 0xfc, 1], NEXT_HOP]),
        ("7.2 segment passes the end", 2, &[ORIGIN, &[0x40, 2, 6, 2, 2, 0, 0, 0xfc, 1], NEXT_HOP]),
        ("7.2 one octet is left over", 2, &[ORIGIN, &[0x40, 2, 7, 2, 1, 0, 0, 0xfc, 1, 2], NEXT_HOP]),
        ("7.2 empty segment", 2, &[ORIGIN, &[0x40, 2, 2, 2, 0], NEXT_HOP]),
        ("RFC 7607 AS 0", 2, &[ORIGIN, &[0x40, 2, 6, 2, 1, 0, 0, 0, 0], NEXT_HOP]),
        ("7.3 next hop of length 5", 3, &[ORIGIN, AS_PATH, &[0x40, 3, 5, 192, 0, 2, 2, 0]]),
        ("7.4 med of length 3", 4, &[ORIGIN, AS_PATH, NEXT_HOP, &[0x80, 4, 3, 0, 0, 0]]),
        ("7.8 communities of length 3", 8, &[ORIGIN, AS_PATH, NEXT_HOP, &[0xc0, 8, 3, 0, 0, 0]]),
        ("7.8 no communities", 8, &[ORIGIN, AS_PATH, NEXT_HOP, &[0xc0, 8, 0]]),
        (
            "7.14 extended communities of length 7",
            16,
            &[ORIGIN, AS_PATH, NEXT_HOP, &[0xc0, 16, 7, 0, 2, 0, 0, 0, 0, 0]],
        ),
        ("7.14 no extended communities", 16, &[ORIGIN, AS_PATH, NEXT_HOP, &[0xc0, 16, 0]]),
        (
            "7.14 extended communities as not transitive",
            16,
            &[ORIGIN, AS_PATH, NEXT_HOP, &[0x80, 16, 8, 0, 2, 0, 0, 0, 0, 0, 1]],
        ),
        (
            "RFC 8092 5 large communities of length 8",
            32,
            &[ORIGIN, AS_PATH, NEXT_HOP, &[0xc0, 32, 8, 0, 0, 0, 1, 0, 0, 0, 2]],
        ),
        ("RFC 8092 5 no large communities", 32, &[ORIGIN, AS_PATH, NEXT_HOP, &[0xc0, 32, 0]]),
        (
            "RFC 8092 5 large communities as well-known",
            32,
            &[ORIGIN, AS_PATH, NEXT_HOP, &[0x40, 32, 12, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3]],
        ),
        ("3 c) wrong flags", 1, &[&[0xc0, 1, 1, 0], AS_PATH, NEXT_HOP]),
        ("3 c) med as well-known", 4, &[ORIGIN, AS_PATH, NEXT_HOP, &[0x40, 4, 4, 0, 0, 0, 0]]),
        ("3 c) path as optional", 2, &[ORIGIN, &[0xc0, 2, 6, 2, 1, 0, 0, 0xfc, 0x01], NEXT_HOP]),
        ("3 c) next hop as optional", 3, &[ORIGIN, AS_PATH, &[0xc0, 3, 4, 192, 0, 2, 2]]),
        ("3 c) local preference as optional", 5, &[ORIGIN, AS_PATH, NEXT_HOP, &[0xc0, 5, 4, 0, 0, 0, 9]]),
        ("3 c) atomic aggregate as optional", 6, &[ORIGIN, AS_PATH, NEXT_HOP, &[0xc0, 6, 0]]),
        (
            "3 c) aggregator as not transitive",
            7,
            &[ORIGIN, AS_PATH, NEXT_HOP, &[0x80, 7, 8, 0, 0, 0xfc, 1, 192, 0, 2, 2]],
        ),
        ("3 c) communities as well-known", 8, &[ORIGIN, AS_PATH, NEXT_HOP, &[0x40, 8, 4, 0, 1, 0, 2]]),
        ("3 c) originator as transitive", 9, &[ORIGIN, AS_PATH, NEXT_HOP, &[0xc0, 9, 4, 1, 2, 3, 4]]),
        ("3 c) clusters as transitive", 10, &[ORIGIN, AS_PATH, NEXT_HOP, &[0xc0, 10, 4, 1, 2, 3, 4]]),
        ("3 c) AS4_PATH as not transitive", 17, &[ORIGIN, AS_PATH, NEXT_HOP, &[0x80, 17, 6, 2, 1, 0, 1, 0, 1]]),
        (
            "3 c) AS4_AGGREGATOR as not transitive",
            18,
            &[ORIGIN, AS_PATH, NEXT_HOP, &[0x80, 18, 8, 0, 1, 0, 1, 192, 0, 2, 2]],
        ),
        (
            "3 c) routes of MP_REACH as transitive, beside others",
            14,
            &[ORIGIN, AS_PATH, NEXT_HOP, &[0xc0, 14, 11, 0, 1, 1, 4, 192, 0, 2, 2, 0, 8, 11]],
        ),
        (
            "3 c) MP_UNREACH as transitive, beside routes",
            15,
            &[ORIGIN, AS_PATH, NEXT_HOP, &[0xc0, 15, 5, 0, 1, 1, 8, 11]],
        ),
        ("RFC 5065 5 a sequence of a confederation", 2, &[ORIGIN, &[0x40, 2, 6, 3, 1, 0, 0, 0xfc, 1], NEXT_HOP]),
        (
            "RFC 5065 5 a set of a confederation behind a sequence",
            2,
            &[ORIGIN, &[0x40, 2, 12, 2, 1, 0, 0, 0xfc, 1, 4, 1, 0, 0, 0xfc, 2], NEXT_HOP],
        ),
        ("3 d) origin missing", 1, &[AS_PATH, NEXT_HOP]),
        ("3 d) path missing", 2, &[ORIGIN, NEXT_HOP]),
        ("3 d) next hop missing", 3, &[ORIGIN, AS_PATH]),
        ("4 the last attribute passes the end", 0, &[ORIGIN, AS_PATH, NEXT_HOP, &[0x80, 4, 9, 0]]),
        ("4 the last attribute has no length", 0, &[ORIGIN, AS_PATH, NEXT_HOP, &[0x80, 4]]),
    ];
    for (story, attribute, attributes) in cases {
        let mut foreign = with_route();

        foreign.hear(&update(&attributes.concat(), NLRI));

        assert_eq!(foreign.state(), SessionState::Established, "{story}");
        assert!(!foreign.is_installed(PREFIX), "{story}");
        assert!(foreign.actions.contains(&Action::Remove { prefix: net(PREFIX) }), "{story}");
        assert!(flaw_kinds(&foreign).contains(&(FlawKind::Withdrawn, attribute)), "{story}: {:?}", foreign.actions);
    }
}

#[test]
fn rfc7606_7_broken_trifles_are_discarded_and_the_routes_stay() {
    let cases: [(&str, u8, &[u8]); 9] = [
        ("7.5 local preference of another system", 5, &[0x40, 5, 4, 0, 0, 0, 9]),
        ("7.5 the same with length 3", 5, &[0x40, 5, 3, 0, 0, 0]),
        ("7.6 atomic aggregate of length 1", 6, &[0x40, 6, 1, 0]),
        ("7.7 aggregator of length 6", 7, &[0xc0, 7, 6, 0xfc, 1, 192, 0, 2, 2]),
        ("7.9 originator of another system", 9, &[0x80, 9, 4, 1, 2, 3, 4]),
        ("7.10 clusters of another system", 10, &[0x80, 10, 4, 1, 2, 3, 4]),
        ("7.10 the same with length 3", 10, &[0x80, 10, 3, 1, 2, 3]),
        ("3 g) origin given twice", 1, &[0x40, 1, 1, 2]),
        ("RFC 6793 4.1 AS4_PATH of a four-octet speaker", 17, &[0xc0, 17, 6, 2, 1, 0, 1, 0, 1]),
    ];
    for (story, attribute, extra) in cases {
        let mut foreign = with_route();

        foreign.hear(&update(&[ORIGIN, AS_PATH, NEXT_HOP, extra].concat(), &[8, 11]));

        assert_eq!(foreign.state(), SessionState::Established, "{story}");
        assert!(foreign.is_installed(PREFIX) && foreign.is_installed("11.0.0.0/8"), "{story}");
        assert_eq!(flaw_kinds(&foreign), [(FlawKind::Discarded, attribute)], "{story}");
        let best = foreign.speaker.best(net("11.0.0.0/8")).unwrap().winner.attributes;
        assert_eq!((best.local_pref, best.aggregator, best.originator), (None, None, None), "{story}");
        assert!(best.clusters.is_empty(), "{story}");
        assert_eq!(best.path.to_string(), "64513", "{story}");
    }
}

#[test]
fn rfc7606_5_3_what_cannot_be_read_ends_the_session() {
    let whole = [ORIGIN, AS_PATH, NEXT_HOP].concat();
    let unknown = [&whole[..], &[0x40, 99, 1, 7]].concat();
    let reach: &[u8] = &[0, 2, 1, 5, 0, 0, 0, 0, 0, 0];
    let short_hop = [&whole[..], &[0x80, 14, 10], reach].concat();
    let twice = [&[0x80, 15, 3, 0, 2, 1, 0x80, 15, 3, 0, 2, 1][..], &whole].concat();
    let reached = [0x80, 14, 11, 0, 1, 1, 4, 192, 0, 2, 2, 0, 8, 11];
    let reached_twice = [&reached[..], &reached, &whole].concat();
    let cases: [(&str, Vec<u8>, Fault, &[u8]); 8] = [
        ("prefix of 33 bits", update(&whole, &[33, 10, 0, 0, 0, 0]), Fault::NETWORK_FIELD, &[]),
        ("prefix passes the end", update(&whole, &[24, 10]), Fault::NETWORK_FIELD, &[]),
        ("withdrawn passes the end", message(2, &[0, 9, 0, 0]), Fault::ATTRIBUTE_LIST, &[]),
        ("attributes pass the end", message(2, &[0, 0, 0, 9]), Fault::ATTRIBUTE_LIST, &[]),
        ("unknown well-known", update(&unknown, NLRI), Fault::UNRECOGNIZED_WELL_KNOWN, &[0x40, 99, 1, 7]),
        ("7.11 next hop of length 5", update(&short_hop, NLRI), Fault::OPTIONAL_ATTRIBUTE, reach),
        ("3 g) MP_REACH twice", update(&reached_twice, NLRI), Fault::ATTRIBUTE_LIST, &[]),
        ("3 g) MP_UNREACH twice", update(&twice, NLRI), Fault::ATTRIBUTE_LIST, &[]),
    ];
    for (story, octets, fault, data) in cases {
        let mut foreign = with_route();

        foreign.hear(&octets);

        assert!(!foreign.is_installed(PREFIX), "{story}");
        foreign.assert_ended(fault, data);
    }
}

#[test]
fn rfc4271_5_1_5_an_internal_neighbour_that_gives_no_preference_has_its_routes_withdrawn() {
    let preference: &[u8] = &[0x40, 5, 4, 0, 0, 0, 100];
    let empty_path: &[u8] = &[0x40, 2, 0];
    let mut foreign = Foreign::established_inside();
    foreign.hear(&update(&[ORIGIN, empty_path, NEXT_HOP, preference].concat(), NLRI));
    assert!(foreign.is_installed(PREFIX) && flaw_kinds(&foreign).is_empty());

    foreign.hear(&update(&[ORIGIN, empty_path, NEXT_HOP].concat(), NLRI));

    assert_eq!((foreign.state(), foreign.is_installed(PREFIX)), (SessionState::Established, false));
    assert_eq!(flaw_kinds(&foreign), [(FlawKind::Withdrawn, 5)]);
}

#[test]
fn rfc6793_3_what_an_old_neighbour_says_of_confederations_is_left_out_of_its_path() {
    let mut foreign = Foreign::old_established();
    let old_path: &[u8] = &[0x40, 2, 6, 2, 2, 0xfc, 0x01, 0x5b, 0xa0];
    let path_of_four: &[u8] = &[0xc0, 17, 12, 3, 1, 0, 0, 0xfc, 9, 2, 1, 0, 1, 0, 1];

    foreign.hear(&update(&[ORIGIN, old_path, NEXT_HOP, path_of_four].concat(), NLRI));

    let path = foreign.speaker.best(net(PREFIX)).unwrap().winner.attributes.path.to_string();
    assert_eq!((path.as_str(), flaw_kinds(&foreign)), ("64513 65537", vec![(FlawKind::Discarded, 17)]));
}

#[test]
fn rfc4271_9_an_unknown_transitive_attribute_is_kept() {
    let mut foreign = Foreign::established();
    let extra = [0xc0, 99, 2, 1, 2, 0x80, 98, 1, 7];

    foreign.hear(&update(&[ORIGIN, AS_PATH, NEXT_HOP, &extra].concat(), NLRI));

    let unknown = &foreign.speaker.best(net(PREFIX)).unwrap().winner.attributes.unknown;
    assert_eq!(unknown.len(), 1);
    assert_eq!((unknown[0].code, &*unknown[0].value), (99, &[1, 2][..]));
}

#[test]
fn rfc4271_9_1_2_guards_refuse_what_a_neighbour_must_not_say() {
    let path = |asns: &[u16]| {
        let mut path = vec![0x40, 2, u8::try_from(2 + 4 * asns.len()).unwrap(), 2, u8::try_from(asns.len()).unwrap()];
        path.extend(asns.iter().flat_map(|&asn| u32::from(asn).to_be_bytes()));
        path
    };
    let hop = |octets: [u8; 4]| [&[0x40, 3, 4][..], &octets].concat();
    let ours = [192, 0, 2, 1];
    let cases = [
        (path(&[64999, 64513]), hop([192, 0, 2, 2]), Refusal::FirstAs(poplin_bgp::Asn(64513))),
        (path(&[64513]), hop(ours), Refusal::NextHop(ours.into())),
        (path(&[64513]), hop([0; 4]), Refusal::NextHop([0; 4].into())),
        (path(&[64513]), hop([224, 0, 0, 1]), Refusal::NextHop([224, 0, 0, 1].into())),
    ];
    for (path, hop, refusal) in cases {
        let mut foreign = with_route();

        foreign.hear(&update(&[ORIGIN, &path, &hop].concat(), NLRI));

        assert!(!foreign.is_installed(PREFIX), "{refusal}");
        let note = Note::RoutesRefused { neighbour: address(1), prefixes: vec![net(PREFIX)], refusal };
        assert!(foreign.actions.contains(&Action::Note(note.into())), "{:?}", foreign.actions);
    }
}

#[test]
fn rfc4271_9_1_2_our_own_words_told_back_are_passed_over_in_silence() {
    let mut foreign = with_route();
    let path = [0x40, 2, 10, 2, 2, 0, 0, 0xfc, 1, 0, 0, 0xfc, 0];

    foreign.hear(&update(&[ORIGIN, &path, NEXT_HOP].concat(), NLRI));

    assert_eq!(foreign.actions, [Action::Remove { prefix: net(PREFIX) }]);
}
