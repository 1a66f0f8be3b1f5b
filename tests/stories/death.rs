//! The agent dies, as by the OOM killer: what runs goes on, and the next life finds everything as it was.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use poplin_lab::{Agent, Container, Fabric, Flow, Lab, Pings, programs, until};
use serde_json::{Value, json};

#[test]
fn containers_of_one_host_lose_nothing() {
    let lab = Lab::new();
    let mut host = lab.host();
    let (mut web, mut db) = (lab.container("web"), lab.container("db"));
    host.attach(&mut web, &["app=web"]);
    host.attach(&mut db, &["app=db"]);
    host.apply(DB_FOR_ALL);
    let flow = Flow::open(&web, &db, db.v4(), 5432);
    let mut pings = Pings::start(lab.directory(), &web, db.v4(), 250);

    host.kill();
    flow.goes_on();
    host.start();

    assert!(pings.are_running(), "the pings outlast the death");
    flow.goes_on();
    assert_eq!(pings.lost(), 0);
    flow.end().expect("the TCP flow never breaks");
}

#[test]
fn containers_of_two_hosts_under_a_tor_lose_nothing() {
    let mut fabric = Fabric::under_a_tor(2);
    let (web, db) = (fabric.container(1, "web"), fabric.container(2, "db"));
    until("db answers", || web.reaches(db.v4()) && web.reaches(db.v6()));
    let flow = Flow::open(&web, &db, db.v4(), 5432);
    let pings = [db.v4(), db.v6()].map(|address| Pings::start(fabric.lab.directory(), &web, address, 400));

    fabric.hosts[0].kill();
    fabric.hosts[0].start();
    fabric.hosts[0].until_established(1);

    flow.goes_on();
    let lost = pings.map(Pings::lost);
    assert_eq!(lost, [0, 0]);
    flow.end().expect("the TCP flow never breaks");
}

#[test]
fn the_fabric_waits_for_an_agent_that_is_away_for_a_while() {
    let mut fabric = Fabric::under_a_tor(2);
    let (web, db) = (fabric.container(1, "web"), fabric.container(2, "db"));
    until("db answers", || web.reaches(db.v4()) && web.reaches(db.v6()));

    fabric.hosts[1].kill();
    let pings = [db.v4(), db.v6()].map(|address| Pings::start(fabric.lab.directory(), &web, address, 300));

    assert_eq!(pings.map(Pings::lost), [0, 0], "for 3 s db answers without its agent");
    fabric.hosts[1].start();
    fabric.hosts[1].until_established(1);
    assert!(web.reaches(db.v4()) && db.reaches(web.v6()));
}

#[test]
fn what_was_declared_while_it_was_dead_is_in_force_after() {
    let mut fabric = Fabric::under_a_tor(2);
    let (web, db) = (fabric.container(1, "web"), fabric.container(2, "db"));
    let _port = db.listen(5432);
    until("db answers", || web.connects(db.v4(), 5432));

    fabric.hosts[1].kill();
    fabric.hosts[0].apply(DB_FOR_NOBODY);
    fabric.hosts[1].start();

    until("db is closed", || !web.connects(db.v4(), 5432));
}

#[test]
fn a_kill_amid_attachments_leaks_nothing() {
    let lab = Lab::new();
    let mut host = lab.host();
    let containers: Vec<Container> = (0..6).map(|number| lab.container(&format!("c{number}"))).collect();

    for _ in 0..4 {
        std::thread::scope(|scope| {
            let add = |container| host.cni("ADD", container, &json!({}));
            let adding: Vec<_> = containers.iter().map(|container| scope.spawn(move || add(container))).collect();
            until("the first is attached", || adding.iter().any(std::thread::ScopedJoinHandle::is_finished));
            host.strike();
        });
        host.kill();
        host.start();
        agrees(&host);
        containers.iter().for_each(|container| host.cni_delete(container));
        agrees(&host);
        assert_eq!(host.links(), Vec::<String>::new());
        assert_eq!(addresses(&host), BTreeSet::new());
    }
}

#[test]
fn a_plugin_that_is_killed_midway_leaves_nothing_that_its_runtime_does_not_take_back() {
    const ROUNDS: u32 = 24;
    let lab = Lab::new();
    let host = lab.host();
    let mut killed = 0;

    for round in 0..ROUNDS {
        let mut container = lab.container(&format!("c{round}"));
        let plugin = dies_after(&lab, 1 + 2 * round);
        killed += u32::from(!host.plugin("ADD", &container, "eth0", &plugin, &configuration(&host)).status.success());
        if round % 2 == 1 {
            until("a runtime that asks again has it", || host.cni("ADD", &container, &json!({})).status.success());
            host.cni_add(&mut container, &json!({}));
        }
        until("a runtime that gives up is rid of it", || host.cni("DEL", &container, &json!({})).status.success());
        agrees(&host);
    }

    assert!(killed > 0, "of {ROUNDS}");
    until("nothing is left", || host.links().is_empty() && addresses(&host).is_empty());
}

/// The plugin, killed after so many milliseconds.
fn dies_after(lab: &Lab, milliseconds: u32) -> PathBuf {
    let path = lab.directory().join(format!("dies-after-{milliseconds}"));
    let seconds = f64::from(milliseconds) / 1000.0;
    let plugin = programs().join("poplin-cni").display().to_string();
    std::fs::write(&path, format!("#!/bin/sh\nexec timeout -s KILL {seconds} {plugin}\n")).expect("the lab has one");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("it was just written");
    path
}

fn configuration(host: &Agent) -> Value {
    json!({"cniVersion": "1.0.0", "name": "lab", "type": "poplin-cni", "socket": host.socket()})
}

/// Links, routes, endpoints and taken addresses are of the same containers.
fn agrees(host: &Agent) {
    poplin_lab::eventually("kernel and store agree", || {
        let endpoints = host.get(&["endpoints"]);
        let interfaces: BTreeSet<String> = of_each(&endpoints, |spec| spec["interface"].as_str().map(str::to_owned));
        let links: BTreeSet<String> = host.links().into_iter().collect();
        let routes = host.routes().iter().filter(|route| route.contains(" dev pop")).count();
        let taken: u64 =
            host.status()["blocks"].as_array().into_iter().flatten().filter_map(|block| block["taken"].as_u64()).sum();
        let addresses = addresses(host).len();
        // An endpoint whose wiring the death cut short has no link until its runtime asks again; a link always has its endpoint.
        match links.is_subset(&interfaces) && routes == links.len() && taken == addresses as u64 {
            true => Ok(()),
            false => Err(format!(
                "links {links:?} of {interfaces:?}, {routes} routes, {taken} taken of {addresses} addresses"
            )),
        }
    });
}

fn addresses(host: &Agent) -> BTreeSet<String> {
    of_each(&host.get(&["endpoints"]), |spec| spec["addresses"][0].as_str().map(str::to_owned))
}

fn of_each(list: &Value, pick: impl Fn(&Value) -> Option<String>) -> BTreeSet<String> {
    let one = [list.clone()];
    let objects = match list {
        Value::Array(objects) => objects.as_slice(),
        Value::Null => &[],
        _ => one.as_slice(),
    };
    objects.iter().filter_map(|object| pick(&object["spec"])).collect()
}

const DB_FOR_ALL: &str = "
apiVersion: poplin.dev/v1
kind: Policy
metadata: {name: db}
spec: {subject: app == 'db', ingress: [{action: allow}]}
";

const DB_FOR_NOBODY: &str = "
apiVersion: poplin.dev/v1
kind: Policy
metadata: {name: db}
spec: {subject: app == 'db', ingress: []}
";
