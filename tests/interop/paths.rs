//! More than one path to one prefix (RFC 7911), from one BIRD through a host to another, and from an ExaBGP through a reflector to an FRR and
//! a GoBGP.

use poplin_lab::{Agent, Bird, Exabgp, Frr, Gobgp, Lab, Namespace, eventually};

const PREFIX: &str = "198.51.101.0/24";

#[test]
fn both_paths_of_a_bird_are_used_and_passed_on() {
    let lab = Lab::new();
    let mut birds = [1, 2].map(|number| Bird::new(&lab, &format!("bird{number}")));
    let namespace = lab.namespace("h1");
    for (number, bird) in (1..).zip(&birds) {
        let (near, far) = (format!("172.31.{number}.2/24"), format!("172.31.{number}.1/24"));
        namespace.join(&format!("up{number}"), &[&near], bird.namespace(), "host", &[&far]);
    }
    let mut host = Agent::new(&lab, namespace, "h1").with(&["--address", "172.31.1.2", "--router-id", "9.9.9.9"]);
    host.start();
    host.apply(
        "{apiVersion: poplin.dev/v1, kind: Peer, metadata: {name: source}, spec: {address: 172.31.1.1, asn: 64512, addPaths: receive}}
---
{apiVersion: poplin.dev/v1, kind: Peer, metadata: {name: client}, spec: {address: 172.31.2.1, asn: 64512, reflectorClient: true, addPaths: send}}",
    );
    birds[0].start(
        "172.31.1.1",
        &format!(
            "protocol static one {{ ipv4; route {PREFIX} via 172.31.1.11; }}\nprotocol static two {{ ipv4; route {PREFIX} via 172.31.1.12; }}\n\
             protocol bgp upstream {{ connect delay time 1; local 172.31.1.1 as 64512; neighbor 172.31.1.2 as 64512;\n\
             ipv4 {{ add paths tx; import all; export where proto = \"one\" || proto = \"two\"; next hop keep; }}; }}"
        ),
    );
    birds[1].start(
        "172.31.2.1",
        "protocol static { ipv4; route 172.31.1.0/24 via 172.31.2.2; }
protocol bgp fabric { connect delay time 1; local 172.31.2.1 as 64512; neighbor 172.31.2.2 as 64512; ipv4 { add paths rx; import all; export none; }; }",
    );
    host.until_established(2);

    until_told(&host, &birds[1], ["172.31.1.11", "172.31.1.12"].as_slice());
    let neighbour = host.poplin(&["bgp", "neighbor", "source"]);
    assert!(neighbour.contains("more than one path (IPv4 send)"), "{neighbour}");
    let heard = host.poplin(&["routes", PREFIX]);
    assert!(heard.contains("source #") && heard.contains("higher path identifier"), "{heard}");

    assert!(birds[0].birdc("disable two").contains("disabled"));
    until_told(&host, &birds[1], &["172.31.1.11"]);

    assert!(birds[0].birdc("enable two").contains("enabled"));
    until_told(&host, &birds[1], ["172.31.1.11", "172.31.1.12"].as_slice());
}

/// Waits until the host's kernel and the client have exactly these next hops.
#[track_caller]
fn until_told(host: &Agent, client: &Bird, wanted: &[&str]) {
    let all = ["172.31.1.11", "172.31.1.12"];
    eventually("the next hops are used and passed on", || {
        let routes = host.routes();
        let route = routes.iter().find(|route| route.starts_with(PREFIX)).cloned().unwrap_or_default();
        let told = client.birdc(&format!("show route all {PREFIX}"));
        let used: Vec<_> = all.into_iter().filter(|hop| route.contains(&format!("via {hop} "))).collect();
        let passed: Vec<_> = all.into_iter().filter(|hop| told.contains(&format!("BGP.next_hop: {hop}"))).collect();
        if used == wanted && passed == wanted { Ok(()) } else { Err(format!("{routes:?}\n{told}")) }
    });
}

#[test]
fn both_paths_of_an_exabgp_reach_a_frr_and_a_gobgp_through_a_reflector() {
    let lab = Lab::new();
    let mut exabgp = Exabgp::new(&lab, "exabgp");
    let (mut frr, mut gobgp) = (Frr::new(&lab, "frr"), Gobgp::new(&lab, "gobgp"));
    let namespace = lab.namespace("rr1");
    let ends: [(&Namespace, u8); 4] =
        [(&namespace, 1), (exabgp.namespace(), 11), (frr.namespace(), 12), (gobgp.namespace(), 13)];
    let _segment = lab.segment("192.0.2", &ends);
    let peers = [("exabgp", 11, "receive"), ("frr", 12, "both"), ("gobgp", 13, "both")].map(|(name, last, paths)| {
        format!("[peers.{name}]\naddress = \"192.0.2.{last}\"\nasn = 64512\nreflectorClient = true\naddPaths = \"{paths}\"\n")
    });
    let file = format!("asn = 64512\nrouterId = \"192.0.2.1\"\naddresses = [\"192.0.2.1\"]\n{}", peers.concat());
    let mut reflector = Agent::speaker(&lab, namespace, "rr1", &file);
    reflector.start();
    exabgp.start(EXABGP, "");
    frr.start(FRR);
    gobgp.start(GOBGP, &[]);
    reflector.until_established(3);

    let hops = ["192.0.2.21", "192.0.2.22"];
    eventually("FRR has both", || match frr.vtysh(&[&format!("show bgp ipv4 unicast {PREFIX}")]) {
        told if hops.iter().all(|hop| told.contains(hop)) => Ok(()),
        told => Err(told),
    });
    eventually("GoBGP has both", || match gobgp.gobgp("neighbor 192.0.2.1 adj-in") {
        told if hops.iter().all(|hop| told.contains(hop)) => Ok(()),
        told => Err(told),
    });
}

const EXABGP: &str = "neighbor 192.0.2.1 {
  router-id 192.0.2.11; local-address 192.0.2.11; local-as 64512; peer-as 64512;
  family { ipv4 unicast; } capability { add-path send; }
  static {
    route 198.51.101.0/24 next-hop 192.0.2.21 path-information 0.0.0.1;
    route 198.51.101.0/24 next-hop 192.0.2.22 path-information 0.0.0.2;
  }
}";

const FRR: &str = "router bgp 64512\n bgp router-id 192.0.2.12\n\
    neighbor 192.0.2.1 remote-as 64512\n neighbor 192.0.2.1 timers connect 1\n\
    address-family ipv4 unicast\n  neighbor 192.0.2.1 activate\n";

const GOBGP: &str = "[global.config]\nas = 64512\nrouter-id = \"192.0.2.13\"\n\
    [[neighbors]]\n[neighbors.config]\nneighbor-address = \"192.0.2.1\"\npeer-as = 64512\n\
    [neighbors.timers.config]\nconnect-retry = 2\n\
    [[neighbors.afi-safis]]\n[neighbors.afi-safis.config]\nafi-safi-name = \"ipv4-unicast\"\n\
    [neighbors.afi-safis.add-paths.config]\nreceive = true\n";
