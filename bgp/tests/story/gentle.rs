//! RFC 8538: a session ends by a NOTIFICATION or by silence, and its routes stay as through a restart.

use std::time::Duration;

use poplin_bgp::{
    PrefixLimits,
    bfd::Cause,
    wire::{Capability, Fault, GracefulRestart, Message, Notification},
};

use crate::{
    peer::{Peer, SECOND, kept},
    world::{World, net},
};

/// A neighbour that leaves its routes, with one route told, and that we leave ours.
fn gentle() -> Peer {
    said_by(GracefulRestart { is_gentle: true, ..kept(120) })
}

fn said_by(restart: GracefulRestart) -> Peer {
    let mut peer = Peer::new();
    peer.reconfigure(|neighbour| neighbour.gentle = true);
    peer.call(Some(restart));
    peer.tell(&["10.0.1.0/26"]);
    peer.keeps_alive = false;
    peer
}

fn last_word(peer: &Peer) -> Notification {
    match peer.heard(peer.connection).last() {
        Some(Message::Notification(error)) => error.clone(),
        other => panic!("no NOTIFICATION but {other:?}"),
    }
}

#[test]
fn rfc8538_4_an_end_that_is_not_about_the_routes_leaves_them_for_the_time_of_a_restart() {
    let ends: [fn(&mut Peer); 4] = [
        |peer| peer.say(Message::Notification(Fault::HOLD_EXPIRED.bare())),
        |peer| peer.say(Message::Notification(Fault::SHUTDOWN.bare())),
        |peer| peer.hear(b"nonsense of nineteen octets and more"),
        |peer| peer.pass(Duration::from_secs(90)),
    ];
    for (case, end) in ends.into_iter().enumerate() {
        let mut peer = gentle();

        end(&mut peer);
        assert!(peer.routes().all(|(_, stale)| stale), "case {case}");
        peer.pass(119 * SECOND);
        assert_eq!(peer.removed(), [], "case {case}");
        peer.pass(SECOND);

        assert_eq!(peer.removed(), [net("10.0.1.0/26")], "case {case}");
    }
}

#[test]
fn rfc8538_4_without_the_word_of_both_a_notification_takes_the_routes_along() {
    let mut unaware = said_by(kept(120));
    unaware.say(Message::Notification(Fault::HOLD_EXPIRED.bare()));
    assert_eq!(unaware.removed(), [net("10.0.1.0/26")]);

    let mut unwanted = Peer::new();
    unwanted.call(Some(GracefulRestart { is_gentle: true, ..kept(120) }));
    unwanted.tell(&["10.0.1.0/26"]);
    unwanted.say(Message::Notification(Fault::HOLD_EXPIRED.bare()));
    assert_eq!(unwanted.removed(), [net("10.0.1.0/26")]);
}

#[test]
fn rfc8538_3_a_hard_reset_takes_the_routes_along_and_its_reason_is_told() {
    let mut peer = gentle();

    peer.say(Message::Notification(Fault::HARD_RESET.with([6, 2, 3, b'b', b'y', b'e'])));

    assert_eq!(peer.removed(), [net("10.0.1.0/26")]);
    let told = peer.view().last_error.unwrap();
    assert_eq!(told, r#"the neighbour reports: hard reset (6/9): administrative shutdown (6/2): "bye""#);
}

#[test]
fn rfc8538_3_what_is_meant_to_be_the_end_is_sent_as_a_hard_reset() {
    type End = fn(&mut Peer);
    let ends: [(End, [u8; 2]); 3] = [
        (|peer| peer.reconfigure(|one| (one.gentle, one.shutdown) = (true, Some(String::new()))), [6, 2]),
        (Peer::deconfigure, [6, 3]),
        (
            |peer| {
                let limits = PrefixLimits { v4: Some(0), ..PrefixLimits::default() };
                peer.reconfigure(|one| (one.gentle, one.limits) = (true, limits));
            },
            [6, 1],
        ),
    ];
    for (end, reason) in ends {
        let mut peer = gentle();

        end(&mut peer);

        let word = last_word(&peer);
        assert_eq!((word.fault, &word.data[..2]), (Fault::HARD_RESET, &reason[..]));
        assert_eq!(peer.removed(), [net("10.0.1.0/26")], "{word}");
    }
}

#[test]
fn rfc9384_3_what_bfd_does_not_see_does_not_forward_however_gentle_the_end() {
    let mut peer = Peer::new();
    peer.watch_gently();
    peer.call(Some(GracefulRestart { is_gentle: true, ..kept(120) }));
    peer.path_rises();
    peer.tell(&["10.0.1.0/26"]);
    peer.pass(5 * SECOND);

    peer.path_falls(Cause::Silence, Duration::from_millis(900), false);

    assert_eq!(last_word(&peer).to_string(), "hard reset (6/9): BFD down (6/10)");
    assert_eq!(peer.removed(), [net("10.0.1.0/26")]);
}

#[test]
fn a_hard_reset_within_a_hard_reset_and_one_without_a_reason_are_no_harm() {
    for data in [vec![], vec![6], vec![6, 9, 6, 9, 6, 2]] {
        assert_eq!(Fault::HARD_RESET.with(data).to_string(), "hard reset (6/9)");
    }
}

#[test]
fn rfc8538_2_the_neighbour_is_told_that_we_leave_its_routes_only_where_that_is_so() {
    for is_gentle in [true, false] {
        let mut peer = Peer::new();
        peer.reconfigure(|neighbour| neighbour.gentle = is_gentle);
        peer.connect();

        let [Message::Open(open)] = &peer.heard(peer.connection)[..] else { panic!("no OPEN") };

        assert_eq!(open.graceful_restart().unwrap().is_gentle, is_gentle);
        let said = open.capabilities.iter().find(|one| matches!(one, Capability::GracefulRestart(_))).unwrap();
        assert_eq!(said.to_string().contains("notifications too"), is_gentle, "{said}");
    }
}

#[test]
fn two_that_hear_nothing_of_each_other_for_longer_than_the_hold_time_lose_no_route() {
    for (seed, is_gentle) in (0..20).flat_map(|seed| [(seed, true), (seed, false)]) {
        let mut world = World::mesh(&[64512, 64512], seed);
        for host in [0, 1] {
            world.hosts[host].neighbours[0].gentle = is_gentle;
            world.renew(host);
        }
        world.originate(1, &["10.0.1.0/26"]);
        world.pass(30 * SECOND);
        let changes = world.hosts[0].route_changes;

        world.sever(0, 1);
        world.pass(Duration::from_secs(95 + seed));
        assert_eq!(world.hosts[0].routes.len(), usize::from(is_gentle), "seed {seed}");
        world.mend();
        world.pass(Duration::from_secs(150));

        assert!(world.is_up(0, 1), "seed {seed}");
        assert_eq!(world.hosts[0].route_changes == changes, is_gentle, "seed {seed}");
        assert!(world.hosts[0].speaker.routes().all(|route| !route.stale), "seed {seed}");
    }
}
