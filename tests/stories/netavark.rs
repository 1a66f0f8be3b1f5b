//! Stories of a real netavark, the network stack of podman 4 and newer, with networks whose driver is our plugin.

use poplin_lab::{Agent, Fabric, Netavark, Podman, told, until, wanted};
use serde_json::{Value, json};

use crate::run::DB_FOR_WEB;

#[test]
fn containers_of_two_podmans_on_netavark_talk_are_governed_and_leave_nothing() {
    let scene = Scene::new();
    let [one, two] = &scene.podmans;
    one.start("web", &["--network", "web"], SLEEP);
    two.start("db", &["--network", "db", "--network-alias", "sql", "-p", "8088:80"], ANSWERS);
    let address = scene.address(2, "db", "db");

    assert_eq!(scene.names(), ["endpoint/db", "endpoint/web"]);
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

    two.run(&["restart", "--time", "0", "db"]);
    assert!(one.pings("web", &scene.address(2, "db", "db")), "after a restart, too");
    one.run(&["rm", "--force", "--time", "0", "web", "ci"]);
    two.run(&["rm", "--force", "--time", "0", "db"]);
    assert_eq!(scene.names(), Vec::<String>::new());
    assert_eq!((scene.host(1).links(), scene.host(2).links()), (vec![], vec![]));
}

#[test]
fn a_container_of_podman_on_netavark_gets_what_it_asks_for_and_joins_and_leaves_networks() {
    let scene = Scene::new();
    let [one, two] = &scene.podmans;
    two.start("db", &["--network", "db:ip=10.77.99.9,mac=02:00:00:00:00:77,interface_name=lan0"], ANSWERS);
    one.start("web", &["--network", "web"], SLEEP);

    let links = two.run(&["exec", "db", "ip", "address"]);
    assert!(links.contains("10.77.99.9/32") && links.contains("02:00:00:00:00:77"), "{links}");
    assert_eq!(scene.address(2, "db", "db"), "10.77.99.9", "podman shows it");
    assert!(one.pings("web", "10.77.99.9"));

    two.run(&["network", "connect", "web", "db"]);
    let second = scene.address(2, "db", "web");
    assert!(one.pings("web", &second) && one.pings("web", "10.77.99.9"), "it answers at both");
    two.run(&["network", "disconnect", "web", "db"]);
    until("the one it left is gone", || !one.pings("web", &second));
    until("the other goes on", || one.pings("web", "10.77.99.9"));

    let taken = one.try_run(&["run", "-d", "--network", "web:ip=10.77.99.9", poplin_lab::IMAGE, "sleep", "9"]);
    assert!(told(&taken).contains("10.77.99.9"), "{}", told(&taken));
    assert_eq!(scene.names(), ["endpoint/db-lan0", "endpoint/web"], "who was refused leaves nothing");
}

#[test]
fn all_that_podman_5_says_on_netavark_is_handed_on_and_a_half_made_container_taken_back() {
    let fabric = Fabric::meshed(1);
    let host = &fabric.hosts[0];
    let netavark = Netavark::new(&fabric.lab, host);
    let shop = network(&netavark, host, "shop", &json!({"label.app": "web", "ingressRate": "8000000"}));
    let bank = network(&netavark, host, "bank", &json!({"pools": "nobody-has-it"}));
    let container = fabric.lab.container("web");
    let own =
        |interface: &str| json!({"interface_name": interface, "aliases": ["www"], "options": {"label.tier": "front"}});
    let ports = json!([{"container_port": 80, "host_ip": "", "host_port": 8000, "protocol": "tcp,udp", "range": 3}]);

    let only_shop = wanted(&container, &[(&shop, own("eth0"))], &ports);
    let status = netavark.ask("setup", host, &container, &only_shop).expect("netavark sets it up");

    let endpoint = host.get(&["endpoint", "web"]);
    let labels = &endpoint["metadata"]["labels"];
    assert_eq!((&labels["app"], &labels["tier"]), (&json!("web"), &json!("front")));
    assert_eq!(labels["poplin.dev/podman-network"], "shop");
    assert_eq!(endpoint["spec"]["published"], json!(["8000-8002:80-82/tcp", "8000-8002:80-82/udp"]));
    let subnet = &status["shop"]["interfaces"]["eth0"]["subnets"][0];
    assert_eq!(subnet["ipnet"], endpoint["spec"]["addresses"][0]);
    assert!(status["shop"]["dns_server_ips"][0].is_string(), "{status}");
    until("its host reaches it", || pings(host, subnet));
    netavark.ask("teardown", host, &container, &only_shop).expect("netavark tears it down");
    assert_eq!((netavark.ask("teardown", host, &container, &only_shop), host.links()), (Ok(json!(null)), vec![]));

    let both = wanted(&container, &[(&shop, own("eth0")), (&bank, own("eth1"))], &Value::Null);
    let refused = netavark.ask("setup", host, &container, &both).expect_err("there is no such pool");
    assert!(refused.contains("nobody-has-it"), "{refused}");
    assert_eq!((host.get(&["endpoints"]), host.links()), (json!([]), vec![]), "what was made of it is taken back");
}

/// What podman would keep of a network.
fn network(netavark: &Netavark, host: &Agent, name: &str, options: &Value) -> Value {
    let mut options = options.clone();
    options["socket"] = json!(host.socket());
    let id = format!("{name:0<64}");
    let created = netavark.create(&json!({
        "name": name, "id": id, "driver": "poplin", "dns_enabled": true, "internal": false, "ipv6_enabled": false, "options": options,
    }));
    assert!(created.status.success(), "{}", told(&created));
    serde_json::from_slice(&created.stdout).expect("a network is JSON")
}

fn pings(host: &Agent, subnet: &Value) -> bool {
    let address = subnet["ipnet"].as_str().unwrap_or_default().trim_end_matches("/32").to_owned();
    let ping = host.namespace().command("ping").args(["-c1", "-W1", &address]).output();
    ping.is_ok_and(|output| output.status.success())
}

const SLEEP: &[&str] = &["sleep", "100000"];
const ANSWERS: &[&str] = &["nc", "-ll", "-p", "80", "-e", "cat"];

/// Two hosts on a segment, each with a podman on netavark that has networks web, db and ci of our driver.
struct Scene {
    podmans: [Podman; 2],
    fabric: Fabric,
}

impl Scene {
    fn new() -> Self {
        let fabric = Fabric::meshed(2);
        let netavark = Netavark::program();
        let podmans = [0, 1].map(|index| {
            let podman = Podman::on_netavark(&fabric.lab, &fabric.hosts[index], &netavark);
            for name in ["web", "db", "ci"] {
                podman.create(&fabric.hosts[index], name, &[("label.app", name)]);
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

    /// A container's address as `podman inspect` shows it.
    fn address(&self, host: usize, container: &str, network: &str) -> String {
        let shown = self.podmans[host - 1].run(&["inspect", container]);
        let shown: Value = serde_json::from_str(&shown).expect("podman says JSON");
        let address = &shown[0]["NetworkSettings"]["Networks"][network]["IPAddress"];
        address.as_str().unwrap_or_default().to_owned()
    }
}
