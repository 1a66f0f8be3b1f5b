//! RFC 4271 §6.8: both call at once, and one connection survives.

use std::time::Duration;

use poplin_bgp::{Action, Address, Asn, ConnectionId, Event, Note, Speaker, SpeakerConfig};

use crate::world::{World, address, neighbour};

#[test]
fn rfc4271_6_8_exactly_one_of_two_connections_survives_whatever_the_order() {
    let is_down = |note: &Note| matches!(note, Note::SessionDown { .. });
    let mut flaps = 0;
    for seed in 0..2000 {
        let world = World::mesh(&[64512, 64512], seed);

        assert!(world.is_up(0, 1), "seed {seed}");
        assert_eq!(world.pipes(0, 1), 1, "seed {seed}");
        let blamed = |note: &Note| matches!(note, Note::ErrorSent { .. });
        assert!(!world.hosts.iter().any(|host| host.notes.iter().any(blamed)), "seed {seed}");
        flaps += usize::from(world.hosts.iter().any(|host| host.notes.iter().any(is_down)));
    }
    // In a few orders the loser was established for a moment; both ends still agree on the winner.
    assert!(flaps < 40, "{flaps} of 2000");
}

#[test]
fn rfc6286_2_3_the_higher_system_breaks_a_tie_of_identifiers() {
    for seed in 0..500 {
        let mut world = World::of(&[64512, 64513], seed);
        world.hosts[0].config.router_id = world.hosts[1].config.router_id;
        world.acquaint_all();

        world.settle();

        assert!(world.is_up(0, 1), "seed {seed}");
        assert_eq!(world.pipes(0, 1), 1, "seed {seed}");
    }
}

#[test]
fn rfc4271_6_8_the_call_of_the_higher_identifier_counts_in_both_orders() {
    for (ours, outgoing_first, kept) in [(9, true, true), (9, false, true), (1, true, false), (1, false, false)] {
        let mut speaker = calling(ours);
        let (outgoing, incoming) = (ConnectionId(1), ConnectionId(2));
        open(&mut speaker, outgoing, true);
        open(&mut speaker, incoming, false);

        let order = if outgoing_first { [outgoing, incoming] } else { [incoming, outgoing] };
        let closed: Vec<_> = order.into_iter().filter_map(|connection| hear_open(&mut speaker, connection)).collect();

        let loser = if kept { incoming } else { outgoing };
        assert_eq!(closed, [loser], "identifier {ours}, outgoing first: {outgoing_first}");
    }
}

#[test]
fn rfc4271_6_8_a_call_to_an_established_session_is_turned_away() {
    let mut world = World::mesh(&[64512, 64512], 1);
    let late = ConnectionId(1000);

    let opened =
        Event::ConnectionOpened { connection: late, neighbour: address(1), outgoing: false, local: address(0) };
    world.handle(0, opened);
    world.pass(Duration::from_secs(1));

    assert!(world.is_up(0, 1));
    assert!(matches!(world.hosts[0].notes.last(), Some(Note::Refused { .. })));
}

/// What is established over the neighbour's call must not be met by a late one of ours.
#[test]
fn a_neighbour_with_a_session_is_not_dialled_any_more() {
    let incoming = ConnectionId(1);
    let mut speaker = calling(9);
    let is_stopped = |actions: &[Action]| actions.contains(&Action::StopDialling { neighbour: address(1) });

    let opened = [open(&mut speaker, incoming, false), hear(&mut speaker, incoming, OPEN)];
    let established = hear(&mut speaker, incoming, KEEPALIVE);

    assert!(
        !opened.iter().any(|actions| is_stopped(actions)),
        "our dial may yet tell why there is no session: {opened:?}"
    );
    assert!(is_stopped(&established), "{established:?}");
    assert!(!is_stopped(&hear(&mut speaker, incoming, KEEPALIVE)), "it is said once");
}

/// However many dials are under way, the first that is answered is enough.
#[test]
fn a_neighbour_that_answers_is_not_dialled_any_more() {
    let answered = open(&mut calling(9), ConnectionId(1), true);

    assert_eq!(answered.first(), Some(&Action::StopDialling { neighbour: address(1) }));
}

/// A speaker that dials its neighbour 192.0.2.2, which has the identifier 192.0.2.5.
fn calling(identifier: u8) -> Speaker {
    let config = SpeakerConfig { asn: Asn(64512), router_id: [192, 0, 2, identifier].into() };
    let mut speaker = Speaker::new(config);
    let neighbours = vec![neighbour(address(1), 64513)];
    speaker.handle(std::time::Instant::now(), Event::Reconfigure { config, neighbours });
    drain(&mut speaker);
    speaker
}

fn open(speaker: &mut Speaker, connection: ConnectionId, outgoing: bool) -> Vec<Action> {
    let local = Address::from([192, 0, 2, 1]);
    let opened = Event::ConnectionOpened { connection, neighbour: address(1), outgoing, local };
    speaker.handle(std::time::Instant::now(), opened);
    drain(speaker)
}

/// What the neighbour says after the marker: that it is 192.0.2.5 of AS 64513, and that it agrees.
const OPEN: &[u8] = &[0, 29, 1, 4, 0xfc, 0x01, 0, 90, 192, 0, 2, 5, 0];
const KEEPALIVE: &[u8] = &[0, 19, 4];

fn hear(speaker: &mut Speaker, connection: ConnectionId, message: &[u8]) -> Vec<Action> {
    let octets = [&[0xff; 16], message].concat();
    speaker.handle(std::time::Instant::now(), Event::Received { connection, octets });
    drain(speaker)
}

/// Which connection is closed because of the neighbour's OPEN.
fn hear_open(speaker: &mut Speaker, connection: ConnectionId) -> Option<ConnectionId> {
    hear(speaker, connection, OPEN).into_iter().find_map(|action| match action {
        Action::Close { connection } => Some(connection),
        _ => None,
    })
}

fn drain(speaker: &mut Speaker) -> Vec<Action> {
    std::iter::from_fn(|| speaker.next_action()).collect()
}
