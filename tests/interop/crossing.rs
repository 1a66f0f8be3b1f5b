//! A host and a FRR call each other at once, as they do when what parted them is over, and some call is late: there is one session, and it stands.
//!
//! FRR that is called while it has a session takes the caller for restarted and ends it, even if the caller means nothing by that (its
//! `bgp_accept`): a call of ours that is under way must not arrive any more once FRR's has been answered.

use poplin_lab::{Frr, Lab, Namespace, eventually, until};
use serde_json::Value;

use crate::beside::host_beside;

/// The first segment of every call.
const CALLS: &str = "tcp dport 179 tcp flags & (syn | ack) == syn";

/// What the caller says but for its OPEN; the kind of a message is its 19th octet (RFC 4271 §4.1), and stands after 32 octets of TCP.
const ALL_BUT_OPEN: &str = "tcp dport 179 meta length > 60 @th,400,8 != 1";

#[test]
fn a_call_of_ours_that_is_late_does_not_end_the_session_that_frr_began() {
    let world = World::new();
    world.knows_us("timers connect 1");
    lose(world.host.namespace(), CALLS);

    world.peer("");
    world.until_established();
    find(world.host.namespace());

    until("we do not call any more", || world.calls() == 0);
    world.assert_one_session();
}

#[test]
fn of_many_calls_under_way_only_the_first_to_arrive_begins_a_session() {
    let world = World::new();
    world.knows_us("passive");
    lose(world.host.namespace(), CALLS);
    world.peer(", connectRetrySeconds: 1");
    until("we have called again and again", || world.calls() > 2);

    find(world.host.namespace());

    world.until_established();
    until("we do not call any more", || world.calls() == 0);
    world.assert_one_session();
}

#[test]
fn a_call_of_frr_that_is_late_does_not_end_the_session_that_we_began() {
    let world = World::new();
    lose(world.frr.namespace(), CALLS);
    lose(world.host.namespace(), ALL_BUT_OPEN);
    world.knows_us("timers connect 60");
    world.peer("");
    world.until_established(); // FRR still waits for the word that confirms it

    find(world.frr.namespace());

    until("its call was turned away", || world.host.said().contains("a session is established already"));
    find(world.host.namespace());
    world.assert_one_session();
}

/// From now on such packets do not leave.
fn lose(namespace: &Namespace, packets: &str) {
    let table = format!("table inet lost {{ chain out {{ type filter hook output priority 0; {packets} drop; }}; }}");
    namespace.run("nft", &[&table]);
}

/// Now they do.
fn find(namespace: &Namespace) {
    namespace.run("nft", &["delete table inet lost"]);
}

/// A host and a FRR that know nothing of each other yet.
struct World {
    host: poplin_lab::Agent,
    frr: Frr,
    lab: Lab,
}

impl World {
    fn new() -> Self {
        let lab = Lab::new();
        let mut frr = Frr::new(&lab, "frr");
        let host = host_beside(&lab, frr.namespace());
        frr.start("router bgp 65001\n bgp router-id 172.31.1.1\n no bgp ebgp-requires-policy\n");
        Self { host, frr, lab }
    }

    /// FRR is told of us.
    fn knows_us(&self, how: &str) {
        let neighbour = ["neighbor 172.31.1.2 remote-as 64601", &format!("neighbor 172.31.1.2 {how}")];
        self.frr.vtysh(&[&["configure terminal", "router bgp 65001"], &neighbour[..]].concat());
    }

    /// We are told of FRR.
    fn peer(&self, more: &str) {
        self.host.apply(&format!(
            "{{apiVersion: poplin.dev/v1, kind: Peer, metadata: {{name: frr}}, spec: {{address: 172.31.1.1, asn: 65001{more}}}}}"
        ));
    }

    /// How many calls of ours are under way.
    fn calls(&self) -> usize {
        let calls = self.host.namespace().run("ss", &["-Htn", "state", "syn-sent"]);
        calls.lines().filter(|call| call.contains("172.31.1.1:179")).count()
    }

    #[track_caller]
    fn until_established(&self) {
        eventually("there is a session", || match self.host.status()["sessions"][0].clone() {
            session if session["state"] == "Established" => Ok(()),
            session => Err(format!("{session}\n{}", self.frr.vtysh(&["show bgp neighbors"]))),
        });
    }

    /// What FRR learns after all that shows that it has dealt with all that.
    #[track_caller]
    fn assert_one_session(&self) {
        let mut web = self.lab.container("web");
        self.host.attach(&mut web, &[]);
        eventually("FRR has our block", || match self.frr.vtysh(&["show bgp ipv4 unicast"]) {
            told if told.contains("10.77.") => Ok(()),
            told => Err(format!("{told}\n{}", self.host.said())),
        });
        let told: Value =
            serde_json::from_str(&self.host.poplin(&["bgp", "neighbor", "frr", "-o", "json"])).expect("JSON");
        assert_eq!(told["timesEstablished"], 1, "{}", self.host.said());
        let told = self.frr.vtysh(&["show bgp neighbors 172.31.1.2"]);
        assert!(told.contains("Connections established 1; dropped 0"), "{told}");
    }
}
