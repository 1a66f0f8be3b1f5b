//! One host and one BIRD that watch the way between them: by one hop and by several, in both families.

use std::net::UdpSocket;
use std::time::Duration;

use poplin_bgp::bfd::{Diagnostic, Packet, State};
use poplin_lab::{Agent, Bird, Lab, Namespace, eventually, until};
use rustix::process::Signal;
use serde_json::Value;

/// What BIRD announces.
const FOREIGN: &str = "198.51.100.0/24";

#[test]
fn a_way_over_one_hop_is_watched_by_both() {
    let world = World::over("172.31.1.1", "172.31.1.2", "direct", "{}");

    world.until_watched("direct");

    assert!(world.tor.birdc("show bfd sessions").contains("172.31.1.2"));
}

#[test]
fn a_way_over_ipv6_is_watched_by_both() {
    World::over("fd31:1::1", "fd31:1::2", "direct", "{}").until_watched("direct");
}

#[test]
fn a_way_over_several_hops_is_watched_by_both() {
    World::over("172.31.1.1", "172.31.1.2", "multihop 4", "{multihop: true}").until_watched("multihop");
}

#[test]
fn the_slower_wish_of_the_two_counts() {
    let world = World::over("172.31.1.1", "172.31.1.2", "direct", "{intervalMilliseconds: 400, multiplier: 4}");

    world.until_watched("direct");

    eventually("both have agreed", || match world.session()["bfd"].clone() {
        bfd if bfd["intervalMilliseconds"] == 400 && bfd["detectionMilliseconds"] == 2000 => Ok(()),
        bfd => Err(bfd.to_string()),
    });
    let theirs = world.tor.birdc("show bfd sessions");
    assert!(theirs.contains("0.400") && theirs.contains("1.600"), "{theirs}");
}

#[test]
fn a_session_goes_on_when_its_watch_becomes_faster_and_then_a_condition() {
    let world = World::over("172.31.1.1", "172.31.1.2", "direct", "{}");
    world.until_watched("direct");

    world.host.apply(&peer("172.31.1.1", "{intervalMilliseconds: 250, multiplier: 4}"));
    eventually("both have agreed", || match world.session()["bfd"].clone() {
        bfd if bfd["detectionMilliseconds"] == 1250 => Ok(()),
        bfd => Err(bfd.to_string()),
    });
    world.host.apply(&peer("172.31.1.1", "{intervalMilliseconds: 250, multiplier: 4, strict: true}"));

    world.until_watched("direct");
    assert!(!world.host.said().contains("is down"), "{}", world.host.said());
}

#[test]
fn a_way_that_is_cut_is_noticed_on_both_sides_and_comes_back() {
    let world = World::over("172.31.1.1", "172.31.1.2", "direct", "{}");
    world.until_watched("direct");

    let ends = [world.host.namespace(), world.tor.namespace()];
    ends.into_iter().for_each(Namespace::cut);

    until("our routes are gone", || world.learned() == 0);
    assert_eq!(world.session()["lastError"], "BFD down (6/10)");
    eventually("BIRD's session is gone for the same reason", || match world.tor.birdc("show protocols all fabric") {
        told if told.contains("BFD session down") => Ok(()),
        told => Err(told),
    });
    ends.into_iter().for_each(Namespace::mend);
    world.until_watched("direct");
}

#[test]
fn a_bird_that_stands_still_is_noticed() {
    let mut world = World::over("172.31.1.1", "172.31.1.2", "direct", "{}");
    world.until_watched("direct");

    world.tor.process().signal(Signal::STOP);

    until("our routes are gone", || world.learned() == 0);
    assert_eq!(world.session()["bfd"]["diagnostic"], "control detection time expired");
    world.tor.process().signal(Signal::CONT);
    world.until_watched("direct");
}

#[test]
fn a_watch_that_we_end_is_told_and_the_session_goes_on_without() {
    let world = World::over("172.31.1.1", "172.31.1.2", "direct", "{}");
    world.until_watched("direct");

    world.host.apply(&peer("172.31.1.1", "{enabled: false}"));

    eventually("BIRD's end is not up any more", || match world.tor.birdc("show bfd sessions") {
        sessions if sessions.contains("Up") => Err(sessions),
        _ => Ok(()),
    });
    // BIRD 2.0 takes AdminDown for Down and ends the session, against RFC 5882 §3.2; it calls again, and nothing holds it back.
    eventually("there is a session, unwatched", || match world.session() {
        session if session["state"] == "Established" && session["bfd"].is_null() && world.learned() == 1 => Ok(()),
        session => Err(session.to_string()),
    });
    assert!(!world.host.said().contains("BFD down (6/10)"), "we ended nothing: {}", world.host.said());
}

#[test]
fn a_bird_that_does_not_watch_is_a_neighbour_like_any_other_unless_we_are_strict() {
    let mut world = World::over("172.31.1.1", "172.31.1.2", "direct", "{}");
    world.until_watched("direct");

    world.tor.start("172.31.0.1", &protocols("172.31.1.1", "172.31.1.2", "direct", "off"));
    until("there is a session without", || world.session()["state"] == "Established" && world.learned() == 1);
    until("BFD is down", || world.session()["bfd"]["state"] == "Down");
    assert_eq!(world.session()["state"], "Established");

    world.tor.stop();
    world.host.apply(&peer("172.31.1.1", "{strict: true}"));
    world.tor.start("172.31.0.1", &protocols("172.31.1.1", "172.31.1.2", "direct", "off"));
    until("BIRD's calls are turned away", || world.host.said().contains("BFD is not up"));
    assert_ne!(world.session()["state"], "Established");

    world.tor.start("172.31.0.1", &protocols("172.31.1.1", "172.31.1.2", "direct", "on"));
    world.until_watched("direct");
}

