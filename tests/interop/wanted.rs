//! One host and one BIRD that do not want everything of each other: too many prefixes, or no session for now.

use poplin_lab::{eventually, until};
use serde_json::Value;

use crate::beside::{V4, World};
use crate::changed::{assert_all_changed, counts};

#[test]
fn a_bird_that_announces_too_much_is_told_so_and_let_in_again_when_the_limit_is_raised() {
    let world = World::new();
    world.peer(V4, "prefixLimits: {ipv4: 1}");
    world.bird(V4, "");
    world.until_established();

    world.tor.borrow_mut().start("172.31.0.1", &announcing_two());

    world.until_told(&["maximum number of prefixes reached (6/1): more than 1 of IPv4"]);
    assert_eq!(
        (world.session()["state"].as_str(), world.host.routes().iter().any(|route| is_foreign(route))),
        (Some("Idle"), false)
    );
    eventually("BIRD has been told", || match world.tor.borrow().birdc("show protocols all fabric") {
        told if told.contains("Received: Maximum number of prefixes reached") => Ok(()),
        told => Err(told),
    });
    world.peer(V4, "prefixLimits: {ipv4: 2}");
    until("both prefixes are there", || world.session()["prefixLimits"][0]["received"] == 2);
    assert!(world.host.poplin(&["status"]).contains("2 of 2/"));
}

#[test]
fn a_bird_that_announces_too_much_for_a_while_is_let_in_again_by_itself() {
    let world = World::new();
    world.peer(V4, "prefixLimits: {ipv4: 1, action: pause, pauseSeconds: 2}");

    world.tor.borrow_mut().start("172.31.0.1", &announcing_two());

    world.until_told(&["maximum number of prefixes reached (6/1): more than 1 of IPv4"]);
    until("it is let in again, and ended again", || world.host.said().matches("2 IPv4 prefixes, and 1").count() > 1);
    world.bird(V4, "");
    world.until_established();
}

#[test]
fn a_bird_that_announces_too_much_may_be_only_warned_of() {
    let world = World::new();
    world.peer(V4, "prefixLimits: {ipv4: 1, action: warn}");

    world.tor.borrow_mut().start("172.31.0.1", &announcing_two());

    until("both prefixes are there", || world.session()["prefixesReceived"] == 2);
    let status = world.host.try_poplin(&["status"]);
    let told = String::from_utf8_lossy(&status.stderr).into_owned();
    assert_eq!(status.status.code(), Some(7));
    assert!(told.contains("router (172.31.1.1) announces 2 IPv4 prefixes, and 1 are allowed"), "{told}");
    assert!(world.host.said().contains("172.31.1.1 announces 2 IPv4 prefixes, and 1 are allowed"));
}

#[test]
fn a_session_that_is_shut_down_here_is_told_to_bird_in_our_words() {
    let world = World::new();
    world.peer(V4, "");
    world.bird(V4, "");
    world.until_established();

    world.peer(V4, "shutdown: 'new disks, back at 5'");

    eventually("BIRD shows our words", || match world.tor.borrow().birdc("show protocols all fabric") {
        told if told.contains("new disks, back at 5") => Ok(()),
        told => Err(told),
    });
    let status = world.host.poplin(&["status"]);
    assert!(status.contains("shut down"), "wanted, so nothing to complain of: {status}");
    world.peer(V4, "");
    world.until_established();
}

#[test]
fn a_session_that_a_person_ends_here_is_told_to_bird_and_stays_away_until_it_is_started() {
    let world = World::new();
    world.peer(V4, "");
    world.bird(V4, "");
    world.until_established();

    let told = world.host.poplin(&["bgp", "shutdown", "router", "--message", "new optics"]);

    assert!(told.ends_with("until `poplin bgp start router`, or until the agent restarts\n"), "{told}");
    eventually("BIRD shows our words", || match world.tor.borrow().birdc("show protocols all fabric") {
        told if told.contains("new optics") => Ok(()),
        told => Err(told),
    });
    let attempts = world.host.said().matches("there is to be no session").count();
    until("BIRD calls in vain", || world.host.said().matches("there is to be no session").count() > attempts + 1);
    let held = "router: shut down by poplin bgp shutdown until poplin bgp start router, or until the agent restarts";
    for verb in [&["status"][..], &["bgp", "summary"], &["bgp", "neighbor", "router"]] {
        let told = world.host.poplin(verb);
        assert!(told.contains(held) && told.contains("new optics"), "{verb:?}: {told}");
    }
    world.peer(V4, "transit: true");
    assert_eq!(world.session()["state"], "Idle");
    world.host.poplin(&["bgp", "start", "router"]);
    world.until_established();
}

#[test]
fn a_session_that_is_shut_down_at_bird_is_shown_in_birds_words() {
    let world = World::new();
    world.peer(V4, "");
    world.bird(V4, "");
    world.until_established();

    world.tor.borrow().birdc("disable fabric \"see-ticket-17\"");

    world.until_told(&["the neighbour reports: administrative shutdown (6/2): \"see-ticket-17\""]);
    world.tor.borrow().birdc("enable fabric");
    world.until_established();
}

