//! Policies that are tried before they count: staged ones, and changes on trial.

use std::net::UdpSocket;

use poplin_lab::{Agent, Lab, told, until};
use serde_json::Value;

use crate::room::room;

const DB_FOR_22: &str = "apiVersion: poplin.dev/v1
kind: Policy
metadata: {name: db}
spec:
  subject: app == 'db'
  mode: stage
  ingress: [{name: ssh, action: allow, ports: [tcp/22]}]
";

const DB_WATCHED: &str = "apiVersion: poplin.dev/v1
kind: Policy
metadata: {name: db}
spec:
  subject: app == 'db'
  ingress: [{name: watch, action: log}, {name: names, action: allow, ports: [udp/53]}]
";

const TWO_TIERS: &str = "apiVersion: poplin.dev/v1
kind: Tier
metadata: {name: early}
spec: {order: 10, defaultAction: deny}
---
apiVersion: poplin.dev/v1
kind: Policy
metadata: {name: gate}
spec:
  tier: early
  subject: app == 'db'
  ingress: [{name: on, action: pass, from: {select: app == 'web'}, ports: [tcp/22]}, {name: in, action: allow, ports: [tcp/80]}]
---
apiVersion: poplin.dev/v1
kind: Policy
metadata: {name: db}
spec:
  subject: app == 'db'
  ingress: [{name: ssh, action: allow, ports: [tcp/22]}]
";

/// What one rule of the policy `db`, or the end of its tier, has counted.
fn flows(host: &Agent, rule: &str, action: &str) -> u64 {
    let printed: Value = serde_json::from_str(&host.poplin(&["counters", "-o", "json"])).expect("it is JSON");
    let counters = printed["counters"].as_array().cloned().unwrap_or_default();
    let is_it = |counter: &&Value| counter["rule"] == rule && counter["action"] == action;
    counters.iter().find(is_it).and_then(|counter| counter["packets"].as_u64()).unwrap_or_default()
}

#[test]
fn a_staged_policy_counts_what_it_would_do_until_it_is_promoted() {
    let lab = Lab::new();
    let (host, web, db) = room(&lab);
    let _ports = [db.listen(22), db.listen(5432)];
    host.apply(DB_FOR_22);
    until("it is loaded", || host.poplin(&["counters", "--staged"]).contains("would allow"));

    assert!(web.connects(db.v4(), 22) && web.connects(db.v4(), 5432), "nothing is denied");
    assert_eq!((flows(&host, "ssh", "allow"), flows(&host, "", "deny")), (1, 1));

    assert_eq!(host.poplin(&["promote", "db"]), "policy/db is enforced\n");
    until("it denies", || !web.connects(db.v4(), 5432));
    assert!(web.connects(db.v4(), 22));
    let again = host.try_poplin(&["promote", "db"]);
    assert!(told(&again).contains("policy db is not staged, its mode is enforce"), "{}", told(&again));
}

#[test]
fn a_rule_that_passes_counts_and_so_does_what_settles_after_it() {
    let lab = Lab::new();
    let (host, web, db) = room(&lab);
    let _ports = [db.listen(22), db.listen(80), db.listen(443)];
    host.apply(TWO_TIERS);
    until("it is loaded", || !web.connects(db.v4(), 443) && host.poplin(&["counters"]).contains("pass"));
    assert_eq!((flows(&host, "on", "pass"), flows(&host, "ssh", "allow")), (0, 0));

    assert!(web.connects(db.v4(), 22) && web.connects(db.v4(), 80));

    assert_eq!((flows(&host, "on", "pass"), flows(&host, "ssh", "allow")), (1, 1), "both tiers had a say");
    assert_eq!(flows(&host, "in", "allow"), 1, "nobody is passed on to the other port");
}

#[test]
fn counters_outlive_edits_of_the_policy() {
    let lab = Lab::new();
    let (host, web, db) = room(&lab);
    let _port = db.listen(22);
    let enforced = DB_FOR_22.replace("  mode: stage\n", "");
    host.apply(&enforced);
    until("it counts", || web.connects(db.v4(), 22) && flows(&host, "ssh", "allow") > 0);
    let before = flows(&host, "ssh", "allow");

    host.apply(&enforced.replace("ports: [tcp/22]", "ports: [tcp/22, tcp/80, udp/53]"));
    until("the edit is loaded", || host.poplin(&["explain", "web", "db", "udp/53", "--compiled"]).contains("rule-"));

    assert_eq!(flows(&host, "ssh", "allow"), before, "the rule is the same, whatever it matches");
}

