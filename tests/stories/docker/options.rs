//! What `docker network create` and `docker run` can be told beyond the usual, through dockerd.

use poplin_lab::{Docker, IMAGE, told, until};
use serde_json::{Value, json};

use super::Dockers;

const SIX: &str = "{apiVersion: poplin.dev/v1, kind: Pool, metadata: {name: six}, spec: {cidr: 'fd77::/48'}}";

#[test]
fn addresses_of_both_families_are_had_as_they_are_asked_for_and_those_put_aside_are_nobodys() {
    let Dockers { docker: [one, two], hosts: [host, _], .. } = &Dockers::start();
    host.apply(SIX);
    let subnets = ["--ipv6", "--subnet", "10.99.0.0/29", "--subnet", "fd77:0:0:9::/64"];
    one.make_network("shop", &[&subnets[..], &["--aux-address", "printer=10.99.0.2"]].concat());
    two.until_network("shop");

    one.sleeper("web", &["--network", "shop", "--ip", "10.99.0.5", "--ip6", "fd77:0:0:9::5"]);

    assert_eq!(one.address("web", "shop"), "10.99.0.5");
    assert_eq!(one.address_v6("web", "shop"), "fd77:0:0:9::5");
    two.sleeper("db", &["--network", "shop"]);
    let (v4, v6) = (two.address("db", "shop"), two.address_v6("db", "shop"));
    until("both are reached", || one.pings("web", &v4) && one.pings("web", &v6));
    let printer = two.try_run(&["run", "--rm", "--network", "shop", "--ip", "10.99.0.2", IMAGE, "true"]);
    assert!(told(&printer).contains("10.99.0.2"), "{}", told(&printer));
    let twice = two.try_run(&["run", "--rm", "--network", "shop", "--ip6", "fd77:0:0:9::5", IMAGE, "true"]);
    assert!(told(&twice).contains("address fd77:0:0:9::5 is taken by"), "{}", told(&twice));
}

#[test]
fn a_mac_that_is_asked_for_of_dockerd_is_the_containers_own() {
    let Dockers { docker: [one, _], hosts: [host, _], .. } = &Dockers::start();
    one.make_network("shop", &[]);

    let id = create(
        one,
        &json!({"Image": IMAGE, "Cmd": ["sleep", "100000"], "MacAddress": "02:42:0a:63:00:07",
        "HostConfig": {"NetworkMode": "shop", "Init": true}}),
    );
    one.run(&["start", &id]);

    let inside = one.run(&["exec", &id, "ip", "link", "show", "eth0"]);
    assert!(inside.contains("02:42:0a:63:00:07"), "{inside}");
    let known = host.get(&["endpoints"]);
    assert!(known.to_string().contains("02:42:0a:63:00:07"), "{known}");
}

fn create(docker: &Docker, container: &Value) -> String {
    let made = docker.ask("POST", "/v1.41/containers/create", container);
    made["Id"].as_str().unwrap_or_else(|| panic!("{made}")).to_owned()
}
