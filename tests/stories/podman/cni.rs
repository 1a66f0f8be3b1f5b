//! Podman's CNI backend: networks whose plugin is ours.

use poplin_lab::{Agent, Podman};

use super::{ANSWERS, SLEEP, Scene};

#[test]
fn containers_of_two_podmans_talk_are_governed_and_leave_nothing() {
    let scene = Scene::by_cni();
    let [one, two] = &scene.podmans;
    one.start("web", &["--network", "web"], SLEEP);
    two.start("db", &["--network", "db:alias=sql", "-p", "8088:80"], ANSWERS);
    let address = address(&scene, "db");

    scene.is_reached_and_governed(&address);
    scene.leaves_nothing();
}

#[test]
fn a_container_gets_the_address_and_mac_it_asks_for_several_interfaces_and_the_same_again_after_a_restart() {
    let scene = Scene::by_cni();
    let [one, two] = &scene.podmans;
    let wanted = "db:ip=10.77.99.9,mac=02:00:00:00:00:77,interface_name=lan0";
    two.start("db", &["--network", wanted, "--network", "web:interface_name=lan1"], ANSWERS);
    one.start("web", &["--network", "web"], SLEEP);

    let links = two.run(&["exec", "db", "ip", "address"]);
    assert!(links.contains("10.77.99.9/32") && links.contains("02:00:00:00:00:77"), "{links}");
    assert_eq!(scene.names(), ["endpoint/db-lan0", "endpoint/db-lan1", "endpoint/web"]);
    let second = address(&scene, "db-lan1");
    assert!(one.pings("web", "10.77.99.9") && one.pings("web", &second), "it answers at both");
    two.run(&["restart", "--time", "0", "db"]);
    assert!(one.pings("web", "10.77.99.9"));
    assert_eq!(scene.names().len(), 3);
}

impl Scene {
    fn by_cni() -> Self {
        let network = |podman: &Podman, host: &Agent, name: &str| {
            podman.install(host, name, &["--label", &format!("app={name}")]);
        };
        Self::new(|fabric, host| Podman::new(&fabric.lab, host), network)
    }
}

/// An endpoint's address as the fabric has it.
fn address(scene: &Scene, endpoint: &str) -> String {
    let endpoint = scene.host(1).get(&["endpoint", endpoint]);
    let address = endpoint["spec"]["addresses"][0].as_str().unwrap_or_default();
    address.trim_end_matches("/32").to_owned()
}
