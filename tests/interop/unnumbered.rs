//! Leaves and spines that peer over links nobody numbered: IPv4 goes over routers of IPv6 (RFC 8950), and neighbours find each other by router
//! advertisements, or are told by their link-local addresses. Only `lo` has an IPv4 address anywhere.

use poplin_lab::{Agent, Bird, Frr, Gobgp, Lab, Namespace, eventually, until};
use serde_json::Value;

use crate::beside::until_pings;

const OURS: &str = "10.0.0.1";
const NEAR: &str = "10.0.0.2";
const FAR: &str = "10.0.0.3";

#[test]
fn a_host_and_a_frr_that_know_only_the_interface_find_each_other() {
    let lab = Lab::new();
    let mut router = Frr::new(&lab, "frr");
    number(router.namespace(), NEAR);
    let mut host = Agent::new(&lab, routing(&lab, "host", OURS), "host").with(&["--asn", "64601"]);
    host.namespace().join("eth0", &[], router.namespace(), "eth0", &[]);
    host.start();
    host.apply(
        "{apiVersion: poplin.dev/v1, kind: Peer, metadata: {name: spine}, spec: {interface: eth0, remoteAs: external, bfd: {}}}",
    );
    router.start(&format!("bfd\n{}", frr().replace(" timers connect 1\n", " timers connect 1\n neighbor eth0 bfd\n")));
    let mut web = lab.container("web");
    host.attach(&mut web, &[]);

    let gateway = link_local(router.namespace(), "eth0");
    until_led(&host, NEAR, &format!("via inet6 {gateway} dev eth0"));
    until_pings(web.namespace(), NEAR);
    until("BFD watches the way, on one link", || session(&host)["bfd"]["state"] == "Up");
    let session = session(&host);
    assert_eq!(session["bfd"]["path"], "direct");
    assert_eq!((&session["asn"], &session["name"]), (&65001.into(), &"spine".into()), "{session}");
    assert_eq!(session["address"], format!("{gateway}%eth0"));
    let told = host.poplin(&["bgp", "neighbor", "spine"]);
    assert!(told.contains("extended next hop (IPv4 over IPv6)"), "{told}");
    let v6 = host.namespace().run("ip", &["-6", "route", "show", "2001:db8:2::/48"]);
    assert!(v6.contains(&format!("via {gateway} dev eth0")), "{v6}");

    host.namespace().run("ip", &["link", "set", "eth0", "down"]);
    until("the session goes with its link", || host.status()["sessions"].as_array().is_none_or(Vec::is_empty));
    let problems = host.status()["routingProblems"].to_string();
    assert!(problems.contains("interface eth0 does not exist, is down, or has no carrier"), "{problems}");
    host.namespace().run("ip", &["link", "set", "eth0", "up"]);
    until_led(&host, NEAR, &format!("via inet6 {gateway} dev eth0"));
    until_pings(web.namespace(), NEAR);
}

#[test]
fn a_frr_that_takes_another_address_is_followed() {
    let lab = Lab::new();
    let mut router = Frr::new(&lab, "frr");
    number(router.namespace(), NEAR);
    let mut leaf = Agent::speaker(&lab, routing(&lab, "leaf", OURS), "leaf", &speaker(&[("frr", ON_ETH0)]));
    leaf.namespace().join("eth0", &[], router.namespace(), "eth0", &[]);
    leaf.start();
    router.start(&frr());
    let old = link_local(router.namespace(), "eth0");
    until_led(&leaf, NEAR, &format!("via inet6 {old} dev eth0"));

    router.namespace().run("ip", &["-6", "address", "add", "fe80::77/64", "dev", "eth0", "nodad"]);
    router.namespace().run("ip", &["-6", "address", "delete", &format!("{old}/64"), "dev", "eth0"]);

    until_led(&leaf, NEAR, "via inet6 fe80::77 dev eth0");
    assert_eq!(leaf.status()["sessions"].as_array().map(Vec::len), Some(1));
}

