//! Addresses that operators can trust: who has which is told, what is lost is found, and only who holds it frees it.

use poplin_lab::{Agent, Fabric, Lab, told, until};
use serde_json::Value;

#[test]
fn everything_is_accounted_for_and_nothing_in_use_is_released() {
    let fabric = Fabric::meshed(2);
    let (web, db) = (fabric.container(1, "web"), fabric.container(2, "db"));
    let name = endpoint_of(&fabric.hosts[1], &db.v4().to_string());

    let shown = json(&fabric.hosts[0], &["ipam", "show", "-o", "json"]);
    let one = fabric.hosts[0].poplin(&["ipam", "show", &db.v4().to_string()]);
    let yaml = fabric.hosts[0].poplin(&["ipam", "show", &web.v6().to_string(), "-o", "yaml"]);

    let containers = &shown["pools"][0];
    assert_eq!(
        (&containers["name"], &containers["used"], &containers["blocks"]),
        (&"containers".into(), &2.into(), &2.into())
    );
    assert_eq!(containers["free"], (1 << 16) - 2);
    assert_eq!(shown["hosts"].as_array().map(Vec::len), Some(4), "two hosts and two pools");
    for part in
        [&format!("{}: taken", db.v4()), &name, "host       h2", "since      20", "attachment db/eth0", "of host h2"]
    {
        assert!(one.contains(part), "{part:?} is not in {one}");
    }
    assert!(yaml.contains("state: taken") && yaml.contains("host: h1"), "{yaml}");
    for host in &fabric.hosts {
        assert!(host.poplin(&["ipam", "check"]).ends_with("2 pools, 4 blocks, 2 endpoints: 0 wrong\n"));
        let refused = host.try_poplin(&["ipam", "release", &db.v4().to_string()]);
        let words = told(&refused);
        assert!(
            !refused.status.success() && words.contains(&format!("endpoint {name} on host h2 has {}", db.v4())),
            "{words}"
        );
        assert!(words.contains(&format!("try: detach it on host h2: poplin detach {name}")), "{words}");
    }
    until("web reaches db", || web.reaches(db.v4()));
}

#[test]
fn what_leaked_is_found_by_all_and_freed_by_who_holds_it() {
    let fabric = Fabric::meshed(2);
    let (web, db) = (fabric.container(1, "web"), fabric.container(2, "db"));
    let name = endpoint_of(&fabric.hosts[1], &db.v4().to_string());

    // Somebody takes an endpoint out of the store with his own hands; its host clears the link away.
    assert!(fabric.tor.etcdctl(&["del", &format!("/poplin/v1/e/{name}")]).status.success());
    until("the link is gone", || fabric.hosts[1].links().is_empty());

    let leaks = fabric.hosts[0].try_poplin(&["ipam", "leaks"]);
    let words = told(&leaks);
    assert_eq!(leaks.status.code(), Some(1));
    assert!(
        words.contains(&format!("LEAKED: {} is taken by db/eth0, and there is no such endpoint", db.v4())),
        "{words}"
    );
    assert!(words.contains("try: on host h2: poplin ipam check --fix"), "{words}");
    let elsewhere = fabric.hosts[0].try_poplin(&["ipam", "check", "--fix"]);
    assert!(
        elsewhere.status.code() == Some(1) && told(&elsewhere).contains("2 wrong, 0 mended"),
        "{}",
        told(&elsewhere)
    );
    let released = fabric.hosts[0].try_poplin(&["ipam", "release", &db.v4().to_string()]);
    assert!(told(&released).contains("only that host can know"), "{}", told(&released));

    let mended = fabric.hosts[1].poplin(&["ipam", "check", "--fix"]);

    assert!(
        mended.contains(&format!("mended: {} is freed", db.v4())) && mended.ends_with("0 wrong, 2 mended\n"),
        "{mended}"
    );
    assert!(fabric.hosts[0].poplin(&["ipam", "check"]).ends_with("0 wrong\n"));
    assert_eq!(
        json(&fabric.hosts[0], &["ipam", "show", &web.v4().to_string(), "-o", "json"])["address"]["state"],
        "taken"
    );
}

