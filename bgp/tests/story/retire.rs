//! Reflectors take the place of a mesh, and nobody loses a route meanwhile.

use std::{net::Ipv4Addr, time::Duration};

use poplin_bgp::SessionState;

use crate::world::{World, address};

const CLUSTER: Ipv4Addr = Ipv4Addr::new(9, 9, 9, 9);

/// Host 0 is to be the reflector of four others, who stay meshed until they need it no more. The hosts learn of it in this order.
fn change(world: &mut World, order: &[usize]) {
    for &host in order {
        for neighbour in &mut world.hosts[host].neighbours {
            neighbour.exchange.client_of = (host == 0).then_some(CLUSTER);
            neighbour.exchange.retiring = host != 0 && neighbour.address != address(0);
        }
        world.configure(host);
        world.settle();
    }
}

#[test]
fn the_mesh_gives_way_to_a_reflector_without_a_lost_route() {
    let orders = [[0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [1, 2, 0, 4, 3]];
    for (seed, order) in (1..).zip(orders) {
        let mut world = World::mesh(&[64512; 5], seed);
        (0..5).for_each(|host| world.originate(host, &[&format!("10.{host}.0.0/26")]));
        world.settle();
        let changes: Vec<_> = world.hosts.iter().map(|host| host.route_changes).collect();

        change(&mut world, &order);
        world.pass(Duration::from_secs(300));

        let neighbours: Vec<_> = world.hosts.iter().map(|host| host.speaker.neighbours().count()).collect();
        assert_eq!(neighbours, [4, 1, 1, 1, 1], "{order:?}");
        let after: Vec<_> = world.hosts.iter().map(|host| host.route_changes).collect();
        assert_eq!(after, changes, "no route was installed or removed, {order:?}");
        assert!(world.hosts.iter().all(|host| host.routes.len() == 4));
    }
}

#[test]
fn a_neighbour_that_nobody_replaces_stays() {
    let mut world = World::mesh(&[64512; 3], 1);
    (0..3).for_each(|host| world.originate(host, &[&format!("10.{host}.0.0/26")]));
    world.settle();

    world.exchange(1, 2, |exchange| exchange.retiring = true);
    world.pass(Duration::from_secs(300));

    assert_eq!(world.view(1, 2).state, SessionState::Established, "host 0 does not reflect");
    assert_eq!(world.next_hops(1, "10.2.0.0/26"), [address(2)]);
}

#[test]
fn a_neighbour_that_offers_nothing_goes_at_once_and_is_not_dialled_again() {
    let mut world = World::mesh(&[64512; 2], 1);

    world.exchange(0, 1, |exchange| exchange.retiring = true);
    world.configure(0);
    world.pass(Duration::from_secs(300));

    assert_eq!(world.hosts[0].speaker.neighbours().count(), 0);
    assert_eq!(world.pipes(0, 1), 0);
}
