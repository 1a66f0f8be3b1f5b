//! RFC 5882: what BGP makes of what BFD says.

use std::time::Duration;

use poplin_bgp::{
    Note, SessionState,
    bfd::{Cause, Diagnostic, State},
    wire::{Fault, Message},
};

use crate::{
    peer::{Peer, SECOND, kept},
    world::{World, address, net},
};

const DETECTION_TIME: Duration = Duration::from_millis(900);

/// A neighbour that keeps its routes through restarts, is watched, and has told of one prefix.
fn watched() -> Peer {
    let mut peer = Peer::new();
    peer.watch(false);
    peer.call(Some(kept(120)));
    peer.path_rises();
    peer.tell(&["10.0.1.0/26"]);
    peer.pass(5 * SECOND);
    peer
}

fn was_told_of_it(peer: &Peer) -> bool {
    let told = |message: &Message| matches!(message, Message::Notification(error) if error.fault == Fault::BFD_DOWN);
    peer.heard(peer.connection).iter().any(told)
}

#[test]
fn rfc5882_4_2_a_failed_way_ends_the_session_and_its_routes() {
    for cause in [Cause::Silence, Cause::Signalled] {
        let mut peer = watched();

        peer.path_falls(cause, DETECTION_TIME, false);

        assert_eq!(peer.removed(), [net("10.0.1.0/26")]);
        assert!(was_told_of_it(&peer), "Cease, BFD down: RFC 9384 §3");
        assert_ne!(peer.view().state, SessionState::Established);
        assert_eq!(peer.view().last_error.as_deref(), Some("BFD down (6/10)"));
        let diagnostic = Diagnostic::EXPIRED;
        assert!(peer.notes().contains(&Note::PathDown { neighbour: address(1), diagnostic }));
    }
}

#[test]
fn rfc5882_3_2_a_way_that_was_switched_off_says_nothing() {
    for cause in [Cause::Administrative, Cause::Restarted] {
        let mut peer = watched();

        peer.path_falls(cause, DETECTION_TIME, false);

        assert_eq!(peer.removed(), []);
        assert_eq!(peer.view().state, SessionState::Established);
    }
}

#[test]
fn a_fall_counts_once() {
    let mut peer = watched();
    peer.path_falls(Cause::Silence, DETECTION_TIME, false);
    let fall = peer.view().bfd.unwrap().fall;
    peer.pass(5 * SECOND);
    peer.call(Some(kept(120)));

    peer.path_changes(State::Init, Diagnostic::EXPIRED, fall);
    peer.path_changes(State::Up, Diagnostic::EXPIRED, fall);

    assert_eq!(peer.view().state, SessionState::Established);
}

#[test]
fn several_falls_told_as_one_count() {
    let mut peer = watched();
    peer.path_falls(Cause::Silence, DETECTION_TIME, false);
    let earlier = peer.view().bfd.unwrap().fall.unwrap();
    peer.pass(5 * SECOND);
    peer.call(Some(kept(120)));
    peer.pass(5 * SECOND);

    let fall = poplin_bgp::bfd::Fall { at: earlier.at + 9 * SECOND, heard: earlier.heard + 9 * SECOND, ..earlier };
    peer.path_changes(State::Up, Diagnostic::EXPIRED, Some(fall));

    assert_ne!(peer.view().state, SessionState::Established, "it fell and rose again before anybody was told");
}

#[test]
fn a_neighbour_that_does_not_speak_bfd_is_a_neighbour_like_any_other() {
    let mut peer = Peer::new();
    peer.watch(false);
    peer.path_changes(State::Down, Diagnostic::NONE, None);

    peer.call(None);
    peer.pass(100 * SECOND);

    assert_eq!(peer.view().state, SessionState::Established);
}

