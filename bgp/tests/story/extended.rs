//! RFC 8654: messages longer than 4,096 octets, where both ends can read them.

use poplin_bgp::{
    Asn, RouteRules, SessionState,
    wire::{AnyCommunity, AsPath, Attributes, Capability, Community, Dialect, Fault, Message, Origin, pack_reach},
};

use crate::{
    foreign::message,
    peer::Peer,
    world::{World, address, neighbour, net, tagging},
};

/// So many tags take 5,200 octets.
const TAGS: u32 = 1300;

#[test]
fn where_both_can_a_table_goes_out_in_fewer_messages() {
    let sent = [true, false].map(|can| {
        let mut world = World::of(&[64512, 64513], 1);
        for (host, other, asn) in [(0, 1, 64513), (1, 0, 64512)] {
            let mut peer = neighbour(address(other), asn);
            peer.extended_messages = host == 0 || can;
            world.hosts[host].neighbours = vec![peer];
        }
        let blocks: Vec<_> = (0..2000).map(|number| format!("10.{}.{}.0/24", number / 250, number % 250)).collect();
        world.originate(0, &blocks.iter().map(String::as_str).collect::<Vec<_>>());
        (0..2).for_each(|host| world.configure(host));
        world.settle();

        assert_eq!(world.hosts[1].routes.len(), 2000);
        world.hosts[0].speaker.neighbour(address(1)).unwrap().record.sent.updates
    });

    assert_eq!(sent, [2, 3], "the last of them marks the end of the table");
}

#[test]
fn rfc8654_4_what_is_too_long_for_one_neighbour_is_told_to_the_other_alone() {
    let mut world = World::of(&[64512, 64513, 64514, 64515], 1);
    for (host, others) in [(0, &[1, 2, 3][..]), (1, &[0]), (2, &[0]), (3, &[0])] {
        let asn = |other: usize| 64512 + u32::try_from(other).unwrap();
        world.hosts[host].neighbours = others.iter().map(|&other| neighbour(address(other), asn(other))).collect();
        for peer in &mut world.hosts[host].neighbours {
            peer.extended_messages = host != 3;
            peer.exchange.transit = true;
        }
    }
    world.hosts[1].neighbours[0].exchange.export = tagged();
    (0..4).for_each(|host| world.configure(host));
    world.settle();

    world.originate(1, &["10.1.0.0/16"]);
    world.settle();

    let reached = [0, 2, 3].map(|host| world.hosts[host].routes.contains_key(&net("10.1.0.0/16")));
    assert_eq!(reached, [true, true, false]);
}

#[test]
fn rfc8654_4_whoever_offers_it_reads_long_updates_and_only_those() {
    let mut peer = offering();

    peer.hear(&long_update());
    assert_eq!(peer.routes().collect::<Vec<_>>(), [(net("10.0.0.0/8"), false)]);

    peer.hear(&message(4, &[0; 4078]));
    assert_eq!(peer.view().state, SessionState::Idle);
    assert_eq!(peer.heard(peer.connection).pop(), Some(Fault::BAD_LENGTH.with([0x10, 0x01]).into()));
}

#[test]
fn rfc8654_4_an_open_is_never_long() {
    let mut peer = Peer::new();
    peer.reconfigure(|neighbour| neighbour.extended_messages = true);
    peer.connect();

    peer.hear(&message(1, &[0; 4078]));

    assert_eq!(peer.heard(peer.connection).pop(), Some(Fault::BAD_LENGTH.with([0x10, 0x01]).into()));
}

#[test]
fn rfc4271_6_1_a_long_update_that_was_not_asked_for_ends_the_session() {
    let mut peer = Peer::established(None);

    peer.hear(&long_update());

    let length = u16::try_from(long_update().len()).unwrap().to_be_bytes();
    assert_eq!(peer.heard(peer.connection).pop(), Some(Fault::BAD_LENGTH.with(length).into()));
}

#[test]
fn a_neighbour_that_does_not_offer_it_may_still_be_offered_it() {
    let mut peer = Peer::new();
    peer.reconfigure(|neighbour| neighbour.extended_messages = true);
    peer.call_with([]);

    let Message::Open(open) = &peer.heard(peer.connection)[0] else { panic!("an OPEN leads") };
    assert!(open.capabilities.contains(&Capability::ExtendedMessages));
    peer.hear(&long_update());
    assert_eq!(peer.routes().count(), 1);
}

/// It is offered long messages, and offers them.
fn offering() -> Peer {
    let mut peer = Peer::new();
    peer.reconfigure(|neighbour| neighbour.extended_messages = true);
    peer.call_with([Capability::ExtendedMessages]);
    peer
}

/// 10.0.0.0/8 with a great many tags.
fn long_update() -> Vec<u8> {
    let mut attributes = Attributes::new(Origin::Igp, AsPath::through([Asn(64513)]));
    attributes.communities = (0..TAGS).map(Community).collect();
    let dialect = Dialect { four_octets: true, external: true, long_out: true, ..Dialect::PLAIN };
    let mut messages = pack_reach(&attributes, address(1), [net("10.0.0.0/8")], dialect);
    assert!(messages[0].len() > 5000 && messages.len() == 1);
    messages.swap_remove(0)
}

/// Rules that put as many tags on every route.
fn tagged() -> RouteRules {
    tagging((0..TAGS).map(|tag| AnyCommunity::Standard(Community(0x0001_0000 + tag))).collect())
}
