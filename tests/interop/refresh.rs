//! A host beside a BIRD and an FRR that tell all again, or are told again, between marks (RFC 7313).

use poplin_lab::{Agent, Frr, Lab, Namespace, eventually, until};
use serde_json::Value;

use crate::beside::{V4, World};

#[test]
fn bird_tells_again_between_marks_and_is_told_again_between_ours() {
    let world = World::new();
    world.peer(V4, "families: [ipv4]");
    world.bird(V4, "");
    world.until_established();
    let before = refreshes(&world.host, "router");

    world.host.poplin(&["bgp", "refresh", "router"]);
    until("BIRD has marked both ends", || refreshes(&world.host, "router").received == before.received + 2);
    assert_eq!(world.session()["prefixesReceived"], 1);
    assert!(world.host.stale().is_empty(), "{}", world.host.poplin(&["routes"]));

    world.tor.borrow().birdc("reload in fabric");
    until("we have marked both ends", || refreshes(&world.host, "router").sent == before.sent + 3);
    assert!(world.host.poplin(&["bgp", "neighbor", "router"]).contains("enhanced route refresh"));
    assert_eq!(world.session()["state"], "Established", "BIRD has no quarrel with our marks");
}

#[test]
fn frr_tells_again_between_marks_and_is_told_again_between_ours() {
    let lab = Lab::new();
    let mut frr = Frr::new(&lab, "frr");
    let namespace = lab.namespace("speaker");
    let ends: [(&Namespace, u8); 2] = [(&namespace, 1), (frr.namespace(), 12)];
    let _segment = lab.segment("192.0.2", &ends);
    let mut speaker = Agent::speaker(&lab, namespace, "speaker", SPEAKER);
    speaker.start();
    frr.start(FRR);
    until("FRR's route is there", || speaker.poplin(&["routes"]).contains("198.51.100.0/24"));
    let before = refreshes(&speaker, "frr");

    speaker.poplin(&["bgp", "refresh", "frr"]);
    eventually("FRR has marked both ends", || match refreshes(&speaker, "frr") {
        now if now.received == before.received + 2 => Ok(()),
        now => Err(format!("{now:?}")),
    });
    assert!(speaker.poplin(&["routes"]).contains("198.51.100.0/24"));

    frr.vtysh(&["clear bgp ipv4 unicast 192.0.2.1 soft in"]);
    eventually("we have marked both ends", || match refreshes(&speaker, "frr") {
        now if now.sent == before.sent + 3 => Ok(()),
        now => Err(format!("{now:?}")),
    });
    assert_eq!(speaker.status()["sessions"][0]["state"], "Established", "FRR has no quarrel with our marks");
}

const SPEAKER: &str = r#"
asn = 64512
routerId = "192.0.2.1"
addresses = ["192.0.2.1"]
[peers.frr]
address = "192.0.2.12"
asn = 65002
"#;

const FRR: &str = "router bgp 65002\n bgp router-id 192.0.2.12\n no bgp ebgp-requires-policy\n no bgp network import-check\n\
    neighbor 192.0.2.1 remote-as 64512\n neighbor 192.0.2.1 timers connect 1\n\
    address-family ipv4 unicast\n  network 198.51.100.0/24\n  neighbor 192.0.2.1 activate\n";

/// How many ROUTE-REFRESH messages went each way.
#[derive(Debug)]
struct Refreshes {
    sent: u64,
    received: u64,
}

fn refreshes(host: &Agent, name: &str) -> Refreshes {
    let told: Value = serde_json::from_str(&host.poplin(&["bgp", "neighbor", name, "-o", "json"])).expect("it is JSON");
    let count = |way: &str| told[way]["refreshes"].as_u64().expect("refreshes are counted");
    Refreshes { sent: count("sent"), received: count("received") }
}