#[test]
fn a_neighbour_that_is_back_is_not_missed_for_what_its_old_life_did_not_send() {
    let mut peer = watched();
    peer.lose();

    peer.call(Some(kept(120)));
    peer.path_falls(Cause::Silence, DETECTION_TIME, false);

    assert_eq!(peer.view().state, SessionState::Established);
    assert_eq!(peer.removed(), []);
    peer.path_rises();
    peer.pass(5 * SECOND);
    peer.path_falls(Cause::Silence, DETECTION_TIME, false);
    assert_ne!(peer.view().state, SessionState::Established, "its new life is missed like the old one");
}

#[test]
fn a_neighbour_that_dies_the_moment_its_first_session_stands_is_missed() {
    let mut peer = Peer::new();
    peer.watch(false);
    peer.path_rises();
    peer.pass(5 * SECOND);

    peer.call(None);
    peer.path_falls(Cause::Silence, DETECTION_TIME, false);

    assert_ne!(peer.view().state, SessionState::Established);
}

#[test]
fn rfc5882_4_3_a_restarting_neighbour_whose_bfd_shares_its_fate_keeps_its_routes() {
    let mut peer = watched();
    peer.lose();

    peer.path_falls(Cause::Silence, DETECTION_TIME, false);
    peer.pass(60 * SECOND);

    assert_eq!(peer.removed(), []);
}

#[test]
fn rfc5882_4_3_a_restarting_neighbour_whose_bfd_lives_by_itself_is_dead_when_bfd_says_so() {
    let mut peer = watched();
    peer.lose();

    peer.path_falls(Cause::Silence, DETECTION_TIME, true);

    assert_eq!(peer.removed(), [net("10.0.1.0/26")]);
    assert!(peer.notes().contains(&Note::RestartAbandoned { neighbour: address(1) }));
}

#[test]
fn a_strict_neighbour_is_dialled_only_once_bfd_sees_it() {
    let mut peer = Peer::new();
    peer.deconfigure();
    peer.watch(true);
    peer.pass(100 * SECOND);
    assert_eq!(peer.dials(), 0);

    peer.path_rises();

    assert_eq!(peer.dials(), 1);
}

#[test]
fn a_strict_neighbour_that_bfd_does_not_see_is_turned_away() {
    let mut peer = Peer::new();
    peer.watch(true);

    peer.connect();

    assert!(peer.is_closed(peer.connection));
    assert!(peer.notes().contains(&Note::Refused { neighbour: address(1), reason: "BFD is not up".into() }));
}

#[test]
fn a_strict_session_ends_with_the_way_and_comes_back_with_it() {
    let mut peer = Peer::new();
    peer.watch(true);
    peer.path_rises();
    peer.call(None);
    peer.pass(5 * SECOND);

    peer.path_falls(Cause::Silence, DETECTION_TIME, false);
    let dials = peer.dials();
    peer.pass(100 * SECOND);
    assert_eq!(peer.dials(), dials);

    peer.path_rises();
    assert_eq!(peer.dials(), dials + 1);
}

#[test]
fn a_session_that_is_begun_anew_knows_what_bfd_sees() {
    let mut peer = Peer::new();
    peer.watch(true);
    peer.path_rises();
    peer.call(None);

    peer.watch(true);

    assert_eq!(peer.view().state, SessionState::Established, "nothing has changed");
    assert_eq!(peer.view().bfd.unwrap().state, State::Up);
}

#[test]
fn bfd_is_asked_for_what_is_configured_and_for_nothing_else() {
    let mut world = World::mesh(&[64512, 64512], 1);
    assert!(world.hosts[0].watched.is_empty());
    let settings = poplin_bgp::bfd::Settings { interval: SECOND, multiplier: 3, path: poplin_bgp::bfd::Path::Direct };

    world.hosts[0].neighbours[0].bfd = Some(poplin_bgp::BfdConfig { settings, is_strict: false });
    world.configure(0);
    world.settle();

    assert_eq!(world.hosts[0].watched, [(address(1), settings)].into());
    assert!(world.is_up(0, 1), "nobody's session was begun anew for it");
    world.hosts[0].neighbours.clear();
    world.configure(0);
    assert!(world.hosts[0].watched.is_empty());
}
