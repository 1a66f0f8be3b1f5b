//! A speaker alone between a BIRD and an FRR that can read messages of 65,535 octets (RFC 8654): what fits into no shorter one
//! passes.

use poplin_lab::{Agent, Bird, Frr, Lab, Namespace, eventually};
use serde_json::Value;

/// So many tags take 4,800 octets.
const TAGS: usize = 1200;

/// What BIRD announces with so many tags, and without.
const TAGGED: &str = "198.51.100.0/24";
const PLAIN: &str = "198.51.101.0/24";

const SPEAKER: &str = r#"
asn = 64512
routerId = "192.0.2.1"
addresses = ["192.0.2.1"]
[peers.bird]
address = "192.0.2.11"
asn = 65001
transit = true
[peers.frr]
address = "192.0.2.12"
asn = 65002
transit = true
"#;

const FRR: &str = "router bgp 65002\n bgp router-id 192.0.2.12\n no bgp ebgp-requires-policy\n\
    neighbor 192.0.2.1 remote-as 64512\n neighbor 192.0.2.1 timers connect 1\n\
    address-family ipv4 unicast\n  neighbor 192.0.2.1 activate\n";

#[test]
fn a_route_with_a_great_many_tags_passes_from_bird_to_frr_where_messages_may_be_long() {
    let lab = Lab::new();
    let mut bird = Bird::new(&lab, "bird");
    let mut frr = Frr::new(&lab, "frr");
    let namespace = lab.namespace("speaker");
    let ends: [(&Namespace, u8); 3] = [(&namespace, 1), (bird.namespace(), 11), (frr.namespace(), 12)];
    let _segment = lab.segment("192.0.2", &ends);
    let mut speaker = Agent::speaker(&lab, namespace, "speaker", SPEAKER);
    speaker.start();
    bird.start("192.0.2.11", &announcing());
    frr.start(FRR);

    until_told(&frr, &[TAGGED, PLAIN]);
    let tagged = frr.vtysh(&[&format!("show bgp ipv4 unicast {TAGGED}")]);
    assert!(tagged.contains("65001:1 65001:2 "), "{tagged}"); // it shows some hundreds of them
    let told = speaker.poplin(&["bgp", "neighbor", "bird"]);
    assert!(told.lines().any(|line| line.starts_with("both can") && line.contains("extended messages")), "{told}");

    speaker.reconfigure(&SPEAKER.replace("asn = 65002", "asn = 65002\nextendedMessages = false"));
    speaker.poplin(&["bgp", "clear", "frr"]); // what was agreed on stays so until the next session

    until_told(&frr, &[PLAIN]);
}

fn announcing() -> String {
    let tags: String = (1..=TAGS).map(|tag| format!("bgp_community.add((65001,{tag}));\n")).collect();
    format!(
        "protocol static {{ ipv4; route {TAGGED} blackhole; route {PLAIN} blackhole; }}\n\
         filter tagging {{ if net = {TAGGED} then {{ {tags} }} accept; }}\n\
         protocol bgp ours {{ connect delay time 1; enable extended messages; local 192.0.2.11 as 65001; neighbor 192.0.2.1 as 64512;\n\
         ipv4 {{ import all; export filter tagging; }}; }}"
    )
}

/// Waits until FRR has exactly these prefixes.
#[track_caller]
fn until_told(frr: &Frr, wanted: &[&str]) {
    eventually("FRR has been told", || {
        let told = frr.vtysh(&["show bgp ipv4 unicast json"]);
        let told: Value = serde_json::from_str(&told).map_err(|error| format!("{error}: {told}"))?;
        let has: Vec<_> = told["routes"].as_object().into_iter().flat_map(|routes| routes.keys()).collect();
        if has == wanted { Ok(()) } else { Err(format!("{has:?}")) }
    });
}
