//! What a host's own interfaces let pass, explained before and told afterwards: the kernel does what is said.

use poplin_lab::{Agent, Container, Fabric, eventually, told, until};
use serde_json::Value;

use crate::edge::{EDGE, HOST, TOR, policy};

#[test]
fn what_is_forwarded_is_explained_by_lane_and_interface_and_fares_so() {
    let fabric = Fabric::under_a_tor(1);
    let (host, web) = (&fabric.hosts[0], attached(&fabric));
    let _ports = [5432, 8080].map(|port| web.listen(port));
    let reaches = |port| fabric.tor.namespace().connect(web.v4(), port).is_ok();
    until("web answers", || reaches(5432) && reaches(8080));

    host.apply(EDGE);
    host.apply(&policy("hosts: forward, ingress: [{name: no-sql, action: deny, ports: [tcp/5432]}, {action: allow}]"));
    until("the rule is in force", || !reaches(5432));

    let denied = explain(host, &["172.31.1.1", "web", "tcp/5432"]);
    assert_eq!(denied.0, Some(1));
    assert!(denied.1.contains("forward-in of edge by uplink: default/edge/no-sql: denied"), "{}", denied.1);
    let allowed = explain(host, &["172.31.1.1", "web", "tcp/8080"]);
    assert!(reaches(8080), "web answers");
    assert_eq!(allowed.0, Some(0), "{}", allowed.1);
    assert!(allowed.1.contains("forward-in of edge by uplink: default/edge/2: allowed"), "{}", allowed.1);

    let drop = dropped(host, |drop| drop["destinationPort"] == 5432);
    assert_eq!([&drop["endpoint"], &drop["lane"], &drop["interface"]], ["edge", "forward-in", "uplink"]);
    assert_eq!(drop["endpointBehind"], "web");
    assert!(host.poplin(&["drops", "--endpoint", "web"]).contains("-> web ("), "web is an end of it");
    assert_eq!([&drop["tier"], &drop["policy"], &drop["rule"]], ["default", "edge", "no-sql"]);
    let line = host.poplin(&["drops"]);
    let words = format!("tcp/5432 from {}  forward-in of edge: default/edge/no-sql: denied", drop["sourcePort"]);
    assert!(line.contains(&words), "{line}");
    let live = explain(host, &["172.31.1.1", "web", "tcp/5432", "--live", "--wait", "0"]);
    assert_eq!(live.0, Some(1), "web is an end of what the host endpoint dropped: {}", live.1);
}

#[test]
fn what_the_host_receives_and_sends_is_explained_and_told_with_its_lane() {
    let fabric = Fabric::under_a_tor(1);
    let (host, tor) = (&fabric.hosts[0], fabric.tor.namespace());
    let _ports = [host.namespace().listen(8080), tor.listen(9090)];
    host.apply(EDGE);
    until("the host is closed", || tor.connect(HOST, 8080).is_err());
    assert!(host.namespace().connect(TOR, 9090).is_err(), "in both directions");

    for (lane, ports, question) in [
        ("input", "destinationPort", ["172.31.1.1", "172.31.1.2", "tcp/8080"]),
        ("output", "destinationPort", ["172.31.1.2", "172.31.1.1", "tcp/9090"]),
    ] {
        let port: u64 = question[2].trim_start_matches("tcp/").parse().expect("a number");
        let (code, text) = explain(host, &question);
        assert_eq!(code, Some(1), "{text}");
        assert!(text.contains(&format!("{lane} of edge by uplink: no policy governs: denied")), "{text}");
        let drop = dropped(host, |drop| drop[ports] == port);
        assert_eq!([&drop["endpoint"], &drop["lane"], &drop["interface"]], ["edge", lane, "uplink"], "{drop}");
        assert_eq!(drop["reason"], "no policy of the host endpoint lets it pass");
        let by_name = question.map(|end| if end == "172.31.1.2" { "h1" } else { end });
        let live = explain(host, &[&by_name[..], &["--live", "--wait", "0"]].concat());
        assert_eq!(live.0, Some(1), "h1 is an end of it: {}", live.1);
    }
    host.apply(&policy("hosts: local, ingress: [{name: no-web, action: deny, ports: [tcp/8080]}, {action: allow}]"));
    let drop = eventually("the rule is told", || {
        let _ = tor.connect(HOST, 8080);
        let drops = all(host);
        drops.iter().find(|drop| drop["rule"] == "no-web").cloned().ok_or_else(|| format!("{drops:?}"))
    });
    assert_eq!([&drop["endpoint"], &drop["lane"]], ["edge", "input"]);
}

