//! RFC 4456: a reflector stands in place of a mesh.

use std::time::Duration;

use poplin_bgp::Note;

use crate::world::{World, address, net};

/// Host 0 reflects for the clients; everybody else knows only host 0. All are in AS 64512.
fn star(hosts: usize, clients: &[usize]) -> World {
    let mut world = World::mesh(&vec![64512; hosts], 1);
    for one in 1..hosts {
        (one + 1..hosts).for_each(|other| world.part(one, other));
    }
    for &client in clients {
        world.exchange(0, client, |exchange| exchange.client_of = Some([9, 9, 9, 9].into()));
    }
    world.settle();
    world
}

#[test]
fn rfc4456_6_routes_pass_from_and_to_clients_only() {
    let mut world = star(5, &[1, 2]);
    (1..5).for_each(|host| world.originate(host, &[&format!("10.{host}.0.0/26")]));
    world.settle();

    let heard = |host: usize| -> Vec<usize> {
        (1..5).filter(|other| !world.next_hops(host, &format!("10.{other}.0.0/26")).is_empty()).collect()
    };
    assert_eq!(heard(1), [2, 3, 4], "a client hears everybody");
    assert_eq!(heard(2), [1, 3, 4]);
    assert_eq!(heard(3), [1, 2], "others hear the clients");
    assert_eq!(heard(4), [1, 2]);
}

#[test]
fn rfc4456_8_who_brought_a_route_in_and_whom_it_passed_is_told() {
    let mut world = star(3, &[1, 2]);
    world.originate(1, &["10.1.0.0/26"]);
    world.settle();

    let winner = world.hosts[2].speaker.best(net("10.1.0.0/26")).unwrap().winner;

    assert_eq!(winner.next_hop, address(1), "a reflector does not change it");
    assert_eq!(winner.attributes.originator, Some([192, 0, 2, 2].into()));
    assert_eq!(winner.attributes.clusters, [std::net::Ipv4Addr::from([9, 9, 9, 9])]);
    assert_eq!(winner.attributes.local_pref, Some(100));
    assert!(world.hosts[1].speaker.routes().next().is_none(), "its originator is not told");

    world.originate(1, &[]);
    world.settle();
    assert!(world.hosts[2].routes.is_empty());
}

#[test]
fn a_reflector_passes_on_what_it_chose_itself() {
    let mut world = star(4, &[1, 2, 3]);
    [1, 2].into_iter().for_each(|host| world.originate(host, &["10.9.0.0/26"]));
    world.settle();
    assert_eq!(world.next_hops(3, "10.9.0.0/26"), [address(1)], "the lowest identifier");
    assert_eq!(world.next_hops(0, "10.9.0.0/26"), [address(1), address(2)]);

    world.originate(1, &[]);
    world.settle();
    assert_eq!(world.next_hops(3, "10.9.0.0/26"), [address(2)]);

    world.originate(0, &["10.9.0.0/26"]);
    world.settle();
    assert_eq!(world.next_hops(3, "10.9.0.0/26"), [address(0)], "its own comes before all");
}

#[test]
fn clients_under_equal_terms_are_told_the_same_and_others_are_not() {
    let mut world = star(6, &[1, 2, 3, 4, 5]);
    let tag = poplin_bgp::CommunityChange { add: vec!["64512:7".parse().unwrap()], ..Default::default() };
    let change = poplin_bgp::RouteChange { communities: tag, ..Default::default() };
    let rule = poplin_bgp::RouteRule { when: Default::default(), verdict: poplin_bgp::Verdict::Accept, change };
    let map = poplin_bgp::RouteMap { rules: vec![rule], otherwise: poplin_bgp::Verdict::Reject };
    let export = poplin_bgp::RouteRules::Map(std::sync::Arc::new(map));
    [3, 4].into_iter().for_each(|client| world.exchange(0, client, |exchange| exchange.export = export.clone()));
    world.settle();

    world.originate(1, &["10.9.0.0/26"]);
    world.originate(3, &["10.9.0.0/26"]);
    world.settle();

    let words = |world: &World| [1, 2, 3, 4, 5].map(|client| world.best_words(client, "10.9.0.0/26"));
    let (plain, tagged, none) = ("path [] pref 100", "path [] pref 100 64512:7", "none");
    assert_eq!(words(&world), [none, plain, none, tagged, plain], "two have it themselves");
    world.originate(1, &[]);
    world.settle();
    assert_eq!(words(&world), [plain, plain, none, tagged, plain]);
    world.originate(3, &[]);
    world.settle();
    assert_eq!(words(&world), [none; 5]);
}

