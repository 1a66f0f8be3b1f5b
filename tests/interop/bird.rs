//! One host and one BIRD: sessions of both kinds, announcements both ways, and what each side does when told again.

use std::collections::BTreeSet;

use poplin_lab::{Agent, Container, Lab, Tor, eventually, until};
use rustix::process::Signal;

/// Announcements of BIRD, of both families.
pub(crate) const FOREIGN: [&str; 2] = ["198.51.100.0/24", "2001:db8:51::/48"];

#[test]
fn an_external_neighbour_and_we_tell_each_other_our_routes() {
    let mut world = World::new(65001, 64601);

    world.exchange();

    let path = world.tor.bird().birdc("show route all where source = RTS_BGP");
    assert!(path.contains("BGP.as_path: 64601"), "{path}");
}

#[test]
fn an_internal_neighbour_and_we_tell_each_other_our_routes() {
    let mut world = World::new(64512, 64512);

    world.exchange();

    let path = world.tor.bird().birdc("show route all where source = RTS_BGP");
    assert!(path.contains("BGP.local_pref: 100") && !path.contains("BGP.as_path: 6"), "{path}");
}

#[test]
fn autonomous_systems_of_four_octets_are_spoken() {
    let mut world = World::new(4_200_000_001, 4_200_000_002);

    world.exchange();

    let path = world.tor.bird().birdc("show route all where source = RTS_BGP");
    assert!(path.contains("BGP.as_path: 4200000002"), "{path}");
    assert_eq!(world.host.status()["sessions"][0]["asn"], 4_200_000_001_u32);
}

#[test]
fn routes_of_a_silent_neighbour_go_after_the_hold_time() {
    let mut world = World::new(65001, 64601);
    world.exchange();
    assert!(world.tor.bird().birdc("show protocols all fabric").contains("Hold timer"));

    world.tor.bird().process().signal(Signal::STOP);

    eventually("the routes are withdrawn", || match world.learned() {
        learned if learned.is_empty() => Ok(()),
        learned => Err(format!("{learned:?}")),
    });
    let error = world.host.status()["sessions"][0]["lastError"].as_str().unwrap_or_default().to_ascii_lowercase();
    assert!(error.contains("hold"), "{error}");
    world.tor.bird().process().signal(Signal::CONT);
    world.exchange();
}

#[test]
fn routes_are_told_again_when_either_side_asks() {
    let mut world = World::new(65001, 64601);
    world.exchange();

    let answers = ["reload in fabric", "reload out fabric"].map(|question| world.tor.bird().birdc(question));

    assert!(answers.iter().all(|answer| answer.contains("reloading")), "{answers:?}");
    world.exchange();
    let protocol = world.tor.bird().birdc("show protocols all fabric");
    assert!(protocol.contains("Established"), "{protocol}");
    assert_eq!(world.host.status()["sessions"][0]["state"], "Established");
}

#[test]
fn what_either_side_withdraws_is_gone_on_the_other() {
    let mut world = World::new(65001, 64601);
    world.exchange();

    assert!(world.tor.bird().birdc("disable foreign4").contains("disabled"));

    eventually("one of two routes is withdrawn", || match world.learned() {
        learned if learned == BTreeSet::from([FOREIGN[1].to_owned()]) => Ok(()),
        learned => Err(format!("{learned:?}")),
    });
    assert!(world.tor.bird().birdc("enable foreign4").contains("enabled"));
    world.exchange();
}

#[test]
fn a_session_over_ipv6_carries_both_families() {
    let mut world = World::over("fd31:1::1", "fd31:1::2", 65001, 64601);

    world.exchange();
}

#[test]
fn an_internal_session_goes_on_when_its_neighbour_becomes_a_client_and_the_cluster_another() {
    let mut world = World::new(64512, 64512);
    world.exchange();

    world.host.apply(
        "{apiVersion: poplin.dev/v1, kind: Peer, metadata: {name: router}, \
         spec: {address: 172.31.1.1, asn: 64512, holdTimeSeconds: 3, reflectorClient: true}}\n---\n\
         {apiVersion: poplin.dev/v1, kind: FabricConfig, metadata: {name: default}, spec: {clusterId: 192.0.2.9}}",
    );
    assert!(world.tor.bird().birdc("reload in fabric").contains("reloading"));

    world.exchange();
    let detail = world.host.poplin(&["bgp", "neighbor", "router", "-o", "json"]);
    let detail: serde_json::Value = serde_json::from_str(&detail).expect("JSON");
    let times = &detail["timesEstablished"];
    assert!(times == 1 || times == "1", "{detail}");
}

