//! Hosts on one segment that peer with one another by iBGP, without any switch that speaks BGP.

use poplin_lab::{Agent, Fabric, eventually, until};

#[test]
fn hosts_teach_one_another_their_blocks() {
    let fabric = Fabric::meshed(3);

    let (web, db, cache) = (fabric.container(1, "web"), fabric.container(2, "db"), fabric.container(3, "cache"));

    until("all talk, in both families", || {
        [&db, &cache].iter().all(|other| web.reaches(other.v4()) && other.reaches(web.v6()))
    });
    assert!(web.ping(db.v4()).contains("ttl=62"), "a packet passes the two hosts and nobody else");
    eventually("each host has a route to each block of the others", || {
        let routes: Vec<usize> = fabric.hosts.iter().map(learned).collect();
        if routes == [4, 4, 4] { Ok(()) } else { Err(format!("{routes:?}")) }
    });
}

#[test]
fn a_wanted_address_of_another_hosts_block_is_announced_by_itself() {
    let fabric = Fabric::meshed(3);
    let (web, db) = (fabric.container(1, "web"), fabric.container(2, "db"));
    let wanted = match db.v4() {
        std::net::IpAddr::V4(address) => std::net::Ipv4Addr::from(u32::from(address) + 9).to_string(),
        std::net::IpAddr::V6(address) => address.to_string(),
    };
    let mut stray = fabric.lab.container("stray");

    fabric.hosts[2].attach_with(&mut stray, &["--ip", &wanted]);

    assert_eq!(stray.v4().to_string(), wanted);
    eventually("the stray is reached from everywhere", || match web.reaches(stray.v4()) && db.reaches(stray.v4()) {
        true => Ok(()),
        false => Err(format!("{:?}", fabric.hosts.iter().map(Agent::routes).collect::<Vec<_>>())),
    });
    assert!(stray.reaches(web.v4()) && stray.reaches(db.v4()), "and reaches everybody");
    let single =
        |host: &Agent| host.routes().iter().any(|route| route.starts_with(&format!("{wanted} via 172.30.0.3 ")));
    assert!(single(&fabric.hosts[0]) && single(&fabric.hosts[1]), "{:?}", fabric.hosts[0].routes());

    fabric.hosts[2].poplin(&["detach", "stray"]);

    until("the address is withdrawn", || !single(&fabric.hosts[0]) && !single(&fabric.hosts[1]));
}

#[test]
fn a_host_that_joins_later_is_met_by_all() {
    let mut fabric = Fabric::meshed(2);
    let web = fabric.container(1, "web");

    let mut third = fabric.tor.host_on_segment(&fabric.lab, 3);
    third.start();
    fabric.hosts.push(third);

    fabric.until_established(2);
    let late = fabric.container(3, "late");
    until("the late one is reached", || web.reaches(late.v4()) && late.reaches(web.v6()));
}

fn learned(host: &Agent) -> usize {
    host.routes().iter().filter(|route| route.contains(" via ")).count()
}
