//! A host and its routers bound how many prefixes they take of each other (RFC 4486 §4): who says too much is told so, and let in again once
//! it may. BIRD's part as the one that says too much stands in `wanted.rs`; ExaBGP bounds nobody.

use poplin_lab::{Agent, Bird, Container, Exabgp, Frr, Gobgp, Lab, Namespace, eventually, until};
use serde_json::Value;

use crate::beside::host_beside;

/// What each router announces.
const TWO: [&str; 2] = ["198.51.100.0/25", "198.51.100.128/25"];

#[test]
fn a_frr_and_we_bound_each_other() {
    let (mut world, mut frr) = World::beside(|lab| Frr::new(lab, "frr"), Frr::namespace);
    frr.start(FRR);

    world.until_too_much();
    eventually("FRR has been told", || match frr.vtysh(&["show bgp neighbors 172.31.1.2"]) {
        told if told.contains("Notification received (Cease/Maximum Number of Prefixes Reached)") => Ok(()),
        told => Err(told),
    });
    world.until_enough();

    world.announce_two();
    let limit = |frr: &Frr, words: &str| {
        frr.vtysh(&["configure terminal", "router bgp 65001", "address-family ipv4 unicast", words]);
    };
    limit(&frr, "neighbor 172.31.1.2 maximum-prefix 1");
    world.until_refused();
    limit(&frr, "neighbor 172.31.1.2 maximum-prefix 2");
    frr.vtysh(&["clear bgp 172.31.1.2"]);
    world.until_up();
}

const FRR: &str = "router bgp 65001\n bgp router-id 172.31.1.1\n no bgp ebgp-requires-policy\n no bgp network import-check\n\
    neighbor 172.31.1.2 remote-as 64601\n neighbor 172.31.1.2 timers connect 1\n\
    address-family ipv4 unicast\n  network 198.51.100.0/25\n  network 198.51.100.128/25\n";

#[test]
fn a_gobgp_and_we_bound_each_other() {
    let (mut world, mut gobgp) = World::beside(|lab| Gobgp::new(lab, "gobgp"), Gobgp::namespace);
    let start = |gobgp: &mut Gobgp, words: &str| {
        gobgp.start(&format!("{GOBGP}{words}"), &[]);
        for prefix in TWO {
            assert_eq!(gobgp.gobgp(&format!("global rib add {prefix} nexthop 172.31.1.1")), "");
        }
    };
    start(&mut gobgp, "");

    world.until_too_much();
    world.until_enough();

    world.announce_two();
    start(&mut gobgp, "[neighbors.afi-safis.prefix-limit.config]\nmax-prefixes = 1\n");
    world.until_refused();
    start(&mut gobgp, "[neighbors.afi-safis.prefix-limit.config]\nmax-prefixes = 2\n");
    world.until_up();
}

const GOBGP: &str = "[global.config]\nas = 65001\nrouter-id = \"172.31.1.1\"\n\
    [[neighbors]]\n[neighbors.config]\nneighbor-address = \"172.31.1.2\"\npeer-as = 64601\n\
    [neighbors.timers.config]\nconnect-retry = 2\nidle-hold-time-after-reset = 2\n\
    [[neighbors.afi-safis]]\n[neighbors.afi-safis.config]\nafi-safi-name = \"ipv4-unicast\"\n";

#[test]
fn an_exabgp_that_announces_too_much_is_let_go_and_let_in_again_when_it_may() {
    let (world, mut exabgp) = World::beside(|lab| Exabgp::new(lab, "exabgp"), Exabgp::namespace);
    let [one, other] = TWO;
    exabgp.start(
        &format!(
            "neighbor 172.31.1.2 {{\n router-id 172.31.1.1; local-address 172.31.1.1; local-as 65001; peer-as 64601;\n\
             family {{ ipv4 unicast; }}\n static {{ route {one} next-hop 172.31.1.1; route {other} next-hop 172.31.1.1; }}\n}}\n"
        ),
        "",
    );

    world.until_too_much();
    world.until_enough();
}

#[test]
fn a_bird_bounds_what_we_tell_it() {
    let (mut world, mut bird) = World::beside(|lab| Bird::new(lab, "tor"), Bird::namespace);
    let start = |bird: &mut Bird, limit: u8| {
        let [one, other] = TWO;
        bird.start(
            "172.31.1.1",
            &format!(
                "protocol static {{ ipv4; route {one} blackhole; route {other} blackhole; }}\n\
                 protocol bgp fabric {{ connect delay time 1; error wait time 1, 1; local 172.31.1.1 as 65001; neighbor 172.31.1.2 as 64601;\n\
                 ipv4 {{ import all; import limit {limit} action disable; export where source = RTS_STATIC; next hop self; }}; }}"
            ),
        );
    };
    world.peer(2);
    world.announce_two();

    start(&mut bird, 1);

    world.until_refused();
    start(&mut bird, 2);
    world.until_up();
}

/// A host beside a router.
struct World {
    host: Agent,
    web: Option<Container>,
    lab: Lab,
}

impl World {
    /// A router that is not started yet, of which the host takes one prefix.
    fn beside<R>(make: impl Fn(&Lab) -> R, namespace: impl Fn(&R) -> &Namespace) -> (Self, R) {
        let lab = Lab::new();
        let router = make(&lab);
        let host = host_beside(&lab, namespace(&router));
        let world = Self { host, web: None, lab };
        world.peer(1);
        (world, router)
    }

    /// Takes so many prefixes of the router.
    fn peer(&self, limit: u8) {
        self.host.apply(&format!(
            "{{apiVersion: poplin.dev/v1, kind: Peer, metadata: {{name: router}}, \
             spec: {{address: 172.31.1.1, asn: 65001, prefixLimits: {{ipv4: {limit}}}}}}}"
        ));
    }

    /// From now on the host announces a block of its own and the address of a service.
    fn announce_two(&mut self) {
        let mut web = self.lab.container("web");
        self.host.attach(&mut web, &["app=web"]);
        self.host.apply(
            "{apiVersion: poplin.dev/v1, kind: Service, metadata: {name: web}, \
             spec: {addresses: [203.0.113.7], endpoints: app == 'web'}}",
        );
        self.web = Some(web);
    }

    fn session(&self) -> Value {
        self.host.status()["sessions"][0].clone()
    }

    #[track_caller]
    fn until_ended(&self, words: &str) {
        eventually(&format!("there is no session: {words}"), || match self.session() {
            session if session["lastError"].as_str().is_some_and(|told| told.contains(words)) => Ok(()),
            session => Err(format!("{session}\n{}", self.host.said())),
        });
    }

    /// The router says more than we take.
    #[track_caller]
    fn until_too_much(&self) {
        self.until_ended("maximum number of prefixes reached (6/1): more than 1 of IPv4");
        assert!(!self.host.routes().iter().any(|route| route.starts_with("198.51.100.")), "{:?}", self.host.routes());
    }

    /// Now we take what it says.
    #[track_caller]
    fn until_enough(&self) {
        self.peer(2);
        until("both prefixes are there", || self.session()["prefixLimits"][0]["received"] == 2);
    }

    /// We say more than the router takes.
    #[track_caller]
    fn until_refused(&self) {
        self.until_ended("the neighbour reports: maximum number of prefixes reached (6/1)");
    }

    #[track_caller]
    fn until_up(&self) {
        eventually("it takes both of ours", || match self.session() {
            session if session["state"] == "Established" && session["prefixesSent"] == 2 => Ok(()),
            session => Err(format!("{session}\n{}", self.host.said())),
        });
    }
}
