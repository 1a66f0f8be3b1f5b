//! Agents of two schemas on one etcd, while traffic runs: hosts are upgraded one after the other, the store is raised, one host goes back, the store is lowered.
//!
//! The older agent is this poplind with `--schema 1`: what came later it reads and writes as little as a program that was built before. What no program knows yet is
//! written to etcd by hand.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use poplin_lab::{Agent, Container, End, Fabric, Flow, Pings, eventually, told, until};
use serde_json::{Value, json};

/// From here on agents may write.
const MIN_WRITER: &str = "/poplin/v1/meta/min_writer";

/// A pool as agents of schema 1 do not know it; no host takes of it.
const LAN: &str = "apiVersion: poplin.dev/v1\nkind: Pool\nmetadata: {name: lan}\nspec: {cidr: 10.9.0.0/24, hosts: host == 'nobody', lan: true}\n";

#[test]
fn hosts_are_upgraded_and_one_goes_back_and_no_packet_knows_of_it() {
    let mut fabric = Fabric::under_a_tor(2);
    let (web, other, db) = (fabric.container(1, "web"), fabric.container(1, "other"), fabric.container(2, "db"));
    fabric.hosts[0].apply(DB_FOR_WEB);
    let _port = db.listen(5432);
    until("the policy is in force", || web.connects(db.v4(), 5432) && web.reaches(db.v6()) && !other.reaches(db.v4()));
    fabric.hosts[0].poplin(&["store", "schema", "--set", "1"]);
    let flow = Flow::open(&web, &db, db.v4(), 80);
    let directory = fabric.lab.directory().to_owned();
    let is_over = AtomicBool::new(false);

    thread::scope(|scope| {
        let ways = [(&web, db.v4()), (&web, db.v6()), (&other, db.v4()), (&other, db.v6())];
        let pings = |(from, to)| {
            let (directory, is_over) = (&directory, &is_over);
            scope.spawn(move || {
                let (mut sent, mut lost) = (0, 0);
                while !is_over.load(Ordering::Relaxed) {
                    (sent, lost) = (sent + 50, lost + Pings::start(directory, from, to, 50).lost());
                }
                (sent, lost)
            })
        };
        let pings = ways.map(pings);
        let end = End(&is_over);
        change(&mut fabric, &flow, &web);
        drop(end);
        let [allowed, allowed_v6, denied, denied_v6] = pings.map(|one| one.join().expect("pings are counted"));
        assert_eq!([allowed.1, allowed_v6.1], [0, 0], "no packet of an allowed flow is lost, of {}", allowed.0);
        assert_eq!([denied.1, denied_v6.1], [denied.0, denied_v6.0], "no denied packet passes");
    });

    flow.end().expect("the TCP flow never breaks");
    [&web, &other].into_iter().for_each(|container| fabric.hosts[0].cni_delete(container));
    fabric.hosts[1].cni_delete(&db);
    nothing_is_leaked(&fabric);
    until("nothing is left", || fabric.hosts.iter().all(|host| host.links().is_empty()));
}

fn change(fabric: &mut Fabric, flow: &Flow, web: &Container) {
    for host in 0..2 {
        fabric.hosts[host].replace(1);
    }
    refuses(&fabric.hosts[0], &fabric.hosts[0].try_apply(LAN), &["spec.lan", "schema 2", "schema 1"]);

    fabric.hosts[0].replace(2);
    let behind = fabric.hosts[0].try_poplin(&["store", "schema", "--set", "2"]);
    refuses(&fabric.hosts[0], &behind, &["h2 (poplind", "schema 1", "upgrade poplind there"]);
    fabric.hosts[0].poplin(&["store", "schema", "--raise"]);
    assert_eq!(schema(&fabric.hosts[0])["minWriter"], 1, "it rises no further than all can");
    refuses(&fabric.hosts[0], &fabric.hosts[0].try_apply(LAN), &["spec.lan", "store schema --raise"]);

    fabric.hosts[1].replace(2);
    until("the new agent is written down", || schema(&fabric.hosts[0])["canRaiseTo"] == 2);
    fabric.hosts[0].poplin(&["store", "schema", "--raise"]);
    assert_eq!(schema(&fabric.hosts[1])["minWriter"], 2);
    fabric.hosts[1].apply(LAN);
    flow.goes_on();

    let leaves = fabric.container(2, "leaves");
    fabric.hosts[1].replace(1);
    goes_on_without_a_write(fabric, flow, web, &leaves);
    lower(fabric, flow);
    meets_the_future(fabric, flow);
}

