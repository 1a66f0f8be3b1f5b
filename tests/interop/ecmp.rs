//! A host with two ToR switches uses both at once, and one when the other is gone.

use poplin_lab::{Agent, Bird, Frr, Lab, Missing, Numbered, PACE, eventually, until};
use std::time::Duration;

#[test]
fn a_prefix_two_switches_announce_gets_a_route_by_both() {
    let lab = Lab::new();
    let mut switches = [1, 2].map(|number| Bird::new(&lab, &format!("tor{number}")));
    let namespace = lab.namespace("h1");
    for (number, switch) in (1..).zip(&switches) {
        let (near, far) = (format!("172.31.{number}.2/24"), format!("172.31.{number}.1/24"));
        let (near_6, far_6) = (format!("fd31:{number}::2/64"), format!("fd31:{number}::1/64"));
        namespace.join(&format!("up{number}"), &[&near, &near_6], switch.namespace(), "host", &[&far, &far_6]);
    }
    namespace.run("ip", &["route", "add", "default", "nexthop", "via", "172.31.1.1", "nexthop", "via", "172.31.2.1"]);
    let mut host = Agent::new(&lab, namespace, "h1").with(&["--asn", "64601"]);
    host.start();
    host.apply(PEERS);
    for (number, switch) in (1..).zip(&mut switches) {
        start(switch, number);
    }
    host.until_established(2);

    let by = |host: &Agent, prefix: &str| {
        let routes = host.routes();
        let route = routes.iter().find(|route| route.starts_with(prefix)).cloned().unwrap_or_default();
        (
            route.contains("via 172.31.1.1 ") || route.contains("via fd31:1::1 "),
            route.contains("via 172.31.2.1 ") || route.contains("via fd31:2::1 "),
        )
    };
    let is_by = |host: &Agent, prefix: &str, wanted: (bool, bool)| {
        eventually(&format!("{prefix} is by {wanted:?}"), || match by(host, prefix) {
            ways if ways == wanted => Ok(()),
            _ => Err(format!("{:?}", host.routes())),
        });
    };
    for prefix in ["198.51.100.0/24", "2001:db8:51::/48"] {
        is_by(&host, prefix, (true, true));
    }

    switches[0].stop();
    for prefix in ["198.51.100.0/24", "2001:db8:51::/48"] {
        is_by(&host, prefix, (false, true));
    }

    start(&mut switches[0], 1);
    for prefix in ["198.51.100.0/24", "2001:db8:51::/48"] {
        is_by(&host, prefix, (true, true));
    }
}

#[test]
fn switches_of_two_systems_share_the_traffic_as_long_as_that_is_wanted_and_hear_nothing_of_it() {
    let lab = Lab::new();
    let (mut bird, mut frr) = (Bird::new(&lab, "tor1"), Frr::new(&lab, "tor2"));
    let namespace = lab.namespace("h1");
    namespace.join("up1", &["172.31.1.2/24"], bird.namespace(), "host", &["172.31.1.1/24"]);
    namespace.join("up2", &["172.31.2.2/24"], frr.namespace(), "host", &["172.31.2.1/24"]);
    namespace.run("ip", &["route", "add", "default", "nexthop", "via", "172.31.1.1", "nexthop", "via", "172.31.2.1"]);
    let mut host = Agent::new(&lab, namespace, "h1").with(&["--asn", "64601"]);
    host.start();
    host.apply(&PEERS.replace("172.31.2.1, asn: 65000", "172.31.2.1, asn: 65002"));
    start(&mut bird, 1);
    frr.start(FRR);
    host.until_established(2);
    let reason = |host: &Agent, ways: &[&str], reason: &str| {
        eventually(&format!("traffic goes by {ways:?}: {reason}"), || {
            let routes = host.routes();
            let used = ["172.31.1.1", "172.31.2.1"].map(|way| (way, format!("via {way} ")));
            let route = routes.iter().find(|route| route.starts_with("198.51.100.0/24")).cloned().unwrap_or_default();
            let used: Vec<_> = used.iter().filter(|(_, text)| route.contains(text)).map(|(way, _)| *way).collect();
            let told = host.poplin(&["routes", "198.51.100.0/24"]);
            if used == ways && told.contains(reason) { Ok(()) } else { Err(format!("{routes:?}\n{told}")) }
        });
    };
    let fabric = |host: &Agent, settings: &str| {
        host.apply(&format!(
            "{{apiVersion: poplin.dev/v1, kind: FabricConfig, metadata: {{name: default}}, spec: {{{settings}}}}}"
        ));
    };
    let both = ["172.31.1.1", "172.31.2.1"];
    reason(&host, &both, "it comes from a higher BGP identifier");

    fabric(&host, "multipathRelax: false");
    reason(&host, &both[..1], "does not share the traffic: its AS path is another (multipathRelax is off)");
    fabric(&host, "maximumPaths: 1");
    reason(&host, &both[..1], "does not share the traffic: maximumPaths is 1");
    fabric(&host, "maximumPaths: 2");
    reason(&host, &both, "it comes from a higher BGP identifier");

    assert!(!host.said().contains("is down"), "{}", host.said());
    let told = frr.vtysh(&["show bgp neighbors 172.31.2.2"]);
    assert!(told.contains("Connections established 1; dropped 0"), "{told}");
}

