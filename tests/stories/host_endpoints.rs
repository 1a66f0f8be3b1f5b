//! A host's own interfaces under policy: what is closed, what cannot be closed, and that nothing remains when it is taken back.

use std::collections::BTreeSet;
use std::net::IpAddr;

use poplin_agent::kernel::Conntrack;
use poplin_lab::{Agent, Fabric, until};

#[test]
fn a_host_endpoint_closes_the_host_but_for_failsafe_ports_until_a_policy_opens_it() {
    let fabric = Fabric::under_a_tor(1);
    let host = &fabric.hosts[0];
    let _ports = [22, 8080].map(|port| host.namespace().listen(port));
    until("all is open", || opens(&fabric, 22) && opens(&fabric, 8080));
    let before = table(host);

    host.apply(&host_endpoint("uplink"));

    until("8080 is closed", || is_closed(&fabric, 8080));
    assert!(opens(&fabric, 22), "22 is a failsafe port");
    host.apply(&policy("hosts: local, ingress: [{action: allow, ports: [tcp/8080]}]"));
    until("8080 is open", || opens(&fabric, 8080));
    fabric.until_established(1);

    host.poplin(&["delete", "HostEndpoint", "edge"]);
    host.poplin(&["delete", "Policy", "edge"]);
    until("the table is as it was", || table(host) == before);
}

#[test]
fn forwarded_traffic_is_untouched_until_a_policy_says_forward() {
    let fabric = Fabric::under_a_tor(1);
    let (host, web) = (&fabric.hosts[0], fabric.container(1, "web"));
    let _port = web.listen(8080);
    let asks = || fabric.tor.namespace().connect(web.v4(), 8080).is_ok();
    until("web answers", asks);

    host.apply(&host_endpoint("uplink"));
    host.apply(&policy("hosts: local, ingress: []"));
    until("the host is closed", || chains(host).contains("host-input"));
    assert!(asks(), "what the host forwards is not its own");

    host.apply(&policy("hosts: forward, ingress: [{action: allow, ports: [tcp/9090]}]"));
    until("8080 is not forwarded", || !asks());
    host.apply(&policy("hosts: forward, ingress: [{action: allow, to: {nets: [10.77.0.0/16]}, ports: [tcp/8080]}]"));
    until("it is forwarded to containers", asks);
}

#[test]
fn a_policy_before_translation_sees_the_port_that_was_dialled() {
    let fabric = Fabric::under_a_tor(1);
    let (host, web) = (&fabric.hosts[0], fabric.container(1, "web"));
    let _port = web.listen(8080);
    let to_web = format!("add rule ip other before tcp dport 9090 dnat to {}:8080", web.v4());
    for command in
        ["add table ip other", "add chain ip other before { type nat hook prerouting priority dstnat; }", &to_web]
    {
        host.namespace().run("nft", &[command]);
    }
    let dials = |address: IpAddr, port| fabric.tor.namespace().connect(address, port).is_ok();
    until("the published port leads to web", || dials(HOST, 9090));

    host.apply(&host_endpoint("uplink"));
    host.apply(&policy("hosts: preDNAT, ingress: [{action: deny, ports: [tcp/9090]}]"));

    until("the published port is closed", || !dials(HOST, 9090));
    assert!(dials(web.v4(), 8080), "web itself is not");
}

#[test]
fn what_a_policy_before_translation_allows_its_host_endpoint_asks_no_more() {
    let fabric = Fabric::under_a_tor(1);
    let (host, web) = (&fabric.hosts[0], fabric.container(1, "web"));
    let _ports = [web.listen(8080), host.namespace().listen(9999), host.namespace().listen(9998)];
    let to_web = format!("add rule ip other before tcp dport 9090 dnat to {}:8080", web.v4());
    for command in [
        "add table ip other",
        "add chain ip other before { type nat hook prerouting priority dstnat; }",
        &to_web,
        "add chain ip other marks { type filter hook prerouting priority mangle; }",
        "add rule ip other marks meta mark set 0x10004000",
        "add chain ip other after { type filter hook postrouting priority srcnat; }",
        "add rule ip other after ct state new tcp dport 8080 meta mark 0x4000 counter accept",
        "add rule ip other after ct state new tcp dport 8080 drop",
    ] {
        host.namespace().run("nft", &[command]);
    }
    let dials = |address: IpAddr, port| fabric.tor.namespace().connect(address, port).is_ok();

    host.apply(&host_endpoint("uplink"));
    host.apply(&named("through", "hosts: forward, ingress: [], egress: [{action: allow}]"));
    until("all is closed", || !dials(web.v4(), 8080) && !dials(HOST, 9090) && !dials(HOST, 9999));
    host.apply(&named("front", "hosts: preDNAT, ingress: [{action: allow, ports: [tcp/9090, tcp/9999]}]"));

    until("what is dialled may come in", || dials(HOST, 9090) && dials(HOST, 9999));
    assert!(!dials(web.v4(), 8080), "the container's own port was not dialled");
    assert!(!dials(HOST, 9998), "nor was this one allowed, whatever mark it came with");
    let deny = "{apiVersion: poplin.dev/v1, kind: Policy, metadata: {name: web}, spec: {subject: all(), ingress: []}}";
    host.apply(deny);
    until("the container has its own say", || !dials(HOST, 9090));
    assert!(dials(HOST, 9999));
}

