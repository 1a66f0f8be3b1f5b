//! Tags and route maps between a host and BIRD: each side sees what the other says, and changed minds end no session.

use poplin_lab::{Agent, Container, Lab, Tor, eventually, until};
use serde_json::Value;

/// What BIRD says: three prefixes, the first with tags of every kind, the last about to go.
const PROTOCOLS: &str = "
protocol static foreign { ipv4;
  route 198.51.100.0/24 blackhole { bgp_community.add((65001,7)); bgp_community.add((65535,65281));
    bgp_large_community.add((65001,1,2)); bgp_ext_community.add((rt,65001,9)); };
  route 198.51.101.0/24 blackhole { bgp_community.add((65001,8)); };
  route 203.0.113.0/24 blackhole { bgp_community.add((65535,0)); }; }
protocol bgp fabric { direct; connect delay time 1; connect retry time 1; error wait time 1, 1;
  local 172.31.1.1 as 65001; neighbor 172.31.1.2 as 64601;
  ipv4 { import all; export where source = RTS_STATIC; next hop self; gateway direct; }; }
";

#[test]
fn both_sides_see_the_tags_of_the_other() {
    let world = World::new();
    world.apply(
        "{apiVersion: poplin.dev/v1, kind: RouteMap, metadata: {name: tagged}, spec: {rules: [{action: accept, set: {med: 50, prepend: 2,
          addCommunities: ['64601:1', no-advertise, 'rt:64601:2', '64601:3:4']}}]}}",
    );
    world.peer("export: tagged");

    eventually("the host shows what BIRD says", || match tags(&world.route("198.51.100.0/24")) {
        tags if tags == ["65001:7", "no-export", "rt:65001:9", "65001:1:2"] => Ok(()),
        tags => Err(format!("{tags:?}")),
    });
    let leaving = world.route("203.0.113.0/24");
    assert_eq!((tags(&leaving), leaving["localPref"].as_u64()), (vec!["graceful-shutdown".to_owned()], Some(0)));
    eventually("BIRD shows what the host says", || match world.told() {
        told if TAGS.iter().all(|tag| told.contains(tag)) => Ok(()),
        told => Err(told),
    });
}

/// What BIRD prints of the host's block.
const TAGS: [&str; 5] = [
    "BGP.as_path: 64601 64601 64601",
    "BGP.med: 50",
    "BGP.community: (64601,1) (65535,65282)",
    "BGP.ext_community: (rt, 64601, 2)",
    "BGP.large_community: (64601, 3, 4)",
];

#[test]
fn route_maps_filter_both_ways_and_change_without_a_new_session() {
    let world = World::new();
    world.until_learned(&["198.51.100.0/24", "198.51.101.0/24", "203.0.113.0/24"]);
    until("BIRD has the block", || world.told().contains("BGP.as_path"));
    let since = world.since();

    world.apply(
        "{apiVersion: poplin.dev/v1, kind: RouteMap, metadata: {name: in}, spec: {otherwise: reject, rules: [
          {action: reject, when: {communities: ['65001:8']}}, {action: accept, when: {prefixes: ['198.51.0.0/16 le 24']}, set: {localPref: 300}}]}}
---
{apiVersion: poplin.dev/v1, kind: RouteMap, metadata: {name: out}, spec: {otherwise: accept, rules: [{action: reject, when: {prefixes: ['10.0.0.0/8 le 32']}}]}}",
    );
    world.peer("import: in, export: out");
    world.until_learned(&["198.51.100.0/24"]);
    until("BIRD lost the block", || !world.told().contains("BGP.as_path"));
    assert_eq!(world.route("198.51.100.0/24")["localPref"], 300);
    assert_eq!(world.route("198.51.101.0/24")["state"], "rejected");

    world.apply("{apiVersion: poplin.dev/v1, kind: RouteMap, metadata: {name: in}, spec: {otherwise: accept}}");
    world.peer("import: in");
    world.until_learned(&["198.51.100.0/24", "198.51.101.0/24", "203.0.113.0/24"]);
    until("BIRD has the block again", || world.told().contains("BGP.as_path"));
    assert_eq!(world.since(), since, "BIRD has seen one session all the time");
}

#[test]
fn rfc8212_a_fabric_may_be_closed_to_peers_that_name_no_map() {
    let world = World::new();
    world.until_learned(&["198.51.100.0/24", "198.51.101.0/24", "203.0.113.0/24"]);

    world.apply(
        "{apiVersion: poplin.dev/v1, kind: FabricConfig, metadata: {name: default}, spec: {externalDefault: reject}}",
    );

    world.until_learned(&[]);
    until("BIRD lost the block", || !world.told().contains("BGP.as_path"));
}

#[test]
fn a_route_map_that_is_named_cannot_go_and_one_that_is_not_there_cannot_be_named() {
    let world = World::new();
    let refused = world.host.try_apply(&peer("import: nowhere"));
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("there is no route map named \"nowhere\""), "{said}");

    world.apply("{apiVersion: poplin.dev/v1, kind: RouteMap, metadata: {name: in}, spec: {otherwise: accept}}");
    world.peer("import: in");
    let refused = world.host.try_poplin(&["delete", "routemap", "in"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("route map in is named by peer router"), "{said}");
}

fn peer(more: &str) -> String {
    format!(
        "{{apiVersion: poplin.dev/v1, kind: Peer, metadata: {{name: router}}, spec: {{address: 172.31.1.1, asn: 65001, {more}}}}}"
    )
}

fn tags(route: &Value) -> Vec<String> {
    let tags = route["communities"].as_array().cloned().unwrap_or_default();
    tags.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// A host with a container, so that it has a block, beside a BIRD.
struct World {
    host: Agent,
    tor: Tor,
    _container: Container,
    _lab: Lab,
}

impl World {
    fn new() -> Self {
        let lab = Lab::new();
        let mut tor = lab.tor();
        let mut host = tor.lone_host(&lab, 1).with(&["--asn", "64601"]);
        host.start();
        host.apply(&peer(""));
        tor.bird().start("172.31.0.1", PROTOCOLS);
        let mut container = lab.container("web");
        host.attach(&mut container, &[]);
        host.until_established(1);
        Self { host, tor, _container: container, _lab: lab }
    }

    fn apply(&self, text: &str) {
        self.host.apply(text);
    }

    /// The peer as it is from now on.
    fn peer(&self, more: &str) {
        self.apply(&peer(more));
    }

    /// The one route to a prefix, as the host shows it.
    fn route(&self, prefix: &str) -> Value {
        let text = self.host.poplin(&["routes", prefix, "-o", "json"]);
        let answer: Value = serde_json::from_str(&text).expect("-o json is JSON");
        answer["routes"][0].clone()
    }

    fn until_learned(&self, prefixes: &[&str]) {
        eventually(&format!("the host has routes to {prefixes:?}"), || {
            let routes = self.host.routes();
            let learned =
                routes.iter().filter(|route| route.contains(" via ")).filter_map(|route| route.split(' ').next());
            if learned.eq(prefixes.iter().copied()) { Ok(()) } else { Err(format!("{routes:?}")) }
        });
    }

    /// What BIRD knows of the routes it learned.
    fn told(&self) -> String {
        self.tor.ask("show route all where source = RTS_BGP")
    }

    /// Since when BIRD's session stands.
    fn since(&self) -> String {
        let protocol = self.tor.ask("show protocols fabric");
        protocol.lines().last().unwrap_or_default().to_owned()
    }
}