#[test]
fn what_a_workload_may_not_open_to_its_own_host_is_explained() {
    let fabric = Fabric::under_a_tor(1);
    let (host, web) = (&fabric.hosts[0], attached(&fabric));
    let _port = host.namespace().listen(8080);

    for destination in ["172.31.1.2", "169.254.1.1"] {
        let (code, text) = explain(host, &["web", destination, "tcp/8080"]);

        assert!(!web.connects(destination.parse().expect("an address"), 8080));
        assert_eq!(code, Some(1), "{text}");
        assert!(text.contains("to-host of web: workloads may not open this to their own host"), "{text}");
    }
    assert_eq!(explain(host, &["web", "172.31.1.2", "icmp/8"]).0, Some(0));
    assert!(web.reaches(HOST));
}

#[test]
fn what_a_host_sends_to_its_own_workloads_is_explained_as_it_fares() {
    let fabric = Fabric::under_a_tor(1);
    let (host, web) = (&fabric.hosts[0], attached(&fabric));
    let _port = web.listen(8080);
    let deny =
        "{apiVersion: poplin.dev/v1, kind: Policy, metadata: {name: web}, spec: {subject: app == 'web', ingress: []}}";
    host.apply(deny);
    until("nobody else may", || fabric.tor.namespace().connect(web.v4(), 8080).is_err());

    let (code, text) = explain(host, &["h1", "web", "tcp/8080"]);

    assert!(host.namespace().connect(web.v4(), 8080).is_ok());
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("what a host itself sends to its own workloads passes"), "{text}");
    assert!(text.starts_with("allowed: h1 (172.31.1.2) -> web ("), "{text}");
}

#[test]
fn the_way_through_host_endpoints_can_be_read_and_why_rules_are_asked_as_they_are() {
    let fabric = Fabric::under_a_tor(1);
    let (host, _web) = (&fabric.hosts[0], attached(&fabric));
    host.apply(EDGE);
    host.apply(&policy(
        "hosts: forward, ingress: [{action: deny, from: {nets: [192.0.2.0/24]}}, {name: watch, action: log, from: {nets: [172.31.0.0/16]}}, \
         {action: allow}]",
    ));

    let through = |question: [&str; 3]| explain(host, &[&question[..], &["--compiled"]].concat()).1;

    let (forwarded, received) =
        (through(["172.31.1.1", "web", "tcp/8080"]), through(["172.31.1.1", "172.31.1.2", "tcp/80"]));
    assert!(forwarded.contains("forward-in-gate"), "{forwarded}");
    assert!(forwarded.contains("asks first whom rules that log and go on tell of"), "{forwarded}");
    assert!(received.contains("input-gate"), "{received}");
    let sent = through(["172.31.1.2", "172.31.1.1", "tcp/80"]);
    assert!(sent.contains("output-gate"), "{sent}");
}

fn attached(fabric: &Fabric) -> Container {
    let mut web = fabric.lab.container("web");
    fabric.hosts[0].attach(&mut web, &["app=web"]);
    web
}

/// How it exits, and what it says.
fn explain(host: &Agent, question: &[&str]) -> (Option<i32>, String) {
    let output = host.try_poplin(&[&["explain"], question].concat());
    (output.status.code(), told(&output))
}

/// All drops the host remembers.
fn all(host: &Agent) -> Vec<Value> {
    let lines = host.poplin(&["drops", "-o", "json"]);
    lines.lines().map(|line| serde_json::from_str(line).expect("-o json is JSON")).collect()
}

/// The first drop that is looked for.
#[track_caller]
fn dropped(host: &Agent, is_it: impl Fn(&Value) -> bool) -> Value {
    eventually("the drop is told", || {
        let drops = all(host);
        drops.iter().find(|drop| is_it(drop)).cloned().ok_or_else(|| format!("{drops:?}"))
    })
}
