//! One host without any configuration: attach, talk, be denied, be allowed, leave without a trace.

use std::net::IpAddr;

use poplin_lab::{Agent, Container, Lab, until};

#[test]
fn two_namespaces_talk_through_a_host_nobody_configured() {
    let lab = Lab::new();
    let host = lab.host();

    let (web, db) = (attached(&lab, &host, "web", &[]), attached(&lab, &host, "db", &[]));

    let _listener = db.listen(5432);
    assert!(web.reaches(db.v4()) && db.reaches(web.v4()), "pings are answered both ways");
    assert!(web.connects(db.v4(), 5432), "a TCP connection comes about");
    assert!(!web.connects(db.v4(), 5433), "nobody listens there");
}

#[test]
fn endpoints_are_listed_with_what_was_given_to_them() {
    let lab = Lab::new();
    let host = lab.host();

    let web = attached(&lab, &host, "web", &["app=web", "tier=front"]);
    attached(&lab, &host, "db", &["app=db"]);

    let endpoint = host.get(&["endpoint", "web"]);
    assert_eq!(endpoint["spec"]["addresses"][0], format!("{}/32", web.v4()));
    assert_eq!(endpoint["spec"]["host"], "h1");
    assert_eq!(endpoint["metadata"]["labels"]["tier"], "front");
    let table = host.poplin(&["get", "endpoints"]);
    assert!(table.contains("web") && table.contains("db") && table.contains(&web.v4().to_string()), "{table}");
    let selected = host.poplin(&["get", "endpoints", "-l", "app == 'db'", "-o", "name"]);
    assert_eq!(selected.trim(), "endpoint/db");
}

#[test]
fn a_policy_lets_in_those_it_selects_and_nobody_else() {
    let lab = Lab::new();
    let host = lab.host();
    let web = attached(&lab, &host, "web", &["app=web"]);
    let ci = attached(&lab, &host, "ci", &["app=ci"]);
    let db = attached(&lab, &host, "db", &["app=db"]);
    let (_port, _other) = (db.listen(5432), db.listen(22));
    assert!(ci.connects(db.v4(), 5432), "without a policy everybody is let in");

    host.apply(DB_FOR_WEB);

    until("ci is denied", || !ci.connects(db.v4(), 5432));
    assert!(web.connects(db.v4(), 5432), "web is let in");
    assert!(!web.connects(db.v4(), 22), "web is let in at one port only");
    assert!(!web.reaches(db.v4()), "a policy that names TCP lets no ping in");

    host.poplin(&["delete", "policy", "db"]);

    until("everybody is let in again", || ci.connects(db.v4(), 5432) && web.connects(db.v4(), 22));
}

#[test]
fn a_new_container_is_under_the_policy_from_its_first_packet() {
    let lab = Lab::new();
    let host = lab.host();
    let web = attached(&lab, &host, "web", &["app=web"]);
    host.apply(DB_FOR_WEB);

    let db = attached(&lab, &host, "db", &["app=db"]);
    let ci = attached(&lab, &host, "ci", &["app=ci"]);

    let _port = db.listen(5432);
    assert!(!ci.connects(db.v4(), 5432), "ci is denied");
    assert!(web.connects(db.v4(), 5432), "web is allowed");
}

#[test]
fn an_egress_policy_holds_what_it_selects_back() {
    let lab = Lab::new();
    let host = lab.host();
    let db = attached(&lab, &host, "db", &["tier=data"]);
    let web = attached(&lab, &host, "web", &[]);
    let (_web, _db) = (web.listen(80), db.listen(5432));

    host.apply(
        "{apiVersion: poplin.dev/v1, kind: Policy, metadata: {name: data}, spec: {subject: tier == 'data', egress: []}}",
    );

    until("data asks nobody", || !db.connects(web.v4(), 80));
    assert!(web.connects(db.v4(), 5432), "data still answers");
}

#[test]
fn detach_leaves_nothing_and_gives_the_address_back() {
    let lab = Lab::new();
    let host = lab.host();
    let web = attached(&lab, &host, "web", &[]);
    let address = web.v4();
    assert_eq!(host.links().len(), 1);
    assert!(is_routed(&host, address));

    host.poplin(&["detach", "web"]);

    assert_eq!(host.links(), Vec::<String>::new());
    assert!(!is_routed(&host, address), "{:?}", host.routes());
    assert!(host.get(&["endpoints"]).as_array().is_none_or(Vec::is_empty));
    assert!(!web.namespace().output("ip", &["link", "show", "eth0"]).status.success(), "eth0 is gone");
    assert_eq!(host.status()["blocks"][0]["taken"].as_u64().unwrap_or(0), 0);
    let mut heir = lab.container("heir");
    host.attach_with(&mut heir, &["--ip", &address.to_string()]);
    assert_eq!(heir.v4(), address, "the address is free again for who asks for it");
}

#[test]
fn a_second_life_of_the_namespace_gets_a_second_interface() {
    let lab = Lab::new();
    let host = lab.host();
    let mut web = lab.container("web");

    for _ in 0..3 {
        host.attach(&mut web, &[]);
        assert!(web.reaches("169.254.1.1".parse().expect("an address")), "the gateway answers");
        host.poplin(&["detach", "web"]);
    }

    assert_eq!(host.links(), Vec::<String>::new());
}

#[test]
fn a_wanted_address_is_given_once() {
    let lab = Lab::new();
    let host = lab.host();
    let (mut web, other) = (lab.container("web"), lab.container("other"));

    host.attach_with(&mut web, &["--ip", "10.77.3.9"]);

    assert_eq!(web.v4().to_string(), "10.77.3.9");
    let netns = other.namespace().path().display().to_string();
    let refused = host.try_poplin(&["attach", "--netns", &netns, "--name", "other", "--ip", "10.77.3.9"]);
    assert!(poplin_lab::told(&refused).contains("10.77.3.9 is taken by"), "{refused:?}");
    assert_eq!(host.links().len(), 1);
}

const DB_FOR_WEB: &str = "
apiVersion: poplin.dev/v1
kind: Policy
metadata: {name: db}
spec:
  subject: app == 'db'
  ingress:
  - {action: allow, from: {select: app == 'web'}, ports: [tcp/5432]}
";

fn attached(lab: &Lab, host: &Agent, name: &str, labels: &[&str]) -> Container {
    let mut container = lab.container(name);
    host.attach(&mut container, labels);
    container
}

fn is_routed(host: &Agent, address: IpAddr) -> bool {
    host.routes().iter().any(|route| route.starts_with(&address.to_string()))
}
