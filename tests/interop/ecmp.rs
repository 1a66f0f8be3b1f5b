//! A host with two ToR switches uses both at once, and one when the other is gone.

use poplin_lab::{Agent, Bird, Lab, eventually};

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