/// The switch of another system, which announces the prefix too.
const FRR: &str = "router bgp 65002\n bgp router-id 172.31.2.1\n no bgp ebgp-requires-policy\n no bgp network import-check\n\
    neighbor 172.31.2.2 remote-as 64601\n neighbor 172.31.2.2 timers connect 1\n\
    address-family ipv4 unicast\n  network 198.51.100.0/24\n  neighbor 172.31.2.2 activate\n";

/// Prefixes that each switch announces, besides the one where the traffic goes.
const MANY: u32 = 2000;

#[test]
fn traffic_of_a_switch_that_dies_goes_on_by_the_other_as_soon_as_bfd_tells() {
    let lab = Lab::new();
    let mut switches = [1, 2].map(|number| Bird::new(&lab, &format!("tor{number}")));
    let (namespace, server) = (lab.namespace("h1"), lab.namespace("server"));
    for (number, switch) in (1..).zip(&switches) {
        let (near, far) = (format!("172.31.{number}.2/24"), format!("172.31.{number}.1/24"));
        namespace.join(&format!("up{number}"), &[&near], switch.namespace(), "host", &[&far]);
        let (near, far) = (format!("172.29.{number}.2/24"), format!("172.29.{number}.1/24"));
        server.join(&format!("up{number}"), &[&near], switch.namespace(), "server", &[&far]);
    }
    for last in 1..=FLOWS {
        server.run("ip", &["address", "add", &format!("198.51.100.{last}/32"), "dev", "lo"]);
    }
    namespace.run("ip", &["route", "add", "default", "nexthop", "via", "172.31.1.1", "nexthop", "via", "172.31.2.1"]);
    let mut host = Agent::new(&lab, namespace, "h1").with(&["--asn", "64601"]);
    host.start();
    host.apply(&PEERS.replace("asn: 65000", "asn: 65000, bfd: {intervalMilliseconds: 100, multiplier: 3}"));
    let mut container = lab.container("web");
    host.attach(&mut container, &[]);
    for (number, switch) in (1..).zip(&mut switches) {
        switch.start(&format!("172.31.{number}.1"), &beside_a_server(number));
    }
    let by_both = |host: &Agent| {
        host.routes().iter().filter(|route| route.contains("172.31.1.1 ") && route.contains("172.31.2.1 ")).count()
    };
    eventually("all prefixes are by both", || match by_both(&host) {
        count if count > MANY as usize => Ok(()),
        count => Err(format!("{count}")),
    });
    let is_up = |session: &serde_json::Value| session["bfd"]["state"] == "Up";
    until("BFD watches both", || host.status()["sessions"].as_array().is_some_and(|all| all.iter().all(is_up)));

    let flows: Vec<_> = (1..=FLOWS)
        .map(|last| Numbered::start(container.namespace(), &server, [198, 51, 100, last].into(), 4000))
        .collect();
    flows[0].goes_on_for(250);
    switches[0].namespace().cut();
    until("no prefix is by the dead switch", || by_both(&host) == 0);
    flows[0].goes_on_for(500);

    let missing: Vec<_> = flows.into_iter().map(Numbered::end).collect();
    let (spared, struck): (Vec<_>, Vec<_>) = missing.iter().copied().partition(|missing: &Missing| missing.all == 0);
    println!("{} flows lost nothing; the others {struck:?}", spared.len());
    assert!(!spared.is_empty() && !struck.is_empty(), "both switches carried traffic: {missing:?}");
    for missing in struck {
        let gap = PACE * missing.in_a_row;
        assert!(gap < Duration::from_secs(2), "{gap:?}");
        assert_eq!(missing.all, missing.in_a_row, "one gap, and then nothing is lost");
    }
}

/// Flows to as many addresses, so that both switches get some.
const FLOWS: u8 = 16;

fn beside_a_server(number: u8) -> String {
    let many = |number: u32| format!("route 100.64.{}.{}/32 via 172.29.{{}}.2;", number / 250, number % 250);
    let many: String = (0..MANY).map(many).collect::<String>().replace("{}", &number.to_string());
    format!(
        "protocol bfd {{ interface \"*\" {{ min rx interval 100 ms; min tx interval 100 ms; multiplier 3; }}; }}\n\
         protocol static {{ ipv4; route 198.51.100.0/24 via 172.29.{number}.2; {many} }}\n\
         protocol bgp host {{ connect delay time 1; direct; bfd on; local 172.31.{number}.1 as 65000; neighbor 172.31.{number}.2 as 64601;\n\
         ipv4 {{ import all; export all; next hop self; }}; }}"
    )
}

fn start(switch: &mut Bird, number: u8) {
    let protocols = format!(
        "protocol static {{ ipv4; route 198.51.100.0/24 blackhole; }}\nprotocol static {{ ipv6; route 2001:db8:51::/48 blackhole; }}\n\
         protocol bgp host {{ connect delay time 1; local 172.31.{number}.1 as 65000; neighbor 172.31.{number}.2 as 64601;\n\
         ipv4 {{ import all; export all; next hop self; }}; ipv6 {{ import all; export all; next hop self; }}; }}"
    );
    switch.start(&format!("172.31.{number}.1"), &protocols);
}

const PEERS: &str = "
{apiVersion: poplin.dev/v1, kind: Peer, metadata: {name: tor1}, spec: {address: 172.31.1.1, asn: 65000}}
---
{apiVersion: poplin.dev/v1, kind: Peer, metadata: {name: tor2}, spec: {address: 172.31.2.1, asn: 65000}}
";