#[test]
fn what_an_untracked_policy_allows_leaves_no_trace_in_connection_tracking() {
    let fabric = Fabric::under_a_tor(1);
    let host = &fabric.hosts[0];
    let _ports = [22, 8080].map(|port| host.namespace().listen(port));
    until("the host is open", || opens(&fabric, 8080));

    host.apply(&host_endpoint("*"));
    host.apply(&policy(
        "hosts: untracked, ingress: [{action: allow, ports: [tcp/8080]}], egress: [{action: allow, sourcePorts: [tcp/8080]}]",
    ));

    until("there is an untracked lane", || chains(host).contains("host-raw-in"));
    let before = tracked(host);
    assert!(opens(&fabric, 8080), "both directions pass untracked");
    assert_eq!(tracked(host), before, "nobody remembers it");
    assert!(opens(&fabric, 22));
    assert!(tracked(host) > before, "what is not untracked is remembered");
}

#[test]
fn what_a_workload_sends_to_its_host_meets_the_host_endpoint_of_every_interface() {
    let fabric = Fabric::under_a_tor(1);
    let (host, web) = (&fabric.hosts[0], fabric.container(1, "web"));
    let _port = host.namespace().listen(8080);
    host.apply(
        "{apiVersion: poplin.dev/v1, kind: FabricConfig, metadata: {name: default}, spec: {mesh: false, workloadToHost: accept}}",
    );
    until("the host is open to web", || web.connects(HOST, 8080));

    host.apply(&host_endpoint("*"));
    until("it is closed", || !web.connects(HOST, 8080));
    host.apply(&policy("hosts: local, ingress: [{action: allow, from: {select: app == 'web'}, ports: [tcp/8080]}]"));

    until("web may", || web.connects(HOST, 8080));
    assert!(is_closed(&fabric, 8080), "and nobody else");
}

/// The host of these stories, as the ToR reaches it.
const HOST: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(172, 31, 1, 2));

/// Whether a port of the host answers the ToR, in both families.
fn opens(fabric: &Fabric, port: u16) -> bool {
    answers(fabric, port) == [true; 2]
}

/// Whether it does so in neither.
fn is_closed(fabric: &Fabric, port: u16) -> bool {
    answers(fabric, port) == [false; 2]
}

fn answers(fabric: &Fabric, port: u16) -> [bool; 2] {
    let addresses = [HOST, "fd31:1::2".parse().expect("an address")];
    addresses.map(|address| fabric.tor.namespace().connect(address, port).is_ok())
}

fn host_endpoint(interface: &str) -> String {
    format!(
        "{{apiVersion: poplin.dev/v1, kind: HostEndpoint, metadata: {{name: edge, labels: {{role: edge}}}}, \
         spec: {{host: h1, interface: '{interface}'}}}}"
    )
}

fn policy(spec: &str) -> String {
    named("edge", spec)
}

fn named(name: &str, spec: &str) -> String {
    format!(
        "{{apiVersion: poplin.dev/v1, kind: Policy, metadata: {{name: {name}}}, spec: {{subject: role == 'edge', {spec}}}}}"
    )
}

/// Our table's lines, in the order of letters: what was added and taken away again may be told in another place.
fn table(host: &Agent) -> Vec<String> {
    let told = host.namespace().run("nft", &["-s", "list", "table", "inet", "poplin"]);
    let mut lines: Vec<String> = told.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

fn chains(host: &Agent) -> String {
    host.namespace().run("nft", &["list", "chains", "inet"])
}

/// How many flows to or from the host are remembered.
fn tracked(host: &Agent) -> usize {
    let ends = BTreeSet::from([HOST]);
    let flows = host.namespace().within(|| Conntrack::open().and_then(|mut table| Ok(table.read(&ends)?)));
    flows.expect("the table can be read").len()
}