#[test]
fn a_bird_whose_bfd_is_graceful_keeps_the_routes_of_a_killed_agent() {
    let mut world = World::over("172.31.1.1", "172.31.1.2", "direct", "{}");
    world.tor.start("172.31.0.1", &protocols("172.31.1.1", "172.31.1.2", "direct", "graceful"));
    world.until_watched("direct");
    let mut container = world.lab.container("web");
    world.host.attach(&mut container, &[]);
    until("BIRD has our block", || !world.tor.learned().is_empty());
    let learned = world.tor.learned();

    world.host.kill();

    eventually("BIRD's BFD misses us", || match world.tor.birdc("show bfd sessions") {
        sessions if sessions.contains(" Up ") => Err(sessions),
        _ => Ok(()),
    });
    assert_eq!(world.tor.learned(), learned);
    world.host.start();
    world.until_watched("direct");
    assert_eq!(world.tor.learned(), learned);
}

#[test]
fn what_has_passed_a_router_is_not_taken_for_the_neighbour() {
    let world = World::over("172.31.1.1", "172.31.1.2", "direct", "{}");
    world.until_watched("direct");
    let state = |world: &World| world.session()["bfd"]["diagnostic"].as_str().map(str::to_owned);

    for hops in [1, 64, 254] {
        world.forge(hops);
    }
    world.until_another_second();
    assert_eq!(state(&world).as_deref(), Some(""));

    world.forge(255);
    until("the same packet from the link is taken", || {
        state(&world).as_deref() == Some("neighbour signaled session down")
    });
}

/// A host beside a BIRD that announces [`FOREIGN`] and has BFD on its side.
struct World {
    host: Agent,
    tor: Bird,
    lab: Lab,
}

impl World {
    /// BIRD's address and ours, how far BIRD takes us to be, and what we are told about BFD.
    fn over(bird: &str, us: &str, distance: &str, bfd: &str) -> Self {
        let lab = Lab::new();
        let mut tor = Bird::new(&lab, "tor");
        let namespace = lab.namespace("h1");
        let addresses = [["172.31.1.2/24", "fd31:1::2/64"], ["172.31.1.1/24", "fd31:1::1/64"]];
        namespace.join("uplink", &addresses[0], tor.namespace(), "h1", &addresses[1]);
        namespace.run("ip", &["route", "add", "default", "via", "172.31.1.1"]);
        let mut host = Agent::new(&lab, namespace, "h1").with(&["--asn", "64601"]);
        host.start();
        host.apply(&peer(bird, bfd));
        tor.start("172.31.0.1", &protocols(bird, us, distance, "on"));
        Self { host, tor, lab }
    }

    /// Waits until BFD and BGP are up on both sides, over this path.
    #[track_caller]
    fn until_watched(&self, path: &str) {
        eventually("BFD is up on our side", || match self.session() {
            session if session["state"] == "Established" && session["bfd"]["state"] == "Up" => Ok(()),
            session => Err(session.to_string()),
        });
        assert_eq!(self.session()["bfd"]["path"], path);
        eventually("BFD is up on BIRD's side", || match self.tor.birdc("show bfd sessions") {
            sessions if sessions.contains(" Up ") => Ok(()),
            sessions => Err(sessions),
        });
        until("we have learned what it announces", || self.learned() == 1);
    }

    /// Sends the host a packet in BIRD's name that says that BFD begins anew, as if from so far.
    fn forge(&self, hops: u32) {
        let socket = self.tor.namespace().within(|| UdpSocket::bind("172.31.1.1:0")).expect("an address of the switch");
        socket.set_ttl(hops).expect("a hop limit");
        let second = Duration::from_secs(1);
        let packet = Packet {
            diagnostic: Diagnostic::NONE,
            state: State::Down,
            is_poll: false,
            is_final: false,
            is_independent: false,
            is_demand: false,
            multiplier: 3,
            mine: 1,
            yours: 0,
            min_transmit: second,
            min_receive: second,
            min_echo: Duration::ZERO,
        };
        socket.send_to(&packet.encode(), "172.31.1.2:3784").expect("a route to the host");
    }

    /// Waits until the host has had time to take what was sent.
    fn until_another_second(&self) {
        let seconds = || self.session()["bfd"]["secondsInState"].as_u64().unwrap_or_default();
        let before = seconds();
        until("a second is over", || seconds() != before);
    }

    fn session(&self) -> Value {
        self.host.status()["sessions"][0].clone()
    }

    /// How many routes the host's kernel has learned.
    fn learned(&self) -> usize {
        self.host.routes().iter().filter(|route| route.starts_with(FOREIGN) && route.contains(" via ")).count()
    }
}

fn peer(address: &str, bfd: &str) -> String {
    format!(
        "{{apiVersion: poplin.dev/v1, kind: Peer, metadata: {{name: router}}, spec: {{address: '{address}', asn: 65001, bfd: {bfd}}}}}"
    )
}

fn protocols(bird: &str, us: &str, distance: &str, bfd: &str) -> String {
    format!(
        "protocol bfd {{ interface \"*\" {{ min rx interval 200 ms; min tx interval 200 ms; idle tx interval 1 s; multiplier 5; }};\n\
         multihop {{ min rx interval 200 ms; min tx interval 200 ms; multiplier 5; }}; }}\n\
         protocol static {{ ipv4; route {FOREIGN} blackhole; }}\n\
         protocol bgp fabric {{ {distance}; bfd {bfd}; connect delay time 1; connect retry time 1; error wait time 1, 1;\n\
         local {bird} as 65001; neighbor {us} as 64601; ipv4 {{ import all; export all; next hop self; }};\n\
         ipv6 {{ import all; export all; next hop self; }}; }}"
    )
}
