//! One host and one FRR that watch the way between them: its bfdd is another hand's reading of RFC 5880 than BIRD's.

use poplin_lab::{Agent, Frr, Lab, Namespace, eventually, until};
use serde_json::Value;

use crate::beside::{host_beside, host_beside_with};

/// What FRR announces.
const FOREIGN: &str = "198.51.100.0/24";

#[test]
fn a_way_is_watched_by_both_in_either_family() {
    for (frr, us) in [("172.31.1.1", "172.31.1.2"), ("fd31:1::1", "fd31:1::2")] {
        let world = World::over(frr, us, "{intervalMilliseconds: 400}");

        world.until_watched();

        eventually("the slower wish of the two counts", || match world.session()["bfd"].clone() {
            bfd if bfd["intervalMilliseconds"] == 400 && bfd["detectionMilliseconds"] == 2000 => Ok(()),
            bfd => Err(bfd.to_string()),
        });
    }
}

#[test]
fn a_way_that_is_cut_is_noticed_on_both_sides_and_comes_back() {
    let world = World::over("172.31.1.1", "172.31.1.2", "{}");
    world.until_watched();

    let ends = [world.host.namespace(), world.frr.namespace()];
    ends.into_iter().for_each(Namespace::cut);

    until("our routes are gone", || world.learned() == 0);
    assert_eq!(world.session()["lastError"], "BFD down (6/10)");
    eventually("FRR has noticed", || match world.frr.vtysh(&["show bgp neighbors 172.31.1.2"]) {
        told if told.contains("BFD down received") || told.contains("BFD Down") => Ok(()),
        told => Err(told),
    });
    ends.into_iter().for_each(Namespace::mend);
    world.until_watched();
}

#[test]
fn a_watch_that_frr_ends_ends_no_session() {
    let world = World::over("172.31.1.1", "172.31.1.2", "{}");
    world.until_watched();

    world.frr.vtysh(&["configure terminal", "bfd", "profile lab", "shutdown"]);

    until("BFD is down", || world.session()["bfd"]["state"] == "Down");
    assert_eq!(world.session()["bfd"]["diagnostic"], "neighbour signaled session down");
    assert_eq!((world.session()["state"].as_str(), world.learned()), (Some("Established"), 1));
    world.frr.vtysh(&["configure terminal", "bfd", "profile lab", "no shutdown"]);
    world.until_watched();
    assert!(!world.host.said().contains("is down: BFD"), "the session went on all the time: {}", world.host.said());
}

#[test]
fn a_signed_session_from_near_carries_communities_of_three_kinds_wide_systems_and_several_paths() {
    let lab = Lab::new();
    let mut frr = Frr::new(&lab, "frr");
    let host = host_beside_with(&lab, frr.namespace(), &["--asn", "4200000002"]);
    let password = lab.directory().join("password");
    std::fs::write(&password, "secret").expect("the directory is there");
    host.apply(&format!(
        "{{apiVersion: poplin.dev/v1, kind: RouteMap, metadata: {{name: tagged}}, \
         spec: {{rules: [{{action: accept, set: {{addCommunities: ['100:1', '100:1:2', 'rt:100:9']}}}}]}}}}\n---\n\
         {{apiVersion: poplin.dev/v1, kind: Peer, metadata: {{name: frr}}, spec: {{address: 172.31.1.1, asn: 4200000001, \
         passwordFile: {}, ttlSecurityHops: 1, addPaths: both, export: tagged}}}}",
        password.display()
    ));
    let mut web = lab.container("web");
    host.attach(&mut web, &[]);

    frr.start(FEATURES);

    let told = eventually("its route comes with its tags", || match host.poplin(&["routes", FOREIGN, "-o", "json"]) {
        told if ["100:7", "100:7:8", "rt:100:9", "4200000001"].iter().all(|word| told.contains(word)) => Ok(told),
        told => Err(format!("{told}\n{}\n{}", host.status()["sessions"], frr.vtysh(&["show bgp neighbors"]))),
    });
    assert!(!told.contains("\"pathId\": 0"), "FRR numbers its paths: {told}");
    let detail = host.poplin(&["bgp", "neighbor", "frr"]);
    assert!(detail.contains("more than one path"), "{detail}");
    let block = host.status()["blocks"][0]["cidr"].as_str().unwrap_or_default().to_owned();
    eventually("FRR has our block with our tags", || match frr.vtysh(&[&format!("show bgp ipv4 unicast {block}")]) {
        told if ["4200000002", "Community: 100:1", "Large Community: 100:1:2", "RT:100:9"]
            .iter()
            .all(|word| told.contains(word)) =>
        {
            Ok(())
        }
        told => Err(told),
    });
}

/// Without `exit`, as below.
const FEATURES: &str = "router bgp 4200000001\n bgp router-id 172.31.1.1\n no bgp ebgp-requires-policy\n no bgp network import-check\n\
    neighbor 172.31.1.2 remote-as 4200000002\n neighbor 172.31.1.2 timers connect 1\n neighbor 172.31.1.2 password secret\n\
    neighbor 172.31.1.2 ttl-security hops 1\n address-family ipv4 unicast\n  network 198.51.100.0/24 route-map tagged\n\
    neighbor 172.31.1.2 activate\n  neighbor 172.31.1.2 addpath-tx-all-paths\n\
    route-map tagged permit 10\n set community 100:7\n set large-community 100:7:8\n set extcommunity rt 100:9\n";

/// A host beside an FRR that announces [`FOREIGN`].
struct World {
    host: Agent,
    frr: Frr,
    _lab: Lab,
}

impl World {
    fn over(frr: &str, us: &str, bfd: &str) -> Self {
        let lab = Lab::new();
        let mut router = Frr::new(&lab, "frr");
        let host = host_beside(&lab, router.namespace());
        host.apply(&format!(
            "{{apiVersion: poplin.dev/v1, kind: Peer, metadata: {{name: frr}}, spec: {{address: '{frr}', asn: 65001, bfd: {bfd}}}}}"
        ));
        router.start(&configuration(us));
        Self { host, frr: router, _lab: lab }
    }

    /// Waits until BFD and BGP are up on both sides.
    #[track_caller]
    fn until_watched(&self) {
        eventually("BFD is up on our side", || match self.session() {
            session if session["state"] == "Established" && session["bfd"]["state"] == "Up" => Ok(()),
            session => Err(session.to_string()),
        });
        eventually("BFD is up on FRR's side", || match self.frr.vtysh(&["show bfd peers"]) {
            peers if peers.contains("Status: up") => Ok(()),
            peers => Err(peers),
        });
        until("we have learned what it announces", || self.learned() == 1);
    }

    fn session(&self) -> Value {
        self.host.status()["sessions"][0].clone()
    }

    /// How many routes the host's kernel has learned.
    fn learned(&self) -> usize {
        self.host.routes().iter().filter(|route| route.starts_with(FOREIGN) && route.contains(" via ")).count()
    }
}

/// Without `exit`: a daemon that does not know a section would leave its whole configuration there.
fn configuration(us: &str) -> String {
    format!(
        "bfd\n profile lab\n  receive-interval 200\n  transmit-interval 200\n  detect-multiplier 5\n\
         router bgp 65001\n bgp router-id 172.31.1.1\n no bgp ebgp-requires-policy\n no bgp network import-check\n\
         neighbor {us} remote-as 64601\n neighbor {us} timers connect 1\n neighbor {us} bfd profile lab\n\
         address-family ipv4 unicast\n  network {FOREIGN}\n  neighbor {us} activate\n"
    )
}
