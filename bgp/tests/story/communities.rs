//! RFC 1997, RFC 4360 and RFC 8092: tags are read, shown and passed on.

use poplin_bgp::wire::{Attributes, Dialect, Framer, Message, Update};

use crate::{
    foreign::{Foreign, message, update},
    world::net,
};

const MANDATORY: &[u8] = &[0x40, 1, 1, 0, 0x40, 2, 6, 2, 1, 0, 0, 0xfc, 0x01, 0x40, 3, 4, 192, 0, 2, 2];
const STANDARD: &[u8] = &[0xc0, 8, 8, 0xfd, 0xe8, 0, 1, 0xff, 0xff, 0xff, 0x01];
const EXTENDED: &[u8] = &[0xe0, 16, 8, 0, 2, 0xfd, 0xe8, 0, 0, 0, 1];
const LARGE: &[u8] = &[0xc0, 32, 24, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3];

/// What is known of a route after it was heard with these attributes.
fn heard(attributes: &[u8]) -> Attributes {
    let mut foreign = Foreign::established();
    foreign.hear(&update(&[MANDATORY, attributes].concat(), &[8, 10]));
    Attributes::clone(&foreign.speaker.best(net("10.0.0.0/8")).unwrap().winner.attributes)
}

#[test]
fn tags_of_every_width_are_read() {
    let attributes = heard(&[STANDARD, EXTENDED, LARGE].concat());

    let tags: Vec<_> = attributes.all_communities().map(|tag| tag.to_string()).collect();
    assert_eq!(tags, ["65000:1", "no-export", "rt:65000:1", "1:2:3"]);
}

#[test]
fn rfc4271_4_3_a_set_partial_bit_is_never_reset() {
    let attributes = heard(&[STANDARD, EXTENDED].concat());

    let update = Update { attributes: Some(attributes), announced: vec![net("10.0.0.0/8")], ..Update::default() };
    let octets = Message::Update(update).encode(Dialect { four_octets: true, external: true });

    let holds = |part: &[u8]| octets.windows(part.len()).any(|window| window == part);
    assert!(holds(STANDARD) && holds(EXTENDED), "{octets:?}");
}

#[test]
fn rfc4360_an_unknown_type_is_no_flaw() {
    let attributes = heard(&[0xc0, 16, 8, 0x99, 1, 2, 3, 4, 5, 6, 7]);

    assert_eq!(attributes.extended[0].to_string(), "ext:9901020304050607");
    assert!(attributes.extended[0].is_transitive());
}

#[test]
fn a_message_of_tags_alone_is_survived() {
    let mut framer = Framer::default();
    framer.feed(&message(2, &[&[0, 0, 0, 11][..], STANDARD].concat()));

    let dialect = Dialect { four_octets: true, external: true };
    assert!(framer.next(dialect).unwrap().is_some());
}
