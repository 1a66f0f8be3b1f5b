//! One host and one GoBGP: a third hand's reading of the protocol.

use poplin_lab::{Agent, Gobgp, Lab, eventually, until};
use serde_json::Value;

use crate::beside::host_beside;

const FOREIGN_4: &str = "198.51.100.0/24";
const FOREIGN_6: &str = "2001:db8:64::/48";

#[test]
fn signed_sessions_carry_both_families_and_communities_both_ways() {
    let mut world = World::new("passwordFile: FILE");
    world.gobgp("auth-password = \"secret\"\n", "", &[]);

    world.until_learned();

    let routes = world.host.poplin(&["routes", FOREIGN_4, "-o", "json"]);
    assert!(routes.contains("65001:7") && routes.contains("65001:1:2"), "{routes}");
    let mut web = world.lab.container("web");
    world.host.attach(&mut web, &[]);
    eventually("GoBGP has our block", || match world.router.gobgp("global rib") {
        rib if rib.contains("10.77.") && rib.contains("64601") => Ok(()),
        rib => Err(rib),
    });
}

#[test]
fn a_host_calls_a_gobgp_that_knows_it_only_by_its_prefix() {
    let mut world = World::new("");
    world.router.start(&format!("{GLOBAL}{DYNAMIC}"), &[]);
    world.announce();

    world.until_learned();
}

#[test]
fn a_session_from_near_carries_a_wide_system_and_several_paths_which_are_told_again_when_we_ask() {
    let mut world = World::new("");
    world.know(WIDE, "ttlSecurityHops: 1, addPaths: both");
    let near = "[neighbors.ttl-security.config]\nenabled = true\nttl-min = 255\n";
    let global = GLOBAL.replace("65001", &WIDE.to_string());
    let paths = "[neighbors.afi-safis.add-paths.config]\nreceive = true\nsend-max = 8\n";
    let families = "[[neighbors.afi-safis]]\n[neighbors.afi-safis.config]\nafi-safi-name = \"ipv4-unicast\"\n";
    world.router.start(&format!("{global}{NEIGHBOUR}{near}{families}{paths}"), &[]);
    for (number, hop) in [(1, "172.31.1.1"), (2, "172.31.1.11")] {
        let said = world.router.gobgp(&format!("global rib add {FOREIGN_4} identifier {number} nexthop {hop}"));
        assert_eq!(said, "");
    }

    eventually("both paths are used", || match world.host.routes() {
        routes
            if routes.iter().any(|route| route.contains("via 172.31.1.1 ") && route.contains("via 172.31.1.11 ")) =>
        {
            Ok(())
        }
        routes => Err(format!("{routes:?}\n{}\n{}", world.session(), world.router.gobgp("neighbor 172.31.1.2"))),
    });
    assert_eq!(world.session()["asn"], WIDE);
    let before = world.updates();
    world.host.poplin(&["bgp", "refresh", "gobgp"]);
    until("it has told all again", || world.updates() >= before + 2);
    assert!(!world.host.said().contains("is down"), "{}", world.host.said());
}

#[test]
fn a_session_that_a_gobgp_shuts_down_is_shown_as_that_while_its_calls_fail() {
    let mut world = World::new("");
    world.gobgp("", "", &[]);
    world.until_learned();

    let said = world.router.gobgp("neighbor 172.31.1.2 disable");

    eventually("its reason is shown", || match world.session()["lastError"].as_str() {
        Some(told) if told.contains("administrative shutdown (6/2); since then: ") => Ok(()),
        told => Err(format!("{told:?} after {said}")),
    });
    assert_eq!(world.learned(), 0, "{:?}", world.host.routes());
}

/// A host beside a GoBGP.
struct World {
    host: Agent,
    router: Gobgp,
    lab: Lab,
}

/// The AS of GoBGP where it is a wide one.
const WIDE: u32 = 4_200_000_001;

