//! RFC 4724: a neighbour restarts, and its routes stay in use meanwhile.

use std::{collections::BTreeMap, time::Duration};

use poplin_bgp::{
    Event, Note, RESTART_TIME, SessionState,
    wire::{Capability, Family, Fault, GracefulRestart, Message, Unreach, Update},
};

use crate::{
    foreign::message,
    peer::{Peer, SECOND, kept},
    world::{World, address, net},
};

#[test]
fn rfc4724_4_a_killed_speaker_comes_back_and_nobody_touches_a_route() {
    for (seed, are_told) in (0..300).flat_map(|seed| [(seed, true), (seed, false)]) {
        let mut world = World::mesh(&[64512, 64512, 64512], seed);
        (0..3).for_each(|host| world.originate(host, &[&format!("10.0.{host}.0/26")]));
        world.pass(Duration::from_secs(100));
        let changes = [1, 2].map(|host| world.hosts[host].route_changes);

        world.kill(0, are_told);
        world.pass(3 * SECOND);
        world.revive(0);
        world.pass(Duration::from_secs(300));

        assert!(world.is_up(0, 1) && world.is_up(0, 2), "seed {seed}");
        assert_eq!([1, 2].map(|host| world.hosts[host].route_changes), changes, "seed {seed}, told: {are_told}");
        assert_eq!(world.hosts[0].routes.len(), 2);
        assert!(world.hosts[1].speaker.routes().all(|route| !route.stale), "seed {seed}");
        assert!(world.view(0, 1).has_sent_table && world.view(1, 0).has_sent_table);
    }
}

#[test]
fn rfc4724_4_2_what_is_not_told_again_goes_at_the_end_of_the_table() {
    let mut world = World::mesh(&[64512, 64512], 1);
    world.originate(1, &["10.0.1.0/26", "10.0.1.64/26"]);
    world.pass(SECOND);

    world.kill(1, true);
    world.pass(SECOND);
    assert_eq!(world.hosts[0].routes.len(), 2);
    world.hosts[1].own.remove(&net("10.0.1.64/26"));
    world.revive(1);
    world.pass(10 * SECOND);

    assert_eq!(world.hosts[0].routes.keys().copied().collect::<Vec<_>>(), [net("10.0.1.0/26")]);
}

#[test]
fn rfc4724_4_2_a_neighbour_that_stays_away_loses_its_routes_when_its_time_is_over() {
    for (time_secs, wait) in [(30, 30), (4095, 120)] {
        let mut peer = Peer::established(Some(kept(time_secs)));
        peer.tell(&["10.0.1.0/26"]);

        peer.lose();
        assert!(peer.routes().all(|(_, stale)| stale));
        peer.pass(Duration::from_secs(wait) - SECOND);
        assert_eq!(peer.removed(), []);
        peer.pass(SECOND);

        assert_eq!(peer.removed(), [net("10.0.1.0/26")]);
        assert!(peer.notes().contains(&Note::RestartExpired { neighbour: address(1) }));
    }
}

#[test]
fn rfc4724_4_2_a_neighbour_that_never_ends_its_table_loses_what_it_does_not_tell() {
    let mut peer = Peer::established(Some(kept(30)));
    peer.tell(&["10.0.1.0/26", "10.0.2.0/26"]);
    peer.lose();
    peer.pass(29 * SECOND);

    peer.call(Some(kept(30)));
    peer.tell(&["10.0.1.0/26"]);
    peer.pass(RESTART_TIME - SECOND);
    assert_eq!(peer.removed(), []);
    peer.pass(SECOND);

    assert_eq!(peer.removed(), [net("10.0.2.0/26")]);
    assert_eq!(peer.view().state, SessionState::Established);
}

