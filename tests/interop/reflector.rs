//! A host as route reflector of two BIRDs, and BIRD as route reflector of two hosts.

use poplin_lab::{Agent, Bird, Lab, eventually, until};

/// What the BIRD of this number announces.
fn prefix(number: u8) -> String {
    format!("198.51.10{number}.0/24")
}

#[test]
fn a_host_reflects_for_birds() {
    let lab = Lab::new();
    let mut birds = [1, 2].map(|number| Bird::new(&lab, &format!("bird{number}")));
    let namespace = lab.namespace("h1");
    for (number, bird) in (1..).zip(&birds) {
        let (near, far) = (format!("172.31.{number}.2/24"), format!("172.31.{number}.1/24"));
        namespace.join(&format!("up{number}"), &[&near], bird.namespace(), "host", &[&far]);
    }
    let mut host = Agent::new(&lab, namespace, "h1").with(&["--address", "172.31.1.2", "--router-id", "9.9.9.9"]);
    host.start();
    for number in 1..=2 {
        host.apply(&format!(
            "{{apiVersion: poplin.dev/v1, kind: Peer, metadata: {{name: bird{number}}}, spec: {{address: 172.31.{number}.1, asn: 64512, reflectorClient: true}}}}"
        ));
    }
    (1..).zip(&mut birds).for_each(|(number, bird)| start_client(bird, number));
    host.until_established(2);

    for (bird, other) in birds.iter().zip([2, 1]) {
        eventually("each client has the other's prefix", || {
            let route = bird.birdc(&format!("show route all {}", prefix(other)));
            let wanted = [
                format!("BGP.next_hop: 172.31.{other}.1"),
                format!("BGP.originator_id: 172.31.{other}.1"),
                "BGP.cluster_list: 9.9.9.9".to_owned(),
                "BGP.local_pref: 100".to_owned(),
            ];
            if wanted.iter().all(|line| route.contains(line)) { Ok(()) } else { Err(route) }
        });
        let own = bird.birdc(&format!("show route all {}", prefix(3 - other)));
        assert!(!own.contains("BGP.originator_id"), "its own words do not come back: {own}");
    }

    assert!(birds[0].birdc("disable foreign").contains("disabled"));
    until("a withdrawal is passed on", || !birds[1].birdc("show route").contains(&prefix(1)));
}

/// A BIRD that announces one prefix to the host, and finds the other's next hop through it.
fn start_client(bird: &mut Bird, number: u8) {
    let other = 3 - number;
    bird.start(
        &format!("172.31.{number}.1"),
        &format!(
            "protocol static foreign {{ ipv4; route {} blackhole; }}\nprotocol static {{ ipv4; route 172.31.{other}.0/24 via 172.31.{number}.2; }}\n\
             protocol bgp reflector {{ connect delay time 1; local 172.31.{number}.1 as 64512; neighbor 172.31.{number}.2 as 64512;\n\
             ipv4 {{ import all; export where proto = \"foreign\"; next hop self; }}; }}",
            prefix(number)
        ),
    );
}

#[test]
fn a_bird_reflects_for_hosts() {
    let lab = Lab::new();
    let mut tor = lab.tor();
    tor.start_etcd();
    let mut hosts = [1, 2].map(|number| tor.host_on_segment(&lab, number));
    hosts.iter_mut().for_each(Agent::start);
    hosts[0].apply(
        "{apiVersion: poplin.dev/v1, kind: FabricConfig, metadata: {name: default}, spec: {mesh: false}}
---
{apiVersion: poplin.dev/v1, kind: Pool, metadata: {name: containers}, spec: {cidr: 10.77.0.0/16}}
---
{apiVersion: poplin.dev/v1, kind: Peer, metadata: {name: reflector}, spec: {address: 172.30.0.254, asn: 64512}}",
    );
    let clients = [1, 2].map(|number| {
        format!(
            "protocol bgp h{number} {{ connect delay time 1; local 172.30.0.254 as 64512; neighbor 172.30.0.{number} as 64512; rr client; rr cluster id 7.7.7.7;\n\
             ipv4 {{ import all; export all; }}; }}"
        )
    });
    tor.bird().start("172.30.0.254", &clients.join("\n"));
    hosts.iter().for_each(|host| host.until_established(1));
    let mut containers = ["web", "db"].map(|name| lab.container(name));
    hosts.iter().zip(&mut containers).for_each(|(host, container)| host.attach(container, &[]));

    until("the containers talk", || containers[0].reaches(containers[1].v4()));
    assert!(containers[0].ping(containers[1].v4()).contains("ttl=62"), "from host to host, not through the reflector");
    let routes = hosts[0].poplin(&["routes", "-o", "json"]);
    assert!(routes.contains("\"originator\": \"172.30.0.2\"") && routes.contains("7.7.7.7"), "{routes}");
}
