//! RFC 4271 §9: routes are told, chosen and taken back.

use std::time::Duration;

use poplin_bgp::{Address, Note, Refusal, Step};

use crate::world::{World, address, net};

#[test]
fn rfc4271_9_2_own_prefixes_reach_the_neighbour_and_leave_it() {
    let mut world = World::mesh(&[64512, 64512], 1);

    world.originate(0, &["10.0.0.0/26", "10.0.0.64/26"]);
    world.settle();
    assert_eq!(world.next_hops(1, "10.0.0.0/26"), [address(0)]);
    assert_eq!(world.view(0, 1).prefixes_sent.total(), 2);
    assert_eq!(world.view(1, 0).prefixes_received.total(), 2);

    world.originate(0, &["10.0.0.64/26"]);
    world.settle();
    assert!(world.next_hops(1, "10.0.0.0/26").is_empty());
    assert_eq!(world.next_hops(1, "10.0.0.64/26"), [address(0)]);
    assert_eq!(world.view(1, 0).prefixes_received.total(), 1);
}

#[test]
fn rfc4271_5_1_internal_neighbours_hear_an_empty_path_and_a_preference() {
    let mut world = World::mesh(&[64512, 64512], 1);
    world.originate(0, &["10.0.0.0/26"]);
    world.settle();

    let best = world.hosts[1].speaker.best(net("10.0.0.0/26")).unwrap();

    assert_eq!(best.winner.attributes.path.length(), 0);
    assert_eq!(best.winner.attributes.local_pref, Some(100));
    assert_eq!(best.step, Step::Only);
    assert_eq!(
        best.to_string(),
        "10.0.0.0/26 via 192.0.2.1 path [] origin igp from 192.0.2.1, because it is the only path"
    );
}

#[test]
fn rfc6793_a_four_octet_system_leads_the_path_to_external_neighbours() {
    let mut world = World::mesh(&[4_200_000_001, 65550], 1);
    world.originate(0, &["10.0.0.0/26"]);
    world.settle();

    let best = world.hosts[1].speaker.best(net("10.0.0.0/26")).unwrap();

    assert_eq!(best.winner.attributes.path.to_string(), "4200000001");
    assert_eq!(best.winner.attributes.local_pref, None);
}

#[test]
fn rfc4760_ipv6_prefixes_travel_with_their_own_next_hop() {
    let mut world = World::of(&[64512, 64512], 1);
    world.acquaint_all();
    for host in 0..2 {
        let next_hop = format!("2001:db8::{}", host + 1).parse().unwrap();
        world.hosts[host].neighbours[0].next_hop_v6 = Some(next_hop);
        world.configure(host);
    }
    world.originate(0, &["fd00:1::/122", "10.0.0.0/26"]);
    world.pass(Duration::from_secs(10));

    assert_eq!(world.next_hops(1, "fd00:1::/122"), ["2001:db8::1".parse::<Address>().unwrap()]);
    assert_eq!(world.next_hops(1, "10.0.0.0/26"), [address(0)]);

    world.originate(0, &[]);
    world.settle();
    assert!(world.hosts[1].routes.is_empty());
}

#[test]
fn rfc4760_8_a_family_without_next_hop_is_not_spoken() {
    let mut world = World::mesh(&[64512, 64512], 1);

    world.originate(0, &["fd00:1::/122", "10.0.0.0/26"]);
    world.settle();

    assert_eq!(world.view(0, 1).prefixes_sent.total(), 1);
    assert_eq!(world.hosts[1].routes.len(), 1);
}

#[test]
fn rfc4271_4_3_ten_thousand_prefixes_share_few_messages() {
    let mut world = World::mesh(&[64512, 64512], 1);
    let before = world.hosts[0].octets_sent;
    let prefixes: Vec<_> = (0..10_000).map(|n| format!("10.{}.{}.0/26", n / 256, n % 256)).collect();
    let prefixes: Vec<_> = prefixes.iter().map(String::as_str).collect();

    world.originate(0, &prefixes);
    world.settle();

    assert_eq!(world.hosts[1].routes.len(), 10_000);
    // Five octets a prefix: 50,000 in thirteen messages of 4096, each with about 50 octets around them.
    assert!(world.hosts[0].octets_sent - before < 51_000);

    world.originate(0, &[]);
    world.settle();
    assert!(world.hosts[1].routes.is_empty());
}

