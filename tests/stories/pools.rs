//! Pools that change while their addresses are in use.

use poplin_lab::{Container, Fabric, Flow, Pings, told, until};

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

/// The blocks of the pool of IPv4, as the store has them, with their hosts.
fn blocks(fabric: &Fabric) -> Vec<(String, String)> {
    let told = fabric.tor.etcdctl(&["get", "--prefix", "/poplin/v1/b/containers/"]);
    let text = String::from_utf8_lossy(&told.stdout).into_owned();
    let lines: Vec<&str> = text.lines().collect();
    let block = |pair: &[&str]| {
        let cidr = pair[0].rsplit('/').next()?.to_owned();
        let value: serde_json::Value = serde_json::from_str(pair[1]).ok()?;
        Some((cidr, value["host"].as_str()?.to_owned()))
    };
    lines.chunks(2).filter_map(block).collect()
}

fn is_sound(fabric: &Fabric) -> bool {
    fabric.hosts[0].try_poplin(&["ipam", "check"]).status.success()
}

#[test]
fn blocks_change_their_size_beneath_containers_that_go_on() {
    let fabric = Fabric::under_a_tor(2);
    let mut first: Vec<Container> = ["a", "b", "c"].iter().map(|name| attach(&fabric, 0, name)).collect();
    let far = attach(&fabric, 1, "far");
    until("they reach one another", || first[0].reaches(far.v4()) && far.reaches(first[2].v4()));
    let flow = Flow::open(&far, &first[0], first[0].v4(), 80);
    let pings = Pings::start(fabric.lab.directory(), &far, first[0].v4(), 600);
    let addresses: Vec<_> = first.iter().map(Container::v4).collect();
    let resize = |size: &str, more: &[&str]| {
        fabric.hosts[1].try_poplin(&[&["pool", "resize", "containers", "--block-size", size], more].concat())
    };

    let planned = told(&resize("31", &["--plan"]));
    for part in
        ["1. disable pool containers", "exchange 10.77.", "write blocks of /31 into pool containers, and enable it"]
    {
        assert!(planned.contains(part), "{part:?} is not in {planned}");
    }
    assert!(blocks(&fabric).iter().all(|(cidr, _)| cidr.ends_with("-26")), "a plan does nothing");
    let refused = told(&fabric.hosts[0].try_apply(
        "{apiVersion: poplin.dev/v1, kind: Pool, metadata: {name: containers}, spec: {cidr: 10.77.0.0/16, blockSize: 31}}",
    ));
    assert!(refused.contains("poplin pool resize containers --block-size 31"), "{refused}");

    let split = resize("31", &[]);
    assert!(split.status.success(), "{}", told(&split));
    assert!(blocks(&fabric).len() > 2 && blocks(&fabric).iter().all(|(cidr, _)| cidr.ends_with("-31")));
    assert_eq!(fabric.hosts[0].get(&["pool", "containers"])["spec"]["disabled"], serde_json::Value::Null);
    assert!(is_sound(&fabric));
    first.push(attach(&fabric, 0, "d"));
    until("who came since is reached, too", || far.reaches(first[3].v4()));

    let joined = resize("24", &[]);
    assert!(joined.status.success(), "{}", told(&joined));
    assert!(blocks(&fabric).iter().all(|(cidr, _)| cidr.ends_with("-24")));
    assert!(is_sound(&fabric));
    assert!(told(&resize("24", &[])).contains("of /24 already"));

    assert_eq!(first.iter().take(3).map(Container::v4).collect::<Vec<_>>(), addresses);
    flow.goes_on();
    assert_eq!(pings.lost(), 0);
    flow.end().expect("the TCP flow never breaks");
    until("the ToR knows the blocks as they are", || {
        let routes = fabric.tor.ask("show route");
        blocks(&fabric).iter().all(|(cidr, _)| routes.contains(&cidr.replace('-', "/"))) && !routes.contains("/31 ")
    });
}

#[test]
fn who_resizes_may_be_ended_anywhere_and_whoever_comes_next_goes_on() {
    let mut fabric = Fabric::meshed(2);
    let containers: Vec<Container> = ["a", "b", "c", "d"].iter().map(|name| attach(&fabric, 0, name)).collect();
    let far = attach(&fabric, 1, "far");
    until("all reach one another", || containers.iter().all(|one| far.reaches(one.v4())));
    let resize = |fabric: &Fabric, host: usize| {
        fabric.hosts[host].start_poplin("resize", &["pool", "resize", "containers", "--block-size", "32"])
    };

    let mut begun = resize(&fabric, 0);
    until("it has begun", || begun.said().contains("done: disable pool containers"));
    begun.kill();
    fabric.hosts[0].kill();
    fabric.hosts[0].start();

    let planned = fabric.hosts[1].poplin(&["pool", "resize", "containers", "--block-size", "32", "--plan"]);
    let rest = fabric.hosts[1].poplin(&["pool", "resize", "containers", "--block-size", "32"]);
    assert!(!planned.contains("disable pool"), "that was done: {planned}");
    assert!(rest.ends_with("enable it\n") || rest.contains("already"), "{rest}");
    assert!(blocks(&fabric).iter().all(|(cidr, _)| cidr.ends_with("-32")));
    assert_eq!(fabric.hosts[1].get(&["pool", "containers"])["spec"]["disabled"], serde_json::Value::Null);
    until("all reach one another as before", || containers.iter().all(|one| far.reaches(one.v4())));
    assert!(is_sound(&fabric));

    // What somebody disabled stays so.
    fabric.hosts[0].apply(
        "{apiVersion: poplin.dev/v1, kind: Pool, metadata: {name: containers}, spec: {cidr: 10.77.0.0/16, blockSize: 32, disabled: true}}",
    );
    let told = fabric.hosts[0].poplin(&["pool", "resize", "containers", "--block-size", "26"]);
    assert!(told.contains("it stays disabled"), "{told}");
    assert_eq!(fabric.hosts[1].get(&["pool", "containers"])["spec"]["disabled"], true);
}
