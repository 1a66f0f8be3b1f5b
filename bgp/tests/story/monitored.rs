//! Monitoring stations: what they hear of sessions and routes, as RFC 7854 and RFC 9069 have it.
//!
//! A reader that is as simple as the format keeps what a station would: the routes of each view and neighbour. After every story it must
//! hold what the speaker holds.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    time::Duration,
};

use ipnet::IpNet;
use poplin_bgp::{
    Address, ConnectionId, Event, Monitoring, RouteRules,
    bmp::{System, View},
    wire::{Dialect, Framer, Message, PathFamilies},
};

use super::world::{World, address, messages, net, preferring, without_communities};

const STATION: ConnectionId = ConnectionId(7);
const SINCE_1970: Duration = Duration::from_secs(1_800_000_000);

fn at() -> SocketAddr {
    "198.51.100.9:11019".parse().unwrap()
}

fn hearing(views: &[View]) -> Monitoring {
    Monitoring { views: views.iter().copied().collect(), statistics: None }
}

const EVERYTHING: [View; 3] = [View::AdjRibInPre, View::AdjRibInPost, View::LocRib];

/// What a station holds: by view, neighbour and path, over which router.
type Held = BTreeMap<(View, Address), BTreeMap<(IpNet, u32), Address>>;

/// What a station makes of what it heard.
#[derive(Default)]
struct Ear {
    kinds: Vec<u8>,
    held: Held,
    /// Views and neighbours of which the end of the table was told.
    ended: BTreeSet<(View, Address)>,
    times: Vec<u32>,
    with_ids: bool,
}

impl Ear {
    fn listen(octets: &[u8], with_ids: bool) -> Self {
        let mut ear = Self { with_ids, ..Self::default() };
        let mut left = octets;
        while !left.is_empty() {
            assert_eq!(left[0], 3, "a message begins with the version");
            let length = u32::from_be_bytes(left[1..5].try_into().unwrap()) as usize;
            let (message, rest) = left.split_at(length);
            ear.hear(message[5], &message[6..]);
            left = rest;
        }
        ear
    }

    fn hear(&mut self, kind: u8, body: &[u8]) {
        self.kinds.push(kind);
        if kind >= 4 {
            return;
        }
        let view = match (body[0], body[1] & 0x40) {
            (3, _) => View::LocRib,
            (_, 0) => View::AdjRibInPre,
            _ => View::AdjRibInPost,
        };
        let neighbour = Address::from(<[u8; 4]>::try_from(&body[22..26]).unwrap());
        self.times.push(u32::from_be_bytes(body[34..38].try_into().unwrap()));
        match kind {
            0 => self.update(view, neighbour, &body[42..]),
            2 if view == View::LocRib => drop(self.held.remove(&(view, neighbour))),
            2 => self.held.retain(|(view, known), _| *view == View::LocRib || *known != neighbour),
            _ => {}
        }
    }

    fn update(&mut self, view: View, neighbour: Address, octets: &[u8]) {
        let mut framer = Framer::default();
        framer.feed(octets);
        let ids = PathFamilies::of(|_| self.with_ids && view != View::LocRib);
        let dialect = Dialect { four_octets: true, external: true, ids_in: ids, ..Dialect::PLAIN };
        let (message, flaws) = framer.next(dialect).unwrap().unwrap();
        // Nobody says here whether it came from another system, and what only internal neighbours say is passed over.
        let of_internal = [5, 9, 10];
        assert!(flaws.iter().all(|flaw| of_internal.contains(&flaw.attribute)), "{flaws:?}");
        let Message::Update(update) = message else { panic!("{message:?} is no UPDATE") };
        self.ended.extend(update.ends_table_of().map(|_| (view, neighbour)));
        let held = self.held.entry((view, neighbour)).or_default();
        for gone in update.all_withdrawn() {
            held.remove(&(gone.prefix, gone.id));
        }
        for (next_hop, come) in update.all_announced() {
            held.extend(come.iter().map(|one| ((one.prefix, one.id), Address::from(next_hop.address))));
        }
    }
}

/// A station begins to hear of a host.
fn listens(world: &mut World, host: usize, terms: Monitoring) {
    world.handle(host, Event::Monitor([(at(), terms)].into()));
    connects(world, host);
}

