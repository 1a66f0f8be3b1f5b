//! RFC 4271 §8: a session begins, lasts and ends.

use std::time::Duration;

use poplin_bgp::{Note, SessionState, wire::Fault};

use crate::{
    peer::Peer,
    world::{World, address},
};

#[test]
fn rfc4271_8_2_2_two_neighbours_reach_established() {
    for seed in 0..50 {
        let world = World::mesh(&[64512, 64512], seed);

        assert!(world.is_up(0, 1), "seed {seed}");
        assert_eq!(world.pipes(0, 1), 1, "seed {seed}");
    }
}

#[test]
fn rfc4271_8_2_2_a_passive_neighbour_is_called() {
    let mut world = World::of(&[64512, 64513], 1);
    world.acquaint_all();
    world.hosts[0].neighbours[0].passive = true;
    world.configure(0);

    world.pass(Duration::from_secs(30));

    assert!(world.is_up(0, 1));
}

#[test]
fn rfc4271_4_4_keepalives_hold_an_idle_session() {
    let mut world = World::mesh(&[64512, 64512], 1);
    let since = world.view(0, 1).since;

    world.pass(Duration::from_secs(3600));

    assert!(world.is_up(0, 1));
    assert_eq!(world.view(0, 1).since, since);
}

#[test]
fn rfc4271_4_2_a_hold_time_of_zero_needs_no_sign_of_life() {
    let mut world = World::of(&[64512, 64512], 1);
    world.acquaint_all();
    world.hosts[0].neighbours[0].hold_time = Duration::ZERO;
    world.configure(0);
    world.pass(Duration::from_secs(10));
    assert!(world.is_up(0, 1));
    let octets = world.hosts[0].octets_sent;

    world.pass(Duration::from_secs(3600));

    assert!(world.is_up(0, 1));
    assert_eq!(world.hosts[0].octets_sent, octets);
}

#[test]
fn rfc4271_6_5_a_silent_neighbour_is_given_up_after_the_hold_time() {
    let mut world = World::mesh(&[64512, 64512], 1);
    world.originate(1, &["10.0.1.0/26"]);
    world.settle();
    assert_eq!(world.next_hops(0, "10.0.1.0/26"), [address(1)]);
    world.sever(0, 1);

    world.pass(Duration::from_secs(59));
    assert_eq!(world.next_hops(0, "10.0.1.0/26"), [address(1)]);
    world.pass(Duration::from_secs(31));

    assert!(world.next_hops(0, "10.0.1.0/26").is_empty());
    assert!(!world.is_up(0, 1));
    let expired = Fault::HOLD_EXPIRED.bare();
    assert!(world.hosts[0].notes.contains(&Note::ErrorSent { neighbour: address(1), error: expired }));
}

#[test]
fn rfc4271_8_2_2_a_lost_neighbour_comes_back() {
    let mut world = World::mesh(&[64512, 64512], 1);
    world.originate(1, &["10.0.1.0/26"]);
    world.sever(0, 1);
    world.pass(Duration::from_secs(600));
    assert!(!world.is_up(0, 1));
    assert_eq!(world.view(0, 1).last_error.as_deref(), Some("no route to host"));

    world.mend();
    world.pass(Duration::from_secs(6));

    assert!(world.is_up(0, 1));
    assert_eq!(world.next_hops(0, "10.0.1.0/26"), [address(1)]);
}

#[test]
fn rfc4271_6_2_the_wrong_system_is_refused_with_growing_rests() {
    let mut world = World::of(&[64512, 64513], 3);
    world.acquaint_all();
    world.hosts[0].neighbours[0].asn = poplin_bgp::Asn(64999).into();
    world.configure(0);

    world.pass(Duration::from_secs(600));

    let wrong = Note::ErrorSent { neighbour: address(1), error: Fault::BAD_PEER_AS.bare() };
    let attempts = world.hosts[0].notes.iter().filter(|note| **note == wrong).count();
    // Rests of 1, 2, 4, … 64 s make about fifteen rounds, each with up to one connection of either side.
    assert!((8..=32).contains(&attempts), "{attempts} attempts in ten minutes");
    assert_ne!(world.view(0, 1).state, SessionState::Established);
}

#[test]
fn a_note_reads_like_a_sentence() {
    let note = Note::ErrorSent { neighbour: address(1), error: Fault::BAD_PEER_AS.bare() };

    assert_eq!(note.to_string(), "reported an error to 192.0.2.2: bad peer AS (2/2)");
}

#[test]
fn rfc4271_4_4_we_speak_as_often_as_the_operator_says_and_never_too_seldom() {
    for (asked, expected) in [(None, 3), (Some(10), 9), (Some(60), 3)] {
        let mut peer = Peer::new();
        peer.reconfigure(|neighbour| neighbour.keepalive = asked.map(Duration::from_secs));
        peer.call(None);
        let keepalives = |peer: &Peer| peer.detail().record.sent.keepalives;
        let before = keepalives(&peer);

        peer.pass(Duration::from_secs(90));

        assert_eq!(keepalives(&peer) - before, expected, "{asked:?}");
    }
}
