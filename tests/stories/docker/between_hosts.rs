//! Containers of one network talk, wherever they are, and are known by name and labels.

use poplin_lab::{eventually, until};

use super::Dockers;

#[test]
fn a_network_made_on_one_host_is_there_on_the_other_and_its_containers_talk() {
    let Dockers { docker: [one, two], hosts: [host, _], .. } = &Dockers::start();

    one.make_network("shop", &[]);
    two.until_network("shop");
    one.sleeper("web", &["--network", "shop", "--label", "app=web"]);
    two.sleeper("db", &["--network", "shop", "--label", "app=db", "--label", "notes=two words"]);

    let (web, db) = (one.address("web", "shop"), two.address("db", "shop"));
    until("web reaches db on the other host", || one.pings("web", &db));
    until("and the other way", || two.pings("db", &web));
    let endpoint = eventually("db is known by its name", || {
        let output = host.try_poplin(&["get", "endpoint", "db.shop", "-o", "json"]);
        serde_json::from_slice::<serde_json::Value>(&output.stdout).map_err(|error| error.to_string())
    });
    assert_eq!(endpoint["metadata"]["labels"], serde_json::json!({"app": "db"}), "{endpoint}");
    assert_eq!(endpoint["spec"]["network"], "shop");
    let routes = one.run(&["exec", "web", "ip", "route"]);
    let gateway = host.get(&["network", "shop"])["spec"]["index"].as_u64().expect("the server chose a number");
    assert!(routes.contains(&format!("default via 169.254.{}.{} dev eth0", gateway >> 8, gateway & 255)), "{routes}");

    one.run(&["rm", "-f", "web"]);
    two.run(&["rm", "-f", "db"]);
    one.run(&["network", "rm", "shop"]);

    until("the network is gone from the other host too", || {
        !two.try_run(&["network", "inspect", "shop"]).status.success()
    });
    assert_eq!(host.poplin(&["get", "endpoints", "-o", "name"]), "");
    assert_eq!(host.links(), Vec::<String>::new());
}

#[test]
fn any_name_docker_takes_is_a_network_and_no_two_are_one() {
    let Dockers { docker: [one, two], hosts: [host, _], .. } = &Dockers::start();

    one.make_network("My_App_default", &[]);
    two.until_network("My_App_default");
    two.sleeper("Web_1", &["--network", "My_App_default"]);

    until("it is known by names that objects may have", || {
        host.try_poplin(&["get", "endpoint", "web-1.my-app-default"]).status.success()
    });
    one.make_network("my-app-default", &[]);
    let twin = one.try_run(&["run", "--rm", "--network", "my-app-default", poplin_lab::IMAGE, "sh"]);
    let told = String::from_utf8_lossy(&twin.stderr);
    assert!(told.contains("cannot be told from My_App_default"), "{told}");
}

#[test]
fn an_address_that_is_asked_for_is_had_on_either_host_but_not_twice() {
    let Dockers { docker: [one, two], .. } = &Dockers::start();
    one.make_network("shop", &["--subnet", "10.99.0.0/24", "--ip-range", "10.99.0.128/25", "--gateway", "10.99.0.1"]);
    two.until_network("shop");

    one.sleeper("web", &["--network", "shop", "--ip", "10.99.0.7"]);
    two.sleeper("db", &["--network", "shop", "--ip", "10.99.0.8"]);
    two.sleeper("any", &["--network", "shop"]);

    assert_eq!(one.address("web", "shop"), "10.99.0.7");
    let any: std::net::Ipv4Addr = two.address("any", "shop").parse().expect("it has an address");
    assert!(any.octets()[3] >= 128, "{any}");
    until("web reaches db", || one.pings("web", "10.99.0.8"));
    let twice = two.try_run(&["run", "--rm", "--network", "shop", "--ip", "10.99.0.7", poplin_lab::IMAGE, "sh"]);
    let told = String::from_utf8_lossy(&twice.stderr);
    assert!(told.contains("address 10.99.0.7 is taken by"), "{told}");
    let gateway = two.try_run(&["run", "--rm", "--network", "shop", "--ip", "10.99.0.1", poplin_lab::IMAGE, "sh"]);
    assert!(!gateway.status.success(), "the gateway's address is reserved");
}