#[test]
fn rfc4271_9_1_equal_paths_share_the_traffic() {
    let mut world = World::mesh(&[64512, 64601, 64602, 64603], 1);
    for switch in 1..4 {
        world.originate(switch, &["0.0.0.0/0"]);
    }
    world.settle();
    assert_eq!(world.next_hops(0, "0.0.0.0/0"), [address(1), address(2), address(3)]);
    assert_eq!(world.hosts[0].speaker.best(net("0.0.0.0/0")).unwrap().step, Step::RouterId);

    world.originate(2, &[]);
    world.settle();
    assert_eq!(world.next_hops(0, "0.0.0.0/0"), [address(1), address(3)]);

    world.sever(0, 1);
    world.pass(Duration::from_secs(90));
    assert_eq!(world.next_hops(0, "0.0.0.0/0"), [address(3)]);
}

#[test]
fn rfc4271_9_1_external_paths_do_not_mix_with_internal_ones() {
    let mut world = World::mesh(&[64512, 64512, 64601], 1);
    world.originate(1, &["10.9.0.0/16"]);
    world.settle();
    assert_eq!(world.next_hops(0, "10.9.0.0/16"), [address(1)]);

    world.originate(2, &["10.9.0.0/16"]);
    world.settle();

    // The internal path is empty and thus shorter.
    assert_eq!(world.next_hops(0, "10.9.0.0/16"), [address(1)]);
    assert_eq!(world.hosts[0].speaker.best(net("10.9.0.0/16")).unwrap().step, Step::PathLength);
}

#[test]
fn a_host_is_no_transit() {
    let mut world = World::of(&[64601, 64512, 64602], 1);
    world.acquaint_all();
    for (host, gone) in [(0, 2), (2, 0)] {
        world.hosts[host].neighbours.retain(|neighbour| neighbour.address != address(gone));
        world.configure(host);
    }
    world.originate(0, &["10.0.0.0/26"]);
    world.pass(Duration::from_secs(10));

    assert_eq!(world.next_hops(1, "10.0.0.0/26"), [address(0)]);
    assert!(world.hosts[2].routes.is_empty());
}

#[test]
fn what_others_say_about_exactly_our_own_prefix_is_kept_but_not_used() {
    let mut world = World::mesh(&[64512, 64512], 1);
    world.originate(1, &["10.0.0.0/26", "10.0.0.0/8"]);
    world.settle();
    assert_eq!(world.hosts[0].routes.len(), 2);

    world.originate(0, &["10.0.0.0/26"]);
    world.settle();
    assert_eq!(world.hosts[0].routes.keys().copied().collect::<Vec<_>>(), [net("10.0.0.0/8")]);
    assert_eq!(world.hosts[0].speaker.routes().count(), 2);

    world.originate(0, &[]);
    world.settle();
    assert_eq!(world.hosts[0].routes.len(), 2);
}

#[test]
fn an_address_borrowed_out_of_our_block_is_reached_at_its_borrower() {
    let mut world = World::mesh(&[64512, 64512], 1);
    world.originate(0, &["10.0.0.0/26"]);

    world.originate(1, &["10.0.0.7/32"]);
    world.settle();
    assert_eq!(world.next_hops(0, "10.0.0.7/32"), [address(1)]);

    world.originate(0, &["10.0.0.0/26", "10.0.0.7/32"]);
    world.settle();
    assert!(world.next_hops(0, "10.0.0.7/32").is_empty(), "the container came home");
}

#[test]
fn rfc6890_prefixes_with_a_meaning_of_their_own_are_refused() {
    let mut world = World::mesh(&[64512, 64512], 1);
    let refused = ["0.1.0.0/16", "127.0.0.0/8", "169.254.1.0/24", "224.0.0.0/4"];
    world.originate(1, &refused);

    world.originate(1, &[&refused[..], &["0.0.0.0/0"]].concat());
    world.settle();

    assert_eq!(world.hosts[0].routes.keys().copied().collect::<Vec<_>>(), [net("0.0.0.0/0")]);
    let prefixes = refused.iter().map(|prefix| net(prefix)).collect();
    let note = Note::RoutesRefused { neighbour: address(1), prefixes, refusal: Refusal::Prefix };
    assert!(world.hosts[0].notes.contains(&note), "{:?}", world.hosts[0].notes);
}