/// What GoBGP knows of the host.
const NEIGHBOUR: &str = "[[neighbors]]\n[neighbors.config]\nneighbor-address = \"172.31.1.2\"\npeer-as = 64601\n";

const GLOBAL: &str = "[global.config]\nas = 65001\nrouter-id = \"172.31.1.1\"\n";

/// Whoever calls from the link, in either family.
const DYNAMIC: &str = "
[[peer-groups]]
[peer-groups.config]
peer-group-name = \"hosts\"
peer-as = 64601
[[peer-groups.afi-safis]]
[peer-groups.afi-safis.config]
afi-safi-name = \"ipv4-unicast\"
[[peer-groups.afi-safis]]
[peer-groups.afi-safis.config]
afi-safi-name = \"ipv6-unicast\"
[[dynamic-neighbors]]
[dynamic-neighbors.config]
prefix = \"172.31.1.0/24\"
peer-group = \"hosts\"
";

impl World {
    /// The host knows of GoBGP; `FILE` stands for a password's file.
    fn new(more: &str) -> Self {
        let lab = Lab::new();
        let router = Gobgp::new(&lab, "gobgp");
        let host = host_beside(&lab, router.namespace());
        let password = lab.directory().join("password");
        std::fs::write(&password, "secret").expect("the directory is there");
        let more = more.replace("FILE", &password.display().to_string());
        let world = Self { host, router, lab };
        world.know(65001, &more);
        world
    }

    /// What the host knows of GoBGP.
    fn know(&self, asn: u32, more: &str) {
        self.host.apply(&format!(
            "{{apiVersion: poplin.dev/v1, kind: Peer, metadata: {{name: gobgp}}, spec: {{address: 172.31.1.1, asn: {asn}, {more}}}}}"
        ));
    }

    /// Starts GoBGP with these words about the host, and lets it announce a prefix of each family.
    fn gobgp(&mut self, config: &str, more: &str, arguments: &[&str]) {
        let families = ["ipv4-unicast", "ipv6-unicast"].map(|family| {
            format!(
                "[[neighbors.afi-safis]]\n[neighbors.afi-safis.config]\nafi-safi-name = \"{family}\"\n\
                 [neighbors.afi-safis.mp-graceful-restart.config]\nenabled = true\n"
            )
        });
        let neighbour = format!(
            "{NEIGHBOUR}{config}[neighbors.timers.config]\nconnect-retry = 2\nidle-hold-time-after-reset = 2\n{more}{}",
            families.concat()
        );
        self.router.start(&format!("{GLOBAL}{neighbour}"), arguments);
        self.announce();
    }

    fn announce(&self) {
        let communities = "community 65001:7 large-community 65001:1:2";
        let routes = [
            format!("global rib add {FOREIGN_4} nexthop 172.31.1.1 {communities}"),
            format!("global rib add -a ipv6 {FOREIGN_6} nexthop fd31:1::1"),
        ];
        for words in routes {
            let said = self.router.gobgp(&words);
            assert_eq!(said, "", "{words}");
        }
    }

    #[track_caller]
    fn until_learned(&self) {
        eventually("we have learned what it announces", || match self.learned() {
            2 => Ok(()),
            _ => Err(format!("{}\n{}", self.session(), self.router.gobgp("neighbor 172.31.1.2"))),
        });
    }

    fn session(&self) -> Value {
        self.host.status()["sessions"][0].clone()
    }

    /// How many UPDATEs came from it.
    fn updates(&self) -> u64 {
        let told = self.host.poplin(&["bgp", "neighbor", "gobgp", "-o", "json"]);
        let told: Value = serde_json::from_str(&told).expect("JSON");
        told["received"]["updates"].as_u64().expect("a count")
    }

    /// How many routes the host's kernel has learned.
    fn learned(&self) -> usize {
        let routes = self.host.routes();
        [FOREIGN_4, FOREIGN_6].iter().filter(|prefix| routes.iter().any(|route| route.starts_with(**prefix))).count()
    }
}