fn connects(world: &mut World, host: usize) {
    world.hosts[host].reports.clear();
    let system = System { name: "h1".into(), description: "a test".into() };
    world.handle(host, Event::StationUp { connection: STATION, station: at(), since_1970: SINCE_1970, system });
    world.handle(host, Event::StationReady { connection: STATION });
}

fn ear(world: &World, host: usize) -> Ear {
    Ear::listen(&world.hosts[host].reports[&STATION], false)
}

/// What a station ought to hold of a host.
fn truth(world: &World, host: usize) -> Held {
    let mut held = Held::new();
    let speaker = &world.hosts[host].speaker;
    for route in speaker.routes().filter(|route| !route.stale) {
        let mut hold = |view, neighbour, id| {
            held.entry((view, neighbour)).or_default().insert((route.prefix, id), route.next_hop);
        };
        hold(View::AdjRibInPre, route.neighbour, route.path_id);
        if route.admitted {
            hold(View::AdjRibInPost, route.neighbour, route.path_id);
        }
        if route.best {
            hold(View::LocRib, [0, 0, 0, 0].into(), 0);
        }
    }
    for own in &world.hosts[host].own {
        let nobody = if own.network().is_ipv4() { Address::from([0; 4]) } else { Address::from([0; 16]) };
        held.entry((View::LocRib, [0, 0, 0, 0].into())).or_default().insert((*own, 0), nobody);
    }
    held
}

/// The station holds what the speaker holds.
#[track_caller]
fn agree(world: &World, host: usize, with_ids: bool) {
    let mut held = Ear::listen(&world.hosts[host].reports[&STATION], with_ids).held;
    held.retain(|_, routes| !routes.is_empty());
    assert_eq!(held, truth(world, host));
}

fn three() -> World {
    let mut world = World::mesh(&[64512, 64512, 65001], 3);
    world.originate(0, &["10.0.0.0/26"]);
    world.originate(1, &["10.0.1.0/26", "10.0.9.0/26"]);
    world.originate(2, &["10.0.2.0/26", "10.0.9.0/26"]);
    world.settle();
    world
}

#[test]
fn a_station_that_comes_late_hears_who_is_up_then_the_table_then_its_end() {
    let mut world = three();

    listens(&mut world, 0, hearing(&EVERYTHING));

    agree(&world, 0, false);
    let ear = ear(&world, 0);
    assert_eq!(ear.kinds[..4], [4, 3, 3, 3], "who speaks, two neighbours, the table in use");
    let all: BTreeSet<_> = truth(&world, 0).into_keys().collect();
    assert_eq!(ear.ended, all);
}

#[test]
fn a_session_is_told_of_with_its_ports_and_both_opens() {
    let mut world = World::mesh(&[64512, 64512], 1);
    for connection in (0..9).map(ConnectionId) {
        world.handle(0, Event::ConnectionPorts { connection, local: 179, remote: 40_000 });
    }

    listens(&mut world, 0, hearing(&[View::AdjRibInPre]));

    let told = &world.hosts[0].reports[&STATION];
    let initiation = u32::from_be_bytes(told[1..5].try_into().unwrap()) as usize;
    let (ends, opens) = told[initiation + 6 + 42..].split_at(20);
    assert_eq!(ends[12..], [192, 0, 2, 1, 0, 179, 0x9c, 0x40], "our address and port, and the far one's port");
    let opens = messages(&opens[..2 * 19 + open_bodies(opens)]);
    assert!(opens.len() == 2 && opens.iter().all(|open| open[18] == 1), "both are OPENs");
    assert_eq!([&opens[0][24..28], &opens[1][24..28]], [[192, 0, 2, 1], [192, 0, 2, 2]], "ours comes first");
}

/// How long the bodies of the two messages are that these octets begin with.
fn open_bodies(octets: &[u8]) -> usize {
    let length = |octets: &[u8]| usize::from(u16::from_be_bytes([octets[16], octets[17]]));
    let first = length(octets);
    first + length(&octets[first..]) - 2 * 19
}

#[test]
fn what_changes_is_told_at_once_and_nothing_is_told_twice() {
    let mut world = three();
    listens(&mut world, 0, hearing(&EVERYTHING));
    let before = ear(&world, 0).kinds.len();

    world.originate(1, &["10.0.1.0/26", "10.0.4.0/26"]);
    world.settle();

    agree(&world, 0, false);
    // A route went and one came, in each of two views; of the table in use the other neighbour's way took one's place.
    assert_eq!(ear(&world, 0).kinds.len() - before, 6);
}

