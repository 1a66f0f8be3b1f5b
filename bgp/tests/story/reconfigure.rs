//! A new configuration changes what it names, and nothing else.

use std::{
    num::{NonZeroU8, NonZeroUsize},
    time::Duration,
};

use poplin_bgp::{
    Address, Asn, Event, Multipath, NeighbourConfig, Note, Order, RemoteAs, RoleConfig,
    wire::{AddPaths, Family, Fault, Role},
};

use crate::world::{World, address};

type Change = fn(&mut NeighbourConfig);

#[test]
fn what_an_open_speaks_of_waits_for_the_next_session_and_ends_none() {
    let mut world = World::mesh(&[64512, 64513], 1);
    world.originate(1, &["10.0.1.0/26"]);
    world.settle();
    let since = world.view(0, 1).since;
    let changes: [(&str, Change); 9] = [
        ("hold time", |config| config.hold_time = Duration::from_secs(30)),
        ("families", |config| config.families = [Family::Ipv4].into()),
        ("extended next hop", |config| config.extended_next_hop = Some(true)),
        ("additional paths", |config| config.add_paths = AddPaths { receive: true, send: true }),
        ("role", |config| config.role = Some(RoleConfig { role: Role::Provider, is_strict: false })),
        ("extended messages", |config| config.extended_messages = true),
        ("long-lived restart", |config| config.long_lived = Some(Duration::from_secs(3600))),
        ("gentle notifications", |config| config.gentle = true),
        ("protection", |config| config.protection.hops_max = NonZeroU8::new(1)),
    ];

    for (name, change) in changes {
        change(&mut world.hosts[0].neighbours[0]);
        world.configure(0);
        assert!(world.view(0, 1).pending.contains(&name), "{name}: {:?}", world.view(0, 1).pending);
        assert_eq!(world.next_hops(0, "10.0.1.0/26"), [address(1)], "{name}");
    }
    world.pass(Duration::from_secs(200));
    assert_eq!((world.view(0, 1).since, world.view(0, 1).pending.len()), (since, changes.len()));
    assert!(world.hosts[1].notes.iter().all(|note| !matches!(note, Note::ErrorReceived { .. })));

    world.handle(0, Event::Ordered { neighbour: address(1), order: Order::Reset });
    world.pass(Duration::from_secs(10));
    assert!(world.is_up(0, 1));
    let detail = world.hosts[0].speaker.neighbour(address(1)).unwrap();
    assert_eq!((detail.times.hold, detail.view.pending), (Some(Duration::from_secs(30)), vec![]));
    assert_eq!(detail.families.iter().map(|(family, _)| *family).collect::<Vec<_>>(), [Family::Ipv4]);
}

#[test]
fn a_setting_taken_back_is_not_waited_for() {
    let mut world = World::mesh(&[64512, 64512], 1);
    world.hosts[0].neighbours[0].hold_time = Duration::from_secs(30);
    world.configure(0);
    assert_eq!(world.view(0, 1).pending, ["hold time"]);

    world.hosts[0].neighbours[0].hold_time = Duration::from_secs(90);
    world.configure(0);

    assert!(world.view(0, 1).pending.is_empty());
}

#[test]
fn a_neighbour_meant_to_be_in_another_system_is_let_go() {
    let mut world = World::mesh(&[64512, 64513, 64514], 1);
    let untouched = world.view(0, 2).since;
    world.originate(1, &["10.0.1.0/26"]);
    world.settle();
    world.pass(Duration::from_secs(7));

    world.hosts[0].neighbours[0].asn = Asn(64599).into();
    world.configure(0);
    assert!(world.next_hops(0, "10.0.1.0/26").is_empty());
    world.pass(Duration::from_secs(10));

    assert!(!world.is_up(0, 1));
    assert_eq!(world.view(0, 2).since, untouched);
    let told = Note::ErrorReceived { neighbour: address(0), error: Fault::CONFIGURATION_CHANGE.bare() };
    assert!(world.hosts[1].notes.contains(&told));
}

