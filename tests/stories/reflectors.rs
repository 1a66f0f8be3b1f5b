//! Reflectors take the place of a mesh while containers talk.

use poplin_lab::{Agent, Container, Fabric, Flow, Pings, eventually, until};
use serde_json::Value;

#[test]
fn a_mesh_gives_way_to_a_reflector_and_no_packet_is_lost() {
    let fabric = Fabric::meshed(4);
    let (web, db) = (fabric.container(3, "web"), fabric.container(4, "db"));
    until("db answers", || web.reaches(db.v4()) && web.reaches(db.v6()));
    let flow = Flow::open(&web, &db, db.v4(), 5432);
    let pings = [db.v4(), db.v6()].map(|address| Pings::start(fabric.lab.directory(), &web, address, 600));

    label(&fabric, "h1", "reflector");
    fabric.hosts[0].apply(REFLECTORS);

    until_neighbours(&fabric, [&["h2", "h3", "h4"], &["h1"], &["h1"], &["h1"]]);
    flow.goes_on();
    assert_eq!(pings.map(Pings::lost), [0, 0]);

    let late = fabric.container(2, "late");
    until("a block of later is reflected too", || late.reaches(web.v4()) && db.reaches(late.v6()));
    let heard = fabric.hosts[2].poplin(&["routes", "-o", "json"]);
    assert!(heard.contains("\"originator\": \"172.30.0.4\"") && heard.contains("172.30.0.1"), "{heard}");
    flow.goes_on();
    flow.end().expect("the TCP flow never breaks");
}

#[test]
fn the_mesh_returns_and_no_packet_is_lost() {
    let (fabric, web, db) = reflected(REFLECTORS);
    let pings = Pings::start(fabric.lab.directory(), &web, db.v4(), 600);

    label(&fabric, "h1", "plain");

    let all: [&[&str]; 4] = [&["h2", "h3", "h4"], &["h1", "h3", "h4"], &["h1", "h2", "h4"], &["h1", "h2", "h3"]];
    until_neighbours(&fabric, all);
    assert_eq!(pings.lost(), 0);
}

#[test]
fn another_host_becomes_the_reflector_and_no_packet_is_lost() {
    let (fabric, web, db) = reflected(REFLECTORS);
    let pings = Pings::start(fabric.lab.directory(), &web, db.v4(), 600);

    label(&fabric, "h2", "reflector");
    until_neighbours(&fabric, [&["h2", "h3", "h4"], &["h1", "h3", "h4"], &["h1", "h2"], &["h1", "h2"]]);
    label(&fabric, "h1", "plain");
    until_neighbours(&fabric, [&["h2"], &["h1", "h3", "h4"], &["h2"], &["h2"]]);

    assert_eq!(pings.lost(), 0);
    assert!(web.reaches(db.v4()));
}

#[test]
fn hosts_that_bfd_cuts_off_from_their_only_reflector_go_on_as_they_were_until_it_is_back() {
    let (fabric, web, db) = reflected(WATCHED_REFLECTORS);
    let clients = &fabric.hosts[1..];
    clients.iter().for_each(|host| until("the way to the reflector is watched", || is_watched(host)));
    let routes: Vec<_> = clients.iter().map(Agent::routes).collect();
    let pings = Pings::start(fabric.lab.directory(), &web, db.v4(), 600);
    let switch = fabric.tor.namespace();

    switch.run("ip", &["link", "set", "h1", "nomaster"]);
    for host in clients {
        until("what it reflected is the last choice", || last_choices(host) > 0);
    }
    assert_eq!(clients.iter().map(Agent::routes).collect::<Vec<_>>(), routes, "and is used as before");

    switch.run("ip", &["link", "set", "h1", "master", "segment"]);
    until_neighbours(&fabric, [&["h2", "h3", "h4"], &["h1"], &["h1"], &["h1"]]);
    for host in clients {
        until("it has told all again", || last_choices(host) == 0);
    }
    assert_eq!(clients.iter().map(Agent::routes).collect::<Vec<_>>(), routes);
    assert_eq!(pings.lost(), 0);
}