#[test]
fn import_rules_make_the_difference_between_the_views() {
    let mut world = three();
    listens(&mut world, 0, hearing(&EVERYTHING));

    world.exchange(0, 1, |exchange| exchange.import = RouteRules::Closed);
    world.settle();
    agree(&world, 0, false);
    let one = |view| ear(&world, 0).held.get(&(view, address(1))).map_or(0, BTreeMap::len);
    assert_eq!((one(View::AdjRibInPre), one(View::AdjRibInPost)), (2, 0));

    world.exchange(0, 1, |exchange| exchange.import = preferring(300));
    world.settle();
    agree(&world, 0, false);

    world.exchange(0, 1, |exchange| exchange.import = without_communities());
    world.settle();
    agree(&world, 0, false);
}

#[test]
fn the_end_of_a_session_voids_its_routes_also_those_that_are_kept() {
    let mut world = three();
    listens(&mut world, 0, hearing(&EVERYTHING));

    world.sever(0, 2);
    world.break_pipe(0, 2);
    world.settle();

    let ear = ear(&world, 0);
    assert!(ear.kinds.contains(&2));
    assert!(!ear.held.contains_key(&(View::AdjRibInPre, address(2))));
    assert!(world.hosts[0].speaker.routes().any(|route| route.stale), "they are used all the same");
    assert_eq!(ear.held[&(View::LocRib, [0; 4].into())].len(), 4, "and so the table in use has them");

    world.mend();
    world.pass(Duration::from_secs(10));
    assert!(world.is_up(0, 2));
    agree(&world, 0, false);
}

#[test]
fn a_table_of_many_stretches_is_told_as_the_station_has_room() {
    let mut world = World::mesh(&[64512, 64512], 5);
    let many: Vec<String> = (0..2500).map(|n: u32| format!("10.{}.{}.0/26", n >> 8, n & 255)).collect();
    world.originate(1, &many.iter().map(String::as_str).collect::<Vec<_>>());
    world.settle();

    listens(&mut world, 0, hearing(&EVERYTHING));
    let first = world.hosts[0].reports[&STATION].len();
    world.originate(1, &["10.0.0.0/26", "10.9.195.0/26", "10.9.196.0/26"]);
    world.settle();
    for _ in 0..3 {
        world.handle(0, Event::StationReady { connection: STATION });
    }

    agree(&world, 0, false);
    assert!(first < 100_000, "{first} octets were told before there was room");
    let told = world.hosts[0].reports[&STATION].len();
    world.handle(0, Event::StationReady { connection: STATION });
    assert_eq!(world.hosts[0].reports[&STATION].len(), told, "nothing is left to tell");
}

#[test]
fn a_stretch_with_nothing_to_tell_does_not_end_the_walk() {
    let mut world = World::mesh(&[64512, 64512, 64512], 5);
    let many: Vec<String> = (0..2500).map(|n: u32| format!("10.{}.{}.0/26", n >> 8, n & 255)).collect();
    world.originate(1, &many.iter().map(String::as_str).collect::<Vec<_>>());
    world.originate(2, &["172.16.0.0/26"]);
    world.settle();
    world.sever(0, 1);
    world.break_pipe(0, 1);
    world.settle();

    listens(&mut world, 0, hearing(&[View::AdjRibInPre]));

    let ear = ear(&world, 0);
    let held: Vec<_> = ear.held[&(View::AdjRibInPre, address(2))].keys().map(|(prefix, _)| *prefix).collect();
    assert_eq!(held, [net("172.16.0.0/26")]);
    assert!(ear.ended.contains(&(View::AdjRibInPre, address(2))));
}

#[test]
fn several_paths_of_a_neighbour_keep_their_identifiers() {
    let mut world = super::paths::reflected(8);

    listens(&mut world, 0, hearing(&[View::AdjRibInPre]));

    let held = Ear::listen(&world.hosts[0].reports[&STATION], true).held;
    let paths = &held[&(View::AdjRibInPre, address(1))];
    assert_eq!(paths.values().copied().collect::<BTreeSet<_>>(), [address(2), address(3)].into());
    world.originate(2, &[]);
    world.settle();
    let held = Ear::listen(&world.hosts[0].reports[&STATION], true).held;
    assert_eq!(held[&(View::AdjRibInPre, address(1))].values().copied().collect::<Vec<_>>(), [address(3)]);
}

