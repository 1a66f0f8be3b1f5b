//! RFC 7911: more than one path to one prefix, heard and told.

use poplin_bgp::{Advertised, NeighbourConfig, Route, wire::AddPaths};

use crate::world::{World, address, net};

const PREFIX: &str = "10.9.0.0/16";

#[test]
fn a_client_hears_every_path_through_its_reflector_and_uses_those_as_good() {
    let mut world = reflected(8);

    assert_eq!(world.next_hops(0, PREFIX), [address(2), address(3)]);
    assert_eq!(told(&world).len(), 2);

    world.originate(2, &[]);
    world.settle();
    assert_eq!(world.next_hops(0, PREFIX), [address(3)]);
    world.originate(3, &[]);
    world.settle();
    assert!(world.hosts[0].routes.is_empty() && heard(&world).is_empty());
}

#[test]
fn no_more_paths_are_told_than_agreed_and_the_best_come_first() {
    let mut world = reflected(1);
    let best = world.hosts[1].speaker.best(net(PREFIX)).unwrap().winner.neighbour;

    assert_eq!(heard(&world).iter().map(|route| route.next_hop).collect::<Vec<_>>(), [best]);

    world.exchange(1, 0, |exchange| exchange.paths = 2);
    world.settle();
    assert_eq!(heard(&world).len(), 2, "a changed number ends no session");
    assert_eq!(world.hosts[1].speaker.neighbour(address(0)).unwrap().record.established, 1);

    world.exchange(1, 0, |exchange| exchange.paths = 1);
    world.settle();
    assert_eq!(heard(&world).len(), 1);
}

#[test]
fn rfc7911_2_a_path_keeps_its_identifier_while_others_come_and_go() {
    let mut world = reflected(8);
    let before = told(&world).into_iter().find(|one| one.next_hop == address(3)).unwrap();

    world.originate(2, &[]);
    world.settle();

    assert_eq!(told(&world), [before]);
}

#[test]
fn rfc7911_4_both_must_want_it_else_one_path_is_told_as_ever() {
    let mut world = reflectors_world();
    of(&mut world, 1, 0).add_paths = AddPaths { receive: false, send: true };
    of(&mut world, 1, 0).exchange.paths = 8;
    start(&mut world);

    assert_eq!(heard(&world).len(), 1);
    assert_eq!(told(&world)[0].path_id, 0);
}

#[test]
fn a_wish_for_more_paths_waits_for_the_next_session() {
    let mut world = reflectors_world();
    start(&mut world);
    assert_eq!(heard(&world).len(), 1);

    wish(&mut world, 8);
    (0..2).for_each(|host| world.configure(host));
    world.pass(std::time::Duration::from_secs(10));
    assert_eq!(heard(&world).len(), 1);

    (0..2).for_each(|host| world.renew(host));
    world.pass(std::time::Duration::from_secs(10));
    assert_eq!(heard(&world).len(), 2);
    assert_eq!(world.next_hops(0, PREFIX), [address(2), address(3)]);
}

#[test]
fn a_wish_for_one_path_only_leaves_the_session_its_identifiers_until_the_next_one() {
    let mut world = reflected(8);
    assert_eq!(heard(&world).len(), 2);

    of(&mut world, 0, 1).add_paths = AddPaths::default();
    of(&mut world, 1, 0).add_paths = AddPaths::default();
    (0..2).for_each(|host| world.configure(host));
    world.settle();
    assert_eq!(heard(&world).len(), 2);
    world.originate(3, &[]);
    world.settle();
    assert_eq!(world.next_hops(0, PREFIX), [address(2)]);

    (0..2).for_each(|host| world.renew(host));
    world.pass(std::time::Duration::from_secs(10));
    assert_eq!((heard(&world).len(), world.next_hops(0, PREFIX)), (1, vec![address(2)]));
}

#[test]
fn our_own_prefix_is_one_path_with_an_identifier_of_its_own() {
    let mut world = reflected(8);

    world.originate(1, &[PREFIX]);
    world.settle();

    let told = told(&world);
    assert_eq!(told.iter().map(|one| (one.path_id, one.next_hop)).collect::<Vec<_>>(), [(1, address(1))]);
    assert_eq!(world.next_hops(0, PREFIX), [address(1)]);
}

#[test]
fn whatever_the_order_of_events_the_client_has_what_the_reflector_tells() {
    for seed in 1..20 {
        let mut world = reflectors_world_of(seed);
        wish(&mut world, 2);
        start(&mut world);
        for round in 0..6 {
            let prefixes: &[&str] = if (seed + round) % 3 == 0 { &[] } else { &[PREFIX] };
            world.originate(2 + usize::try_from(round % 2).unwrap(), prefixes);
            if round % 2 == 0 {
                world.settle();
            }
        }
        world.settle();

        let told: Vec<_> = told(&world).iter().map(|one| (one.path_id, one.next_hop)).collect();
        let heard: Vec<_> = heard(&world).iter().map(|one| (one.path_id, one.next_hop)).collect();
        assert_eq!(told, heard, "seed {seed}");
    }
}

/// A client, its reflector, and two others of the same system that originate [`PREFIX`]; the client hears so many paths.
pub(crate) fn reflected(paths: usize) -> World {
    let mut world = reflectors_world();
    wish(&mut world, paths);
    start(&mut world);
    world
}

fn reflectors_world() -> World {
    reflectors_world_of(1)
}

/// The second host reflects for all others, and they know nobody else.
fn reflectors_world_of(seed: u64) -> World {
    let mut world = World::of(&[64512; 4], seed);
    world.acquaint_all();
    let poplin_bgp::SpeakerConfig { router_id, .. } = world.hosts[1].config;
    for host in [0, 2, 3] {
        world.hosts[host].neighbours.retain(|neighbour| neighbour.address == address(1));
        of(&mut world, 1, host).exchange.client_of = Some(router_id);
    }
    world
}

fn wish(world: &mut World, paths: usize) {
    of(world, 0, 1).add_paths = AddPaths { receive: true, send: false };
    of(world, 1, 0).add_paths = AddPaths { receive: false, send: true };
    of(world, 1, 0).exchange.paths = paths;
}

fn start(world: &mut World) {
    (0..4).for_each(|host| world.configure(host));
    [2, 3].into_iter().for_each(|host| world.originate(host, &[PREFIX]));
    world.pass(std::time::Duration::from_secs(40));
}

fn of(world: &mut World, host: usize, neighbour: usize) -> &mut NeighbourConfig {
    let mut all = world.hosts[host].neighbours.iter_mut();
    all.find(|one| one.address == address(neighbour)).unwrap()
}

/// What the reflector has told the client.
fn told(world: &World) -> Vec<Advertised> {
    world.hosts[1].speaker.advertised(address(0), None)
}

/// What the client has heard.
fn heard(world: &World) -> Vec<Route> {
    world.hosts[0].speaker.routes().collect()
}
