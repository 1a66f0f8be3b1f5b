//! One host and one ExaBGP, which says whatever it is told to say.

use poplin_lab::{Agent, Lab, Namespace, Process, until};
use serde_json::Value;

use crate::beside::host_beside;

const FOREIGN_4: &str = "198.51.100.0/24";
const FOREIGN_6: &str = "2001:db8:64::/48";

#[test]
fn both_families_and_communities_of_all_kinds_are_heard() {
    let world = World::new();

    until("we have learned what it announces", || world.learned() == 2);

    let told = world.host.poplin(&["routes", FOREIGN_4, "-o", "json"]);
    for community in ["65001:7", "65001:1:2", "65001:100"] {
        assert!(told.contains(community), "{community}: {told}");
    }
}

#[test]
fn an_exabgp_that_is_ended_takes_its_routes_along() {
    let mut world = World::new();
    until("we have learned what it announces", || world.learned() == 2);

    world.exabgp = None;

    until("its routes are gone", || world.learned() == 0);
    assert_ne!(world.session()["state"], "Established");
}

/// A host beside an ExaBGP.
struct World {
    host: Agent,
    exabgp: Option<Process>,
    _router: Namespace,
    _lab: Lab,
}

impl World {
    fn new() -> Self {
        let lab = Lab::new();
        let router = lab.namespace("exabgp");
        let host = host_beside(&lab, &router);
        host.apply(
            "{apiVersion: poplin.dev/v1, kind: Peer, metadata: {name: exabgp}, spec: {address: 172.31.1.1, asn: 65001}}",
        );
        let file = |name: &str| lab.directory().join(name).display().to_string();
        let path = file("exabgp.conf");
        std::fs::write(&path, configuration()).expect("the lab has a directory");
        let settings = ["exabgp.daemon.user=root", "exabgp.log.destination=stderr", "exabgp.api.cli=false"];
        let arguments = [&settings[..], &["exabgp", &path]].concat();
        let exabgp = router.spawn(lab.directory().join("exabgp.log"), "env", &arguments);
        Self { host, exabgp: Some(exabgp), _router: router, _lab: lab }
    }

    fn session(&self) -> Value {
        self.host.status()["sessions"][0].clone()
    }

    /// How many routes the host's kernel has learned.
    fn learned(&self) -> usize {
        let routes = self.host.routes();
        [FOREIGN_4, FOREIGN_6].iter().filter(|prefix| routes.iter().any(|route| route.starts_with(**prefix))).count()
    }
}

fn configuration() -> String {
    format!(
        "neighbor 172.31.1.2 {{\n router-id 172.31.1.1; local-address 172.31.1.1; local-as 65001; peer-as 64601; hold-time 30;\n\
         family {{ ipv4 unicast; ipv6 unicast; }}\n\
         static {{\n  route {FOREIGN_4} next-hop 172.31.1.1 community [ 65001:7 ] large-community [ 65001:1:2 ] extended-community [ target:65001:100 ];\n\
         \x20 route {FOREIGN_6} next-hop fd31:1::1;\n }}\n}}\n"
    )
}
