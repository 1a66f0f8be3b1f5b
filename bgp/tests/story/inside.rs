//! What an operator sees of a speaker, and may ask of it.

use std::time::Duration;

use poplin_bgp::{Event, Fate, Order, OrderRefusal, SessionState, Step, Way, wire::Fault};

use crate::world::{World, address, net};

#[test]
fn each_loser_is_told_where_it_fell() {
    let mut world = World::mesh(&[64512, 64512, 64601, 64602], 1);
    for host in 1..4 {
        world.originate(host, &["10.9.0.0/16"]);
    }
    world.settle();

    let fates: Vec<_> = world.hosts[0].speaker.routes().map(|route| (route.neighbour, route.fate)).collect();

    let expected = [
        (address(1), Fate::Won(Step::PathLength)),
        (address(2), Fate::Lost(Step::PathLength)),
        (address(3), Fate::Lost(Step::PathLength)),
    ];
    assert_eq!(fates, expected);
    assert_eq!(fates[1].1.to_string(), "its AS path is longer");
}

#[test]
fn what_others_say_of_our_own_prefix_does_not_count() {
    let mut world = World::mesh(&[64512, 64512], 1);
    world.originate(0, &["10.9.0.0/16"]);
    world.originate(1, &["10.9.0.0/16"]);
    world.settle();

    let fates: Vec<_> = world.hosts[0].speaker.routes().map(|route| route.fate).collect();

    assert_eq!(fates, [Fate::Ours]);
}

#[test]
fn what_one_has_told_the_other_has_heard() {
    let mut world = World::mesh(&[64512, 64601], 1);
    world.originate(0, &["10.1.0.0/26", "10.2.0.0/26"]);
    world.settle();

    let told = world.hosts[0].speaker.advertised(address(1), None);
    let one = world.hosts[0].speaker.advertised(address(1), Some(net("10.2.0.0/26")));

    assert_eq!(told.iter().map(|one| one.prefix).collect::<Vec<_>>(), [net("10.1.0.0/26"), net("10.2.0.0/26")]);
    assert_eq!(one, told[1..]);
    let heard: Vec<_> = world.hosts[1].speaker.routes().collect();
    for (told, heard) in told.iter().zip(&heard) {
        assert_eq!((told.prefix, told.next_hop), (heard.prefix, heard.next_hop));
        assert_eq!(told.attributes.path, heard.attributes.path);
    }
}

#[test]
fn both_sides_count_the_same_messages() {
    let mut world = World::mesh(&[64512, 64512], 1);
    world.originate(0, &["10.1.0.0/26"]);
    world.pass(Duration::from_secs(70));

    let near = world.hosts[0].speaker.neighbour(address(1)).unwrap();
    let far = world.hosts[1].speaker.neighbour(address(0)).unwrap();

    assert_eq!(near.record.sent.updates, far.record.received.updates);
    assert_eq!(near.record.received.updates, far.record.sent.updates);
    assert_eq!(near.record.sent.keepalives, far.record.received.keepalives);
    assert!(near.record.sent.updates >= 2, "a route and the end of the table: {:?}", near.record);
    assert_eq!((&near.ours, near.record.established), (&far.theirs, 1));
    assert_eq!(near.times.hold, Some(Duration::from_secs(90)));
    assert_eq!(near.local, Some(address(0)));
    assert_eq!(near.ours[0].to_string(), "IPv4 unicast");
}

#[test]
fn rfc2918_a_refresh_brings_everything_again_and_ends_nothing() {
    let mut world = World::mesh(&[64512, 64512], 1);
    world.originate(1, &["10.1.0.0/26"]);
    world.settle();
    let before = world.hosts[0].speaker.neighbour(address(1)).unwrap().record;

    order(&mut world, Order::AskAgain);
    let asked = world.hosts[0].speaker.neighbour(address(1)).unwrap().record;
    order(&mut world, Order::TellAgain);

    assert_eq!(asked.sent.refreshes, 1);
    assert_eq!(asked.received.updates, before.received.updates + 1);
    assert_eq!(asked.established, 1);
    assert_eq!(world.hosts[0].route_changes, 1, "the kernel has nothing to do");
}

#[test]
fn rfc4486_4_a_reset_says_so_and_the_session_returns() {
    let mut world = World::mesh(&[64512, 64512], 1);
    world.originate(1, &["10.1.0.0/26"]);
    world.settle();

    order(&mut world, Order::Reset);

    let far = world.hosts[1].speaker.neighbour(address(0)).unwrap();
    assert_eq!(far.record.last_received.unwrap().1.fault, Fault::RESET);
    assert!(world.hosts[0].routes.is_empty());
    world.pass(Duration::from_secs(10));
    assert!(world.is_up(0, 1));
    let near = world.hosts[0].speaker.neighbour(address(1)).unwrap();
    assert_eq!((near.record.established, near.record.last_sent.unwrap().1.fault), (2, Fault::RESET));
    assert_eq!(world.next_hops(0, "10.1.0.0/26"), [address(1)]);
}

#[test]
fn an_order_that_cannot_be_is_refused_with_its_reason() {
    let mut world = World::of(&[64512, 64512], 1);
    world.sever(0, 1);
    world.acquaint_all();
    let speaker = &world.hosts[0].speaker;

    let down = speaker.admits(address(1), &Order::AskAgain).unwrap_err();
    let unknown = speaker.admits(address(7), &Order::Reset).unwrap_err();

    assert!(matches!(down, OrderRefusal::Down(_, state) if state != SessionState::Established), "{down}");
    assert_eq!(unknown.to_string(), "192.0.2.8 is no BGP neighbour of this host");
    assert_eq!(speaker.admits(address(1), &Order::Reset), Ok(()));
    order(&mut world, Order::AskAgain);
}

#[test]
fn who_watches_hears_of_each_change_and_nobody_else_does() {
    let mut world = World::mesh(&[64512, 64601, 64602], 1);
    world.originate(1, &["10.9.0.0/16"]);
    world.settle();
    assert!(world.hosts[0].best_changes.is_empty());

    world.handle(0, Event::Watched(true));
    world.originate(2, &["10.9.0.0/16"]);
    world.settle();
    world.originate(1, &[]);
    world.settle();
    world.originate(2, &[]);
    world.settle();

    let changes = std::mem::take(&mut world.hosts[0].best_changes);
    let next_hops: Vec<_> = changes.iter().map(|change| change.next_hops.len()).collect();
    assert_eq!(next_hops, [2, 1, 0]);
    assert_eq!(changes[1].step, Some(Step::Only));
    assert!(matches!(changes[1].after, Some(Way::Heard { neighbour, .. }) if neighbour == address(2)));
    assert_eq!(changes[2].after, None);

    world.handle(0, Event::Watched(false));
    world.originate(1, &["10.9.0.0/16"]);
    world.settle();
    assert!(world.hosts[0].best_changes.is_empty());
}

/// The first host asks this of its session with the second.
fn order(world: &mut World, order: Order) {
    world.handle(0, Event::Ordered { neighbour: address(1), order });
    world.settle();
}
