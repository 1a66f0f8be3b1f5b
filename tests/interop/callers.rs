//! Neighbours that nobody named one by one: routers that call a host which knows only their prefix, and a host that calls routers which know
//! only its own. GoBGP's part as the one that is called stands in `gobgp.rs`, BIRD's as a caller that is let in, in `protected.rs` and `speaker.rs`.

use poplin_lab::{Agent, Bird, Exabgp, Frr, Gobgp, Lab, Namespace, eventually, until};

use crate::beside::host_beside;

const FOREIGN: &str = "198.51.100.0/24";

/// The host names a prefix, and never calls.
const ANYBODY: &str = "addressRange: 172.31.1.0/24";

/// The host calls; who is called knows a prefix.
const ROUTER: &str = "address: 172.31.1.1";

#[test]
fn a_frr_that_calls_from_a_prefix_is_let_in_and_forgotten_when_it_is_gone() {
    let (_lab, mut frr, host) = beside(|lab| Frr::new(lab, "frr"), Frr::namespace, ANYBODY);

    frr.start(&frr_with(" neighbor 172.31.1.2 remote-as 64601\n neighbor 172.31.1.2 timers connect 1\n"));

    until_learned(&host, "peer@172.31.1.1");
    frr.vtysh(&["configure terminal", "router bgp 65001", "no neighbor 172.31.1.2"]);
    until_forgotten(&host);
}

#[test]
fn a_bird_that_is_nobodys_neighbour_is_told_so() {
    let lab = Lab::new();
    let mut bird = Bird::new(&lab, "tor");
    let host = host_beside(&lab, bird.namespace());

    bird.start(
        "172.31.1.1",
        "protocol bgp host { connect delay time 1; connect retry time 1; local 172.31.1.1 as 65001;\n\
         neighbor 172.31.1.2 as 64601; ipv4 { import all; export all; }; }",
    );

    eventually("BIRD has been told", || match bird.birdc("show protocols all host") {
        told if told.contains("Received: Connection rejected") => Ok(()),
        told => Err(format!("{told}\n{}", host.said())),
    });
    until("the host has told, too", || host.said().contains("172.31.1.1: not a neighbour of ours"));
}

#[test]
fn a_host_calls_a_frr_that_knows_it_only_by_its_prefix() {
    let (_lab, mut frr, host) = beside(|lab| Frr::new(lab, "frr"), Frr::namespace, ROUTER);

    frr.start(&frr_with(
        " neighbor hosts peer-group\n neighbor hosts remote-as 64601\n bgp listen range 172.31.1.0/24 peer-group hosts\n",
    ));

    until_learned(&host, "peer");
    let told = frr.vtysh(&["show bgp summary"]);
    assert!(told.contains("*172.31.1.2") && told.contains("dynamic neighbor"), "{told}");
}

#[test]
fn a_host_calls_a_bird_that_knows_it_only_by_its_prefix() {
    let (_lab, mut bird, host) = beside(|lab| Bird::new(lab, "tor"), Bird::namespace, ROUTER);

    bird.start(
        "172.31.1.1",
        &format!(
            "protocol static {{ ipv4; route {FOREIGN} blackhole; }}\n\
             protocol bgp hosts {{ local 172.31.1.1 as 65001; neighbor range 172.31.1.0/24 as 64601; dynamic name \"host\";\n\
             ipv4 {{ import all; export all; next hop self; }}; }}"
        ),
    );

    until_learned(&host, "peer");
    let told = bird.birdc("show protocols");
    assert!(told.lines().any(|line| line.starts_with("host1") && line.contains("Established")), "{told}");
}

#[test]
fn a_gobgp_that_calls_from_a_prefix_is_let_in_and_forgotten_when_it_is_gone() {
    let (_lab, mut gobgp, host) = beside(|lab| Gobgp::new(lab, "gobgp"), Gobgp::namespace, ANYBODY);

    gobgp.start(
        "[global.config]\nas = 65001\nrouter-id = \"172.31.1.1\"\n\
         [[neighbors]]\n[neighbors.config]\nneighbor-address = \"172.31.1.2\"\npeer-as = 64601\n\
         [neighbors.timers.config]\nconnect-retry = 2\n",
        &[],
    );
    assert_eq!(gobgp.gobgp(&format!("global rib add {FOREIGN} nexthop 172.31.1.1")), "");

    until_learned(&host, "peer@172.31.1.1");
    gobgp.stop();
    until_forgotten(&host);
}

#[test]
fn an_exabgp_that_calls_from_a_prefix_is_let_in_and_forgotten_when_it_is_gone() {
    let (_lab, mut exabgp, host) = beside(|lab| Exabgp::new(lab, "exabgp"), Exabgp::namespace, ANYBODY);

    exabgp.start(&exabgp_with("172.31.1.2", ""), "");

    until_learned(&host, "peer@172.31.1.1");
    exabgp.stop();
    until_forgotten(&host);
}

#[test]
fn a_host_calls_an_exabgp_that_knows_it_only_by_its_prefix() {
    let (_lab, mut exabgp, host) = beside(|lab| Exabgp::new(lab, "exabgp"), Exabgp::namespace, ROUTER);

    exabgp.start(&exabgp_with("172.31.1.0/24", "passive;"), "172.31.1.1");

    eventually("there is a session", || match host.status()["sessions"][0].clone() {
        session if session["state"] == "Established" && session["prefixesReceived"] == 1 => Ok(()),
        session => Err(format!("{session}\n{}", exabgp.said())),
    });
}

fn frr_with(neighbours: &str) -> String {
    format!(
        "router bgp 65001\n bgp router-id 172.31.1.1\n no bgp ebgp-requires-policy\n no bgp network import-check\n{neighbours}\
         \x20address-family ipv4 unicast\n  network {FOREIGN}\n"
    )
}

fn exabgp_with(neighbour: &str, words: &str) -> String {
    format!(
        "neighbor {neighbour} {{\n router-id 172.31.1.1; local-address 172.31.1.1; local-as 65001; peer-as 64601; {words}\n\
         family {{ ipv4 unicast; }}\n static {{ route {FOREIGN} next-hop 172.31.1.1; }}\n}}\n"
    )
}

/// A router that is not started yet, and a host with a peer of this place.
fn beside<R>(make: impl Fn(&Lab) -> R, namespace: impl Fn(&R) -> &Namespace, place: &str) -> (Lab, R, Agent) {
    let lab = Lab::new();
    let router = make(&lab);
    let host = host_beside(&lab, namespace(&router));
    host.apply(&format!(
        "{{apiVersion: poplin.dev/v1, kind: Peer, metadata: {{name: peer}}, spec: {{{place}, asn: 65001}}}}"
    ));
    (lab, router, host)
}

#[track_caller]
fn until_learned(host: &Agent, name: &str) {
    eventually("there is a session, and a route in the kernel", || {
        let session = host.status()["sessions"][0].clone();
        let is_learned = host.routes().iter().any(|route| route.starts_with(FOREIGN));
        let is_up = session["state"] == "Established" && session["name"] == name;
        if is_up && is_learned { Ok(()) } else { Err(format!("{session}\n{}", host.said())) }
    });
}

/// Who hung up without a word may have restarted; its routes stay for as long as it said, and then it is forgotten.
#[track_caller]
fn until_forgotten(host: &Agent) {
    until("it is forgotten", || host.status()["sessions"].as_array().is_none_or(Vec::is_empty));
    assert!(!host.routes().iter().any(|route| route.starts_with(FOREIGN)), "{:?}", host.routes());
}
