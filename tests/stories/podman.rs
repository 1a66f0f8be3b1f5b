//! Stories of a real podman on each of two hosts: containers of networks that are our plugin's.

use poplin_lab::{Agent, Fabric, Podman, until};

use crate::run::DB_FOR_WEB;

#[test]
fn containers_of_two_podmans_talk_are_governed_and_leave_nothing() {
    let scene = Scene::new();
    let [one, two] = &scene.podmans;
    one.start("web", &["--network", "web"], SLEEP);
    two.start("db", &["--network", "db:alias=sql", "-p", "8088:80"], ANSWERS);
    let address = scene.address("db");

    assert!(one.pings("web", &address), "by address, on another host");
    until("by name", || one.pings("web", "db") && one.pings("web", "sql"));
    let dials = |port| scene.fabric.tor.namespace().connect("172.30.0.2".parse().expect("an address"), port).is_ok();
    until("a port of the host leads to it", || dials(8088));
    assert!(!dials(8089));

    scene.host(1).apply(DB_FOR_WEB);
    one.start("ci", &["--network", "ci"], SLEEP);
    until("who is not meant is denied", || !one.pings("ci", &address));
    assert!(one.pings("web", &address), "who is meant is let in by its label");
    until("a stranger is denied at the port, too", || !dials(8088));

    one.run(&["rm", "--force", "--time", "0", "web", "ci"]);
    two.run(&["rm", "--force", "--time", "0", "db"]);
    assert_eq!(scene.names(), Vec::<String>::new());
    assert_eq!((scene.host(1).links(), scene.host(2).links()), (vec![], vec![]));
}

#[test]
fn a_container_gets_the_address_and_mac_it_asks_for_several_interfaces_and_the_same_again_after_a_restart() {
    let scene = Scene::new();
    let [one, two] = &scene.podmans;
    let wanted = "db:ip=10.77.99.9,mac=02:00:00:00:00:77,interface_name=lan0";
    two.start("db", &["--network", wanted, "--network", "web:interface_name=lan1"], ANSWERS);
    one.start("web", &["--network", "web"], SLEEP);

    let links = two.run(&["exec", "db", "ip", "address"]);
    assert!(links.contains("10.77.99.9/32") && links.contains("02:00:00:00:00:77"), "{links}");
    assert_eq!(scene.names(), ["endpoint/db-lan0", "endpoint/db-lan1", "endpoint/web"]);
    let second = scene.address("db-lan1");
    assert!(one.pings("web", "10.77.99.9") && one.pings("web", &second), "it answers at both");
    two.run(&["restart", "--time", "0", "db"]);
    assert!(one.pings("web", "10.77.99.9"));
    assert_eq!(scene.names().len(), 3);
}

const SLEEP: &[&str] = &["sleep", "100000"];
const ANSWERS: &[&str] = &["nc", "-ll", "-p", "80", "-e", "cat"];

/// Two hosts on a segment, each with a podman that has networks web, db and ci.
struct Scene {
    podmans: [Podman; 2],
    fabric: Fabric,
}

impl Scene {
    fn new() -> Self {
        let fabric = Fabric::meshed(2);
        let podmans = [0, 1].map(|index| {
            let podman = Podman::new(&fabric.lab, &fabric.hosts[index]);
            for name in ["web", "db", "ci"] {
                podman.install(&fabric.hosts[index], name, &["--label", &format!("app={name}")]);
            }
            podman
        });
        Self { podmans, fabric }
    }

    fn host(&self, number: usize) -> &Agent {
        &self.fabric.hosts[number - 1]
    }

    fn names(&self) -> Vec<String> {
        self.host(1).poplin(&["get", "endpoints", "-o", "name"]).lines().map(str::to_owned).collect()
    }

    fn address(&self, endpoint: &str) -> String {
        let endpoint = self.host(1).get(&["endpoint", endpoint]);
        let address = endpoint["spec"]["addresses"][0].as_str().unwrap_or_default();
        address.trim_end_matches("/32").to_owned()
    }
}