/// The agent of host 2 went back, and the store is raised: who is there stays, leaves and joins, and nothing of it is written.
fn goes_on_without_a_write(fabric: &Fabric, flow: &Flow, web: &Container, leaves: &Container) {
    let old = &fabric.hosts[1];
    until("it says that it writes nothing", || !old.status()["store"]["readOnly"].as_str().unwrap_or("").is_empty());
    let status = old.try_poplin(&["status"]);
    assert_eq!(status.status.code(), Some(7));
    for part in ["knows schema 1", "from schema 2 on", "c/pool/lan", "spec.lan"] {
        assert!(told(&status).contains(part), "{part}: {}", told(&status));
    }
    assert!(told(&old.try_poplin(&["doctor"])).contains("store-schema"));
    assert!(old.poplin(&["metrics"]).contains("poplin_store_read_only 1"));
    refuses(old, &old.try_apply(LATE_FOR_NOBODY), &["schema 1", "schema 2"]);
    let before = stored(fabric);

    let late = fabric.container(2, "late");
    until("who joins is reached", || late.reaches(leaves.v4()) && web.reaches(late.v4()));
    let wants = fabric.lab.container("wants");
    let elsewhere = json!({"args": {"cni": {"ips": ["10.77.200.1"]}}});
    let refused = fabric.hosts[1].cni_with("ADD", &wants, &elsewhere);
    assert!(!refused.status.success() && told(&refused).contains("schema 2"), "{}", told(&refused));
    fabric.hosts[1].cni_delete(leaves);
    assert!(!late.reaches(leaves.v4()));
    assert_eq!(stored(fabric), before, "nothing of it is written");

    fabric.hosts[0].apply(LATE_FOR_NOBODY);
    until("it hears of what others declare", || !web.reaches(late.v4()));
    flow.goes_on();
    fabric.hosts[1].cni_delete(&late);
}

/// The agent that went back lowers the store itself, and may write again.
fn lower(fabric: &mut Fabric, flow: &Flow) {
    let lowered = fabric.hosts[1].try_poplin(&["store", "schema", "--set", "1"]);
    assert!(lowered.status.success() && told(&lowered).contains("c/pool/lan"), "{}", told(&lowered));
    until("what it owes is told", || {
        let store = fabric.hosts[1].status()["store"].clone();
        let is_none = |field: &str| store[field].as_u64().unwrap_or(0) == 0;
        store["readOnly"].as_str().unwrap_or("").is_empty() && is_none("owed") && is_none("untold")
    });
    fabric.hosts[0].poplin(&["delete", "pool", "lan"]);
    nothing_is_leaked(fabric);
    until("its record says what it is", || host_schema(&schema(&fabric.hosts[0]), "h2") == 1);
    fabric.hosts[1].apply(&LATE_FOR_NOBODY.replace("late", "later"));
    fabric.hosts[1].replace(2);
    until("both can again", || schema(&fabric.hosts[0])["canRaiseTo"] == 2);
    fabric.hosts[1].poplin(&["store", "schema", "--raise"]);
    flow.goes_on();
    for host in &fabric.hosts {
        until("all is well", || host.try_poplin(&["status"]).status.success());
    }
}