#[test]
fn an_endpoint_whose_container_is_gone_is_found_by_its_host_and_cleared_away() {
    let lab = Lab::new();
    let host = lab.host();
    let (mut web, mut db) = (lab.container("web"), lab.container("db"));
    host.attach(&mut web, &[]);
    host.attach(&mut db, &[]);
    let link = host.get(&["endpoint", "web"])["spec"]["interface"].as_str().map(str::to_owned).expect("it has a link");

    host.ip(&format!("link del {link}"));

    until("it is found", || !host.try_poplin(&["ipam", "leaks"]).status.success());
    let found = told(&host.try_poplin(&["ipam", "check"]));
    assert!(found.contains(&format!("UNWIRED: endpoint web on this host has no interface {link} any more")), "{found}");
    assert!(found.contains("--fix would do: endpoint web is detached, its addresses are freed"), "{found}");
    host.poplin(&["ipam", "check", "--fix"]);
    assert!(host.poplin(&["ipam", "check"]).ends_with("1 pools, 1 blocks, 1 endpoints: 0 wrong\n"));
    let address = web.v4().to_string();
    assert_eq!(json(&host, &["ipam", "show", &address, "-o", "json"])["address"]["state"], "cooling");
    assert_eq!(host.poplin(&["ipam", "release", &address]), format!("{address} rests no more\n"));
    assert_eq!(host.poplin(&["ipam", "release", &address]), format!("{address} is free already\n"));
}

#[test]
fn a_sticky_address_follows_its_name_to_another_host_until_it_is_released() {
    let fabric = Fabric::meshed(2);
    let peer = fabric.container(1, "peer");
    let (mut first, second) = (fabric.lab.container("db"), fabric.lab.container("second"));

    fabric.hosts[0].attach_with(&mut first, &["--sticky"]);
    fabric.hosts[0].poplin(&["detach", "db"]);
    let netns = second.namespace().path().display().to_string();
    fabric.hosts[1].poplin(&["attach", "--netns", &netns, "--name", "db", "--sticky"]);

    let (address, had) = (first.v4().to_string(), &fabric.hosts[1].get(&["endpoint", "db"])["spec"]["addresses"]);
    assert_eq!((&had[0], &had[1]), (&format!("{address}/32").into(), &format!("{}/128", first.v6()).into()));
    until("it is reached at its new place", || peer.reaches(first.v4()) && peer.reaches(first.v6()));
    fabric.hosts[1].poplin(&["detach", "db"]);
    let kept = fabric.hosts[0].poplin(&["ipam", "show", &address]);
    assert!(kept.starts_with(&format!("{address}: kept\n  kept for   db\n")), "{kept}");
    let done = fabric.hosts[1].poplin(&["ipam", "release", &address]);
    assert_eq!(done, format!("{address} is not kept for endpoint db any more\n"));
}

#[test]
fn a_pools_bounds_hold_from_the_next_attachment_on() {
    let lab = Lab::new();
    let host = lab.host();
    let (mut web, mut db, other) = (lab.container("web"), lab.container("db"), lab.container("other"));
    host.attach(&mut web, &[]);

    host.apply(&pool("reserved: [10.77.0.0/17, 10.77.128.0-10.77.255.250]"));
    host.attach(&mut db, &[]);

    let last =
        |address: std::net::IpAddr| address.to_string().rsplit('.').next().and_then(|last| last.parse::<u8>().ok());
    assert!(db.v4().to_string().starts_with("10.77.255.") && last(db.v4()) > Some(250), "{}", db.v4());
    assert!(web.reaches(db.v4()), "who has a reserved address keeps it");
    host.apply(&pool("manual: true"));
    let netns = other.namespace().path().display().to_string();
    let refused = host.try_poplin(&["attach", "--netns", &netns, "--name", "other"]);
    assert!(told(&refused).contains("no enabled pool admits host h1"), "{}", told(&refused));
    host.poplin(&["attach", "--netns", &netns, "--name", "other", "--pool", "default"]);
    let wrong = host.try_apply(&pool("reserved: [10.78.0.1], maxBlocksPerHost: 0"));
    let words = told(&wrong);
    assert!(words.contains("spec.reserved[0]: 10.78.0.1 is not inside 10.77.0.0/16"), "{words}");
    assert!(words.contains("spec.maxBlocksPerHost: 0 is below 1"), "{words}");
}

fn pool(spec: &str) -> String {
    format!(
        "{{apiVersion: poplin.dev/v1, kind: Pool, metadata: {{name: default}}, spec: {{cidr: 10.77.0.0/16, {spec}}}}}"
    )
}

fn json(host: &Agent, arguments: &[&str]) -> Value {
    serde_json::from_str(&host.poplin(arguments)).expect("-o json is JSON")
}

/// The name of the endpoint that has an address.
fn endpoint_of(host: &Agent, address: &str) -> String {
    let shown = json(host, &["ipam", "show", address, "-o", "json"]);
    shown["address"]["endpoint"].as_str().map(str::to_owned).expect("an endpoint has it")
}
