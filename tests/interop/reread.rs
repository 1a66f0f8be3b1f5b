//! Changes of a speaker's file under a live session: what may change without its end does, and the counts of OPENs and NOTIFICATIONs say so.

use poplin_lab::{Agent, Bird, Lab, eventually};
use serde_json::Value;

use crate::changed::counts;

/// What stands before the peers in a speaker's file, and in its peer; some of it holds from the next start on.
const FILE: [(&str, &str); 14] = [
    ("clusterId = \"192.0.2.9\"", ""),
    ("addresses = [\"192.0.2.1\", \"2001:db8::1\"]", ""),
    ("listen = [\"192.0.2.1:1790\"]", ""),
    ("kernelRoutes = true", ""),
    ("metricsListen = \"127.0.0.1:9469\"", ""),
    ("host = \"another\"", ""),
    ("socket = \"/tmp/another.sock\"", ""),
    ("api = { read = [\"uid:4711\"] }", ""),
    ("monitoringStations = [{ address = \"192.0.2.9\" }]", ""),
    ("maximumPaths = 1\nmultipathRelax = false", ""),
    ("", "reflectorClient = false"),
    ("", "reflectorClient = true\nholdTimeSeconds = 30\npassive = true"),
    ("", "reflectorClient = true\nexport = \"none\""),
    ("externalDefault = \"reject\"", ""),
];

#[test]
fn no_change_of_a_speakers_file_but_of_system_and_router_id_ends_a_session() {
    let lab = Lab::new();
    let mut bird = Bird::new(&lab, "rack1");
    let namespace = lab.namespace("rr1");
    let _segment = lab.segment("192.0.2", &[(&namespace, 1), (bird.namespace(), 11)]);
    let mut speaker = Agent::speaker(&lab, namespace, "rr1", &file("", "", "accept"));
    speaker.start();
    bird.start_with(
        "router id 192.0.2.11; protocol device {}
         protocol static { ipv4; route 198.51.100.0/24 blackhole; }
         protocol bgp rr1 { connect delay time 1; local 192.0.2.11 as 64512; neighbor 192.0.2.1 as 64512; ipv4 { import all; export all; next hop self; }; }",
    );
    until_state(&speaker, "best");
    let before = counts(&speaker, "bird");

    for (settings, peer) in FILE {
        speaker.reconfigure(&file(settings, peer, "reject"));
        until_state(&speaker, "rejected");
        speaker.reconfigure(&file(settings, peer, "accept"));
        until_state(&speaker, "best");
        assert_eq!(counts(&speaker, "bird"), before, "{settings} {peer}: {}", speaker.said());
    }
}

fn file(settings: &str, peer: &str, otherwise: &str) -> String {
    format!(
        "asn = 64512\nrouterId = \"192.0.2.1\"\n{settings}\n\
         [peers.bird]\naddress = \"192.0.2.11\"\nasn = 64512\nimport = \"in\"\n{peer}\n\
         [routeMaps.in]\notherwise = \"{otherwise}\"\n[routeMaps.none]\notherwise = \"reject\"\n"
    )
}

#[track_caller]
fn until_state(speaker: &Agent, state: &str) {
    eventually(&format!("BIRD's route is {state}"), || {
        let told: Value = serde_json::from_str(&speaker.poplin(&["routes", "-o", "json"])).expect("JSON");
        if told["routes"][0]["state"] == state { Ok(()) } else { Err(format!("{told}\n{}", speaker.said())) }
    });
}
