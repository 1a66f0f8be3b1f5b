//! Sessions of a speaker alone with an FRR end by silence and by NOTIFICATIONs, and the routes stay as through a restart (RFC 8538).

use poplin_lab::{Agent, Frr, Lab, Namespace, eventually, until};

const FOREIGN: &str = "198.51.100.0/24";

const SPEAKER: &str = r#"
asn = 64512
routerId = "192.0.2.1"
addresses = ["192.0.2.1"]
kernelRoutes = true
[peers.frr]
address = "192.0.2.11"
asn = 65001
holdTimeSeconds = 3
gracefulNotifications = true
passive = true                  # two calls at once confuse FRR 8.4, and what is stale does not outlive a second end (RFC 4724 §4.2)
"#;

const FRR: &str = "router bgp 65001\n bgp router-id 192.0.2.11\n no bgp ebgp-requires-policy\n no bgp network import-check\n\
    bgp graceful-restart\n bgp graceful-restart preserve-fw-state\n bgp graceful-restart notification\n\
    neighbor 192.0.2.1 remote-as 64512\n neighbor 192.0.2.1 timers 1 3\n neighbor 192.0.2.1 timers connect 1\n\
    address-family ipv4 unicast\n  network 198.51.100.0/24\n  neighbor 192.0.2.1 activate\n";

#[test]
fn a_hold_time_that_runs_out_takes_no_route_and_a_hard_reset_of_frr_does() {
    let lab = Lab::new();
    let mut frr = Frr::new(&lab, "frr");
    let namespace = lab.namespace("speaker");
    let _segment = lab.segment("192.0.2", &[(&namespace, 1), (frr.namespace(), 11)]);
    let mut speaker = Agent::speaker(&lab, namespace, "speaker", SPEAKER);
    speaker.start();
    frr.start(FRR);
    until("the route is learned", || has_route(&speaker));
    eventually("FRR has heard that we do the same", || {
        match frr.vtysh(&["show bgp ipv4 neighbors 192.0.2.1 graceful-restart"]) {
            told if told.contains("N bit: True") => Ok(()),
            told => Err(told),
        }
    });

    let ends = [speaker.namespace(), frr.namespace()];
    ends.into_iter().for_each(Namespace::cut);
    until("our hold time runs out", || speaker.said().contains("is down: hold timer expired (4/0)"));
    assert!(has_route(&speaker), "{}", speaker.poplin(&["routes"]));
    assert_eq!(speaker.stale(), [FOREIGN]);
    ends.into_iter().for_each(Namespace::mend);
    speaker.until_established(1);
    until("it is told again", || speaker.stale().is_empty());
    assert!(has_route(&speaker));

    frr.vtysh(&["configure terminal", "router bgp 65001", "no bgp hard-administrative-reset"]);
    frr.vtysh(&["clear bgp 192.0.2.1"]);
    until("a reset that is none of the routes", || speaker.said().contains(&down("administrative reset (6/4)")));
    assert!(!speaker.said().contains("hard reset"), "{}", speaker.said());
    speaker.until_established(1);

    frr.vtysh(&["configure terminal", "router bgp 65001", "bgp hard-administrative-reset"]);
    frr.vtysh(&["clear bgp 192.0.2.1"]);
    until("one that is", || speaker.said().contains(&down("hard reset (6/9): administrative reset (6/4)")));
}

fn has_route(speaker: &Agent) -> bool {
    speaker.routes().iter().any(|route| route.starts_with(FOREIGN))
}

fn down(why: &str) -> String {
    format!("session with 192.0.2.11 is down: the neighbour reports: {why}")
}