#[test]
fn rfc4724_3_how_long_either_may_be_away_is_the_operators_to_say() {
    let mut peer = Peer::new();
    peer.reconfigure(|neighbour| neighbour.restart = 300 * SECOND);
    peer.call(Some(kept(600)));
    peer.tell(&["10.0.1.0/26", "10.0.2.0/26"]);
    let said = |peer: &Peer| match &peer.heard(peer.connection)[..] {
        [Message::Open(open), ..] => open.graceful_restart().unwrap().time_secs,
        other => panic!("no OPEN leads {other:?}"),
    };
    assert_eq!(said(&peer), 300);

    peer.lose();
    peer.pass(299 * SECOND);
    assert_eq!(peer.removed(), []);
    peer.call(Some(kept(600)));
    peer.tell(&["10.0.1.0/26"]);
    peer.pass(299 * SECOND);
    assert_eq!(peer.removed(), []);
    peer.pass(SECOND);
    assert_eq!(peer.removed(), [net("10.0.2.0/26")]);

    peer.reconfigure(|neighbour| neighbour.restart = 9999 * SECOND);
    assert_eq!((peer.view().pending, peer.view().state), (vec!["restart time"], SessionState::Established));
    peer.lose();
    peer.call(Some(kept(600)));
    assert_eq!(said(&peer), 4095, "no more fits");
}

#[test]
fn rfc4724_4_a_notification_of_either_end_removes_the_routes_at_once() {
    let farewells: [fn(&mut Peer); 4] = [
        |peer| peer.say(Message::Notification(Fault::SHUTDOWN.bare())),
        |peer| peer.hear(b"nonsense of nineteen octets and more"),
        |peer| peer.pass(Duration::from_secs(90)),
        Peer::deconfigure,
    ];
    for farewell in farewells {
        let mut peer = Peer::established(Some(kept(120)));
        peer.tell(&["10.0.1.0/26"]);
        peer.keeps_alive = false;

        farewell(&mut peer);

        assert_eq!(peer.removed(), [net("10.0.1.0/26")]);
    }
}

#[test]
fn rfc4724_4_a_notification_during_the_restart_removes_the_routes_at_once() {
    let farewells: [fn(&mut Peer); 3] = [
        |peer| {
            peer.connect();
            peer.say(Message::Notification(Fault::SHUTDOWN.bare()));
        },
        |peer| {
            peer.connect();
            peer.say(Message::Keepalive);
        },
        Peer::deconfigure,
    ];
    for farewell in farewells {
        let mut peer = Peer::established(Some(kept(120)));
        peer.tell(&["10.0.1.0/26"]);
        peer.lose();
        assert_eq!(peer.removed(), []);

        farewell(&mut peer);

        assert_eq!(peer.removed(), [net("10.0.1.0/26")]);
    }
}

#[test]
fn rfc4724_4_2_what_the_neighbour_did_not_keep_itself_goes_when_it_is_back() {
    let both = kept(120);
    let only_v4 = GracefulRestart { families: BTreeMap::from([(Family::Ipv4, true)]), ..kept(120) };
    let clear =
        GracefulRestart { families: BTreeMap::from([(Family::Ipv4, true), (Family::Ipv6, false)]), ..kept(120) };
    let (v4, v6) = (net("10.0.1.0/26"), net("fd00:1::/64"));
    let cases = [
        ("both kept", Some(both), vec![]),
        ("F bit clear", Some(clear), vec![v6]),
        ("family missing", Some(only_v4), vec![v6]),
        ("no family", Some(GracefulRestart::default()), vec![v4, v6]),
        ("no capability", None, vec![v4, v6]),
    ];
    for (story, restart, gone) in cases {
        let mut peer = Peer::established(Some(kept(120)));
        peer.tell(&["10.0.1.0/26", "fd00:1::/64"]);
        peer.lose();
        assert_eq!(peer.removed(), [], "{story}");

        peer.call(restart);

        assert_eq!(peer.removed(), gone, "{story}");
    }
}