#[test]
fn a_spine_passes_packets_between_loopbacks_of_a_frr_and_a_bird_known_by_its_address() {
    let lab = Lab::new();
    let (mut router, mut bird) = (Frr::new(&lab, "frr"), Bird::new(&lab, "bird"));
    number(router.namespace(), NEAR);
    number(bird.namespace(), FAR);
    let spine = routing(&lab, "spine", OURS);
    spine.join("eth0", &[], router.namespace(), "eth0", &[]);
    spine.join("eth1", &[], bird.namespace(), "eth0", &[]);
    let (ours, far) = (link_local(&spine, "eth1"), link_local(bird.namespace(), "eth0"));
    let by_address = format!("address = \"{far}%eth1\"\nasn = 65002\ntransit = true");
    let mut spine = Agent::speaker(&lab, spine, "spine", &speaker(&[("frr", ON_ETH0), ("bird", &by_address)]));
    spine.start();
    router.start(&frr());
    bird.start(FAR, &talking(&format!("neighbor {ours}%'eth0' as 64601;")));

    spine.until_established(2);

    until_led(&spine, NEAR, "dev eth0");
    until_led(&spine, FAR, &format!("via inet6 {far} dev eth1"));
    until_pings_from(router.namespace(), NEAR, FAR);
    until_pings_from(bird.namespace(), FAR, NEAR);
}

#[test]
fn a_bird_that_calls_on_the_link_is_the_neighbour_and_is_never_dialled() {
    let lab = Lab::new();
    let mut bird = Bird::new(&lab, "bird");
    number(bird.namespace(), FAR);
    let leaf = routing(&lab, "leaf", OURS);
    leaf.join("eth0", &[], bird.namespace(), "eth0", &[]);
    let (ours, far) = (link_local(&leaf, "eth0"), link_local(bird.namespace(), "eth0"));
    let passive = format!("{ON_ETH0}\npassive = true");
    let mut leaf = Agent::speaker(&lab, leaf, "leaf", &speaker(&[("bird", &passive)]));
    leaf.start();

    bird.start(FAR, &talking(&format!("neighbor {ours}%'eth0' as 64601;")));

    until_led(&leaf, FAR, &format!("via inet6 {far} dev eth0"));
    leaf.kill();
    assert_eq!(leaf.routes().len(), 1, "death is harmless");
    leaf.start();
    leaf.until_established(1);
    until_led(&leaf, FAR, &format!("via inet6 {far} dev eth0"));
}

#[test]
fn two_links_to_spines_of_one_address_share_the_traffic() {
    let lab = Lab::new();
    let mut birds = ["one", "two"].map(|name| Bird::new(&lab, name));
    let leaf = routing(&lab, "leaf", OURS);
    for (interface, bird) in ["eth0", "eth1"].into_iter().zip(&birds) {
        leaf.join(interface, &[], bird.namespace(), "eth0", &[]);
        bird.namespace().run("ip", &["-6", "address", "add", "fe80::1/64", "dev", "eth0", "nodad"]);
    }
    let ours = ["eth0", "eth1"].map(|interface| link_local(&leaf, interface));
    let peers = ["eth0", "eth1"].map(|interface| format!("address = \"fe80::1%{interface}\"\nremoteAs = \"external\""));
    let mut leaf = Agent::speaker(&lab, leaf, "leaf", &speaker(&[("one", &peers[0]), ("two", &peers[1])]));
    leaf.start();
    for (bird, ours) in birds.iter_mut().zip(&ours) {
        bird.start(FAR, &talking(&format!("source address fe80::1; neighbor {ours}%'eth0' as 64601;")));
    }

    leaf.until_established(2);

    eventually("both carry it", || match leaf.namespace().run("ip", &["route", "show", FAR]) {
        told if ["eth0", "eth1"].iter().all(|link| told.contains(&format!("via inet6 fe80::1 dev {link}"))) => Ok(()),
        told => Err(format!("{told}\n{}", leaf.said())),
    });
}

