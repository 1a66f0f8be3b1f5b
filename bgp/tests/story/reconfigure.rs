//! A new configuration changes what it names, and nothing else.

use std::time::Duration;

use poplin_bgp::{Note, wire::Fault};

use crate::world::{World, address};

#[test]
fn a_changed_neighbour_is_reset_and_the_others_are_left_alone() {
    let mut world = World::mesh(&[64512, 64512, 64512], 1);
    world.originate(1, &["10.0.1.0/26"]);
    world.originate(2, &["10.0.2.0/26"]);
    world.settle();
    let untouched = world.view(0, 2).since;
    world.pass(Duration::from_secs(7));

    world.hosts[0].neighbours[0].hold_time = Duration::from_secs(30);
    world.configure(0);
    assert!(world.next_hops(0, "10.0.1.0/26").is_empty());
    assert_eq!(world.next_hops(0, "10.0.2.0/26"), [address(2)]);
    world.pass(Duration::from_secs(10));

    assert!(world.is_up(0, 1) && world.is_up(0, 2));
    assert_eq!(world.view(0, 2).since, untouched);
    assert_ne!(world.view(0, 1).since, untouched);
    let told = Note::ErrorReceived { neighbour: address(0), error: Fault::CONFIGURATION_CHANGE.bare() };
    assert!(world.hosts[1].notes.contains(&told));
    assert!(!world.hosts[2].notes.contains(&told));
}

#[test]
fn the_same_configuration_changes_nothing() {
    let mut world = World::mesh(&[64512, 64512], 1);
    let octets = world.hosts[0].octets_sent;
    world.hosts[0].neighbours[0].connect_retry = Duration::from_secs(77);

    world.configure(0);
    world.settle();

    assert_eq!(world.hosts[0].octets_sent, octets);
    assert!(world.is_up(0, 1));
}

#[test]
fn rfc4486_a_removed_neighbour_is_told_so() {
    let mut world = World::mesh(&[64512, 64512], 1);
    world.originate(0, &["10.0.0.0/26"]);
    world.settle();

    world.hosts[0].neighbours.clear();
    world.configure(0);
    world.pass(Duration::from_secs(60));

    let told = Note::ErrorReceived { neighbour: address(0), error: Fault::DECONFIGURED.bare() };
    assert!(world.hosts[1].notes.contains(&told));
    assert!(world.hosts[1].routes.is_empty());
    assert_eq!(world.hosts[0].speaker.neighbours().count(), 0);
    assert_eq!(world.pipes(0, 1), 0);
    let stranger = Note::Refused { neighbour: address(1), reason: "not a neighbour of ours".into() };
    assert!(world.hosts[0].notes.contains(&stranger));
}

#[test]
fn a_new_identity_resets_every_session() {
    let mut world = World::mesh(&[64512, 64512, 64512], 1);
    let before = (world.view(0, 1).since, world.view(0, 2).since);
    world.pass(Duration::from_secs(1));

    world.hosts[0].config.router_id = [192, 0, 2, 99].into();
    world.configure(0);
    world.pass(Duration::from_secs(10));

    assert!(world.is_up(0, 1) && world.is_up(0, 2));
    assert_ne!((world.view(0, 1).since, world.view(0, 2).since), before);
}