#[test]
fn a_neighbour_named_by_its_system_instead_of_any_other_keeps_its_session() {
    let mut world = World::mesh(&[64512, 64513], 1);
    world.hosts[0].neighbours[0].asn = RemoteAs::External;
    world.configure(0);
    world.pass(Duration::from_secs(5));
    let since = world.view(0, 1).since;

    world.hosts[0].neighbours[0].asn = Asn(64513).into();
    world.configure(0);
    world.pass(Duration::from_secs(5));

    assert_eq!((world.view(0, 1).since, world.view(0, 1).pending), (since, vec![]));
}

#[test]
fn how_long_we_are_silent_counts_at_once() {
    let mut world = World::mesh(&[64512, 64512], 1);
    let sent = |world: &World| world.hosts[0].speaker.neighbour(address(1)).unwrap().record.sent.keepalives;
    let before = sent(&world);

    world.hosts[0].neighbours[0].keepalive = Some(Duration::from_secs(1));
    world.configure(0);
    world.pass(Duration::from_secs(20));

    assert!(sent(&world) >= before + 19, "{} after {before}", sent(&world));
}

#[test]
fn a_new_next_hop_is_told_in_the_session_that_stands() {
    let mut world = World::mesh(&[64512, 64512], 1);
    world.originate(0, &["10.0.0.0/26"]);
    world.settle();
    let since = world.view(0, 1).since;
    assert_eq!(world.next_hops(1, "10.0.0.0/26"), [address(0)]);

    world.hosts[0].neighbours[0].next_hop_v4 = Some([192, 0, 2, 77].into());
    world.configure(0);
    world.settle();

    assert_eq!(world.next_hops(1, "10.0.0.0/26"), [Address::from([192, 0, 2, 77])]);
    assert_eq!(world.view(0, 1).since, since);
}

#[test]
fn an_attempt_under_other_settings_begins_anew_at_once() {
    let mut world = World::of(&[64512, 64513], 1);
    world.acquaint_all();
    world.hosts[0].neighbours[0].asn = Asn(64599).into();
    world.configure(0);
    world.pass(Duration::from_secs(300));
    assert!(!world.is_up(0, 1));

    world.hosts[0].neighbours[0].asn = Asn(64513).into();
    world.configure(0);
    world.settle();

    assert!(world.is_up(0, 1), "{:?}", world.view(0, 1));
    assert!(world.view(0, 1).pending.is_empty());
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

#[test]
fn how_ways_share_the_traffic_changes_at_once_and_ends_no_session() {
    let mut world = World::mesh(&[64512, 64513, 64514], 1);
    [1, 2].into_iter().for_each(|host| world.originate(host, &["10.9.0.0/26"]));
    world.settle();
    let since = [1, 2].map(|host| world.view(0, host).since);
    let sent = world.hosts[0].octets_sent;
    let prefix = "10.9.0.0/26";
    assert_eq!(world.next_hops(0, prefix), [address(1), address(2)]);
    let why = |world: &World| {
        let routes = world.hosts[0].speaker.routes().filter(|route| !route.best);
        routes.map(|route| (route.used, route.fate.to_string())).collect::<Vec<_>>()
    };

    world.handle(0, Event::Share(Multipath { is_relaxed: false, ..Multipath::default() }));
    assert_eq!(world.next_hops(0, prefix), [address(1)]);
    let lost = "it comes from a higher BGP identifier";
    let apart = "and does not share the traffic: its AS path is another (multipathRelax is off)";
    assert_eq!(why(&world), [(false, format!("{lost}, {apart}"))]);

    world.handle(0, Event::Share(Multipath { maximum: NonZeroUsize::new(1), is_relaxed: true }));
    assert_eq!(world.next_hops(0, prefix), [address(1)]);
    let apart = "and does not share the traffic: maximumPaths is 1";
    assert_eq!(why(&world), [(false, format!("{lost}, {apart}"))]);

    world.handle(0, Event::Share(Multipath::default()));
    assert_eq!(world.next_hops(0, prefix), [address(1), address(2)]);
    assert_eq!(why(&world), [(true, lost.to_owned())]);
    assert_eq!(([1, 2].map(|host| world.view(0, host).since), world.hosts[0].octets_sent), (since, sent));
}