#[test]
fn a_gobgp_that_knows_only_the_interface_is_found() {
    let lab = Lab::new();
    let mut router = Gobgp::new(&lab, "gobgp");
    let leaf = routing(&lab, "leaf", OURS);
    leaf.join("eth0", &[], router.namespace(), "eth0", &[]);
    let (ours, far) = (link_local(&leaf, "eth0"), link_local(router.namespace(), "eth0"));
    let passive = format!("{ON_ETH0}\npassive = true");
    let mut leaf = Agent::speaker(&lab, leaf, "leaf", &speaker(&[("gobgp", &passive)]));
    leaf.start();
    // It takes its neighbour from the kernel's table of neighbours.
    until_pings(router.namespace(), &format!("{ours}%eth0"));

    router.start(GOBGP, &[]);
    router.gobgp(&format!("global rib add {NEAR}/32 nexthop {far}"));

    until_led(&leaf, NEAR, &format!("via inet6 {far} dev eth0"));
}

const ON_ETH0: &str = "interface = \"eth0\"\nremoteAs = \"external\"\ntransit = true";

const GOBGP: &str = "[global.config]\nas = 65001\nrouter-id = \"10.0.0.2\"\n\
     [[neighbors]]\n[neighbors.config]\nneighbor-interface = \"eth0\"\npeer-as = 64601\n\
     [neighbors.timers.config]\nconnect-retry = 2\n\
     [[neighbors.afi-safis]]\n[neighbors.afi-safis.config]\nafi-safi-name = \"ipv4-unicast\"\n\
     [[neighbors.afi-safis]]\n[neighbors.afi-safis.config]\nafi-safi-name = \"ipv6-unicast\"\n";

/// A namespace that forwards, with this address on `lo` and on no link.
fn routing(lab: &Lab, name: &str, address: &str) -> Namespace {
    let namespace = lab.namespace(name);
    namespace.run("sysctl", &["-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"]);
    number(&namespace, address);
    namespace
}

fn number(namespace: &Namespace, address: &str) {
    namespace.run("ip", &["address", "add", &format!("{address}/32"), "dev", "lo"]);
}

/// A speaker alone with these peers, whose routes stand in the kernel.
fn speaker(peers: &[(&str, &str)]) -> String {
    let peers: String = peers.iter().map(|(name, words)| format!("\n[peers.{name}]\n{words}\n")).collect();
    format!("asn = 64601\nrouterId = \"{OURS}\"\nkernelRoutes = true\n{peers}")
}

/// What FRR's users write, and a prefix of either family.
fn frr() -> String {
    format!(
        "router bgp 65001\n bgp router-id {NEAR}\n no bgp ebgp-requires-policy\n no bgp network import-check\n\
         neighbor eth0 interface remote-as external\n neighbor eth0 timers connect 1\n\
         address-family ipv4 unicast\n  network {NEAR}/32\n\
         address-family ipv6 unicast\n  network 2001:db8:2::/48\n  neighbor eth0 activate\n"
    )
}

/// BIRD announces the address on its `lo`, to this neighbour.
fn talking(neighbour: &str) -> String {
    format!(
        "protocol static {{ ipv4; route {FAR}/32 via \"lo\"; }}\n\
         protocol bgp fabric {{ direct; connect delay time 1; connect retry time 3; error wait time 1, 1;\n\
         local as 65002; {neighbour}\n\
         ipv4 {{ import all; export all; extended next hop yes; }}; ipv6 {{ import all; export all; }}; }}"
    )
}

/// The link-local address of an interface, once it may be used.
fn link_local(of: &Namespace, interface: &str) -> String {
    eventually("the link has an address", || {
        let told = of.run("ip", &["-6", "-o", "address", "show", "dev", interface, "scope", "link", "-tentative"]);
        let address = told.split_whitespace().find_map(|word| word.strip_suffix("/64"));
        address.map(str::to_owned).ok_or(told.clone())
    })
}

fn session(agent: &Agent) -> Value {
    agent.status()["sessions"][0].clone()
}

#[track_caller]
fn until_led(agent: &Agent, prefix: &str, way: &str) {
    eventually("it leads over the link", || match agent.namespace().run("ip", &["route", "show", prefix]) {
        told if told.contains(way) => Ok(()),
        told => Err(format!("{told}\n{}\n{}", agent.status(), agent.said())),
    });
}

#[track_caller]
fn until_pings_from(from: &Namespace, source: &str, to: &str) {
    until("packets pass", || from.output("ping", &["-c1", "-W1", "-I", source, to]).status.success());
}
