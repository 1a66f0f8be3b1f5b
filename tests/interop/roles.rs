//! What a host and its neighbours are to each other (RFC 9234): a BIRD that sells transit, and an FRR that buys it.

use poplin_lab::{Agent, Bird, Frr, Lab, Namespace, eventually, until};

use crate::beside::{V4, World};

const PREFIX: &str = "198.51.100.0/24";

#[test]
fn roles_that_go_together_make_a_session_with_bird_and_others_are_told_apart() {
    let world = World::new();
    world.peer(V4, "role: customer");
    world.bird(V4, "local role provider;");
    world.until_established();
    let told = world.host.poplin(&["bgp", "neighbor", "router"]);
    assert!(told.contains("role customer") && told.contains("role provider"), "{told}");

    world.bird(V4, "local role peer;");
    world.until_told(&["role mismatch (2/11)"]);

    world.bird(V4, "");
    world.until_established();

    world.peer(V4, "role: customer, strictRole: true");
    world.host.poplin(&["bgp", "clear", "router"]);
    world.until_told(&["role mismatch (2/11)"]);

    world.bird(V4, "local role provider; require roles on;");
    world.until_established();
}

#[test]
fn what_a_provider_tells_reaches_a_customer_marked_and_a_peer_not_at_all() {
    let lab = Lab::new();
    let mut bird = Bird::new(&lab, "bird");
    let mut frr = Frr::new(&lab, "frr");
    let namespace = lab.namespace("speaker");
    let ends: [(&Namespace, u8); 3] = [(&namespace, 1), (bird.namespace(), 11), (frr.namespace(), 12)];
    let _segment = lab.segment("192.0.2", &ends);
    let mut speaker = Agent::speaker(&lab, namespace, "speaker", &speaker("provider"));
    speaker.start();
    bird.start("192.0.2.11", &announcing());
    frr.start(FRR);

    eventually("the customer has the route, and knows for whom it is", || {
        match frr.vtysh(&[&format!("show bgp ipv4 unicast {PREFIX}")]) {
            told if told.contains("64512 65001") && told.to_lowercase().contains("otc 65001") => Ok(()),
            told => Err(format!("{told}\n{}", speaker.poplin(&["bgp", "neighbor", "frr"]))),
        }
    });

    frr.vtysh(&["configure terminal", "router bgp 65002", "neighbor 192.0.2.1 local-role peer"]);
    speaker.reconfigure(&self::speaker("peer"));

    until("they are peers now", || {
        let told = speaker.poplin(&["bgp", "neighbor", "frr"]);
        told.contains("Established") && told.contains("role peer")
    });
    assert_eq!(speaker.status()["sessions"][1]["prefixesSent"], 0, "{}", speaker.status());
    assert!(speaker.poplin(&["routes"]).contains(PREFIX), "we have it all the same");
    let told = frr.vtysh(&["show bgp ipv4 unicast"]);
    assert!(!told.contains(PREFIX), "{told}");
}

fn speaker(to_frr: &str) -> String {
    format!(
        r#"
asn = 64512
routerId = "192.0.2.1"
addresses = ["192.0.2.1"]
[peers.bird]
address = "192.0.2.11"
asn = 65001
transit = true
role = "customer"
[peers.frr]
address = "192.0.2.12"
asn = 65002
transit = true
role = "{to_frr}"
"#
    )
}

fn announcing() -> String {
    format!(
        "protocol static {{ ipv4; route {PREFIX} blackhole; }}\n\
         protocol bgp ours {{ connect delay time 1; local role provider; local 192.0.2.11 as 65001; neighbor 192.0.2.1 as 64512;\n\
         ipv4 {{ import all; export all; }}; }}"
    )
}

const FRR: &str = "router bgp 65002\n bgp router-id 192.0.2.12\n no bgp ebgp-requires-policy\n\
    neighbor 192.0.2.1 remote-as 64512\n neighbor 192.0.2.1 timers connect 1\n neighbor 192.0.2.1 local-role customer\n\
    address-family ipv4 unicast\n  neighbor 192.0.2.1 activate\n";