#[test]
fn a_neighbour_of_the_wrong_system_is_refused_and_named() {
    let world = World::unsettled("172.31.1.1", "172.31.1.2", 65001, 64601, 65009);

    eventually("the refusal is told", || match world.host.status()["sessions"][0]["lastError"].as_str() {
        Some(error) if error.contains("AS") => Ok(()),
        other => Err(format!("{other:?}")),
    });
    assert!(world.learned().is_empty());
}

/// A host with one container of both families, beside a BIRD that announces [`FOREIGN`].
pub(crate) struct World {
    pub(crate) host: Agent,
    pub(crate) tor: Tor,
    container: Container,
    _lab: Lab,
}

impl World {
    pub(crate) fn new(bird_asn: u32, host_asn: u32) -> Self {
        Self::over("172.31.1.1", "172.31.1.2", bird_asn, host_asn)
    }

    fn over(bird: &str, us: &str, bird_asn: u32, host_asn: u32) -> Self {
        let world = Self::unsettled(bird, us, bird_asn, host_asn, bird_asn);
        world.host.until_established(1);
        world
    }

    /// As the one before, with the AS the host expects of BIRD.
    fn unsettled(bird: &str, us: &str, bird_asn: u32, host_asn: u32, expected: u32) -> Self {
        let lab = Lab::new();
        let mut tor = lab.tor();
        let protocols = format!(
            "protocol static foreign4 {{ ipv4; route {} blackhole; }}\nprotocol static foreign6 {{ ipv6; route {} blackhole; }}\n\
             protocol bgp fabric {{ direct; connect delay time 1; connect retry time 1; error wait time 1, 1; hold time 3; keepalive time 1;\n\
             local {bird} as {bird_asn}; neighbor {us} as {host_asn};\n\
             ipv4 {{ import all; export all; next hop self; gateway direct; }};\n\
             ipv6 {{ import all; export all; next hop self; gateway direct; }}; }}",
            FOREIGN[0], FOREIGN[1]
        );
        let mut host = tor.lone_host(&lab, 1).with(&["--asn", &host_asn.to_string()]);
        host.start();
        host.apply(&format!(
            "{{apiVersion: poplin.dev/v1, kind: Pool, metadata: {{name: v6}}, spec: {{cidr: 'fd77::/48'}}}}\n---\n\
             {{apiVersion: poplin.dev/v1, kind: Peer, metadata: {{name: router}}, spec: {{address: '{bird}', asn: {expected}, holdTimeSeconds: 3}}}}"
        ));
        tor.bird().start("172.31.0.1", &protocols);
        let mut container = lab.container("web");
        host.attach(&mut container, &[]);
        Self { host, tor, container, _lab: lab }
    }

    /// Waits until each side has what the other announces, and packets go both ways.
    #[track_caller]
    pub(crate) fn exchange(&mut self) {
        eventually("the host has what BIRD announces", || match self.learned() {
            learned if learned == FOREIGN.map(str::to_owned).into() => Ok(()),
            learned => Err(format!("{learned:?} {}", self.host.status()["sessions"])),
        });
        let blocks = self.host.status()["blocks"].as_array().cloned().unwrap_or_default();
        let blocks: BTreeSet<String> =
            blocks.iter().filter_map(|one| one["cidr"].as_str().map(str::to_owned)).collect();
        assert_eq!(blocks.len(), 2);
        let bird = self.tor.bird();
        eventually("BIRD has the blocks", || match bird.learned() {
            learned if learned == blocks => Ok(()),
            learned => Err(format!("{learned:?} instead of {blocks:?}")),
        });
        let (v4, v6) = ("172.31.0.1".parse().expect("an address"), "fd31:1::1".parse().expect("an address"));
        until("packets go to and fro", || self.container.reaches(v4) && self.container.reaches(v6));
    }

    /// What the host's kernel has learned, by prefix.
    fn learned(&self) -> BTreeSet<String> {
        let routes = self.host.routes();
        let routes = routes.iter().filter(|route| route.contains(" via "));
        routes.filter_map(|route| route.split(' ').next().map(str::to_owned)).collect()
    }
}
