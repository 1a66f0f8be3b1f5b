//! RFC 9494: a neighbour stays away for longer than a restart takes, and its routes become the last choice.

use std::time::Duration;

use poplin_bgp::{
    Address, Note, SessionState,
    bfd::Cause,
    wire::{
        AsPath, Attributes, Capability, Community, Dialect, Family, Fault, Lasting, LongLived, Message, Origin,
        pack_reach,
    },
};

use crate::{
    peer::{Peer, SECOND, kept},
    world::{World, address, net},
};

const HOUR: Duration = Duration::from_secs(3600);

/// What a neighbour says that restarts within 120 s, and whose routes may stay so many seconds longer.
fn lasting(v4_secs: u32, v6_secs: u32) -> [Capability; 2] {
    let lasting = |time_secs| Lasting { is_forwarding: true, time_secs };
    let families = [(Family::Ipv4, lasting(v4_secs)), (Family::Ipv6, lasting(v6_secs))].into();
    [Capability::GracefulRestart(kept(120)), Capability::LongLived(LongLived { families })]
}

/// A neighbour that said so, and that we let stay away for an hour.
fn established(said: impl IntoIterator<Item = Capability>) -> Peer {
    let mut peer = Peer::new();
    peer.endure(Some(HOUR));
    peer.call_with(said);
    peer
}

fn is_marked(peer: &Peer, prefix: &str) -> bool {
    peer.attributes(prefix).unwrap().communities.contains(&Community::LLGR_STALE)
}

#[test]
fn rfc9494_4_2_each_family_stays_for_its_time_after_that_of_a_restart() {
    let mut peer = established(lasting(600, 300));
    peer.tell(&["10.0.1.0/26", "2001:db8:1::/64"]);

    peer.lose();
    peer.pass(119 * SECOND);
    assert!(!is_marked(&peer, "10.0.1.0/26"), "a restart changes nothing yet");
    peer.pass(SECOND);
    assert!(is_marked(&peer, "10.0.1.0/26") && is_marked(&peer, "2001:db8:1::/64"));
    assert!(peer.notes().contains(&Note::LongLivedBegun { neighbour: address(1), kept: 600 * SECOND }));

    peer.pass(299 * SECOND);
    assert_eq!(peer.removed(), []);
    peer.pass(SECOND);
    assert_eq!(peer.removed(), [net("2001:db8:1::/64")]);
    peer.pass(299 * SECOND);
    assert_eq!(peer.removed(), []);
    peer.pass(SECOND);
    assert_eq!(peer.removed(), [net("10.0.1.0/26")]);
}

#[test]
fn rfc9494_4_2_our_own_bound_counts_where_it_is_less() {
    let mut peer = established(lasting(1 << 20, 1 << 20));
    peer.tell(&["10.0.1.0/26"]);

    peer.lose();
    peer.pass(120 * SECOND + HOUR - SECOND);
    assert_eq!(peer.removed(), []);
    peer.pass(SECOND);

    assert_eq!(peer.removed(), [net("10.0.1.0/26")]);
}

#[test]
fn rfc9494_4_1_without_the_word_of_both_a_restart_is_all_there_is() {
    let [restart, long_lived] = lasting(600, 600);
    let alone = Capability::GracefulRestart(kept(0));
    let silent = {
        let mut peer = Peer::new();
        peer.call_with(lasting(600, 600));
        (peer, 120)
    };
    let cases = [(established([restart]), 120), (established([long_lived]), 0), (established([alone]), 0), silent];
    for (mut peer, wait) in cases {
        peer.tell(&["10.0.1.0/26"]);
        peer.lose();
        peer.pass(Duration::from_secs(wait));
        assert_eq!(peer.removed(), [net("10.0.1.0/26")], "after {wait} s");
    }
}

#[test]
fn rfc9494_4_2_a_restart_of_no_time_is_long_at_once() {
    let [_, long_lived] = lasting(600, 600);
    let mut peer = established([Capability::GracefulRestart(kept(0)), long_lived]);
    peer.tell(&["10.0.1.0/26"]);

    peer.lose();

    assert_eq!(peer.removed(), []);
    assert!(is_marked(&peer, "10.0.1.0/26"));
}

#[test]
fn rfc9494_4_2_what_is_not_to_stay_for_long_goes_with_the_time_of_a_restart() {
    let mut peer = established(lasting(600, 600));
    peer.tell(&["10.0.1.0/26"]);
    peer.tell_tagged("10.0.2.0/26", &[Community::NO_LLGR]);

    peer.lose();
    peer.pass(119 * SECOND);
    assert_eq!(peer.removed(), []);
    peer.pass(SECOND);

    assert_eq!(peer.removed(), [net("10.0.2.0/26")]);
}

