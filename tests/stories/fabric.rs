//! Hosts under a ToR switch that speaks BGP: a block each, and every packet between hosts passes the switch.

use std::collections::BTreeSet;

use poplin_lab::{Agent, Fabric, eventually, until};

#[test]
fn containers_of_two_hosts_talk_through_the_tor_in_both_families() {
    let fabric = Fabric::under_a_tor(2);

    let (web, db) = (fabric.container(1, "web"), fabric.container(2, "db"));

    for address in [db.v4(), db.v6()] {
        let pong = eventually("db answers", || match web.ping(address) {
            pong if pong.contains(" 1 received") => Ok(pong),
            pong => Err(pong),
        });
        assert!(pong.contains("ttl=61"), "an answer passes db's host, the ToR and web's host: {pong}");
    }
    let _listener = db.listen(5432);
    assert!(web.connects(db.v4(), 5432) && web.connects(db.v6(), 5432));
}

#[test]
fn the_tor_learns_the_blocks_and_no_single_address() {
    let mut fabric = Fabric::under_a_tor(3);

    let _containers = [fabric.container(1, "a"), fabric.container(2, "b"), fabric.container(2, "c")];

    let blocks = blocks_of(&fabric.hosts);
    assert_eq!(blocks.len(), 4, "two hosts, two families: {blocks:?}");
    let bird = fabric.tor.bird();
    eventually("the ToR knows the blocks", || match bird.learned() {
        learned if learned == blocks => Ok(()),
        learned => Err(format!("{learned:?}")),
    });
    let other = &fabric.hosts[2];
    eventually("the third host has a route to each", || match other.routes() {
        routes if routes.len() == blocks.len() && routes.iter().all(|route| is_by(route, 3)) => Ok(()),
        routes => Err(format!("{routes:?}")),
    });
}

#[test]
fn a_container_has_the_mtu_of_the_uplink() {
    let fabric = Fabric::under_a_tor(1);
    fabric.hosts[0].ip("link set uplink mtu 1400");

    until("a new container has the MTU", || {
        let web = fabric.container(1, "web");
        let mtu = web.namespace().run("cat", &["/sys/class/net/eth0/mtu"]);
        fabric.hosts[0].cni_delete(&web);
        mtu.trim() == "1400"
    });
}

#[test]
fn a_packet_to_nobody_in_a_block_ends_at_its_host() {
    let fabric = Fabric::under_a_tor(2);
    let (web, db) = (fabric.container(1, "web"), fabric.container(2, "db"));
    until("db answers", || web.reaches(db.v4()));
    let nobody = "10.77.255.255".parse().expect("an address");
    let nobody = match db.v4() {
        std::net::IpAddr::V4(address) => std::net::IpAddr::V4((u32::from(address) | 63).into()),
        std::net::IpAddr::V6(_) => nobody,
    };
    fabric.tor.namespace().run("nft", &["add table inet count"]);
    fabric.tor.namespace().run("nft", &["add chain inet count forward { type filter hook forward priority 0; }"]);
    fabric.tor.namespace().run("nft", &[&format!("add rule inet count forward ip daddr {nobody} counter")]);

    let pong = web.ping(nobody);

    assert!(pong.contains(" 0 received") && !pong.contains("Time to live exceeded"), "{pong}");
    let counted = fabric.tor.namespace().run("nft", &["list table inet count"]);
    assert!(counted.contains("counter packets 1 "), "it passes the ToR once: {counted}");
    assert!(!db.reaches(nobody), "nor does it leave its host for the default route");
    let counted = fabric.tor.namespace().run("nft", &["list table inet count"]);
    assert!(counted.contains("counter packets 1 "), "{counted}");
}

#[test]
fn routes_go_when_the_tor_dies_and_come_back_with_it() {
    let mut fabric = Fabric::under_a_tor(2);
    let (web, db) = (fabric.container(1, "web"), fabric.container(2, "db"));
    until("db answers", || web.reaches(db.v4()) && web.reaches(db.v6()));
    let learned = |host: &Agent| host.routes().iter().filter(|route| is_by(route, 1)).count();
    assert_eq!(learned(&fabric.hosts[0]), 2);

    fabric.tor.bird().stop();

    until("what the ToR taught is withdrawn", || learned(&fabric.hosts[0]) == 0);
    assert_eq!(fabric.hosts[0].status()["routesLearned"].as_u64().unwrap_or(0), 0);

    let sessions = [1, 2].map(|host| poplin_lab::Session { host, asn: poplin_lab::asn_of(host) });
    fabric.tor.start_bird(&sessions);

    until("db answers again", || web.reaches(db.v4()) && web.reaches(db.v6()));
}

#[test]
fn a_block_that_empties_stays_and_the_route_to_it_too() {
    let fabric = Fabric::under_a_tor(2);
    let (web, db) = (fabric.container(1, "web"), fabric.container(2, "db"));
    until("db answers", || web.reaches(db.v4()));

    let blocks = blocks_of(&fabric.hosts);

    fabric.hosts[1].cni_delete(&db);
    let heir = fabric.container(2, "heir");

    assert_eq!(blocks_of(&fabric.hosts), blocks);
    assert!(heir.v4() != db.v4() && heir.v6() != db.v6(), "an address that was given back rests");
    until("the heir answers", || web.reaches(heir.v4()) && web.reaches(heir.v6()));
}

fn blocks_of(hosts: &[Agent]) -> BTreeSet<String> {
    let blocks = hosts.iter().flat_map(|host| host.status()["blocks"].as_array().cloned().unwrap_or_default());
    blocks.filter_map(|block| block["cidr"].as_str().map(str::to_owned)).collect()
}

/// Whether a route leads to the gateway of host *n*.
fn is_by(route: &str, host: u8) -> bool {
    route.contains(&format!("via 172.31.{host}.1 ")) || route.contains(&format!("via fd31:{host}::1 "))
}