#[test]
fn a_neighbour_becomes_a_client_and_ceases_to_be_one_without_a_new_session() {
    let mut world = star(3, &[]);
    let since = world.view(0, 1).since;
    world.originate(1, &["10.1.0.0/26"]);
    world.settle();
    assert!(world.hosts[2].routes.is_empty());

    world.exchange(0, 2, |exchange| exchange.client_of = Some([9, 9, 9, 9].into()));
    world.settle();
    assert_eq!(world.next_hops(2, "10.1.0.0/26"), [address(1)]);

    world.exchange(0, 2, |exchange| exchange.client_of = None);
    world.settle();
    assert!(world.hosts[2].routes.is_empty());
    assert_eq!(world.view(0, 1).since, since);
}

#[test]
fn rfc4456_8_two_reflectors_of_one_cluster_do_not_take_each_others_reflections() {
    let mut world = World::mesh(&[64512; 3], 1);
    for reflector in 0..2 {
        world.exchange(reflector, 2, |exchange| exchange.client_of = Some([9, 9, 9, 9].into()));
    }
    world.originate(2, &["10.2.0.0/26"]);
    world.settle();

    for reflector in 0..2 {
        let paths: Vec<_> = world.hosts[reflector].speaker.routes().filter(|route| route.admitted).collect();
        assert_eq!(paths.len(), 1, "the client's own words, and not those of the other reflector");
        assert_eq!(paths[0].neighbour, address(2));
        let is_told = |note: &Note| matches!(note, Note::RoutesRefused { .. });
        assert!(!world.hosts[reflector].notes.iter().any(is_told), "it happens all day");
    }
}

#[test]
fn rfc4724_4_1_a_reflector_that_restarts_hears_all_before_it_ends_its_table() {
    for are_told in [true, false] {
        let mut world = star(4, &[1, 2, 3]);
        (1..4).for_each(|host| world.originate(host, &[&format!("10.{host}.0.0/26")]));
        world.settle();
        let before: Vec<_> = world.hosts[1..].iter().map(|host| (host.routes.clone(), host.route_changes)).collect();

        world.kill(0, are_told);
        world.revive(0);
        world.pass(Duration::from_secs(300));

        let after: Vec<_> = world.hosts[1..].iter().map(|host| (host.routes.clone(), host.route_changes)).collect();
        assert_eq!(after, before, "no client has touched a route");
        assert!((1..4).all(|client| world.view(client, 0).has_sent_table));
    }
}

#[test]
fn rfc4724_4_1_a_client_that_never_comes_holds_nobody_up_for_ever() {
    let mut world = star(4, &[1, 2, 3]);
    [1, 2].into_iter().for_each(|host| world.originate(host, &[&format!("10.{host}.0.0/26")]));
    world.settle();

    world.kill(0, true);
    world.kill(3, true);
    world.revive(0);
    world.pass(Duration::from_secs(29));
    assert!(!world.view(1, 0).has_sent_table);
    world.pass(Duration::from_secs(2));

    assert!(world.view(1, 0).has_sent_table);
    assert_eq!(world.next_hops(1, "10.2.0.0/26"), [address(2)]);
}

#[test]
fn what_passed_our_cluster_counts_once_we_have_left_it() {
    let mut world = star(3, &[1, 2]);
    world.originate(1, &["10.1.0.0/26"]);
    world.settle();
    let third = std::net::Ipv4Addr::new(9, 9, 9, 9);
    world.exchange(2, 0, |exchange| exchange.client_of = Some(third));
    assert_eq!(world.best_words(2, "10.1.0.0/26"), "none");

    world.exchange(2, 0, |exchange| exchange.client_of = None);

    assert_eq!(world.next_hops(2, "10.1.0.0/26"), [address(1)]);
}
