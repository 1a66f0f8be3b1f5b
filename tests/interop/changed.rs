//! Changes of the fabric's settings and of route maps under live sessions: every field is changed, and the counts of OPENs and NOTIFICATIONs say
//! that no session ended. Those of a `Peer` stand in `wanted.rs`, with traffic; those of a speaker's file in `reread.rs`.

use poplin_lab::{Agent, Fabric, until};
use serde_json::Value;

use crate::beside::{V4, World};

/// The contract, of which every field is to be changed.
const CONTRACT: &str = include_str!("../../proto/poplin/v1/resource.proto");

/// Asserts that each field of this message stands in some change, but for these.
#[track_caller]
pub(crate) fn assert_all_changed(message: &str, changes: &[&str], but_for: &[&str]) {
    let (_, rest) = CONTRACT.split_once(&format!("message {message} {{\n")).expect("the contract has this message");
    let (body, _) = rest.split_once("\n}").expect("a message ends");
    let fields = body.lines().filter(|line| !line.trim_start().starts_with("//"));
    let fields = fields.filter_map(|line| line.split_once(" = ")?.0.split(' ').next_back()).map(camel_case);
    let left_out: Vec<_> = fields
        .filter(|field| !changes.iter().any(|change| change.contains(&format!("{field}:"))))
        .filter(|field| !but_for.contains(&field.as_str()))
        .collect();
    assert!(left_out.is_empty(), "nobody changes {left_out:?} of {message}");
}

fn camel_case(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |name, word| name + &word[..1].to_uppercase() + &word[1..])
}

/// What says that one session went on: how many OPENs and NOTIFICATIONs went each way, how many sessions there were, and, as all of these are
/// forgotten with a neighbour that is none for a moment, how many sessions the agent has told of.
pub(crate) fn counts(agent: &Agent, neighbour: &str) -> String {
    let told = agent.poplin(&["bgp", "neighbor", neighbour, "-o", "json"]);
    let told: Value = serde_json::from_str(&told).expect("JSON");
    let sent_and_received = |kind: &str| format!("{kind} {} {}", told["sent"][kind], told["received"][kind]);
    let kinds = [sent_and_received("opens"), sent_and_received("notifications")];
    let is_up = |line: &&str| line.contains("session with ") && line.contains(" is up");
    let logged = agent.said().lines().filter(is_up).count();
    format!("{kinds:?}, {} sessions, {logged} in the log, {}", told["timesEstablished"], told["session"]["state"])
}

fn fabric(agent: &Agent, settings: &str) {
    agent.apply(&format!(
        "{{apiVersion: poplin.dev/v1, kind: FabricConfig, metadata: {{name: default}}, spec: {{{settings}}}}}"
    ));
}

/// Everything a fabric can be told, with what is to be left alone by sessions with a peer.
const SETTINGS: [&str; 28] = [
    "asn: 64999", // the host has its own
    "mesh: false",
    "bfd: {enabled: false}",
    "bfd: {intervalMilliseconds: 500, multiplier: 4}",
    "bfd: {multihop: false}",
    "bfd: {strict: true}",
    "mtuBytes: 1400",
    "workloadToHost: accept",
    "existingFlows: keep",
    "failsafeInbound: [tcp/22, tcp/179]",
    "failsafeOutbound: [tcp/179]",
    "reflectors: role == 'reflector'",
    "clusterId: 192.0.2.9",
    "meshImport: all",
    "meshExport: all",
    "maximumPaths: 1",
    "multipathRelax: false",
    "longLivedSeconds: 60",
    "monitoringStations: [{address: 172.31.1.1, port: 1, views: [loc-rib], statisticsSeconds: 9}]",
    "hostSessions: {ttlSecurityHops: 3, holdTimeSeconds: 30, keepaliveSeconds: 7, connectRetrySeconds: 6}",
    "hostSessions: {sendHoldSeconds: 900, restartSeconds: 99}",
    "hostSessions: {passwordFile: /nowhere}",
    "vxlan: {vni: 4711, port: 8472}",
    "addressCooldownSeconds: 5",
    "dns: {enabled: false}",
    "dns: {domain: fabric.example}",
    "readiness: {peers: all, timeoutSeconds: 9}",
    "externalDefault: reject",
];

const ALL: &str = "{apiVersion: poplin.dev/v1, kind: RouteMap, metadata: {name: all}, spec: {otherwise: accept}}";

