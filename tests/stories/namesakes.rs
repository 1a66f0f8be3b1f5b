//! Which machine a host's name is: two machines of one name, a machine at another address, and one that is renamed.

use poplin_lab::{Agent, Fabric, Pings, eventually, told, until};
use serde_json::{Value, json};

#[test]
fn the_second_machine_of_a_name_does_nothing_until_the_first_is_gone() {
    let mut fabric = Fabric::under_a_tor(2);
    let (web, db) = (fabric.container(1, "web"), fabric.container(2, "db"));
    until("db answers", || web.reaches(db.v4()) && web.reaches(db.v6()));
    let pings = Pings::start(fabric.lab.directory(), &web, db.v4(), 200);
    let mut copy = fabric.tor.host(&fabric.lab, 3).called("h1");
    let mut late = fabric.lab.container("late");

    copy.launch();
    let status = eventually("it notices", || conflict_of(&copy));
    assert!(status.contains("the name h1 is that of another machine") && status.contains("at 172.31.1.2"), "{status}");
    let refused =
        copy.try_poplin(&["attach", "--netns", &late.namespace().path().display().to_string(), "--name", "late"]);
    assert!(!refused.status.success() && told(&refused).contains("another machine"), "{}", told(&refused));
    assert_eq!(copy.try_poplin(&["status"]).status.code(), Some(7));
    assert!(told(&copy.try_poplin(&["doctor"])).contains("name-conflict"));
    assert_eq!(pings.lost(), 0, "whoever was there first goes on");
    assert_eq!(fabric.hosts[0].status()["endpoints"], json!(1));

    fabric.hosts[0].cni_delete(&web);
    fabric.hosts[0].kill();
    fabric.hosts[1].poplin(&["host", "remove", "h1", "--gone"]);
    copy.until_ready();
    copy.attach(&mut late, &[]);
    assert_eq!(copy.poplin(&["ipam", "check"]), fabric.hosts[1].poplin(&["ipam", "check"]));
}

#[test]
fn a_machine_at_another_address_goes_on_as_the_host_it_was() {
    let mut fabric = Fabric::meshed(2);
    let (web, db) = (fabric.container(1, "web"), fabric.container(2, "db"));
    until("db answers", || web.reaches(db.v4()) && web.reaches(db.v6()));

    fabric.hosts[0].kill();
    let inside = fabric.hosts[0].namespace();
    inside.run("ip", &["address", "del", "172.30.0.1/24", "dev", "uplink"]);
    inside.run("ip", &["address", "add", "172.30.0.77/24", "dev", "uplink"]);
    inside.run("ip", &["route", "replace", "default", "via", "172.30.0.254"]);
    fabric.hosts[0].start();

    fabric.until_established(1);
    until("db answers, both ways", || web.reaches(db.v4()) && db.reaches(web.v4()) && web.reaches(db.v6()));
    let record = fabric.hosts[1].get(&["host", "h1"]);
    assert_eq!(record["spec"]["addresses"][0], "172.30.0.77", "{record}");
    assert_eq!(fabric.hosts[0].status()["endpoints"], json!(1));
}

#[test]
fn a_machine_that_is_renamed_keeps_its_containers() {
    let mut fabric = Fabric::under_a_tor(2);
    let (web, db) = (fabric.container(1, "web"), fabric.container(2, "db"));
    until("db answers", || web.reaches(db.v4()) && web.reaches(db.v6()));
    let pings = [db.v4(), db.v6()].map(|address| Pings::start(fabric.lab.directory(), &web, address, 400));

    let mut host = fabric.hosts.remove(0);
    host.kill();
    let mut host = host.called("h9");
    host.launch();
    let status = eventually("it notices", || conflict_of(&host));
    assert!(status.contains("poplin host rename h1 h9"), "{status}");
    let alive = fabric.hosts[0].try_poplin(&["host", "rename", "h2", "h8"]);
    assert!(!alive.status.success() && told(&alive).contains("answers this very call"), "{}", told(&alive));
    let taken = host.try_poplin(&["host", "rename", "h1", "h2"]);
    assert!(!taken.status.success() && told(&taken).contains("there is a host h2 already"), "{}", told(&taken));
    let done = host.poplin(&["host", "rename", "h1", "h9"]);
    assert!(done.contains("host h1 is h9: 1 endpoints and 2 blocks came along"), "{done}");

    host.until_ready();
    host.until_established(1);
    assert_eq!(pings.map(Pings::lost), [0, 0]);
    let hosts: Vec<Value> =
        ["h9", "h2"].iter().map(|name| host.get(&["host", name])["metadata"]["name"].clone()).collect();
    assert_eq!(hosts, ["h9", "h2"]);
    assert!(!host.try_poplin(&["get", "host", "h1"]).status.success());
    assert_eq!(host.get(&["endpoint", "h1-web"])["spec"]["host"], "h9");
    host.cni_delete(&web);
    assert!(web.namespace().output("ip", &["link", "show", "eth0"]).status.code() != Some(0));
}

/// Why a host does nothing, if it says so.
fn conflict_of(host: &Agent) -> Result<String, String> {
    let status = host.status();
    match status["nameConflict"].as_str() {
        Some(text) if !text.is_empty() => Ok(text.to_owned()),
        _ => Err(format!("{status}\n{}", host.said())),
    }
}