#[test]
fn rfc9494_4_2_a_neighbour_that_is_back_tells_its_routes_again_and_the_mark_is_gone() {
    let mut peer = established(lasting(600, 600));
    peer.tell(&["10.0.1.0/26", "10.0.2.0/26"]);
    peer.lose();
    peer.pass(300 * SECOND);

    peer.call_with(lasting(600, 600));
    assert!(is_marked(&peer, "10.0.1.0/26"), "not told again yet");
    peer.tell(&["10.0.1.0/26"]);
    assert!(!is_marked(&peer, "10.0.1.0/26"));
    assert_eq!(peer.removed(), []);
    peer.end_table(Family::Ipv4);
    peer.end_table(Family::Ipv6);

    assert_eq!(peer.removed(), [net("10.0.2.0/26")]);
    peer.pass(HOUR);
    assert_eq!(peer.removed(), [], "no time runs any more");
    assert_eq!(peer.view().state, SessionState::Established);
}

#[test]
fn rfc9494_4_2_what_the_neighbour_did_not_keep_goes_when_it_is_back() {
    let mut peer = established(lasting(600, 600));
    peer.tell(&["10.0.1.0/26"]);
    peer.lose();
    peer.pass(300 * SECOND);

    peer.call_with([Capability::GracefulRestart(Default::default())]);

    assert_eq!(peer.removed(), [net("10.0.1.0/26")]);
}

#[test]
fn rfc9494_4_2_who_is_lost_again_before_the_end_of_its_table_gets_no_new_time() {
    let mut peer = established(lasting(600, 600));
    peer.tell(&["10.0.1.0/26"]);
    peer.lose();
    peer.pass(120 * SECOND + 300 * SECOND);
    peer.call_with(lasting(600, 600));
    peer.lose();

    peer.pass(299 * SECOND);
    assert_eq!(peer.removed(), []);
    peer.pass(SECOND);

    assert_eq!(peer.removed(), [net("10.0.1.0/26")]);
}

#[test]
fn rfc4724_4_a_notification_ends_a_long_life_too() {
    let mut peer = established(lasting(600, 600));
    peer.tell(&["10.0.1.0/26"]);
    peer.lose();
    peer.pass(300 * SECOND);

    peer.connect();
    peer.say(Message::Notification(Fault::SHUTDOWN.bare()));

    assert_eq!(peer.removed(), [net("10.0.1.0/26")]);
}

#[test]
fn what_leads_over_a_neighbour_that_bfd_does_not_see_goes_and_what_it_reflected_stays() {
    let mut peer = Peer::new();
    peer.endure(Some(HOUR));
    peer.watch(false);
    peer.call_with(lasting(600, 600));
    peer.path_rises();
    peer.tell(&["10.0.1.0/26"]);
    peer.pass(5 * SECOND);

    peer.path_falls(Cause::Silence, Duration::from_millis(900), false);

    assert_eq!(peer.removed(), [net("10.0.1.0/26")], "over itself: nothing forwards there");
}

/// Hosts 0 and 1 reflect for the others; all keep what they hear for this long.
fn reflected(hosts: usize, keeps: Duration, seed: u64) -> World {
    let mut world = World::of(&vec![64512; hosts], seed);
    world.acquaint_all();
    for host in 0..hosts {
        let is_reflector = host < 2;
        let neighbours = &mut world.hosts[host].neighbours;
        neighbours.retain(|one| is_reflector || one.address == address(0) || one.address == address(1));
        for neighbour in neighbours.iter_mut() {
            neighbour.long_lived = Some(keeps);
            let is_client = neighbour.address != address(0) && neighbour.address != address(1);
            neighbour.exchange.client_of =
                (is_reflector && is_client).then(|| [9, 9, 9, u8::try_from(host).unwrap()].into());
        }
        world.configure(host);
    }
    (2..hosts).for_each(|host| world.originate(host, &[&format!("10.{host}.0.0/26")]));
    world.pass(10 * SECOND);
    world
}

fn knows_all(world: &World, host: usize) -> bool {
    (2..world.hosts.len())
        .filter(|&other| other != host)
        .all(|other| world.next_hops(host, &format!("10.{other}.0.0/26")) == [address(other)])
}

#[test]
fn all_reflectors_die_and_no_route_is_lost_until_the_time_is_over() {
    for (seed, are_told) in (0..10).flat_map(|seed| [(seed, true), (seed, false)]) {
        let mut world = reflected(6, HOUR, seed);
        assert!((2..6).all(|host| knows_all(&world, host)), "seed {seed}");
        let changes: Vec<usize> = world.hosts.iter().map(|host| host.route_changes).collect();

        for reflector in 0..2 {
            world.kill(reflector, true);
            if !are_told {
                world.pass(SECOND);
            }
        }
        world.pass(120 * SECOND + HOUR - SECOND * 10);
        for (host, changes) in changes.into_iter().enumerate().skip(2) {
            assert!(knows_all(&world, host), "seed {seed}: host {host} lost a route");
            assert_eq!(world.hosts[host].route_changes, changes, "seed {seed}: a route was touched");
        }

        world.pass(20 * SECOND);
        assert!((2..6).all(|host| world.hosts[host].routes.is_empty()), "seed {seed}: the time is over");
    }
}

