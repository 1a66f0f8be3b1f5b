//! Dockerd and agents die and come back, in any order, and nothing is left behind or taken away.

use poplin_lab::{Agent, IMAGE, eventually, until};
use serde_json::json;

use super::Dockers;

#[test]
fn containers_and_networks_outlive_agents_and_dockerd() {
    let mut dockers = Dockers::start();
    dockers.docker[0].make_network("shop", &["--subnet", "10.99.0.0/24"]);
    dockers.docker[1].until_network("shop");
    dockers.docker[0]
        .sleeper("web", &["--network", "shop", "--restart", "always", "--ip", "10.99.0.7", "--label", "app=web"]);
    dockers.docker[1].sleeper("db", &["--network", "shop", "--ip", "10.99.0.8"]);
    until("they talk", || dockers.docker[0].pings("web", "10.99.0.8"));

    dockers.hosts[0].kill();
    assert!(dockers.docker[0].pings("web", "10.99.0.8"), "an agent's death changes nothing");
    dockers.hosts[0].start();
    dockers.docker[0].run(&["restart", "--time", "0", "web"]);
    until("a new agent knows the networks of the old one", || dockers.docker[0].pings("web", "10.99.0.8"));

    dockers.docker[0].stop();
    dockers.docker[0].start();
    until("a container that restarts with dockerd has its network", || dockers.docker[0].pings("web", "10.99.0.8"));

    dockers.docker[0].kill();
    dockers.docker[0].start();
    until("also after a crash of dockerd", || dockers.docker[0].pings("web", "10.99.0.8"));
    eventually("and is known again, and once", || match endpoints(&dockers.hosts[0]) {
        known if known == ["db.shop", "web.shop"] => Ok(()),
        other => Err(format!("{other:?}")),
    });
}

#[test]
fn containers_of_a_dockerd_that_restores_them_live_do_not_notice_its_restart() {
    let mut dockers = Dockers::start_with(&["--live-restore"], false);
    dockers.docker[0].make_network("shop", &[]);
    dockers.docker[1].until_network("shop");
    dockers.docker[0].sleeper("web", &["--network", "shop"]);
    dockers.docker[1].sleeper("db", &["--network", "shop"]);
    let (web, db) = (dockers.docker[0].address("web", "shop"), dockers.docker[1].address("db", "shop"));
    until("they talk", || dockers.docker[0].pings("web", &db));

    dockers.docker[0].stop();
    assert!(dockers.docker[1].pings("db", &web), "while dockerd is away");
    dockers.docker[0].start();

    assert_eq!(dockers.docker[0].address("web", "shop"), web);
    until("and once it is back", || dockers.docker[0].pings("web", &db));
    dockers.docker[0].run(&["rm", "-f", "web"]);
    assert_eq!(endpoints(&dockers.hosts[0]), ["db.shop"]);
}

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
    let rules = dockers.hosts[0].namespace().run("iptables", &["-S", "DOCKER-USER"]);
    assert_eq!(rules.matches("pop+ -j ACCEPT").count(), 2, "{rules}");
}

#[test]
fn calls_wait_for_an_agent_whose_socket_systemd_holds() {
    let mut dockers = Dockers::start();
    let plugin = dockers.docker[0].arguments()[3].clone();
    dockers.hosts[0].kill();
    std::fs::remove_file(&plugin).expect("the agent left it");

    dockers.hosts[0].launch_when_called(&plugin);
    until("systemd's program listens", || std::path::Path::new(&plugin).exists());
    dockers.docker[0].make_network("shop", &[]);
    dockers.docker[0].sleeper("web", &["--network", "shop"]);

    until("the agent was started, and did what it was called for", || endpoints(&dockers.hosts[0]) == ["web.shop"]);
}

#[test]
fn networks_of_docker_that_the_store_has_forgotten_are_adopted() {
    let mut dockers = Dockers::start();
    dockers.docker[0].make_network("shop", &[]);
    dockers.docker[0].make_network("bank", &["--subnet", "10.99.0.0/24"]);
    dockers.docker[1].until_network("shop");
    dockers.hosts[0].kill();
    let forgotten = dockers._tor.etcdctl(&["del", "--prefix", "/poplin/v1/d/h1/"]);
    assert_eq!(String::from_utf8_lossy(&forgotten.stdout).trim(), "2", "networks of this Docker were written down");

    dockers.hosts[0].start();
    until("they are known again", || dockers.hosts[0].said().matches("of which nothing was known here").count() == 2);
    dockers.docker[0].sleeper("web", &["--network", "shop"]);
    dockers.docker[0].sleeper("vault", &["--network", "bank", "--ip", "10.99.0.9"]);
    dockers.docker[1].sleeper("db", &["--network", "shop"]);

    let db = dockers.docker[1].address("db", "shop");
    until("and are the networks they were", || dockers.docker[0].pings("web", &db));
    assert_eq!(dockers.hosts[0].poplin(&["get", "networks", "-o", "name"]), "network/bank\nnetwork/shop\n");
}

#[test]
fn an_endpoint_that_dockerd_does_not_list_is_collected_once_the_agent_looks() {
    let mut dockers = Dockers::start();
    dockers.docker[0].make_network("shop", &[]);
    dockers.docker[0].sleeper("stays", &["--network", "shop"]);
    let network = dockers.docker[0].run(&["network", "inspect", "--format", "{{.Id}}", "shop"]);
    let orphan =
        json!({"NetworkID": network, "EndpointID": "0".repeat(64), "Interface": {"Address": free_address(&dockers)}});

    let (_, made) = dockers.docker[0].ask_plugin("NetworkDriver.CreateEndpoint", Some(&orphan));
    assert!(made["Interface"]["MacAddress"].is_string(), "{made}");
    until("both are there", || endpoints(&dockers.hosts[0]).len() == 2);
    dockers.hosts[0].kill();
    dockers.hosts[0].start();

    until("only who dockerd knows is left", || endpoints(&dockers.hosts[0]) == ["stays.shop"]);
    assert_eq!(dockers.hosts[0].links().len(), 1);
}

/// An address of the network `shop` far from those that are given first.
fn free_address(dockers: &Dockers) -> String {
    let subnet =
        dockers.hosts[0].get(&["network", "shop"])["spec"]["subnets"][0].as_str().unwrap_or_default().to_owned();
    subnet.replace(".0/24", ".250/32")
}

#[test]
fn many_containers_at_once_leave_nothing() {
    let dockers = Dockers::start();
    let [one, _] = &dockers.docker;
    one.make_network("shop", &[]);

    std::thread::scope(|scope| {
        for number in 0..12 {
            let name = format!("c{number}");
            scope.spawn(move || one.sleeper(&name, &["--network", "shop"]));
        }
    });
    let mut addresses: Vec<String> = (0..12).map(|number| one.address(&format!("c{number}"), "shop")).collect();
    addresses.sort();
    addresses.dedup();
    assert_eq!(addresses.len(), 12, "{addresses:?}");
    until("all are known", || endpoints(&dockers.hosts[0]).len() == 12);

    let names: Vec<String> = (0..12).map(|number| format!("c{number}")).collect();
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

    let told = refused(&with(&["--opt", "parent=eth0", "lan"]));
    assert!(told.contains("option parent is not known to this driver"), "{told}");
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

/// Names of all endpoints of the fabric.
fn endpoints(host: &Agent) -> Vec<String> {
    let all = host.get(&["endpoints"]);
    let items = all["items"].as_array().or(all.as_array()).cloned().unwrap_or_default();
    items.iter().filter_map(|one| one["metadata"]["name"].as_str()).map(str::to_owned).collect::<Vec<_>>()
}