#[test]
fn statistics_come_at_their_own_pace() {
    let mut world = three();
    let terms = Monitoring { statistics: Some(Duration::from_secs(20)), ..hearing(&EVERYTHING) };
    listens(&mut world, 0, terms);

    world.pass(Duration::from_secs(61));

    let count = ear(&world, 0).kinds.iter().filter(|kind| **kind == 1).count();
    assert_eq!(count, 3 * 3, "two neighbours and the table, three times");
}

#[test]
fn times_are_those_of_people() {
    let mut world = three();
    world.pass(Duration::from_secs(100));
    listens(&mut world, 0, hearing(&[View::AdjRibInPre]));

    world.pass(Duration::from_secs(30));
    world.originate(1, &[]);
    world.settle();

    let times = ear(&world, 0).times;
    let now = u32::try_from(SINCE_1970.as_secs()).unwrap();
    assert_eq!(times[0], now - 100, "a session is as old as it is");
    assert_eq!(times.last(), Some(&(now + 30)));
    assert!(times.contains(&0), "when a route of the first table came is not known");
}

#[test]
fn a_station_nobody_asked_for_hears_nothing() {
    let mut world = three();

    connects(&mut world, 0);

    assert!(world.hosts[0].reports.is_empty());
}

#[test]
fn other_terms_are_told_to_the_hands_and_the_station_begins_anew() {
    let mut world = three();
    listens(&mut world, 0, hearing(&[View::AdjRibInPre]));

    world.handle(0, Event::Monitor([(at(), hearing(&[View::LocRib]))].into()));
    assert_eq!(world.hosts[0].stations[&at()], hearing(&[View::LocRib]));
    let told = world.hosts[0].reports[&STATION].len();
    world.originate(1, &["10.0.4.0/26"]);
    world.settle();
    assert_eq!(world.hosts[0].reports[&STATION].len(), told, "the old connection is told nothing more");

    connects(&mut world, 0);
    let ear = ear(&world, 0);
    assert!(ear.held.keys().all(|(view, _)| *view == View::LocRib));
    assert!(ear.held[&(View::LocRib, [0; 4].into())].contains_key(&(net("10.0.4.0/26"), 0)));
}

#[test]
fn a_new_identity_is_a_new_table() {
    let mut world = three();
    listens(&mut world, 0, hearing(&[View::LocRib]));

    world.hosts[0].config.router_id = [192, 0, 2, 77].into();
    world.configure(0);
    world.settle();
    world.handle(0, Event::StationReady { connection: STATION });
    world.pass(Duration::from_secs(10));

    let mut held = ear(&world, 0).held;
    held.retain(|_, routes| !routes.is_empty());
    let mut wanted = truth(&world, 0);
    wanted.retain(|(view, _), _| *view == View::LocRib);
    assert_eq!(held, wanted);
}

#[test]
fn whatever_happens_a_station_holds_what_the_speaker_holds() {
    for seed in 1..40 {
        let mut world = World::mesh(&[64512, 64512, 65001], seed);
        let mut dice = seed;
        let mut dice = move |below: u64| {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (dice >> 33) % below
        };
        listens(&mut world, 0, hearing(&EVERYTHING));
        for _ in 0..30 {
            let other = usize::try_from(1 + dice(2)).unwrap();
            match dice(6) {
                0 => world.break_pipe(0, other),
                1 => world.pass(Duration::from_secs(7)),
                2 => world.exchange(0, other, |exchange| exchange.import = RouteRules::Closed),
                3 => world.exchange(0, other, |exchange| exchange.import = RouteRules::Open),
                _ => {
                    let host = usize::try_from(dice(3)).unwrap();
                    let own: Vec<String> = (0..dice(5)).map(|_| format!("10.0.{}.0/26", dice(6))).collect();
                    world.originate(host, &own.iter().map(String::as_str).collect::<Vec<_>>());
                }
            }
        }
        world.pass(Duration::from_secs(300));
        world.handle(0, Event::StationReady { connection: STATION });
        println!("seed {seed}");
        agree(&world, 0, false);
    }
}
