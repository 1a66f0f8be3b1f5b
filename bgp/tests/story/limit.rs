//! A neighbour that announces more prefixes than it may.

use std::time::Duration;

use poplin_bgp::{LimitAction, Note, PrefixLimits, SessionState, wire::Fault, wire::Message};

use crate::peer::{Peer, SECOND};

const TWO: [&str; 2] = ["198.51.100.0/25", "198.51.100.128/25"];

#[test]
fn rfc4486_4_one_prefix_too_many_ends_the_session_with_the_family_and_the_limit() {
    let mut peer = limited(LimitAction::Stop);
    peer.tell(&TWO);

    peer.announce("203.0.113.0/24");

    let expected = Fault::MAXIMUM_PREFIXES.with([0, 1, 1, 0, 0, 0, 2]);
    assert_eq!(peer.heard(peer.connection).last(), Some(&Message::Notification(expected)));
    assert_eq!((peer.view().state, peer.routes().count()), (SessionState::Idle, 0));
    let told = peer.view().last_error.unwrap();
    assert_eq!(told, "maximum number of prefixes reached (6/1): more than 2 of IPv4");
}

#[test]
fn it_stays_away_until_the_limits_change() {
    let mut peer = limited(LimitAction::Stop);
    peer.tell(&TWO);
    peer.announce("203.0.113.0/24");

    peer.pass(3600 * SECOND);
    peer.connect();
    let while_stopped = peer.is_closed(peer.connection);
    peer.reconfigure(|neighbour| neighbour.limits.v4 = Some(3));
    peer.call(None);

    assert!(while_stopped);
    peer.tell(&TWO);
    peer.tell(&["203.0.113.0/24"]);
    assert_eq!(peer.view().limits.values().next(), Some(&(3, 3)));
}

#[test]
fn after_a_pause_it_may_try_again() {
    let mut peer = limited(LimitAction::Pause(Duration::from_secs(60)));
    peer.tell(&TWO);
    peer.announce("203.0.113.0/24");

    peer.pass(59 * SECOND);
    peer.connect();
    assert!(peer.is_closed(peer.connection));
    peer.pass(2 * SECOND);

    peer.call(None);
}

#[test]
fn a_warning_is_given_once_and_again_when_it_happens_again() {
    let mut peer = limited(LimitAction::Warn);
    peer.tell(&TWO);

    peer.tell(&["203.0.113.0/25"]);
    peer.tell(&["203.0.113.128/25"]);

    let warnings =
        peer.notes().into_iter().filter(|note| matches!(note, Note::TooManyPrefixes { count: 3, limit: 2, .. }));
    assert_eq!(warnings.count(), 1);
    assert_eq!((peer.view().state, peer.routes().count()), (SessionState::Established, 4));
}

#[test]
fn each_family_is_counted_for_itself_and_a_prefix_told_twice_once() {
    let mut peer = limited(LimitAction::Stop);

    peer.tell(&TWO);
    peer.tell(&TWO);
    peer.tell(&["2001:db8:1::/48", "2001:db8:2::/48", "2001:db8:3::/48"]);

    assert_eq!(peer.view().state, SessionState::Established);
}

#[test]
fn a_lower_limit_counts_at_once() {
    let mut peer = limited(LimitAction::Stop);
    peer.tell(&TWO);

    peer.reconfigure(|neighbour| neighbour.limits.v4 = Some(1));

    assert_eq!((peer.view().state, peer.routes().count()), (SessionState::Idle, 0));
}

/// A session with a neighbour that may announce two prefixes of IPv4.
fn limited(action: LimitAction) -> Peer {
    let mut peer = Peer::new();
    peer.reconfigure(|neighbour| neighbour.limits = PrefixLimits { v4: Some(2), v6: None, action });
    peer.call(None);
    peer
}