#[test]
fn no_setting_of_the_fabric_ends_a_session_with_a_peer() {
    assert_all_changed("FabricConfigSpec", &SETTINGS, &[]);
    assert_all_changed("HostSessions", &SETTINGS, &[]);
    assert_all_changed("Vxlan", &SETTINGS, &[]);
    let world = World::new();
    world.host.apply(ALL);
    world.peer(V4, "");
    world.bird(V4, "");
    world.until_established();
    let before = counts(&world.host, "router");

    SETTINGS.iter().for_each(|settings| fabric(&world.host, settings));

    until("the last has its effect", || !has_route(&world.host));
    assert_eq!(counts(&world.host, "router"), before);
    fabric(&world.host, "");
    until("and so has its end", || has_route(&world.host));
    assert_eq!(counts(&world.host, "router"), before);
}

#[test]
fn no_setting_of_the_fabric_but_that_of_systems_and_of_the_mesh_ends_a_session_between_hosts() {
    let hosts = Fabric::meshed(2);
    let (web, db) = (hosts.container(1, "web"), hosts.container(2, "db"));
    let host = &hosts.hosts[0];
    host.apply(ALL);
    host.apply(&ALL.replace("all", "none").replace("accept", "reject"));
    until("containers reach each other", || web.reaches(db.v4()));
    let before = counts(host, "h2");
    let key = hosts.lab.directory().join("hosts.key");
    std::fs::write(&key, "secret").expect("the directory is there");

    let ends = ["asn:", "mesh:"]; // other systems, or no mesh, are other sessions or none
    for settings in SETTINGS.iter().filter(|settings| !ends.iter().any(|end| settings.starts_with(end))) {
        fabric(host, &settings.replace("/nowhere", &key.display().to_string()));
    }

    fabric(host, "meshImport: none");
    until("the last has its effect", || !host.routes().iter().any(|route| route.contains(" via ")));
    fabric(host, "");
    until("and so has its end", || web.reaches(db.v4()));
    assert_eq!(counts(host, "h2"), before);
}

/// What a rule asks, and what it does.
const WHEN: [&str; 10] = [
    "prefixes: ['198.51.100.0/24 le 32']",
    "ipVersion: 4",
    "communities: ['65001:*']",
    "neighbours: [172.31.1.1]",
    "pathContains: [65001]",
    "pathNeighbour: [65001]",
    "pathOrigin: [65001]",
    "pathAtLeast: 1",
    "pathAtMost: 3",
    "origins: [igp]",
];
const SET: [&str; 8] = [
    "localPref: 300",
    "med: 7",
    "removeMed: true",
    "communities: [none]",
    "removeCommunities: ['65001:*']",
    "addCommunities: ['64601:1']",
    "prepend: 2",
    "nextHop: self",
];

#[test]
fn no_change_of_a_route_map_ends_a_session() {
    assert_all_changed("RouteMatch", &WHEN, &[]);
    assert_all_changed("RouteSet", &SET, &[]);
    assert_all_changed("RouteMapSpec", &["rules: otherwise:"], &[]);
    assert_all_changed("RouteRule", &["name: action: when: set:"], &[]);
    let world = World::new();
    let map = |name: &str, rules: &str, otherwise: &str| {
        world.host.apply(&format!(
            "{{apiVersion: poplin.dev/v1, kind: RouteMap, metadata: {{name: {name}}}, spec: {{rules: [{rules}], otherwise: {otherwise}}}}}"
        ));
    };
    ["in", "out"].into_iter().for_each(|name| map(name, "", "accept"));
    world.peer(V4, "import: in, export: out");
    world.bird(V4, "");
    let mut web = world.lab.container("web");
    world.host.attach(&mut web, &[]);
    world.until_established();
    until("BIRD has our block", || !world.tor.borrow().learned().is_empty());
    let before = counts(&world.host, "router");

    for when in WHEN {
        let rule = format!("{{name: one, action: accept, when: {{{when}}}}}");
        ["in", "out"].into_iter().for_each(|name| map(name, &rule, "reject"));
    }
    for set in SET {
        let rule = format!("{{action: accept, set: {{{set}}}}}");
        map("out", &rule, "reject");
        if !set.starts_with("nextHop") {
            map("in", &rule, "reject"); // next hops are chosen where routes go out
        }
    }

    ["in", "out"].into_iter().for_each(|name| map(name, "", "reject"));
    until("the last has its effect", || !has_route(&world.host) && world.tor.borrow().learned().is_empty());
    ["in", "out"].into_iter().for_each(|name| map(name, "", "accept"));
    until("and so has its end", || has_route(&world.host) && !world.tor.borrow().learned().is_empty());
    assert_eq!(counts(&world.host, "router"), before);
}

fn has_route(host: &Agent) -> bool {
    host.routes().iter().any(|route| route.starts_with("198.51.100.0/24") && route.contains(" via "))
}