#[test]
fn counters_outlive_the_agent() {
    let lab = Lab::new();
    let (mut host, web, db) = room(&lab);
    let _port = db.listen(22);
    host.apply(&DB_FOR_22.replace("  mode: stage\n", ""));
    until("it counts", || web.connects(db.v4(), 22) && flows(&host, "ssh", "allow") > 0);
    let before = flows(&host, "ssh", "allow");

    host.kill();
    assert!(web.connects(db.v4(), 22), "what is loaded is in force");
    host.start();
    until("the rules are loaded", || host.said().contains("the rules that stand are kept"));

    assert_eq!(flows(&host, "ssh", "allow"), before + 1, "it counts while the agent is away as well");
    assert!(web.connects(db.v4(), 22));
    assert_eq!(flows(&host, "ssh", "allow"), before + 2);
}

#[test]
fn a_rule_that_only_logs_counts_what_it_logs_however_much_is_told() {
    let lab = Lab::new();
    let (mut host, web, db) = room(&lab);
    host.apply(DB_WATCHED);
    until("it is loaded", || host.poplin(&["counters"]).contains("log"));
    let before = flows(&host, "watch", "log");
    assert_eq!(flows(&host, "names", "allow"), before, "each settles what the other logs");

    // A hundred a second are told at most.
    let sockets = web.namespace().within(|| [(); 200].map(|()| UdpSocket::bind("0.0.0.0:0").expect("a port is free")));
    for socket in &sockets {
        socket.send_to(b"x", (db.v4(), 53)).expect("it leaves");
    }

    assert_eq!(flows(&host, "watch", "log"), before + 200);
    assert_eq!(flows(&host, "names", "allow"), before + 200, "and what comes after it settles them");
    host.kill();
    host.start();
    until("the rules are loaded", || host.said().contains("the rules that stand are kept"));
    assert_eq!(flows(&host, "watch", "log"), before + 200, "counters count on");
}

#[test]
fn what_nobody_confirms_is_taken_back() {
    let lab = Lab::new();
    let (host, web, db) = room(&lab);
    let _port = db.listen(5432);
    let closed = lab.directory().join("closed.yaml");
    std::fs::write(&closed, DB_FOR_22.replace("  mode: stage\n", "")).unwrap();
    let apply = ["apply", "-f", closed.to_str().unwrap(), "--confirm-within", "2s"];

    let told_to = host.try_poplin(&apply);
    assert!(told(&told_to).contains("unless you keep it: poplin confirm"), "{}", told(&told_to));
    until("it is closed", || !web.connects(db.v4(), 5432));
    until("it is open again", || web.connects(db.v4(), 5432));
    assert_eq!(host.poplin(&["get", "policies"]), "");

    host.try_poplin(&apply);
    assert!(host.poplin(&["confirm"]).ends_with(" is kept\n"));
    let none = host.try_poplin(&["confirm"]);
    assert!(told(&none).contains("no change is on trial"), "{}", told(&none));
    std::thread::sleep(std::time::Duration::from_secs(3)); // past the time it would have been taken back at
    assert!(host.poplin(&["get", "policies"]).contains("db"));
}

#[test]
fn the_way_through_the_rules_can_be_read() {
    let lab = Lab::new();
    let (host, _web, _db) = room(&lab);
    host.apply(&DB_FOR_22.replace("  mode: stage\n", ""));

    let open = host.try_poplin(&["explain", "web", "db", "tcp/22", "--compiled"]);
    let far = host.try_poplin(&["explain", "192.0.2.1", "192.0.2.2", "tcp/22", "--compiled"]);

    let text = told(&open);
    assert!(text.contains("on this host:") && text.contains("vmap @ingress-verdicts"), "{text}");
    assert!(text.contains("(carries out what was settled and counted)"), "{text}");
    assert!(told(&far).contains("the packet meets no rules on this host"), "{}", told(&far));
}
