//! One host and one BIRD that do not want everything of each other: too many prefixes, or no session for now.

use poplin_lab::{eventually, until};

use crate::beside::{V4, World};

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

fn is_foreign(route: &str) -> bool {
    route.starts_with("198.51.100.") && route.contains(" via ")
}

fn announcing_two() -> String {
    "protocol static { ipv4; route 198.51.100.0/25 blackhole; route 198.51.100.128/25 blackhole; }\n\
     protocol bgp fabric { direct; connect delay time 1; connect retry time 3; error wait time 1, 1;\n\
     local 172.31.1.1 as 65001; neighbor 172.31.1.2 as 64601; ipv4 { import all; export all; next hop self; }; }"
        .to_owned()
}
