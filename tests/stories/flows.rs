//! Established flows when policy changes: those that are denied now end, the others do not notice.

use std::collections::BTreeSet;

use poplin_agent::kernel::Conntrack;
use poplin_lab::{Agent, Container, Fabric, Flow, Lab, Talk, until};

use crate::room::room;

#[test]
fn a_tcp_connection_that_a_new_policy_denies_stops_and_its_sister_goes_on() {
    let lab = Lab::new();
    let (host, web, db) = room(&lab);
    let (denied, allowed) = (Flow::open(&web, &db, db.v4(), 5432), Flow::open(&web, &db, db.v4(), 22));
    let streamed = Talk::stream(&web, &db, db.v4(), 5433);
    denied.goes_on();
    streamed.goes_on();

    host.apply(DB_FOR_22);

    until("both are silent", || stays(&allowed, 20, || (denied.echoes(), streamed.heard())));
    // Retransmissions of both sides meet the rules as well: a second and more goes by.
    assert!(stays(&allowed, 500, || (denied.echoes(), streamed.heard())), "the server's stream does not continue");
    allowed.goes_on();
    allowed.end().expect("what stays allowed never breaks");
}

#[test]
fn a_datagram_flow_that_a_new_policy_denies_stops_and_its_sister_goes_on() {
    let lab = Lab::new();
    let (host, web, db) = room(&lab);
    let denied = Talk::datagrams(&web, &db, db.v4(), 53);
    let spared = Talk::datagrams(&web, &db, db.v4(), 123);
    let allowed = Flow::open(&web, &db, db.v4(), 22);
    denied.goes_on();

    host.apply(DB_FOR_22);

    until("it is silent", || stays(&allowed, 20, || denied.heard()));
    assert!(stays(&allowed, 200, || denied.heard()), "it does not come back");
    spared.goes_on();
    allowed.end().expect("what stays allowed never breaks");
}

#[test]
fn a_fabric_that_keeps_flows_keeps_them() {
    let lab = Lab::new();
    let (host, web, db) = room(&lab);
    host.apply(
        "{apiVersion: poplin.dev/v1, kind: FabricConfig, metadata: {name: default}, spec: {existingFlows: keep}}",
    );
    let (tcp, udp) = (Flow::open(&web, &db, db.v4(), 5432), Talk::datagrams(&web, &db, db.v4(), 53));
    let _port = db.listen(5433);
    udp.goes_on();

    host.apply(DB_FOR_22);

    until("nothing new is let in", || !web.connects(db.v4(), 5433));
    tcp.goes_on();
    udp.goes_on();
    tcp.end().expect("a flow that is kept never breaks");
}

#[test]
fn a_change_that_denies_nothing_ends_nothing() {
    let lab = Lab::new();
    let (host, web, db) = room(&lab);
    host.apply(DB_FOR_22);
    let (tcp, udp) = (Flow::open(&web, &db, db.v4(), 22), Talk::datagrams(&web, &db, db.v4(), 123));
    udp.goes_on();
    tcp.goes_on();
    let before = handles(&host, &web);
    let _port = db.listen(5433);

    for change in [WEB_TALKS_TO_ALL, OTHERS_FOR_NOBODY, DB_FOR_MORE] {
        host.apply(change);
    }

    until("the last change is in force", || web.connects(db.v4(), 5433));
    let after = handles(&host, &web);
    assert!(after.is_superset(&before), "{before:?} are among {after:?}");
    tcp.end().expect("what stays allowed never breaks");
}

#[test]
fn a_flow_between_hosts_ends_where_it_is_denied() {
    let fabric = Fabric::under_a_tor(2);
    let (web, db) = (fabric.container(1, "web"), fabric.container(2, "db"));
    let (denied, allowed) = (Flow::open(&web, &db, db.v6(), 5432), Flow::open(&web, &db, db.v4(), 22));
    denied.goes_on();

    fabric.hosts[0].apply(&DB_FOR_22.replace("app == 'db'", "all()"));

    until("it is silent", || stays(&allowed, 20, || denied.echoes()));
    assert!(stays(&allowed, 200, || denied.echoes()), "it does not come back");
    allowed.end().expect("what stays allowed never breaks");
}

#[test]
fn what_was_denied_while_the_agent_was_dead_ends_when_it_is_back() {
    let mut fabric = Fabric::under_a_tor(2);
    let (web, db) = (fabric.container(1, "web"), fabric.container(2, "db"));
    let (denied, allowed) = (Flow::open(&web, &db, db.v4(), 5432), Flow::open(&web, &db, db.v4(), 22));

    fabric.hosts[1].kill();
    fabric.hosts[0].apply(&DB_FOR_22.replace("app == 'db'", "all()"));
    denied.goes_on();
    fabric.hosts[1].start();

    until("it is silent", || stays(&allowed, 20, || denied.echoes()));
    allowed.goes_on();
    allowed.end().expect("what stays allowed never breaks");
}

/// Whether what is looked at stays the same while so many messages of a flow come back.
fn stays<T: PartialEq>(clock: &Flow, messages: u64, look: impl Fn() -> T) -> bool {
    let (began, before) = (clock.echoes(), look());
    until("the flow goes on", || clock.echoes() > began + messages);
    look() == before
}

/// What the kernel finds the container's flows by.
fn handles(host: &Agent, of: &Container) -> BTreeSet<Vec<u8>> {
    let ends = BTreeSet::from([of.v4()]);
    let flows = host.namespace().within(|| Conntrack::open().and_then(|mut table| Ok(table.read(&ends)?)));
    flows.expect("the table can be read").into_iter().map(|flow| flow.handle.0).collect()
}

const DB_FOR_22: &str = "
apiVersion: poplin.dev/v1
kind: Policy
metadata: {name: db}
spec: {subject: app == 'db', ingress: [{action: allow, ports: [tcp/22, udp/123]}]}
";

const DB_FOR_MORE: &str = "
apiVersion: poplin.dev/v1
kind: Policy
metadata: {name: db}
spec: {subject: app == 'db', ingress: [{action: allow, ports: [tcp/22, udp/123, tcp/5433]}]}
";

const WEB_TALKS_TO_ALL: &str = "
apiVersion: poplin.dev/v1
kind: Policy
metadata: {name: web}
spec: {subject: app == 'web', egress: [{action: allow}]}
";

const OTHERS_FOR_NOBODY: &str = "
apiVersion: poplin.dev/v1
kind: Policy
metadata: {name: others}
spec: {subject: app == 'other', ingress: [], egress: []}
";
