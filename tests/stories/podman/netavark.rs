//! Stories of a real netavark, the network stack of podman 4 and newer, with networks whose driver is our plugin.

use poplin_lab::{Agent, Fabric, Netavark, Podman, told, until, wanted};
use serde_json::{Value, json};

use super::{ANSWERS, SLEEP, Scene};

#[test]
fn containers_of_two_podmans_on_netavark_talk_are_governed_and_leave_nothing() {
    let scene = Scene::by_netavark();
    let [one, two] = &scene.podmans;
    one.start("web", &["--network", "web"], SLEEP);
    two.start("db", &["--network", "db", "--network-alias", "sql", "-p", "8088:80"], ANSWERS);
    let address = scene.shown_address(2, "db", "db");

    assert_eq!(scene.names(), ["endpoint/db", "endpoint/web"]);
    scene.is_reached_and_governed(&address);

    two.run(&["restart", "--time", "0", "db"]);
    assert!(one.pings("web", &scene.shown_address(2, "db", "db")), "after a restart, too");
    scene.leaves_nothing();
}

#[test]
fn a_container_of_podman_on_netavark_gets_what_it_asks_for_and_joins_and_leaves_networks() {
    let scene = Scene::by_netavark();
    let [one, two] = &scene.podmans;
    two.start("db", &["--network", "db:ip=10.77.99.9,mac=02:00:00:00:00:77,interface_name=lan0"], ANSWERS);
    one.start("web", &["--network", "web"], SLEEP);

    let links = two.run(&["exec", "db", "ip", "address"]);
    assert!(links.contains("10.77.99.9/32") && links.contains("02:00:00:00:00:77"), "{links}");
    assert_eq!(scene.shown_address(2, "db", "db"), "10.77.99.9", "podman shows it");
    assert!(one.pings("web", "10.77.99.9"));

    two.run(&["network", "connect", "web", "db"]);
    let second = scene.shown_address(2, "db", "web");
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

impl Scene {
    fn by_netavark() -> Self {
        let netavark = Netavark::program();
        let network = |podman: &Podman, host: &Agent, name: &str| podman.create(host, name, &[("label.app", name)]);
        Self::new(|fabric, host| Podman::on_netavark(&fabric.lab, host, &netavark), network)
    }

    /// A container's address as `podman inspect` shows it.
    fn shown_address(&self, host: usize, container: &str, network: &str) -> String {
        let shown = self.podmans[host - 1].run(&["inspect", container]);
        let shown: Value = serde_json::from_str(&shown).expect("podman says JSON");
        let address = &shown[0]["NetworkSettings"]["Networks"][network]["IPAddress"];
        address.as_str().unwrap_or_default().to_owned()
    }
}
