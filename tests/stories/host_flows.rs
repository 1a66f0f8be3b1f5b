//! Established flows at a host's own interfaces when policy changes: those that are denied now end, the others do not notice.

use std::collections::BTreeSet;

use poplin_agent::kernel::Conntrack;
use poplin_lab::{Agent, Fabric, Flow, Talk, until};

use crate::edge::{EDGE, HOST, TOR, policy};

#[test]
fn what_the_host_receives_ends_when_its_host_endpoint_comes_to_deny_it_and_its_sister_goes_on() {
    let fabric = Fabric::under_a_tor(1);
    let (host, tor) = (&fabric.hosts[0], fabric.tor.namespace());
    host.apply(EDGE);
    host.apply(&policy("hosts: local, ingress: [{action: allow, ports: [tcp/8080, tcp/8081, udp/5353]}]"));
    let (denied, allowed) = (Flow::open(tor, host, HOST, 8080), Flow::open(tor, host, HOST, 8081));
    let datagrams = Talk::datagrams(tor, host, HOST, 5353);
    denied.goes_on();
    datagrams.goes_on();

    host.apply(&policy("hosts: local, ingress: [{action: allow, ports: [tcp/8081]}]"));

    until("both are silent", || stays(&allowed, 20, || (denied.echoes(), datagrams.heard())));
    assert!(stays(&allowed, 300, || (denied.echoes(), datagrams.heard())), "they do not come back");
    allowed.goes_on();
    allowed.end().expect("what stays allowed never breaks");
}

#[test]
fn what_the_host_forwards_ends_when_its_host_endpoint_comes_to_deny_it_and_its_sister_goes_on() {
    let fabric = Fabric::under_a_tor(1);
    let (host, tor, web) = (&fabric.hosts[0], fabric.tor.namespace(), fabric.container(1, "web"));
    host.apply(EDGE);
    let (denied, allowed) = (Flow::open(tor, &web, web.v4(), 8080), Flow::open(tor, &web, web.v4(), 8081));
    let outgoing = Talk::stream(&web, tor, TOR, 9090);
    denied.goes_on();
    outgoing.goes_on();

    host.apply(&policy("hosts: forward, ingress: [{action: allow, ports: [tcp/8081]}], egress: []"));

    until("both are silent", || stays(&allowed, 20, || (denied.echoes(), outgoing.heard())));
    assert!(stays(&allowed, 300, || (denied.echoes(), outgoing.heard())), "they do not come back");
    allowed.goes_on();
    allowed.end().expect("what stays allowed never breaks");
}

/// The kernel takes a packet from the middle of a stream for the beginning of a flow (`nf_conntrack_tcp_loose`, on by default).
#[test]
fn a_connection_that_was_ended_is_not_taken_up_again_where_the_host_may_send() {
    let fabric = Fabric::under_a_tor(1);
    let (host, tor) = (&fabric.hosts[0], fabric.tor.namespace());
    host.apply(EDGE);
    host.apply(&policy(
        "hosts: local, ingress: [{action: allow, ports: [tcp/8080, tcp/8081]}], egress: [{action: allow}]",
    ));
    let loose = host.namespace().run("sysctl", &["-n", "net.netfilter.nf_conntrack_tcp_loose"]);
    assert_eq!(loose.trim(), "1", "it tells nothing otherwise");
    let allowed = Flow::open(tor, host, HOST, 8081);
    let denied = Talk::stream(tor, host, HOST, 8080);
    denied.goes_on();

    host.apply(&policy("hosts: local, ingress: [{action: allow, ports: [tcp/8081]}], egress: [{action: allow}]"));

    until("it is silent", || stays(&allowed, 20, || denied.heard()));
    assert!(stays(&allowed, 300, || denied.heard()), "it does not come back");
    allowed.goes_on();
    allowed.end().expect("what stays allowed never breaks");
    let drops = host.poplin(&["drops"]);
    assert!(
        drops.contains("output of edge: it is from the middle of a TCP stream that is not known, or was ended"),
        "{drops}"
    );
}

#[test]
fn a_fabric_that_keeps_flows_keeps_them_at_host_endpoints_too() {
    let fabric = Fabric::under_a_tor(1);
    let (host, tor) = (&fabric.hosts[0], fabric.tor.namespace());
    host.apply(
        "{apiVersion: poplin.dev/v1, kind: FabricConfig, metadata: {name: default}, spec: {mesh: false, existingFlows: keep}}",
    );
    let flow = Flow::open(tor, host, HOST, 8080);
    let _port = host.namespace().listen(8081);

    host.apply(EDGE);

    until("nothing new is let in", || tor.connect(HOST, 8081).is_err());
    flow.goes_on();
    flow.end().expect("a flow that is kept never breaks");
}

#[test]
fn a_connection_that_the_kernel_did_not_see_begin_is_left_alone() {
    let fabric = Fabric::under_a_tor(1);
    let (host, tor) = (&fabric.hosts[0], fabric.tor.namespace());
    let old = Flow::open(tor, host, HOST, 8080);
    forget_flows(host);
    old.goes_on();
    let new = Flow::open(tor, host, HOST, 8081);
    new.goes_on();

    host.apply(EDGE);

    until("what it saw begin is silent", || stays(&old, 20, || new.echoes()));
    old.goes_on();
    old.end().expect("it may have been open before connection tracking began");
}

/// The kernel forgets all flows of the host, as if it had only begun to track them.
fn forget_flows(host: &Agent) {
    let forgotten = host.namespace().within(|| {
        let mut table = Conntrack::open()?;
        let flows = table.read(&BTreeSet::from([HOST]))?;
        flows.iter().try_for_each(|flow| table.end(&flow.handle)).map_err(std::io::Error::from)
    });
    forgotten.expect("flows can be ended");
}

/// Whether what is looked at stays the same while so many messages of a flow come back.
fn stays<T: PartialEq>(clock: &Flow, messages: u64, look: impl Fn() -> T) -> bool {
    let (began, before) = (clock.echoes(), look());
    until("the flow goes on", || clock.echoes() > began + messages);
    look() == before
}
