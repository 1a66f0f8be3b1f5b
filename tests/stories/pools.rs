//! Pools that change while their addresses are in use.

use poplin_lab::{Container, Fabric, told, until};

fn endpoint(fabric: &Fabric, name: &str) -> String {
    let address = fabric.hosts[0].get(&["endpoint", name])["spec"]["addresses"][0].clone();
    address.as_str().expect("an endpoint has an address").to_owned()
}

fn attach(fabric: &Fabric, host: usize, name: &str) -> Container {
    let mut container = fabric.lab.container(name);
    fabric.hosts[host].attach_with(&mut container, &["--label", &format!("app={name}")]);
    container
}

#[test]
fn another_range_takes_over_while_containers_run_and_the_old_one_goes_with_the_last() {
    let fabric = Fabric::meshed(2);
    let (mut web, db) = (attach(&fabric, 0, "web"), attach(&fabric, 1, "db"));
    until("they reach one another", || web.reaches(db.v4()) && db.reaches(web.v6()));
    let migrate = |more: &[&str]| {
        fabric.hosts[1].try_poplin(&[&["pool", "migrate", "containers", "--to", "10.80.0.0/16"], more].concat())
    };

    let planned = told(&migrate(&["--plan"]));
    for part in [
        "1. make pool containers-10-80-0-0-16: 10.80.0.0/16, else as the old one",
        "2. disable pool containers",
        "3. wait until 2 endpoints are attached anew",
        "4. delete pool containers",
    ] {
        assert!(planned.contains(part), "{part:?} is not in {planned}");
    }
    assert!(endpoint(&fabric, "web").starts_with("10.77."), "a plan does nothing");

    let begun = migrate(&[]);
    assert_eq!(begun.status.code(), Some(1), "two are left: {}", told(&begun));
    assert!(told(&begun).contains("web") && told(&begun).contains("h2"), "{}", told(&begun));
    assert!(web.reaches(db.v4()) && db.reaches(web.v6()), "what runs has its addresses");
    let fresh = attach(&fabric, 0, "fresh");
    assert!(fresh.v4().to_string().starts_with("10.80."));
    until("old and new reach one another", || fresh.reaches(db.v4()) && db.reaches(fresh.v4()));

    // Somebody ends the one who waits, and waits again.
    let mut waiting =
        fabric.hosts[0].start_poplin("waiting", &["pool", "migrate", "containers", "--to", "10.80.0.0/16", "--wait"]);
    until("it tells who is left", || waiting.said().contains("2 endpoints have addresses of containers"));
    waiting.kill();
    let waiting =
        fabric.hosts[0].start_poplin("again", &["pool", "migrate", "containers", "--to", "10.80.0.0/16", "--wait"]);
    fabric.hosts[0].poplin(&["detach", "web"]);
    until("it tells that one is left", || waiting.said().contains("1 endpoints have addresses of containers"));
    fabric.hosts[0].attach_with(&mut web, &["--label", "app=web"]);
    assert!(web.v4().to_string().starts_with("10.80."));
    fabric.hosts[1].poplin(&["detach", "db"]);
    until("the old pool is gone", || waiting.said().contains("pool containers deleted"));

    assert!(migrate(&[]).status.success(), "there is nothing left to do");
    let pools = fabric.hosts[0].poplin(&["get", "pools", "-o", "name"]);
    assert_eq!(pools, "pool/containers-10-80-0-0-16\npool/containers-v6\n");
    assert!(fabric.hosts[0].poplin(&["ipam", "check"]).ends_with("0 wrong\n"));
    until("all is as it was, elsewhere", || web.reaches(fresh.v4()));
}