#[test]
fn rfc4724_4_2_the_end_of_one_family_leaves_the_other_alone() {
    let mut peer = Peer::established(Some(kept(120)));
    peer.tell(&["10.0.1.0/26", "fd00:1::/64"]);
    peer.lose();
    peer.call(Some(kept(120)));
    assert!(!peer.view().has_sent_table);

    peer.end_table(Family::Ipv6);
    assert_eq!(peer.removed(), [net("fd00:1::/64")]);
    assert!(!peer.view().has_sent_table);

    peer.end_table(Family::Ipv4);
    assert_eq!(peer.removed(), [net("10.0.1.0/26")]);
    assert!(peer.view().has_sent_table);
}

#[test]
fn rfc4724_2_a_neighbour_without_the_capability_has_sent_its_table_when_it_is_established() {
    let mut peer = Peer::established(None);
    assert!(peer.view().has_sent_table);
    peer.tell(&["10.0.1.0/26"]);

    peer.lose();

    assert_eq!(peer.removed(), [net("10.0.1.0/26")]);
    assert!(!peer.view().has_sent_table);
}

#[test]
fn rfc4724_2_only_a_whole_and_empty_update_ends_a_table() {
    let mut peer = Peer::established(Some(kept(120)));
    peer.end_table(Family::Ipv6);
    let foreign_family = [0, 0, 0, 6, 0x80, 15, 3, 0, 25, 70];
    let flawed = [0, 0, 0, 3, 0x40, 1, 9];

    for body in [&foreign_family[..], &flawed] {
        peer.hear(&message(2, body));
        assert!(!peer.view().has_sent_table, "{body:?}");
    }

    peer.say(Message::Update(Update {
        unreach: Some(Unreach { family: Family::Ipv4, prefixes: Vec::new() }),
        ..Update::default()
    }));
    assert!(peer.view().has_sent_table, "the long form of the mark for IPv4");
}

#[test]
fn rfc4724_4_2_of_two_restarts_in_a_row_the_leavings_of_the_first_go() {
    let mut peer = Peer::established(Some(kept(120)));
    peer.tell(&["10.0.1.0/26", "10.0.2.0/26"]);
    peer.lose();
    peer.call(Some(kept(120)));
    peer.tell(&["10.0.1.0/26"]);

    peer.lose();

    assert_eq!(peer.removed(), [net("10.0.2.0/26")]);
    assert_eq!(peer.routes().collect::<Vec<_>>(), [(net("10.0.1.0/26"), true)]);
}

#[test]
fn rfc4724_4_2_a_new_call_shows_that_the_old_session_is_dead() {
    let mut peer = Peer::established(Some(kept(120)));
    peer.tell(&["10.0.1.0/26"]);
    peer.pass(6 * SECOND);
    let old = peer.connection;

    peer.connect();
    assert!(!peer.is_closed(old), "a call that says nothing proves nothing");
    peer.introduce(Some(kept(120)));
    assert!(peer.is_closed(old));
    let told: Vec<_> = peer.heard(old).into_iter().filter(|one| matches!(one, Message::Notification(_))).collect();
    assert_eq!(told, [], "it is closed without a word");
    assert_eq!(peer.removed(), []);

    peer.say(Message::Keepalive);
    peer.tell(&["10.0.1.0/26"]);
    Family::ALL.into_iter().for_each(|family| peer.end_table(family));
    assert_eq!(peer.routes().collect::<Vec<_>>(), [(net("10.0.1.0/26"), false)]);
    assert_eq!(peer.removed(), []);
}

#[test]
fn rfc4271_6_8_a_call_that_may_have_crossed_ours_is_still_turned_away() {
    for (restart, age) in [(Some(kept(120)), 4), (Some(GracefulRestart::default()), 60), (None, 60)] {
        let mut peer = Peer::established(restart);
        peer.pass(Duration::from_secs(age));
        let old = peer.connection;

        peer.connect();

        assert!(peer.is_closed(peer.connection) && !peer.is_closed(old), "after {age} s");
        assert_eq!(peer.view().state, SessionState::Established);
    }
}

