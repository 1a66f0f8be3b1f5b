//! A session that a person does not want, here or at the other end, and what the persons say to each other.

use poplin_bgp::{Order, OrderRefusal, SessionState, wire::Fault, wire::Message, wire::Notification};

use crate::{
    peer::{Peer, SECOND},
    world::address,
};

#[test]
fn rfc9003_2_the_neighbour_is_told_in_the_persons_words_and_turned_away_from_then_on() {
    let mut peer = Peer::established(None);
    peer.tell(&["198.51.100.0/24"]);

    peer.reconfigure(|neighbour| neighbour.shutdown = Some("disks, until 5".into()));

    let mut data = vec![14];
    data.extend(b"disks, until 5");
    assert_eq!(peer.heard(peer.connection).last(), Some(&Message::Notification(Fault::SHUTDOWN.with(data))));
    assert_eq!((peer.view().state, peer.routes().count()), (SessionState::Idle, 0));
    peer.pass(3600 * SECOND);
    peer.connect();
    assert!(peer.is_closed(peer.connection));
    assert!(peer.view().is_shut_down);
}

#[test]
fn a_shutdown_that_is_taken_back_lets_the_neighbour_in() {
    let mut peer = Peer::established(None);
    peer.reconfigure(|neighbour| neighbour.shutdown = Some(String::new()));

    peer.reconfigure(|_| {});

    peer.call(None);
}

#[test]
fn a_session_that_an_order_ends_stays_down_whatever_is_declared_until_the_order_is_taken_back() {
    let mut peer = Peer::established(None);
    peer.tell(&["198.51.100.0/24"]);

    peer.order(Order::ShutDown("new optics".into()));

    let farewell = Message::Notification(Notification::shutdown("new optics"));
    assert_eq!(peer.heard(peer.connection).last(), Some(&farewell));
    assert_eq!((peer.view().state, peer.routes().count()), (SessionState::Idle, 0));
    assert!(peer.view().is_shut_down && peer.view().is_held);
    peer.reconfigure(|neighbour| neighbour.passive = false);
    peer.deconfigure();
    peer.reconfigure(|neighbour| neighbour.passive = false);
    peer.pass(3600 * SECOND);
    peer.connect();
    assert!(peer.is_closed(peer.connection) && peer.dials() == 0);
    assert_eq!(peer.view().last_error.unwrap(), r#"administrative shutdown (6/2): "new optics""#);

    peer.order(Order::Start);

    assert_eq!((peer.dials(), peer.view().is_shut_down, peer.view().is_held), (1, false, false));
    peer.call(None);
}

#[test]
fn a_shutdown_that_was_declared_outlasts_one_that_was_ordered() {
    let mut peer = Peer::established(None);
    peer.order(Order::ShutDown("first".into()));
    peer.reconfigure(|neighbour| neighbour.shutdown = Some("declared".into()));

    assert_eq!(peer.admits(&Order::Start), Err(OrderRefusal::Declared(address(1))));
    assert_eq!(peer.admits(&Order::Reset), Err(OrderRefusal::ShutDown(address(1))));
    peer.order(Order::Start);

    assert!(peer.view().is_shut_down && !peer.view().is_held);
    assert_eq!(peer.view().last_error.unwrap(), r#"administrative shutdown (6/2): "declared""#);
    peer.configure();
    peer.call(None);
    assert_eq!(peer.admits(&Order::Start), Err(OrderRefusal::NotShutDown(address(1))));
}

#[test]
fn rfc9003_5_what_the_neighbours_person_says_is_shown_in_quotes() {
    let mut peer = Peer::established(None);

    peer.say(Message::Notification(Notification::shutdown("bye\nfake line")));

    let told = peer.view().last_error.unwrap();
    assert_eq!(told, r#"the neighbour reports: administrative shutdown (6/2): "bye\nfake line""#);
}

#[test]
fn what_the_neighbour_said_is_not_forgotten_over_calls_that_fail_after_it() {
    let mut peer = Peer::established(None);
    peer.say(Message::Notification(Notification::shutdown("new cables")));
    let said = r#"the neighbour reports: administrative shutdown (6/2): "new cables""#;

    peer.connect();
    peer.lose();

    let told = peer.view().last_error.unwrap();
    assert!(told.starts_with(&format!("{said}; since then: ")), "{told}");
    peer.call(None);
    peer.lose();
    let told = peer.view().last_error.unwrap();
    assert!(!told.contains("new cables"), "{told}");
}

#[test]
fn a_communication_is_cut_between_two_characters_and_a_broken_one_is_no_harm() {
    let long = Notification::shutdown(&"ä".repeat(200));

    assert_eq!(long.communication().unwrap(), "ä".repeat(127));
    assert_eq!(Fault::SHUTDOWN.with([200, b'x']).communication(), None);
    assert_eq!(Fault::SHUTDOWN.with([1, 0xff]).communication().unwrap(), "\u{fffd}");
    assert_eq!(Fault::COLLISION.with([1, b'x']).communication(), None);
    assert_eq!(Notification::shutdown(""), Fault::SHUTDOWN.bare());
}
