//! etcd is away, and the agent dies: the next life goes on by what the last one knew, and makes up for it once etcd is back.

use poplin_lab::{Fabric, Pings, eventually, told, until};
use serde_json::Value;

#[test]
fn an_agent_that_starts_while_etcd_is_away_enforces_what_it_knew_and_lets_containers_go() {
    let mut fabric = Fabric::under_a_tor(2);
    let (web, other, db) = (fabric.container(1, "web"), fabric.container(2, "other"), fabric.container(1, "db"));
    let _port = db.listen(5432);
    fabric.hosts[0].apply(DB_FOR_WEB);
    let is_enforced = || web.connects(db.v4(), 5432) && !other.connects(db.v4(), 5432);
    until("the policy is in force", is_enforced);
    until("hosts reach one another", || web.reaches(other.v4()) && other.reaches(web.v6()));
    let mut pings = Pings::start(fabric.lab.directory(), &web, other.v4(), 400);
    let before = fabric.hosts[0].routes();

    fabric.tor.stop_etcd();
    fabric.hosts[0].kill();
    fabric.hosts[0].launch();

    let status = eventually("it lives from its memory", || match fabric.hosts[0].status() {
        status if status["store"]["fromMemory"] == true => Ok(status),
        status => Err(format!("{}\n{}", status, fabric.hosts[0].said())),
    });
    assert_eq!((&status["store"]["connected"], &status["endpoints"]), (&Value::Bool(false), &2.into()), "{status}");
    let output = fabric.hosts[0].try_poplin(&["status"]);
    assert_eq!(output.status.code(), Some(7));
    let words = told(&output);
    assert!(words.contains("lives from what it knew of the store") && words.contains(" ago, at revision "), "{words}");
    assert!(told(&fabric.hosts[0].try_poplin(&["doctor"])).contains("store-memory"));
    fabric.hosts[0].until_established(1);
    assert!(is_enforced());
    assert!(pings.are_running(), "the pings outlast it");
    assert_eq!(pings.lost(), 0);
    assert_eq!(fabric.hosts[0].routes(), before);

    fabric.hosts[0].cni_delete(&web);
    assert_eq!(fabric.hosts[0].links().len(), 1, "who leaves is gone from the kernel");
    fabric.hosts[0].cni_delete(&web);
    let late = fabric.lab.container("late");
    let output = fabric.hosts[0].cni("ADD", &late, &Value::Null);
    assert!(told(&output).contains("\"code\":11"), "{}", told(&output));

    fabric.hosts[0].kill();
    fabric.hosts[0].launch();
    until("it still knows who left", || fabric.hosts[0].status()["store"]["owed"] == 1);
    assert_eq!(fabric.hosts[0].links().len(), 1);

    fabric.tor.start_etcd();
    until("the store is read", || fabric.hosts[0].status()["store"]["connected"] == true);
    until("the store was told", || {
        let store = fabric.hosts[0].status()["store"].clone();
        store["owed"].as_u64().unwrap_or_default() == 0 && store["fromMemory"] != true
    });
    nothing_is_leaked(&fabric);
    let mut again = fabric.lab.container("again");
    fabric.hosts[0].cni_add(&mut again, &serde_json::json!({"app": "web"}));
    until("who comes meets the policy", || again.connects(db.v4(), 5432));
    nothing_is_leaked(&fabric);
}

