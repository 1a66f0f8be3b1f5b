//! One host and one ExaBGP, which says whatever it is told to say.

use poplin_lab::{Agent, Exabgp, Lab, until};
use serde_json::Value;

use crate::beside::host_beside_with;

const FOREIGN_4: &str = "198.51.100.0/24";
const FOREIGN_6: &str = "2001:db8:64::/48";

#[test]
fn both_families_and_communities_of_all_kinds_are_heard() {
    let world = World::with("", "", "");

    until("we have learned what it announces", || world.learned() == 2);

    let told = world.host.poplin(&["routes", FOREIGN_4, "-o", "json"]);
    for community in ["65001:7", "65001:1:2", "65001:100"] {
        assert!(told.contains(community), "{community}: {told}");
    }
}

#[test]
fn an_exabgp_that_is_ended_takes_its_routes_along() {
    let mut world = World::with("", "", "");
    until("we have learned what it announces", || world.learned() == 2);

    world.exabgp.stop();

    until("its routes are gone", || world.learned() == 0);
    assert_ne!(world.session()["state"], "Established");
}

#[test]
fn a_signed_session_from_near_carries_a_wide_system_several_paths_and_a_route_that_fills_a_long_message() {
    let protection = "passwordFile: FILE, ttlSecurityHops: 1, addPaths: both";
    let words = "md5-password secret; md5-base64 false; outgoing-ttl 255; incoming-ttl 255;";
    let capability = "asn4 enable; route-refresh enable; extended-message enable; add-path send/receive;";
    let world = World::with(protection, words, capability);
    until("we have learned what it announces", || world.learned() == 2 && world.routes(FOREIGN_4).len() == 2);

    let paths = world.routes(FOREIGN_4);
    let ids: Vec<_> = paths.iter().map(|path| path["pathId"].as_u64()).collect();
    assert_eq!((ids.len(), ids.contains(&Some(0))), (2, false), "{paths:?}");
    assert_eq!(world.session()["asn"], WIDE);
    assert_eq!(paths[0]["communities"].as_array().map(Vec::len), Some(TAGS), "{}", paths[0]);
    let detail = world.host.poplin(&["bgp", "neighbor", "exabgp"]);
    for word in ["extended messages", "more than one path", "four-octet AS", "enhanced route refresh"] {
        assert!(detail.contains(word), "{word}: {detail}");
    }

    assert!(!world.host.said().contains("is down"), "{}", world.host.said());
}

/// The AS of ExaBGP where it is a wide one.
const WIDE: u32 = 4_200_000_001;

/// So many tags take 4,800 octets.
const TAGS: usize = 1200;

/// A host beside an ExaBGP that calls.
struct World {
    host: Agent,
    exabgp: Exabgp,
    _lab: Lab,
}

impl World {
    /// What the host knows of it beyond its address, with `FILE` for a password's file; what it knows of the host; what it can. One that
    /// can tell several paths has two, with many tags, and is in a wide AS.
    fn with(protection: &str, words: &str, capability: &str) -> Self {
        let lab = Lab::new();
        let mut exabgp = Exabgp::new(&lab, "exabgp");
        let host = host_beside_with(&lab, exabgp.namespace(), &["--asn", "64601"]);
        let password = lab.directory().join("password");
        std::fs::write(&password, "secret").expect("the directory is there");
        let protection = protection.replace("FILE", &password.display().to_string());
        host.apply(&format!(
            "{{apiVersion: poplin.dev/v1, kind: Peer, metadata: {{name: exabgp}}, spec: {{address: 172.31.1.1, asn: {}, {protection}}}}}",
            asn(capability)
        ));
        exabgp.start(&configuration(words, capability), "");
        Self { host, exabgp, _lab: lab }
    }

    fn session(&self) -> Value {
        self.host.status()["sessions"][0].clone()
    }

    fn routes(&self, prefix: &str) -> Vec<Value> {
        let told: Value = serde_json::from_str(&self.host.poplin(&["routes", prefix, "-o", "json"])).expect("JSON");
        told["routes"].as_array().cloned().unwrap_or_default()
    }

    /// How many routes the host's kernel has learned.
    fn learned(&self) -> usize {
        let routes = self.host.routes();
        [FOREIGN_4, FOREIGN_6].iter().filter(|prefix| routes.iter().any(|route| route.starts_with(**prefix))).count()
    }
}

/// One that can tell several paths is in a wide system.
fn asn(capability: &str) -> u32 {
    if capability.contains("add-path") { WIDE } else { 65001 }
}

fn configuration(words: &str, capability: &str) -> String {
    let first = format!("route {FOREIGN_4} next-hop 172.31.1.1");
    let routes = if capability.contains("add-path") {
        let tags: String = (1..=TAGS).map(|tag| format!("65001:{tag} ")).collect();
        let second = format!("route {FOREIGN_4} next-hop 172.31.1.11 path-information 0.0.0.2 community [ {tags}]");
        format!("{first} path-information 0.0.0.1 community [ {tags}];\n  {second}")
    } else {
        format!("{first} community [ 65001:7 ] large-community [ 65001:1:2 ] extended-community [ target:65001:100 ]")
    };
    format!(
        "neighbor 172.31.1.2 {{\n router-id 172.31.1.1; local-address 172.31.1.1; local-as {}; peer-as 64601; hold-time 30; {words}\n\
         family {{ ipv4 unicast; ipv6 unicast; }}\n capability {{ {capability} }}\n\
         static {{\n  {routes};\n  route {FOREIGN_6} next-hop fd31:1::1{};\n }}\n}}\n",
        asn(capability),
        if capability.contains("add-path") { " path-information 0.0.0.1" } else { "" }
    )
}
