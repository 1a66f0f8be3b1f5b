//! Traffic through routers that are killed and start again as after a restart (RFC 4724), and through a host whose agent is: nobody between
//! notices. BIRD and FRR put what they learn into their kernel; GoBGP and ExaBGP do not, so the way back from them is there anyway.

use poplin_lab::{Agent, Bird, Exabgp, Frr, Gobgp, Lab, Namespace, eventually, until};

use crate::beside::{Traffic, host_beside};

const FOREIGN: &str = "198.51.100.0/24";

#[test]
fn no_packet_is_lost_while_a_bird_is_killed_and_comes_back_and_then_we() {
    let (lab, mut bird, mut host) = beside(|lab| Bird::new(lab, "tor"), Bird::namespace);
    bird.start_with(BIRD);
    let mut traffic = Traffic::through(&lab, &host, bird.namespace());
    traffic.go_on();

    bird.stop();
    until_stale(&host);
    bird.start_again_with(BIRD);
    until_told_again(&host);

    traffic.go_on();
    come_back(&mut host);
    assert_eq!(traffic.lost(), 0, "{}", host.said());
}

const BIRD: &str = "router id 172.31.0.1; log stderr all; graceful restart wait 10; protocol device {}
protocol kernel { graceful restart; ipv4 { export all; }; }
protocol static { ipv4; route 198.51.100.0/24 blackhole; }
protocol bgp fabric { connect delay time 1; connect retry time 1; error wait time 1, 1; graceful restart on;
  local 172.31.1.1 as 65001; neighbor 172.31.1.2 as 64601; ipv4 { import all; export all; next hop self; }; }";

#[test]
fn no_packet_is_lost_while_the_bgpd_of_a_frr_is_killed_and_comes_back_and_then_we() {
    let (lab, mut frr, mut host) = beside(|lab| Frr::new(lab, "frr"), Frr::namespace);
    frr.start(FRR);
    let mut traffic = Traffic::through(&lab, &host, frr.namespace());
    let watch = |namespace: &Namespace, name: &str| {
        namespace.spawn(lab.directory().join(format!("{name}.routes")), "ip", &["-4", "monitor", "route"])
    };
    let (ours, theirs) = (watch(host.namespace(), "host"), watch(frr.namespace(), "frr"));
    traffic.go_on();

    frr.kill_bgpd();
    until_stale(&host);
    frr.start_bgpd();
    until_told_again(&host);

    traffic.go_on();
    come_back(&mut host);
    let (lost, ours, theirs) = (traffic.lost(), ours.said(), theirs.said());
    assert!(!ours.contains("Deleted"), "{ours}");
    // What its own zebra takes away and puts back is not ours to keep.
    let is_its_own = theirs.contains("Deleted 10.77.");
    assert!(lost == 0 || is_its_own, "{lost} lost\n{ours}\n{theirs}\n{}", host.said());
}

const FRR: &str = "router bgp 65001\n bgp router-id 172.31.1.1\n no bgp ebgp-requires-policy\n no bgp network import-check\n\
    bgp graceful-restart\n bgp graceful-restart preserve-fw-state\n\
    neighbor 172.31.1.2 remote-as 64601\n neighbor 172.31.1.2 timers connect 1\n\
    address-family ipv4 unicast\n  network 198.51.100.0/24\n  neighbor 172.31.1.2 activate\n";

#[test]
fn no_packet_is_lost_while_a_gobgp_is_killed_and_comes_back() {
    let (lab, mut gobgp, host) = beside(|lab| Gobgp::new(lab, "gobgp"), Gobgp::namespace);
    give_way_back(gobgp.namespace());
    let start = |gobgp: &mut Gobgp, arguments: &[&str]| {
        gobgp.start(GOBGP, arguments);
        assert_eq!(gobgp.gobgp(&format!("global rib add {FOREIGN} nexthop 172.31.1.1")), "");
        gobgp.gobgp("neighbor 172.31.1.2 enable"); // else it would say that its table is complete while it is empty
    };
    start(&mut gobgp, &[]);
    let mut traffic = Traffic::through(&lab, &host, gobgp.namespace());
    traffic.go_on();

    gobgp.stop();
    until_stale(&host);
    start(&mut gobgp, &["-r"]);
    until_told_again(&host);

    assert_eq!(traffic.lost(), 0, "{}", host.said());
}

const GOBGP: &str = "[global.config]\nas = 65001\nrouter-id = \"172.31.1.1\"\n\
    [[neighbors]]\n[neighbors.config]\nneighbor-address = \"172.31.1.2\"\npeer-as = 64601\nadmin-down = true\n\
    [neighbors.timers.config]\nconnect-retry = 2\nidle-hold-time-after-reset = 2\n\
    [neighbors.graceful-restart.config]\nenabled = true\nrestart-time = 60\n\
    [[neighbors.afi-safis]]\n[neighbors.afi-safis.config]\nafi-safi-name = \"ipv4-unicast\"\n\
    [neighbors.afi-safis.mp-graceful-restart.config]\nenabled = true\n";

#[test]
fn no_packet_is_lost_while_an_exabgp_is_killed_and_comes_back() {
    let (lab, mut exabgp, host) = beside(|lab| Exabgp::new(lab, "exabgp"), Exabgp::namespace);
    give_way_back(exabgp.namespace());
    exabgp.start(EXABGP, "");
    let mut traffic = Traffic::through(&lab, &host, exabgp.namespace());
    traffic.go_on();

    exabgp.stop();
    until_stale(&host);
    exabgp.start(EXABGP, "");
    until_told_again(&host);

    assert_eq!(traffic.lost(), 0, "{}", host.said());
}

const EXABGP: &str = "neighbor 172.31.1.2 {
  router-id 172.31.1.1; local-address 172.31.1.1; local-as 65001; peer-as 64601; hold-time 30;
  family { ipv4 unicast; } capability { graceful-restart 60; }
  static { route 198.51.100.0/24 next-hop 172.31.1.1; }
}";

/// A router that is not started yet, and a host that knows of it.
fn beside<R>(make: impl Fn(&Lab) -> R, namespace: impl Fn(&R) -> &Namespace) -> (Lab, R, Agent) {
    let lab = Lab::new();
    let router = make(&lab);
    let host = host_beside(&lab, namespace(&router));
    host.apply(
        "{apiVersion: poplin.dev/v1, kind: Peer, metadata: {name: tor}, spec: {address: 172.31.1.1, asn: 65001}}",
    );
    (lab, router, host)
}

/// The way to all containers, for a router that does not put what it learns into its kernel.
fn give_way_back(router: &Namespace) {
    router.run("ip", &["route", "add", "10.77.0.0/16", "via", "172.31.1.2"]);
}

#[track_caller]
fn until_stale(host: &Agent) {
    until("its routes are stale", || host.stale() == [FOREIGN]);
}

#[track_caller]
fn until_told_again(host: &Agent) {
    host.until_established(1);
    eventually("all is told again", || match host.poplin(&["routes"]) {
        routes if routes.contains(FOREIGN) && host.stale().is_empty() => Ok(()),
        routes => Err(routes),
    });
}

/// Our agent is killed and starts again, and the router has waited for it.
#[track_caller]
fn come_back(host: &mut Agent) {
    host.kill();
    host.start();
    until_told_again(host);
}