#[test]
fn no_change_of_a_peer_but_of_its_address_or_system_ends_its_session_or_costs_a_packet() {
    let world = World::new();
    world.password("secret");
    world.host.apply("{apiVersion: poplin.dev/v1, kind: RouteMap, metadata: {name: all}, spec: {otherwise: accept}}");
    world.peer(V4, "");
    world.bird(V4, "");
    world.until_established();
    let (since, before) = (established_since(&world), counts(&world.host, "router"));
    let changes = [
        ("holdTimeSeconds: 30", "hold time"),
        ("keepaliveSeconds: 1", ""),
        ("connectRetrySeconds: 7, sendHoldSeconds: 900", ""),
        ("restartSeconds: 300", "restart time"),
        ("families: [ipv4]", "families"),
        ("addPaths: both", "additional paths"),
        ("role: customer", "role"),
        ("extendedMessages: false", "extended messages"),
        ("longLivedSeconds: 600", "long-lived restart"),
        ("gracefulNotifications: true", "gentle notifications"),
        ("passwordFile: FILE", "protection"),
        ("ttlSecurityHops: 1", "protection"),
        ("passive: true", ""),
        ("transit: true", ""),
        ("prefixLimits: {ipv4: 10}", ""),
        ("bfd: {}", ""),
        ("bfd: {intervalMilliseconds: 700, multiplier: 5}", ""),
        ("addPaths: both, addPathsMax: 4", "additional paths"),
        ("extendedNextHop: true", "extended next hop"),
        ("hosts: all()", ""),
        ("port: 1790", ""),
        ("import: all", ""),
        ("export: all", ""),
        ("role: customer, strictRole: true", "role"),
        ("prefixLimits: {ipv4: 10, ipv6: 10, action: pause, pauseSeconds: 9}", ""),
        ("bfd: {enabled: true, multihop: true}", ""),
    ];
    let words = changes.map(|(change, _)| change);
    let place = ["address", "asn", "addressRange", "addressRangeMax", "interface", "remoteAs"];
    let elsewhere = ["shutdown", "reflectorClient"]; // it asks for the end; `bird.rs` has an internal session
    assert_all_changed("PeerSpec", &words, &[&place[..], &elsewhere].concat());
    assert_all_changed("PrefixLimits", &words, &[]);
    assert_all_changed("Bfd", &words, &["strict"]); // `bfd.rs`, where BIRD has BFD, too

    let mut traffic = world.traffic();
    for (change, waits_for) in changes {
        traffic.go_on();
        world.peer(V4, change);
        eventually("what waits is told", || match &world.session()["pending"] {
            pending if pending[0].as_str().unwrap_or_default() == waits_for => Ok(()),
            pending => Err(format!("{change}: {pending}")),
        });
    }
    world.peer(V4, "holdTimeSeconds: 30, keepaliveSeconds: 1");
    let received = keepalives_sent(&world);
    until("BIRD hears from us each second", || keepalives_sent(&world) > received + 3);

    assert_eq!(traffic.lost(), 0);
    assert_eq!(counts(&world.host, "router"), before);
    assert_eq!((established_since(&world), world.session()["state"].as_str()), (since, Some("Established")));
    let detail = world.host.poplin(&["bgp", "neighbor", "router"]);
    assert!(
        detail.contains("router: changed for the next session: hold time (poplin bgp clear router begins one)"),
        "{detail}"
    );
    assert!(detail.contains("once") && !detail.contains("times\n"), "{detail}");
    world.host.poplin(&["bgp", "clear", "router"]);
    world.until_established();
    assert!(world.host.poplin(&["bgp", "neighbor", "router"]).contains("30s of 30s proposed"));
}

#[test]
fn how_long_either_may_be_away_is_told_to_bird_and_bounds_what_stays_of_it() {
    let world = World::new();
    world.peer(V4, "restartSeconds: 300");
    world.bird(V4, "graceful restart on; graceful restart time 600;");
    world.until_established();

    let told = world.tor.borrow().birdc("show protocols all fabric");
    assert!(told.contains("Restart time: 300"), "{told}");
    world.tor.borrow_mut().stop();

    until("its routes are stale", || stale_seconds_left(&world).is_some());
    let left = stale_seconds_left(&world);
    assert!(left.is_some_and(|left| (120..=300).contains(&left)), "{left:?}");
}

/// BIRD's word for when the session began.
fn established_since(world: &World) -> String {
    let told = world.tor.borrow().birdc("show protocols fabric");
    let line = told.lines().find(|line| line.starts_with("fabric")).unwrap_or_default();
    line.split_whitespace().nth(4).unwrap_or_default().to_owned()
}

fn keepalives_sent(world: &World) -> u64 {
    number(&detail(world)["sent"]["keepalives"]).expect("a number")
}

fn stale_seconds_left(world: &World) -> Option<u64> {
    number(&detail(world)["staleSecondsLeft"])
}

fn detail(world: &World) -> Value {
    serde_json::from_str(&world.host.poplin(&["bgp", "neighbor", "router", "-o", "json"])).expect("JSON")
}

fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

fn is_foreign(route: &str) -> bool {
    route.starts_with("198.51.100.") && route.contains(" via ")
}

fn announcing_two() -> String {
    "protocol static { ipv4; route 198.51.100.0/25 blackhole; route 198.51.100.128/25 blackhole; }\n\
     protocol bgp fabric { direct; connect delay time 1; connect retry time 3; error wait time 1, 1;\n\
     local 172.31.1.1 as 65001; neighbor 172.31.1.2 as 64601; ipv4 { import all; export all; next hop self; }; }"
        .to_owned()
}