#[test]
fn reflectors_that_come_back_within_the_time_find_everything_as_it_was() {
    for seed in 0..20 {
        let mut world = reflected(5, HOUR, seed);
        let changes: Vec<usize> = world.hosts.iter().map(|host| host.route_changes).collect();

        (0..2).for_each(|reflector| world.kill(reflector, true));
        world.pass(Duration::from_secs(1800));
        (0..2).for_each(|reflector| world.revive(reflector));
        world.pass(Duration::from_secs(300));

        for (host, changes) in changes.into_iter().enumerate().skip(2) {
            assert!(knows_all(&world, host), "seed {seed}");
            assert_eq!(world.hosts[host].route_changes, changes, "seed {seed}: a route was touched");
            let fresh = |route: poplin_bgp::Route| !route.stale && !route.attributes.is_long_lived_stale();
            assert!(world.hosts[host].speaker.routes().all(fresh), "seed {seed}");
        }
    }
}

#[test]
fn rfc9494_4_3_a_route_whose_teller_is_away_for_long_is_the_last_choice() {
    let mut world = reflected(5, HOUR, 1);
    world.originate(3, &["10.9.0.0/26"]);
    world.originate(4, &["10.9.0.0/26"]);
    world.pass(SECOND);
    for reflector in 0..2 {
        world.exchange(reflector, 3, |exchange| exchange.import = crate::world::preferring(200));
    }
    world.pass(SECOND);
    assert_eq!(world.next_hops(2, "10.9.0.0/26"), [address(3)], "by preference");

    world.kill(3, true);
    world.pass(121 * SECOND);

    assert_eq!(world.next_hops(2, "10.9.0.0/26"), [address(4)], "fresh before preferred");
    let best = world.hosts[0].speaker.best(net("10.9.0.0/26")).unwrap();
    let is_preferred = |route: &poplin_bgp::Route| route.attributes.local_pref == Some(200) && route.stale;
    assert!(best.rivals.iter().any(is_preferred), "{best}");
    assert!(world.next_hops(2, "10.3.0.0/26").is_empty(), "it announces something else now");
}

#[test]
fn rfc9494_4_2_others_are_told_of_the_mark_and_4_6_those_who_do_not_know_it_otherwise() {
    let mut world = reflected(5, HOUR, 1);
    for reflector in 0..2 {
        let known = world.hosts[reflector].neighbours.iter_mut().find(|one| one.address == address(4));
        known.unwrap().long_lived = None;
        world.renew(reflector);
        let unaware = world.hosts[4].neighbours.iter_mut().find(|one| one.address == address(reflector));
        unaware.unwrap().long_lived = None;
    }
    world.renew(4);
    world.pass(30 * SECOND);

    world.kill(3, true);
    world.pass(121 * SECOND);

    assert_eq!(world.best_words(2, "10.3.0.0/26"), "path [] pref 100 llgr-stale");
    assert_eq!(world.best_words(4, "10.3.0.0/26"), "path [] pref 0 llgr-stale no-export");
}

#[test]
fn rfc9494_4_3_another_system_that_does_not_know_the_mark_is_not_told() {
    let mut world = World::mesh(&[64512, 64513, 64514], 1);
    world.part(0, 2);
    for (host, other) in [(0, 1), (1, 0)] {
        let neighbour = world.hosts[host].neighbours.iter_mut().find(|one| one.address == address(other));
        neighbour.unwrap().long_lived = Some(HOUR);
        world.renew(host);
    }
    world.exchange(1, 0, |exchange| exchange.transit = true);
    world.exchange(1, 2, |exchange| exchange.transit = true);
    world.originate(0, &["10.0.0.0/26"]);
    world.pass(30 * SECOND);
    assert_eq!(world.next_hops(2, "10.0.0.0/26"), [address(1)]);

    world.kill(0, true);
    world.pass(121 * SECOND);

    assert_eq!(world.next_hops(1, "10.0.0.0/26"), [address(0)]);
    assert_eq!(world.next_hops(2, "10.0.0.0/26"), Vec::<Address>::new());
}

#[test]
fn an_import_rule_does_not_take_the_mark_away() {
    let mut peer = established(lasting(600, 600));
    peer.reconfigure(|neighbour| neighbour.exchange.import = crate::world::without_communities());
    let attributes = Attributes {
        communities: vec![Community::LLGR_STALE],
        ..Attributes::new(Origin::Igp, AsPath::through([poplin_bgp::Asn(64513)]))
    };
    let dialect = Dialect { four_octets: true, external: true, ..Dialect::PLAIN };

    pack_reach(&attributes, address(1), [net("10.0.1.0/26")], dialect).iter().for_each(|octets| peer.hear(octets));

    assert!(is_marked(&peer, "10.0.1.0/26"));
}
