//! Endpoints inherit from the profiles they name, however they were attached.

use poplin_lab::{Agent, Container, Lab, eventually, until};
use serde_json::json;

const CARDS: &str = "
{apiVersion: poplin.dev/v1, kind: Profile, metadata: {name: pci}, spec: {endpointLabels: {zone: cards}}}
---
apiVersion: poplin.dev/v1
kind: Policy
metadata: {name: cards}
spec: {subject: zone == 'cards', ingress: [{action: allow, from: {select: has(poplin.dev/profile.pci)}}]}
";

/// `web` and `db` name the profile, the one by the command line and the other by CNI; `other` names none.
fn room(lab: &Lab) -> (Agent, [Container; 3]) {
    let host = lab.host();
    let [mut web, mut db, mut other] = ["web", "db", "other"].map(|name| lab.container(name));
    host.attach_with(&mut web, &["--profile", "pci"]);
    host.cni_add_with(&mut db, &json!({"labels": {"app": "db"}, "profiles": ["pci"]}));
    host.attach(&mut other, &["app=other"]);
    (host, [web, db, other])
}

#[test]
fn labels_of_a_profile_are_those_of_who_names_it_for_as_long_as_it_says_so() {
    let lab = Lab::new();
    let (host, [web, db, other]) = room(&lab);
    assert!(other.reaches(db.v4()), "a profile that nobody declared says nothing");

    host.apply(CARDS);
    until("who names it is governed", || !other.reaches(db.v4()) && !other.reaches(web.v4()));
    assert!(web.reaches(db.v4()) && db.reaches(web.v4()) && db.reaches(other.v4()));

    let renamed =
        "{apiVersion: poplin.dev/v1, kind: Profile, metadata: {name: pci}, spec: {endpointLabels: {zone: dmz}}}";
    let file = lab.directory().join("profile.yaml").display().to_string();
    std::fs::write(&file, renamed).expect("the laboratory's directory can be written to");
    let told = host.try_poplin(&["diff", "-f", &file]);
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    assert!(told.contains("allowed now: other, anywhere outside -> h1-db, web"), "{told}");
    host.apply(renamed);
    until("its labels are others'", || other.reaches(db.v4()));

    host.apply(CARDS);
    until("they are back", || !other.reaches(db.v4()));
    host.poplin(&["delete", "profile", "pci"]);
    until("they go with it", || other.reaches(db.v4()) && other.reaches(web.v4()));
}

#[test]
fn profiles_outlive_the_agent_and_the_store() {
    let lab = Lab::new();
    let (mut host, [_web, db, other]) = room(&lab);
    host.apply(CARDS);
    until("it is governed", || !other.reaches(db.v4()));

    host.kill();
    host.start();
    assert!(!other.reaches(db.v4()));
    let exported = host.poplin(&["export", "--all"]);

    assert!(exported.contains("zone: cards"), "{exported}");
    let names_it = |endpoint: &&str| endpoint.contains(r#"\"profiles\":[\"pci\"]"#);
    let records = exported.lines().filter(|line| line.contains(r#""name":"e/"#));
    assert_eq!(records.filter(names_it).count(), 2, "{exported}");
}

#[test]
fn who_names_a_profile_may_serve() {
    let lab = Lab::new();
    let (host, [_web, db, _other]) = room(&lab);
    host.apply(CARDS);
    host.apply(
        "{apiVersion: poplin.dev/v1, kind: Service, metadata: {name: cards}, \
         spec: {addresses: [198.51.100.7], endpoints: \"zone == 'cards' && app == 'db'\", health: {port: 53}}}",
    );
    let _port = db.listen(53);

    eventually("the service has found it", || {
        let said = host.poplin(&["get", "services", "-o", "yaml"]);
        if said.contains("db") { Ok(()) } else { Err(said) }
    });
}

#[test]
fn a_profile_of_calico_allows_what_it_says_and_denies_the_rest() {
    let lab = Lab::new();
    let (host, [web, db, other]) = room(&lab);
    let _ports = [db.listen(80), db.listen(81)];

    host.apply(
        "{apiVersion: projectcalico.org/v3, kind: Profile, metadata: {name: pci}, spec: {ingress: [{action: Allow, \
         protocol: TCP, source: {selector: app == 'other'}, destination: {ports: [80]}}], egress: [{action: Allow}]}}",
    );

    until("the rest is denied", || !other.connects(db.v4(), 81));
    assert!(other.connects(db.v4(), 80) && !web.connects(db.v4(), 80) && db.reaches(other.v4()));
    host.apply(
        "{apiVersion: poplin.dev/v1, kind: Policy, metadata: {name: db}, spec: {subject: app == 'db', \
         ingress: [{action: allow, ports: [tcp/81]}]}}",
    );
    until("a policy is asked before it", || other.connects(db.v4(), 81) && !other.connects(db.v4(), 80));
}