/// A still later agent was here: both are too old for it, live over a restart with what it left, and may write once it is lowered.
fn meets_the_future(fabric: &mut Fabric, flow: &Flow) {
    for (key, field) in [("e/h1-web", "colour"), ("e/h2-db", "colour"), ("h/h1", "rank"), ("h/h2", "rank")] {
        let key = format!("/poplin/v1/{key}");
        let mut record: Value = serde_json::from_str(&value(fabric, &key)).expect("records are JSON");
        record["spec"][field] = json!({"unheard": ["of"]});
        put(fabric, &key, &record.to_string());
    }
    put(fabric, MIN_WRITER, r#"{"schema":3}"#);
    let writes_nothing = |host: &Agent| {
        host.status()["store"]["readOnly"].as_str().is_some_and(|text| text.contains("from schema 3 on"))
    };
    until("nobody may write", || fabric.hosts.iter().all(writes_nothing));
    for host in 0..2 {
        fabric.hosts[host].kill();
        fabric.hosts[host].start();
        fabric.hosts[host].until_established(1);
    }
    until("and nobody may after a restart", || fabric.hosts.iter().all(writes_nothing));
    assert_eq!(fabric.hosts[0].status()["unreadable"].as_array().map_or(0, Vec::len), 0, "records are read past it");
    let record = value(fabric, "/poplin/v1/h/h1");
    assert!(record.contains("unheard"), "who does not know a field writes nothing over it: {record}");
    flow.goes_on();
    put(fabric, MIN_WRITER, "three");
    until("what cannot be read is mended by whoever says it anew", || {
        fabric.hosts[0].try_poplin(&["store", "schema", "--set", "2"]).status.success()
    });
    until("all is well", || fabric.hosts.iter().all(|host| host.try_poplin(&["status"]).status.success()));
}

#[track_caller]
fn refuses(host: &Agent, output: &std::process::Output, parts: &[&str]) {
    assert!(!output.status.success(), "{}", host.said());
    for part in parts {
        assert!(told(output).contains(part), "{part}: {}", told(output));
    }
}

fn schema(host: &Agent) -> Value {
    serde_json::from_str(&host.poplin(&["store", "schema", "-o", "json"])).expect("-o json is JSON")
}

fn host_schema(answer: &Value, name: &str) -> u64 {
    let mut hosts = answer["hosts"].as_array().into_iter().flatten();
    hosts.find(|host| host["host"] == name).and_then(|host| host["schema"].as_u64()).unwrap_or(0)
}

fn nothing_is_leaked(fabric: &Fabric) {
    for host in &fabric.hosts {
        eventually("addresses are all accounted for", || match host.try_poplin(&["ipam", "check"]) {
            output if output.status.success() => Ok(()),
            output => Err(told(&output)),
        });
    }
}

/// All that stands in etcd of hosts, endpoints and blocks, each with the revision that wrote it.
fn stored(fabric: &Fabric) -> Vec<Value> {
    let of = |prefix: &str| {
        let output = fabric.tor.etcdctl(&["get", "--prefix", &format!("/poplin/v1/{prefix}/"), "-w", "json"]);
        let answer: Value = serde_json::from_slice(&output.stdout).expect("-w json is JSON");
        answer["kvs"].clone()
    };
    ["h", "e", "b"].map(of).into()
}

fn put(fabric: &Fabric, key: &str, value: &str) {
    let output = fabric.tor.etcdctl(&["put", key, "--", value]);
    assert!(output.status.success(), "{}", told(&output));
}

fn value(fabric: &Fabric, key: &str) -> String {
    told(&fabric.tor.etcdctl(&["get", key, "--print-value-only"])).trim_end().to_owned()
}

const DB_FOR_WEB: &str = "
apiVersion: poplin.dev/v1
kind: Policy
metadata: {name: db}
spec: {subject: app == 'db', ingress: [{action: allow, from: {select: app == 'web'}}]}
";

const LATE_FOR_NOBODY: &str = "
apiVersion: poplin.dev/v1
kind: Policy
metadata: {name: late}
spec: {subject: app == 'late', ingress: []}
";
