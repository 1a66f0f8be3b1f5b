//! More than one path to one prefix (RFC 7911), from one BIRD through a host to another.

use poplin_lab::{Agent, Bird, Lab, eventually};

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
