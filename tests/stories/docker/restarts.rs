//! Dockerd and agents die and come back, in any order, and nothing is left behind or taken away.

use poplin_lab::{eventually, until};
use serde_json::json;

use super::{Dockers, endpoints};

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
fn a_container_that_restarts_with_dockerd_waits_for_an_agent_whose_socket_systemd_holds() {
    let mut dockers = Dockers::start();
    dockers.docker[0].make_network("shop", &[]);
    dockers.docker[1].until_network("shop");
    dockers.docker[0].sleeper("web", &["--network", "shop", "--restart", "always"]);
    dockers.docker[1].sleeper("db", &["--network", "shop"]);
    let db = dockers.docker[1].address("db", "shop");
    let plugin = dockers.docker[0].arguments()[3].clone();

    dockers.docker[0].stop();
    dockers.hosts[0].kill();
    std::fs::remove_file(&plugin).expect("the agent left it");
    dockers.hosts[0].launch_when_called(&plugin);
    until("systemd's program listens", || std::path::Path::new(&plugin).exists());
    dockers.docker[0].start();

    until("it runs, and has its network", || dockers.docker[0].pings("web", &db));
}

#[test]
fn what_was_removed_by_force_while_the_agent_was_away_is_collected_once_it_is_back() {
    let mut dockers = Dockers::start();
    dockers.docker[0].make_network("shop", &[]);
    for name in ["web", "stays"] {
        dockers.docker[0].sleeper(name, &["--network", "shop"]);
    }

    dockers.hosts[0].kill();
    let removed = dockers.docker[0].try_run(&["rm", "--force", "web"]); // dockerd gives us up after a minute
    assert!(removed.status.success(), "{}", poplin_lab::told(&removed));
    dockers.hosts[0].start();

    until("only who dockerd knows is left", || endpoints(&dockers.hosts[0]) == ["stays.shop"]);
    until("and only his link", || dockers.hosts[0].links().len() == 1);
}

#[test]
fn networks_of_docker_that_the_store_has_forgotten_are_adopted() {
    let mut dockers = Dockers::start();
    dockers.docker[0].make_network("shop", &[]);
    dockers.docker[0].make_network("bank", &["--subnet", "10.99.0.0/24"]);
    dockers.docker[1].until_network("shop");
    dockers.hosts[0].kill();
    let forgotten = dockers.tor.etcdctl(&["del", "--prefix", "/poplin/v1/d/h1/"]);
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

#[test]
fn an_endpoint_whose_dockerd_died_before_it_wrote_it_down_is_collected_once_the_next_is_there() {
    let mut dockers = Dockers::start();
    dockers.docker[0].make_network("shop", &[]);
    let network = dockers.docker[0].run(&["network", "inspect", "--format", "{{.Id}}", "shop"]);
    let address = free_address(&dockers);
    let orphan = json!({"NetworkID": network, "EndpointID": "0".repeat(64), "Interface": {"Address": address}});

    // Whoever asked for it is dead by then, as a dockerd is that is killed between our answer and its own note.
    dockers.docker[0].ask_plugin("NetworkDriver.CreateEndpoint", Some(&orphan));
    assert_eq!(dockers.hosts[0].links().len(), 1);
    dockers.docker[0].kill();
    dockers.docker[0].start();

    eventually("nothing is left of it", || match (endpoints(&dockers.hosts[0]), dockers.hosts[0].links()) {
        (known, links) if known.is_empty() && links.is_empty() => Ok(()),
        left => Err(format!("{left:?}, {}", dockers.hosts[0].said())),
    });
}

/// An address of the network `shop` far from those that are given first, once the fabric has heard of that.
fn free_address(dockers: &Dockers) -> String {
    let host = &dockers.hosts[0];
    until("the network is the fabric's", || host.try_poplin(&["get", "network", "shop"]).status.success());
    let network = host.get(&["network", "shop"]);
    network["spec"]["subnets"][0].as_str().unwrap_or_default().replace(".0/24", ".250/32")
}