#[test]
fn who_joins_while_etcd_is_away_is_reached_and_told_of_when_it_is_back() {
    let mut fabric = Fabric::under_a_tor(2);
    let (db, far) = (fabric.container(1, "db"), fabric.container(2, "far"));
    let _port = db.listen(5432);
    until("hosts reach one another", || db.reaches(far.v4()) && far.reaches(db.v6()));
    fabric.hosts[0].apply(DB_FOR_WEB);
    until("db is closed to others", || !far.connects(db.v4(), 5432));

    fabric.tor.stop_etcd();
    until("it is missed", || fabric.hosts[0].status()["store"]["connected"] != true);
    let (web, leaves) = (fabric.container(1, "web"), fabric.container(1, "leaves"));
    assert!(web.connects(db.v4(), 5432) && web.connects(db.v6(), 5432), "the policy knows it");
    assert!(!leaves.connects(db.v4(), 5432), "and who it is not for");
    assert!(web.reaches(far.v4()) && far.reaches(web.v6()), "hosts elsewhere reach it by the block");
    assert_eq!(fabric.hosts[0].status()["store"]["untold"], 2);
    fabric.hosts[0].cni_delete(&leaves);
    let mut wants = fabric.lab.container("wants");
    let elsewhere = serde_json::json!({"args": {"cni": {"ips": ["10.77.200.1"]}}});
    assert!(!fabric.hosts[0].cni_with("ADD", &wants, &elsewhere).status.success(), "another host may have given it");

    let flow = Pings::start(fabric.lab.directory(), &web, far.v4(), 300);
    fabric.hosts[0].kill();
    fabric.hosts[0].launch();
    until("it is as before", || web.connects(db.v4(), 5432) && web.connects(db.v6(), 5432));
    assert_eq!(flow.lost(), 0);

    fabric.tor.start_etcd();
    until("the store is told", || {
        let store = fabric.hosts[0].status()["store"].clone();
        store["connected"] == true && store["untold"].as_u64().unwrap_or_default() == 0
    });
    nothing_is_leaked(&fabric);
    let known = eventually("the other host knows it", || {
        match fabric.hosts[1].try_poplin(&["get", "endpoint", "h1-web", "-o", "json"]) {
            output if output.status.success() => Ok(told(&output)),
            output => Err(told(&output)),
        }
    });
    assert!(known.contains(&web.v4().to_string()), "{known}");
    assert!(!fabric.hosts[1].try_poplin(&["get", "endpoint", "h1-leaves"]).status.success());
    fabric.hosts[0].cni_add(&mut wants, &serde_json::json!({}));
    assert!(web.connects(db.v4(), 5432) && web.reaches(far.v4()) && wants.reaches(web.v4()));
}

#[test]
fn an_agent_that_is_killed_right_after_an_attachment_while_etcd_goes_away_keeps_its_link() {
    let mut fabric = Fabric::under_a_tor(1);
    let mut all = Vec::new();
    for round in 0..3 {
        all.push(fabric.container(1, &format!("c{round}")));
        fabric.tor.stop_etcd();
        fabric.hosts[0].kill();
        fabric.hosts[0].launch();
        until("it lives from its memory", || fabric.hosts[0].status()["store"]["fromMemory"] == true);
        assert_eq!(fabric.hosts[0].links().len(), round + 1);

        fabric.tor.start_etcd();
        until("the store is read", || fabric.hosts[0].status()["store"]["connected"] == true);
        until("all reach the switch", || all.iter().all(|one| one.reaches("172.31.1.1".parse().expect("an address"))));
    }
    nothing_is_leaked(&fabric);
}

#[test]
fn a_damaged_memory_is_put_aside_and_a_damaged_value_is_known_from_it() {
    let mut fabric = Fabric::under_a_tor(1);
    let (web, other, db) = (fabric.container(1, "web"), fabric.container(1, "other"), fabric.container(1, "db"));
    let _port = db.listen(5432);
    fabric.hosts[0].apply(DB_FOR_WEB);
    let is_enforced = || web.connects(db.v4(), 5432) && !other.connects(db.v4(), 5432);
    until("the policy is in force", is_enforced);
    let output = fabric.tor.etcdctl(&["put", "/poplin/v1/c/policy/db", "garbage"]);
    assert!(output.status.success());
    until("it is told of", || fabric.hosts[0].status()["unreadable"][0]["lastGoodInForce"] == true);

    fabric.hosts[0].kill();
    fabric.hosts[0].start();
    let known = |fabric: &Fabric| fabric.hosts[0].status()["unreadable"][0]["lastGoodInForce"].clone();
    until("the next life has its last good form", || known(&fabric) == true);
    assert!(is_enforced(), "a policy that cannot be read any more is still known");

    fabric.hosts[0].kill();
    let memory = fabric.lab.directory().join("h1-data/known-h1.redb");
    std::fs::write(&memory, vec![0xa5; 1 << 20]).expect("the file is there");
    fabric.hosts[0].start();
    until("nothing is known of it now", || {
        fabric.hosts[0].status()["unreadable"][0]["key"].is_string() && known(&fabric) != true
    });
    assert!(fabric.hosts[0].said().contains("is damaged and not used"), "{}", fabric.hosts[0].said());
    until("so it closes", || !web.connects(db.v4(), 5432) && !web.reaches(other.v4()));

    fabric.hosts[0].apply(DB_FOR_WEB);
    until("mended, it opens", || web.reaches(other.v4()) && is_enforced());
}

#[track_caller]
fn nothing_is_leaked(fabric: &Fabric) {
    eventually("addresses are all accounted for", || match fabric.hosts[0].try_poplin(&["ipam", "check"]) {
        output if output.status.success() => Ok(()),
        output => Err(told(&output)),
    });
}

const DB_FOR_WEB: &str = "
apiVersion: poplin.dev/v1
kind: Policy
metadata: {name: db}
spec: {subject: app == 'db', ingress: [{action: allow, from: {select: app == 'web'}}]}
";
