//! Who may ask at all: policy and operators say.

use std::io::ErrorKind;

use poplin_lab::{Agent, Lab, until};

use super::{GATEWAY, ask, ask_by_tcp, leads_to};

/// A policy for `web` that lets nothing out but what this rule allows.
fn egress(rule: &str) -> String {
    format!(
        "{{apiVersion: poplin.dev/v1, kind: Policy, metadata: {{name: web}}, spec: {{subject: \"app == 'web'\", egress: [{rule}]}}}}"
    )
}

#[test]
fn policy_decides_whether_a_container_may_ask() {
    let lab = Lab::new();
    let host = lab.host();
    let [mut web, mut db] = ["web", "db"].map(|name| lab.container(name));
    host.attach(&mut web, &["app=web"]);
    host.attach(&mut db, &[]);
    until("it may as long as nobody says otherwise", || leads_to(ask(&web, GATEWAY, "db"), &db));

    host.apply(&egress("{name: sql, action: allow, ports: [tcp/5432]}"));
    until("a policy that does not speak of names closes them", || ask(&web, GATEWAY, "db").is_none());
    assert!(leads_to(ask(&db, GATEWAY, "db"), &db));

    host.apply(&egress("{name: names, action: allow, to: {nets: [169.254.0.0/16]}, ports: [udp/53, tcp/53]}"));
    until("one that allows them opens them", || leads_to(ask(&web, GATEWAY, "db"), &db));
}

#[test]
fn a_host_that_serves_no_names_lets_nobody_ask_and_the_fabric_can_switch_all_off() {
    let lab = Lab::new();
    let mut silent = Agent::new(&lab, lab.namespace("h1"), "h1").with(&["--dns=false"]);
    silent.start();
    let mut web = lab.container("web");
    silent.attach(&mut web, &[]);
    assert_eq!(ask(&web, GATEWAY, "web"), None);
    let refusal = ask_by_tcp(&web, GATEWAY, "web").expect_err("nobody listens");
    assert_eq!(refusal.kind(), ErrorKind::TimedOut, "nor may anybody knock");

    let lab = Lab::new();
    let host = lab.host();
    let mut web = lab.container("web");
    host.attach(&mut web, &[]);
    until("it answers", || leads_to(ask(&web, GATEWAY, "web"), &web));
    host.apply(
        "{apiVersion: poplin.dev/v1, kind: FabricConfig, metadata: {name: default}, spec: {dns: {enabled: false}}}",
    );
    until("and then no more", || ask(&web, GATEWAY, "web").is_none());
    host.apply(
        "{apiVersion: poplin.dev/v1, kind: FabricConfig, metadata: {name: default}, spec: {dns: {domain: lab}}}",
    );
    until("and again, under another domain", || leads_to(ask(&web, GATEWAY, "web.lab"), &web));
}
