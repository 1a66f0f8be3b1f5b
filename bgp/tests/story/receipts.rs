//! Who certainly has what we told, for somebody who waits for that.

use poplin_bgp::{Action, RouteRules};

use crate::{peer::Peer, world::address};

/// More than this waits for nobody: see `speaker/wait.rs`.
const FULL: usize = 1 << 20;

const ONE: &str = "10.77.0.0/26";
const OTHER: &str = "10.77.0.64/26";

/// A neighbour that was told of the first.
fn told() -> Peer {
    let mut peer = Peer::established(None);
    peer.originate(&[ONE]);
    peer
}

#[test]
fn a_neighbour_has_what_its_tcp_acknowledged_and_is_asked_once() {
    let mut peer = told();
    assert_eq!(peer.questions(), 0, "nobody waits");

    peer.is_awaited(&[ONE]);
    assert_eq!((peer.questions(), peer.has(ONE)), (1, Some(false)));
    peer.is_awaited(&[ONE]);
    assert_eq!(peer.questions(), 1);
    peer.acknowledges();

    assert_eq!(peer.has(ONE), Some(true));
    peer.is_awaited(&[]);
    peer.is_awaited(&[ONE]);
    assert_eq!((peer.questions(), peer.has(ONE)), (1, Some(true)), "that stays true");
}

#[test]
fn what_is_told_later_is_asked_for_after_it_was_sent() {
    let mut peer = Peer::established(None);
    peer.is_awaited(&[ONE]);
    assert_eq!((peer.questions(), peer.has(ONE)), (0, None));

    peer.originate(&[ONE]);

    assert!(matches!(peer.actions(), [.., Action::Send { .. }, Action::AwaitAcknowledged { .. }]));
}

#[test]
fn an_answer_is_about_what_was_sent_before_the_question() {
    let mut peer = told();
    peer.is_awaited(&[ONE, OTHER]);

    peer.originate(&[ONE, OTHER]);
    assert_eq!((peer.questions(), peer.has(OTHER)), (1, Some(false)), "one question at a time");
    peer.acknowledges();
    assert_eq!((peer.questions(), peer.has(ONE), peer.has(OTHER)), (2, Some(true), Some(false)));
    peer.acknowledges();

    assert_eq!(peer.has(OTHER), Some(true));
}

#[test]
fn a_prefix_that_went_away_meanwhile_is_to_be_acknowledged_anew() {
    let mut peer = told();
    peer.is_awaited(&[ONE]);

    peer.originate(&[]);
    assert_eq!(peer.has(ONE), None);
    peer.originate(&[ONE]);
    peer.acknowledges();
    assert_eq!((peer.questions(), peer.has(ONE)), (2, Some(false)), "that was of the first time");
    peer.acknowledges();

    assert_eq!(peer.has(ONE), Some(true));
}

#[test]
fn another_session_is_asked_anew() {
    let mut peer = told();
    peer.is_awaited(&[ONE]);
    peer.acknowledges();

    peer.lose();
    assert_eq!(peer.has(ONE), None);
    peer.call(None);

    assert_eq!((peer.questions(), peer.has(ONE)), (2, Some(false)));
    assert!(
        matches!(peer.actions().last(), Some(Action::AwaitAcknowledged { connection }) if *connection == peer.connection)
    );
}

#[test]
fn what_was_acknowledged_under_the_same_terms_is_not_asked_for_again() {
    let mut peer = told();
    peer.is_awaited(&[ONE]);
    peer.acknowledges();

    peer.reconfigure(|neighbour| neighbour.passive = false);

    assert_eq!((peer.questions(), peer.has(ONE)), (1, Some(true)));
}

#[test]
fn who_is_not_told_is_not_waited_for() {
    let mut peer = told();
    peer.is_awaited(&[ONE]);
    peer.acknowledges();

    peer.reconfigure(|neighbour| neighbour.exchange.export = RouteRules::Closed);
    assert_eq!((peer.questions(), peer.has(ONE)), (1, None));
    peer.configure();

    assert_eq!((peer.questions(), peer.has(ONE)), (2, Some(false)));
}

#[test]
fn another_neighbour_is_not_asked() {
    let mut peer = told();

    peer.is_awaited_of(&[ONE], [address(7)]);

    assert_eq!((peer.questions(), peer.has(ONE)), (0, None));
}

#[test]
fn one_that_was_told_long_ago_is_asked_when_it_has_taken_all_that_came_after() {
    let mut peer = told();
    peer.takes(FULL + 1);

    peer.is_awaited(&[ONE]);
    assert_eq!((peer.questions(), peer.has(ONE)), (0, Some(false)));
    peer.takes(0);

    assert_eq!(peer.questions(), 1);
}

#[test]
fn one_that_takes_slowly_is_asked_when_it_has_been_told() {
    let mut peer = told();
    peer.takes(FULL + 1);
    peer.originate(&[ONE, OTHER]);

    peer.is_awaited(&[OTHER]);
    assert_eq!((peer.questions(), peer.has(OTHER)), (0, Some(false)));
    peer.takes(0);

    assert!(matches!(peer.actions(), [.., Action::Send { .. }, Action::AwaitAcknowledged { .. }]));
    peer.acknowledges();
    assert_eq!(peer.has(OTHER), Some(true));
}
