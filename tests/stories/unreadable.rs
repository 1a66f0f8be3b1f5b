//! A value in etcd is damaged: it concerns its own object, says so everywhere, and is forgotten once it is mended or deleted.

use poplin_lab::{Agent, Fabric, eventually, told, until};
use serde_json::{Value, json};

#[test]
fn a_damaged_policy_stays_in_force_as_it_was_and_the_rest_goes_on() {
    let mut fabric = Fabric::under_a_tor(1);
    let (web, other, db) = (fabric.container(1, "web"), fabric.container(1, "other"), fabric.container(1, "db"));
    fabric.hosts[0].apply(&db_for("web"));
    let _port = db.listen(5432);
    let is_as_it_was = || web.connects(db.v4(), 5432) && !other.connects(db.v4(), 5432);
    until("the policy is in force", is_as_it_was);

    put(&fabric, POLICY, "{\"apiVersion\":");
    says(&fabric.hosts[0], POLICY);

    let output = fabric.hosts[0].try_poplin(&["status"]);
    assert_eq!(output.status.code(), Some(7));
    assert!(told(&output).contains("its last good form stays in force"), "{}", told(&output));
    assert!(told(&fabric.hosts[0].try_poplin(&["doctor"])).contains("store-unreadable"));
    let metrics = fabric.hosts[0].poplin(&["metrics"]);
    assert!(metrics.contains("poplin_store_unreadable{last_good=\"true\"} 1"), "{metrics}");
    assert!(told(&fabric.hosts[0].try_poplin(&["get", "policies"])).contains(POLICY));
    assert!(is_as_it_was());
    let late = fabric.container(1, "late");
    assert!(late.reaches(web.v4()) && !late.connects(db.v4(), 5432), "others come and meet it");

    fabric.tor.stop_etcd();
    until("the agent notices", || fabric.hosts[0].status()["store"]["connected"] == false);
    fabric.tor.start_etcd();
    until("everything is listed anew", || fabric.hosts[0].status()["store"]["connected"] == true);
    says(&fabric.hosts[0], POLICY);
    assert!(is_as_it_was(), "a listing that cannot read it either changes nothing");

    fabric.hosts[0].apply(&db_for("other"));
    until("it is mended", || unreadable(&fabric.hosts[0]).is_empty());
    until("and counts", || other.connects(db.v4(), 5432) && !web.connects(db.v4(), 5432));
    assert_eq!(fabric.hosts[0].try_poplin(&["status"]).status.code(), Some(0));

    put(&fabric, POLICY, "{}");
    says(&fabric.hosts[0], POLICY);
    fabric.hosts[0].poplin(&["delete", "policy", "db"]);
    until("it is deleted", || unreadable(&fabric.hosts[0]).is_empty() && web.connects(db.v4(), 5432));
}

#[test]
fn damaged_records_of_addresses_stop_neither_who_comes_nor_who_goes() {
    let mut fabric = Fabric::under_a_tor(1);
    let (web, db) = (fabric.container(1, "web"), fabric.container(1, "db"));
    let host = &fabric.hosts[0];
    let block = keys(&fabric, "/poplin/v1/b/containers/").remove(0);
    let endpoint = keys(&fabric, "/poplin/v1/e/").into_iter().find(|key| key.contains("web")).expect("it stands there");
    let good: Vec<(String, String)> = [&block, &endpoint].map(|key| (key.clone(), value(&fabric, key))).into();

    [&block, &endpoint].iter().for_each(|key| put(&fabric, key, "garbage"));
    says(host, &block);
    says(host, &endpoint);

    let mut late = fabric.lab.container("late");
    host.cni_add(&mut late, &json!({"app": "late"}));
    assert!(late.reaches(web.v4()) && late.reaches(db.v4()) && web.reaches(late.v4()));
    host.cni_delete(&db);
    assert_eq!(value(&fabric, &block), "garbage", "what cannot be read is nobody's to write over");
    let output = host.try_poplin(&["ipam", "check"]);
    assert!(told(&output).contains("cannot be read"), "{}", told(&output));

    good.iter().for_each(|(key, value)| put(&fabric, key, value));
    until("all is mended", || unreadable(&fabric.hosts[0]).is_empty());
    let host = &mut fabric.hosts[0];
    let output = host.try_poplin(&["ipam", "check", "--fix"]);
    assert!(output.status.success() || told(&output).contains("freed"), "{}", told(&output));
    eventually("the address of who left is free again", || match host.try_poplin(&["ipam", "check"]) {
        output if output.status.success() => Ok(()),
        output => Err(told(&output)),
    });
    host.cni_delete(&web);
    host.cni_delete(&late);
    until("nothing is left", || host.links().is_empty());
}

const POLICY: &str = "/poplin/v1/c/policy/db";

fn db_for(app: &str) -> String {
    format!(
        "apiVersion: poplin.dev/v1\nkind: Policy\nmetadata: {{name: db}}\nspec: {{subject: app == 'db', ingress: [{{action: allow, from: {{select: app == '{app}'}}}}]}}\n"
    )
}

fn put(fabric: &Fabric, key: &str, value: &str) {
    let output = fabric.tor.etcdctl(&["put", key, "--", value]);
    assert!(output.status.success(), "{}", told(&output));
}

fn keys(fabric: &Fabric, prefix: &str) -> Vec<String> {
    let output = fabric.tor.etcdctl(&["get", prefix, "--prefix", "--keys-only"]);
    told(&output).lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

fn value(fabric: &Fabric, key: &str) -> String {
    told(&fabric.tor.etcdctl(&["get", key, "--print-value-only"])).trim_end().to_owned()
}

/// Waits until the agent says that it cannot read it.
#[track_caller]
fn says(host: &Agent, key: &str) {
    eventually("it is told of", || match unreadable(host) {
        keys if keys.iter().any(|one| one == key) => Ok(()),
        keys => Err(format!("{keys:?}")),
    });
}

fn unreadable(host: &Agent) -> Vec<Value> {
    let objects = host.status()["unreadable"].as_array().cloned().unwrap_or_default();
    objects.iter().map(|one| one["key"].clone()).collect()
}
