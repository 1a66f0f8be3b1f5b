//! RFC 9687, and what a neighbour that takes slowly costs: it goes on sending KEEPALIVEs, and does not read.

use std::time::Duration;

use poplin_bgp::{
    RouteRules, SessionState,
    wire::{Capability, Fault, RefreshPart},
};

use crate::{
    peer::{Peer, SECOND},
    world::{net, nets},
};

/// More than this waits for nobody: see `speaker/wait.rs`.
const FULL: usize = 1 << 20;

#[test]
fn rfc9687_a_neighbour_that_takes_nothing_for_eight_minutes_is_left() {
    let mut peer = Peer::established(None);
    let minutes = 60 * SECOND;

    peer.takes(500);
    peer.pass(7 * minutes);
    peer.takes(499);
    peer.pass(8 * minutes - SECOND);
    assert_eq!(peer.view().state, SessionState::Established, "it has taken some");
    peer.pass(SECOND);

    assert_eq!(peer.heard(peer.connection).pop(), Some(Fault::SEND_HOLD_EXPIRED.bare().into()));
    assert!(peer.is_closed(peer.connection));
    assert_eq!(peer.view().last_error.as_deref(), Some("send hold timer expired (8/0)"));
}

#[test]
fn rfc9687_twice_the_hold_time_counts_where_that_is_longer_and_the_operators_word_before_both() {
    for (hold, asked, expected) in [(90, None, 480), (600, None, 1200), (90, Some(181), 181)] {
        let mut peer = Peer::new();
        peer.reconfigure(|neighbour| {
            neighbour.hold_time = hold * SECOND;
            neighbour.send_hold = asked.map(Duration::from_secs);
        });
        peer.call_holding(u16::try_from(hold).unwrap());

        peer.takes(1);
        peer.pass((expected - 1) * SECOND);
        assert_eq!(peer.view().state, SessionState::Established, "{hold} {asked:?}");
        peer.pass(SECOND);

        assert_ne!(peer.view().state, SessionState::Established, "{hold} {asked:?}");
    }
}

#[test]
fn an_operator_who_is_not_so_patient_need_not_wait_for_the_neighbour() {
    let mut peer = Peer::established(None);
    peer.takes(500);
    peer.pass(200 * SECOND);

    peer.reconfigure(|neighbour| neighbour.send_hold = Some(100 * SECOND));
    peer.pass(SECOND);

    assert_eq!(peer.view().last_error.as_deref(), Some("send hold timer expired (8/0)"));
}

#[test]
fn a_neighbour_that_takes_everything_in_time_is_left_in_peace() {
    let mut peer = Peer::established(None);

    peer.takes(500);
    peer.takes(0);
    peer.pass(3600 * SECOND);

    assert_eq!(peer.view().state, SessionState::Established);
    assert_eq!(peer.detail().times.send_until, None);
}

#[test]
fn what_waits_for_a_slow_neighbour_stays_bounded_and_it_hears_in_the_end_what_is_true() {
    let mut peer = Peer::established(None);
    peer.originate(&["10.0.0.0/8", "10.1.0.0/16"]);
    peer.takes(FULL + 1);
    let before = peer.heard(peer.connection).len();

    for _ in 0..1000 {
        peer.originate(&["10.0.0.0/8", "10.2.0.0/16"]);
        peer.originate(&["10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16"]);
        peer.refresh(RefreshPart::Request);
    }
    assert_eq!(peer.heard(peer.connection).len(), before, "nothing is sent while it takes nothing");
    assert_eq!((peer.detail().waiting_octets, peer.detail().late_prefixes), (FULL + 1, 4));
    peer.takes(0);

    assert_eq!(peer.told(), nets(&["10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16"]));
    assert!(peer.heard(peer.connection).len() <= before + 4);
    peer.originate(&["10.1.0.0/16"]);
    assert_eq!(peer.told(), nets(&["10.1.0.0/16"]), "and from then on everything at once");
}

#[test]
fn a_change_of_the_terms_reaches_a_slow_neighbour_too() {
    let mut peer = Peer::established(None);
    peer.originate(&["10.0.0.0/8", "10.1.0.0/16"]);
    peer.takes(FULL + 1);

    peer.reconfigure(|neighbour| neighbour.exchange.export = RouteRules::Closed);
    assert_eq!(peer.told().len(), 2);
    peer.takes(0);

    assert_eq!(peer.told(), nets(&[]));
}

#[test]
fn a_session_that_ends_meanwhile_leaves_nothing_to_tell() {
    let mut peer = Peer::established(None);
    peer.takes(FULL + 1);
    peer.originate(&["10.0.0.0/8"]);

    peer.lose();
    peer.takes(0);
    peer.call_with([Capability::RouteRefresh]);

    assert_eq!(peer.told(), [net("10.0.0.0/8")].into());
}