/// How many routes a host keeps of tellers that are away for long.
fn last_choices(host: &Agent) -> usize {
    host.poplin(&["routes"]).matches("llgr-stale").count()
}

fn is_watched(host: &Agent) -> bool {
    host.status()["sessions"][0]["bfd"]["state"] == "Up"
}

const WATCHED_REFLECTORS: &str = "{apiVersion: poplin.dev/v1, kind: FabricConfig, metadata: {name: default}, spec: {reflectors: \"role == 'reflector'\", bfd: {intervalMilliseconds: 100}}}";

const REFLECTORS: &str = "{apiVersion: poplin.dev/v1, kind: FabricConfig, metadata: {name: default}, spec: {reflectors: \"role == 'reflector'\"}}";

/// A fabric in which the first host is the only reflector by these words, and two containers of it that reach each other.
fn reflected(by: &str) -> (Fabric, Container, Container) {
    let fabric = Fabric::meshed(4);
    let (web, db) = (fabric.container(3, "web"), fabric.container(4, "db"));
    label(&fabric, "h1", "reflector");
    fabric.hosts[0].apply(by);
    until_neighbours(&fabric, [&["h2", "h3", "h4"], &["h1"], &["h1"], &["h1"]]);
    until("db answers", || web.reaches(db.v4()));
    (fabric, web, db)
}

/// Labels a host as a person would: reads it, adds the label, applies it.
fn label(fabric: &Fabric, name: &str, role: &str) {
    let mut host = fabric.hosts[0].get(&["host", name]);
    host["metadata"]["labels"] = serde_json::json!({ "role": role });
    fabric.hosts[0].apply(&host.to_string());
}

/// Waits until the hosts have these neighbours, and all sessions are established.
#[track_caller]
fn until_neighbours(fabric: &Fabric, wanted: [&[&str]; 4]) {
    eventually("each host has its neighbours", || {
        let found: Vec<_> = fabric.hosts.iter().map(neighbours).collect();
        let is_so = found.iter().zip(wanted).all(|(found, wanted)| found.iter().eq(wanted));
        if is_so { Ok(()) } else { Err(format!("{found:?}")) }
    });
}

/// The names of those whose sessions are established, or what is amiss.
fn neighbours(host: &Agent) -> Vec<String> {
    let sessions = host.status()["sessions"].as_array().cloned().unwrap_or_default();
    let name = |session: &Value| match session["state"] == "Established" {
        true => session["name"].as_str().unwrap_or_default().to_owned(),
        false => format!("{} is {}", session["name"], session["state"]),
    };
    sessions.iter().map(name).collect()
}

#[test]
fn a_reflector_tells_all_ways_to_a_service() {
    let (fabric, _, _) = reflected(REFLECTORS);
    fabric.hosts[0].apply(
        "{apiVersion: poplin.dev/v1, kind: Service, metadata: {name: dns}, spec: {addresses: [198.51.100.7], endpoints: app == 'dns'}}",
    );

    let servers = [3, 4].map(|host: usize| {
        let mut server = fabric.lab.container(&format!("dns-{host}"));
        fabric.hosts[host - 1].cni_add(&mut server, &serde_json::json!({"app": "dns"}));
        server
    });

    let client = &fabric.hosts[1];
    eventually("a host that only knows the reflector shares the service among both", || {
        let routes = client.routes();
        let route = routes.iter().find(|route| route.starts_with("198.51.100.7 ")).cloned().unwrap_or_default();
        let is_shared = ["172.30.0.3", "172.30.0.4"].iter().all(|hop| route.contains(&format!("via {hop} ")));
        if is_shared { Ok(()) } else { Err(format!("{routes:?}")) }
    });
    drop(servers);
}
