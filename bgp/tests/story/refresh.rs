//! RFC 7313: all routes are told again, between marks.

use poplin_bgp::{
    Order,
    wire::{Capability, Family, Fault, Message, RefreshPart, RouteRefresh},
};

use crate::{
    foreign::message,
    peer::{Peer, SECOND, kept},
    world::{net, nets},
};

#[test]
fn rfc7313_4_what_is_not_told_again_between_the_marks_goes_at_the_end_and_not_before() {
    let mut peer = Peer::established(None);
    peer.tell(&["10.0.0.0/8", "10.1.0.0/16", "2001:db8:1::/48"]);

    peer.refresh(RefreshPart::Begin);
    peer.tell(&["10.1.0.0/16"]);
    assert_eq!(peer.removed(), []);
    let stale: Vec<_> = peer.routes().filter(|(_, is_stale)| *is_stale).map(|(prefix, _)| prefix).collect();
    assert_eq!(stale, [net("10.0.0.0/8")]);
    peer.refresh(RefreshPart::End);

    assert_eq!(peer.removed(), [net("10.0.0.0/8")]);
    assert_eq!(
        peer.routes().map(|(prefix, _)| prefix).collect::<Vec<_>>(),
        [net("10.1.0.0/16"), net("2001:db8:1::/48")]
    );
}

#[test]
fn rfc7313_4_a_mark_without_a_beginning_says_nothing() {
    let mut peer = Peer::established(None);
    peer.tell(&["10.0.0.0/8"]);

    peer.refresh(RefreshPart::End);

    assert_eq!(peer.removed(), []);
}

#[test]
fn rfc7313_4_a_second_beginning_counts_anew() {
    let mut peer = Peer::established(None);
    peer.tell(&["10.0.0.0/8"]);

    peer.refresh(RefreshPart::Begin);
    peer.tell(&["10.0.0.0/8"]);
    peer.refresh(RefreshPart::Begin);
    peer.refresh(RefreshPart::End);

    assert_eq!(peer.removed(), [net("10.0.0.0/8")]);
}

#[test]
fn rfc7313_4_a_restarted_neighbour_is_not_refreshed_before_the_end_of_its_table() {
    let mut peer = Peer::established(Some(kept(120)));
    peer.tell(&["10.0.0.0/8"]);

    peer.refresh(RefreshPart::Begin);
    peer.refresh(RefreshPart::End);
    assert_eq!(peer.removed(), []);
    peer.end_table(Family::Ipv4);
    peer.refresh(RefreshPart::Begin);
    peer.refresh(RefreshPart::End);

    assert_eq!(peer.removed(), [net("10.0.0.0/8")]);
}

#[test]
fn a_refresh_that_does_not_end_ends_after_ten_minutes() {
    let mut peer = Peer::established(None);
    peer.tell(&["10.0.0.0/8"]);
    peer.refresh(RefreshPart::Begin);

    peer.pass(599 * SECOND);
    assert_eq!(peer.removed(), []);
    peer.pass(SECOND);

    assert_eq!(peer.removed(), [net("10.0.0.0/8")]);
    let told = "192.0.2.2 began to tell its IPv4 routes again and did not end: those it left out are removed";
    assert!(peer.notes().iter().any(|note| note.to_string() == told));
}

#[test]
fn a_session_that_ends_within_a_refresh_takes_it_along() {
    let mut peer = Peer::established(None);
    peer.tell(&["10.0.0.0/8"]);
    peer.refresh(RefreshPart::Begin);

    peer.lose();
    assert_eq!(peer.removed(), [net("10.0.0.0/8")]);
    peer.call(None);
    peer.tell(&["10.0.0.0/8"]);
    peer.refresh(RefreshPart::End);
    peer.pass(3600 * SECOND);

    assert_eq!(peer.removed(), []);
}

#[test]
fn rfc7313_4_we_mark_what_we_tell_again_where_the_neighbour_knows_marks() {
    for knows in [true, false] {
        let mut peer = Peer::new();
        peer.originate(&["10.0.0.0/8"]);
        peer.call_with([Capability::RouteRefresh].into_iter().chain(knows.then_some(Capability::EnhancedRefresh)));
        let before = peer.heard(peer.connection).len();

        peer.refresh(RefreshPart::Request);

        let told = peer.heard(peer.connection).split_off(before);
        let mark = |part| Message::RouteRefresh(RouteRefresh { family: Some(Family::Ipv4), part });
        match &told[..] {
            [begin, Message::Update(_), end] if knows => {
                assert_eq!((begin, end), (&mark(RefreshPart::Begin), &mark(RefreshPart::End)));
            }
            [Message::Update(_)] if !knows => {}
            other => panic!("{knows}: {other:?}"),
        }
    }
}

#[test]
fn an_operator_who_tells_again_marks_it_too() {
    let mut peer = Peer::new();
    peer.originate(&["10.0.0.0/8"]);
    peer.call_with([Capability::RouteRefresh, Capability::EnhancedRefresh]);

    peer.order(Order::TellAgain);

    assert_eq!(peer.detail().record.sent.refreshes, 4, "two marks for each family");
    assert_eq!(peer.told(), nets(&["10.0.0.0/8"]));
}

#[test]
fn rfc7313_5_a_mark_of_another_length_is_answered_by_its_own_error() {
    for (body, expected) in [
        (&[0, 1, 1, 1, 9][..], Fault::REFRESH_LENGTH.with(message(5, &[0, 1, 1, 1, 9]))),
        (&[0, 1, 0, 1, 9], Fault::BAD_LENGTH.with([0, 24])),
        (&[0, 1], Fault::BAD_LENGTH.with([0, 21])),
    ] {
        let mut peer = Peer::established(None);

        peer.hear(&message(5, body));

        assert_eq!(peer.heard(peer.connection).pop(), Some(expected.into()));
    }
}

#[test]
fn rfc7313_5_a_part_that_nobody_knows_is_passed_over() {
    let mut peer = Peer::established(None);
    let before = peer.heard(peer.connection).len();

    peer.hear(&message(5, &[0, 1, 3, 1]));

    assert_eq!(peer.heard(peer.connection).len(), before);
}