#[test]
fn rfc4271_6_8_a_collision_ends_a_connection_and_no_route() {
    let mut peer = Peer::established(Some(kept(120)));
    peer.tell(&["10.0.1.0/26"]);

    peer.say(Message::Notification(Fault::COLLISION.bare()));

    assert_eq!(peer.removed(), []);
    peer.pass(RESTART_TIME);
    assert_eq!(peer.removed(), [net("10.0.1.0/26")]);
}

#[test]
fn rfc4724_4_1_we_say_that_we_have_restarted_until_the_neighbour_has_told_us_all() {
    let mut peer = Peer::established(Some(kept(120)));
    assert!(peer.hears_of_restart());
    peer.lose();
    peer.call(Some(kept(120)));
    assert!(peer.hears_of_restart(), "it has not ended its table yet");

    Family::ALL.into_iter().for_each(|family| peer.end_table(family));
    peer.lose();
    peer.connect();
    assert!(!peer.hears_of_restart());
    peer.deconfigure();
    peer.configure();
    peer.connect();
    assert!(!peer.hears_of_restart(), "not even to a new session");
}

#[test]
fn rfc4724_4_1_we_say_that_we_have_restarted_for_no_longer_than_we_may_be_away() {
    let mut peer = Peer::new();
    peer.pass(RESTART_TIME - SECOND);
    peer.connect();
    assert!(peer.hears_of_restart());
    peer.lose();

    peer.pass(SECOND);
    peer.connect();

    assert!(!peer.hears_of_restart());
}

#[test]
fn rfc4724_3_a_malformed_capability_is_passed_over() {
    for value in [&[][..], &[0x80], &[0, 120, 0, 1, 1]] {
        let mut peer = Peer::new();
        peer.connect();

        peer.open([Capability::Other { code: 64, value: value.to_vec() }]);
        peer.say(Message::Keepalive);

        assert_eq!(peer.view().state, SessionState::Established);
        assert!(peer.view().has_sent_table);
    }
}

#[test]
fn rfc4724_3_of_two_capabilities_the_last_counts() {
    let mut peer = Peer::new();
    peer.connect();
    peer.open([kept(120), GracefulRestart::default()].map(Capability::GracefulRestart));
    peer.say(Message::Keepalive);
    peer.tell(&["10.0.1.0/26"]);

    peer.lose();

    assert_eq!(peer.removed(), [net("10.0.1.0/26")]);
}

#[test]
fn a_reflector_that_anybody_may_call_waits_for_callers_before_it_ends_its_table() {
    for seed in 0..20 {
        let mut world = World::mesh(&[64512, 64512, 64512], seed);
        world.part(1, 2);
        [1, 2].into_iter().for_each(|client| {
            world.originate(client, &[&format!("10.0.{client}.0/26")]);
            world.exchange(0, client, |exchange| exchange.client_of = Some([192, 0, 2, 1].into()));
        });
        world.pass(Duration::from_secs(100));
        assert_eq!(world.next_hops(1, "10.0.2.0/26"), [address(2)], "seed {seed}");
        let changes = [1, 2].map(|host| world.hosts[host].route_changes);

        world.kill(0, true);
        let everybody = world.hosts[0].neighbours.clone();
        world.hosts[0].neighbours.retain(|one| one.address == address(1));
        world.revive(0);
        world.handle(0, Event::ExpectsCallers(true));
        world.pass(10 * SECOND);
        assert!(world.is_up(0, 1), "seed {seed}");
        world.hosts[0].neighbours = everybody;
        world.configure(0);
        world.pass(Duration::from_secs(100));

        assert_eq!([1, 2].map(|host| world.hosts[host].route_changes), changes, "seed {seed}");
        assert!(world.hosts[1].speaker.routes().all(|route| !route.stale), "seed {seed}");
    }
}
