//! Many at once, what cannot be, what is declared, and a firewall that was there first.
//!
//! `POPLIN_CROWD=200` has so many at once.

use poplin_lab::{IMAGE, until};
use serde_json::json;

use super::{Dockers, endpoints};

#[test]
fn a_dockerd_that_was_there_first_and_forwards_nothing_by_itself_lets_ours_through() {
    let dockers = Dockers::start_with(&[], true);
    let [one, two] = &dockers.docker;
    let forwards = dockers.hosts[0].namespace().run("iptables", &["-S", "FORWARD"]);
    assert!(forwards.contains("-P FORWARD DROP"), "{forwards}");

    one.make_network("shop", &[]);
    two.until_network("shop");
    one.sleeper("web", &["--network", "shop"]);
    two.sleeper("db", &["--network", "shop"]);

    let db = two.address("db", "shop");
    until("containers talk all the same", || one.pings("web", &db));
    let rules = dockers.hosts[0].namespace().run("iptables", &["-S", "POPLIN"]);
    assert_eq!(rules.matches("pop+ -j ACCEPT").count(), 2, "{rules}");
}

#[test]
fn many_containers_at_once_leave_nothing() {
    let crowd = std::env::var("POPLIN_CROWD").map_or(12, |text| text.parse::<usize>().expect("a number"));
    let dockers = Dockers::start();
    let [one, _] = &dockers.docker;
    one.make_network("shop", &[]);

    std::thread::scope(|scope| {
        for number in 0..crowd {
            let name = format!("c{number}");
            scope.spawn(move || one.sleeper(&name, &["--network", "shop"]));
        }
    });
    let mut addresses: Vec<String> = (0..crowd).map(|number| one.address(&format!("c{number}"), "shop")).collect();
    addresses.sort();
    addresses.dedup();
    assert_eq!(addresses.len(), crowd, "{addresses:?}");
    until("all are known", || endpoints(&dockers.hosts[0]).len() == crowd);

    let names: Vec<String> = (0..crowd).map(|number| format!("c{number}")).collect();
    one.run(&[&["rm", "-f"][..], &names.iter().map(String::as_str).collect::<Vec<_>>()].concat());

    assert_eq!(endpoints(&dockers.hosts[0]), Vec::<String>::new());
    assert_eq!(dockers.hosts[0].links(), Vec::<String>::new());
    let taken = dockers.hosts[0].status()["blocks"].clone();
    let taken: u64 = taken.as_array().into_iter().flatten().filter_map(|block| block["taken"].as_u64()).sum();
    assert_eq!(taken, 0, "addresses");
}

#[test]
fn what_cannot_be_is_refused_with_the_reason_and_leaves_nothing() {
    let Dockers { docker: [one, two], hosts: [host, _], .. } = &Dockers::start();
    let refused = |arguments: &[&str]| {
        let output = one.try_run(arguments);
        assert!(!output.status.success(), "{arguments:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let create = ["network", "create", "--driver", "poplin", "--ipam-driver", "poplin"];
    let with = |more: &[&'static str]| [&create[..], more].concat();

    let told = refused(&with(&["--opt", "vlan=10", "lan"]));
    assert!(told.contains("option vlan is not known to this driver"), "{told}");
    one.make_network("shop", &["--subnet", "10.99.0.0/24"]);
    two.until_network("shop");
    let told = refused(&with(&["--subnet", "10.99.0.0/25", "bank"]));
    assert!(told.contains("network shop has a subnet"), "{told}");
    let told = refused(&["run", "--rm", "--network", "shop", "--ip", "10.98.0.1", IMAGE, "sh"]);
    assert!(told.contains("10.98.0.1"), "{told}");

    two.sleeper("db", &["--network", "shop"]);
    one.run(&["network", "rm", "shop"]);
    one.until_network("shop"); // back, for somebody is in it on the other host
    two.run(&["rm", "-f", "db"]);
    one.run(&["network", "rm", "shop"]);

    let names = |kind: &str| host.poplin(&["get", kind, "-o", "name"]);
    assert_eq!((names("networks").as_str(), names("pools").trim()), ("", "pool/containers"));
}

#[test]
fn a_network_that_is_declared_is_there_wherever_docker_is_and_comes_back() {
    let Dockers { docker: [one, two], hosts: [host, _], .. } = &Dockers::start();
    let network = json!({"apiVersion": "poplin.dev/v1", "kind": "Network", "metadata": {"name": "shop"}, "spec": {}});

    host.apply(&network.to_string());
    [one, two].into_iter().for_each(|docker| docker.until_network("shop"));
    one.sleeper("web", &["--network", "shop"]);
    let db = host.get(&["network", "shop"])["spec"]["subnets"][0]
        .as_str()
        .expect("it has a subnet")
        .replace(".0/24", ".200");
    two.sleeper("db", &["--network", "shop", "--ip", &db]);
    until("its containers talk", || one.pings("web", &db));

    one.run(&["rm", "-f", "web"]);
    one.run(&["network", "rm", "shop"]);
    one.until_network("shop");
    two.run(&["rm", "-f", "db"]);
    host.poplin(&["delete", "network", "shop"]);
    for docker in [one, two] {
        until("once it is deleted it is gone everywhere", || {
            !docker.try_run(&["network", "inspect", "shop"]).status.success()
        });
    }
}
