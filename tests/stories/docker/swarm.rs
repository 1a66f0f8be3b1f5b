//! Swarm: its networks and services on the managed plugin that examples/swarm makes.

use poplin_lab::{Docker, told, until};
use serde_json::Value;

use super::{Dockers, endpoints};

#[test]
fn services_and_attachable_networks_of_a_swarm_are_the_fabrics() {
    let Dockers { docker: [one, two], hosts: [host, other], .. } = &Dockers::start();
    let at = |host: &poplin_lab::Agent| host.status()["addresses"][0].as_str().unwrap_or_default().to_owned();
    // A node tells its managers every 20 s which plugins it has: those that it has before it joins they know at once.
    [one, two].iter().for_each(|docker| docker.make_swarm_plugin());
    run(one, &format!("swarm init --advertise-addr {}", at(host)));
    let token = run(one, "swarm join-token --quiet worker");
    run(two, &format!("swarm join --advertise-addr {} --token {token} {}:2377", at(other), at(host)));
    for docker in [one, two] {
        run(docker, &format!("tag {} {IMAGE}", poplin_lab::IMAGE));
        run(docker, "network create --config-only --ipam-driver poplin-swarm:latest -o network=shop shop-conf");
    }
    run(one, &format!("{ATTACHABLE} --config-from shop-conf web"));

    service(one, "front", "--mode global --publish mode=host,published=8080,target=80");
    two.sleeper("ci", &["--network", "web"]);
    let running = || run(one, "service ps front --format {{.CurrentState}}").matches("Running").count();
    until("each node runs a task", || running() == 2);
    until("and all are endpoints", || endpoints(host).len() == 3);
    let tasks = tasks(host);
    let is_front = |task: &Value| task["spec"]["aliases"].as_array().is_some_and(|all| all.contains(&"front".into()));
    assert!(tasks.len() == 2 && tasks.iter().all(is_front), "{tasks:?}");
    let ports = [(host, other), (other, host)].map(|(of, from)| (at(of).parse().expect("an address"), from));
    until("a port of each node leads to its task", || {
        ports.iter().all(|(address, from)| from.namespace().connect(*address, 8080).is_ok())
    });
    let addresses = tasks.iter().filter_map(|task| task["spec"]["addresses"][0].as_str()?.strip_suffix("/32"));
    let addresses: Vec<&str> = addresses.collect();
    assert_eq!(addresses.len(), 2, "{tasks:?}");
    until("a plain container reaches the tasks of both nodes", || {
        addresses.iter().all(|address| two.pings("ci", address))
    });

    one.run(&["service", "rm", "front"]);
    two.run(&["rm", "-f", "ci"]);
    until("nothing of them is left", || endpoints(host).is_empty());
    until("nor their links", || host.links().is_empty() && other.links().is_empty());
    assert!(host.poplin(&["get", "network", "shop"]).contains("shop"), "the network is the fabric's, and stays");
}

#[test]
fn a_network_of_swarm_says_which_one_of_the_fabric_it_is() {
    let Dockers { docker: [one, _], hosts: [host, _], .. } = &Dockers::start();
    let at = host.status()["addresses"][0].as_str().unwrap_or_default().to_owned();
    one.make_swarm_plugin();
    run(one, &format!("swarm init --advertise-addr {at}"));
    run(one, &format!("{ATTACHABLE} web"));

    // Swarm gives up after 20 s, and sends whoever asked to the log.
    let started = one.try_run(&["run", "-d", "--network", "web", poplin_lab::IMAGE, "sleep", "9"]);

    assert!(!started.status.success() && told(&started).contains("check manager logs"), "{}", told(&started));
    let why = "which network of the fabric this network of Swarm is was not said";
    assert!(one.said().contains(why), "{}", one.said());
    assert_eq!(endpoints(host), Vec::<String>::new());
}

#[test]
fn a_service_outlives_a_restart_of_dockerd_and_leaves_nothing_behind() {
    let mut dockers = Dockers::start();
    let at = dockers.hosts[0].status()["addresses"][0].as_str().unwrap_or_default().to_owned();
    let [one, _] = &mut dockers.docker;
    one.make_swarm_plugin();
    run(one, &format!("swarm init --advertise-addr {at}"));
    run(one, &format!("tag {} {IMAGE}", poplin_lab::IMAGE));
    run(one, "network create --config-only --ipam-driver poplin-swarm:latest -o network=shop shop-conf");
    run(one, &format!("{ATTACHABLE} --config-from shop-conf web"));
    service(one, "front", "--replicas 2");
    let host = &dockers.hosts[0];
    until("its tasks are endpoints", || tasks(host).len() == 2);
    let before = tasks(host);

    one.stop();
    one.start();

    let is_new = |task: &Value| before.iter().all(|old| old["metadata"]["name"] != task["metadata"]["name"]);
    until("Swarm has begun both anew, and the old ones are gone", || {
        let now = tasks(host);
        now.len() == 2 && now.iter().all(is_new)
    });
    run(one, "service rm front");
    until("nothing of them is left", || endpoints(host).is_empty() && host.links().is_empty());
}

/// Swarm asks the registry before it takes what a node has. This one refuses at once; Docker's own would be waited for.
const IMAGE: &str = "127.0.0.1:1/busybox:lab";

const ATTACHABLE: &str = "network create --scope swarm --driver poplin-swarm:latest --attachable";

#[track_caller]
fn run(docker: &Docker, command: &str) -> String {
    docker.run(&command.split(' ').collect::<Vec<_>>())
}

fn service(docker: &Docker, name: &str, more: &str) {
    let network = format!("--network name=web,driver-opt=poplin.alias={name} --endpoint-mode dnsrr");
    // With an init it ends when it is told to; by itself it would be waited for.
    let service = format!("service create --detach --init --no-resolve-image --name {name} {network} {more}");
    run(docker, &format!("{service} {IMAGE} nc -ll -p 80 -e cat"));
}

/// Endpoints that are tasks of the service.
fn tasks(host: &poplin_lab::Agent) -> Vec<Value> {
    let all = host.get(&["endpoints", "--selector", "com.docker.swarm.service.name == 'front'"]);
    all["items"].as_array().or(all.as_array()).cloned().unwrap_or_default()
}
