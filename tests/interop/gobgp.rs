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
fn a_gobgp_that_starts_again_takes_no_route_along() {
    let mut world = World::new("");
    let graceful = "[neighbors.graceful-restart.config]\nenabled = true\nrestart-time = 60\n";
    world.gobgp("", graceful, &[]);
    world.until_learned();

    world.router.stop();
    until("the session is gone", || world.session()["state"] != "Established");
    assert_eq!(world.learned(), 2, "its routes stay: {:?}", world.host.routes());

    world.gobgp("", graceful, &["-r"]);
    until("the session is back", || world.session()["state"] == "Established");
    world.until_learned();
    assert!(!world.host.said().contains(&format!("{FOREIGN_4} is gone")), "{}", world.host.said());
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
        host.apply(&format!(
            "{{apiVersion: poplin.dev/v1, kind: Peer, metadata: {{name: gobgp}}, spec: {{address: 172.31.1.1, asn: 65001, {more}}}}}"
        ));
        Self { host, router, lab }
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
            "[[neighbors]]\n[neighbors.config]\nneighbor-address = \"172.31.1.2\"\npeer-as = 64601\n{config}\
             [neighbors.timers.config]\nconnect-retry = 2\nidle-hold-time-after-reset = 2\n{more}{}",
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

    /// How many routes the host's kernel has learned.
    fn learned(&self) -> usize {
        let routes = self.host.routes();
        [FOREIGN_4, FOREIGN_6].iter().filter(|prefix| routes.iter().any(|route| route.starts_with(**prefix))).count()
    }
}
