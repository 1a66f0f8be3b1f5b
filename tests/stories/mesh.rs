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
    let is_single = |route: &String| route.starts_with(&format!("{wanted} ")) && route.contains(" via 172.30.0.3 ");
    let single = |host: &Agent| host.routes().iter().any(is_single);
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

#[test]
fn a_host_that_is_gone_for_good_gives_back_what_it_held_and_takes_nothing_when_it_returns() {
    let mut fabric = Fabric::meshed(3);
    let (web, lost) = (fabric.container(1, "web"), fabric.container(3, "lost"));
    let address = lost.v4().to_string();
    let removed = |fabric: &Fabric, more: &[&str]| {
        let output = fabric.hosts[0].try_poplin(&[&["host", "remove", "h3"], more].concat());
        (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    };

    let (_, living) = removed(&fabric, &["--gone"]);
    assert!(living.contains("host h3 is alive"), "{living}");
    fabric.hosts[2].kill();
    until("its session is over", || !is_met(&fabric.hosts[0], "h3"));
    let (code, told) = removed(&fabric, &[]);
    assert!(code == Some(1) && told.contains("endpoints (1): h3-lost") && told.contains("--gone"), "{told}");
    let (code, told) = removed(&fabric, &["--gone"]);
    assert!(code == Some(0) && told.contains("addresses freed: 2"), "{told}");

    let mut heir = fabric.lab.container("heir");
    fabric.hosts[1].attach_with(&mut heir, &["--ip", &address]);
    until("who has the address now is reached", || web.reaches(heir.v4()));
    fabric.hosts[2].start();

    until("the host is met again", || is_met(&fabric.hosts[0], "h3"));
    eventually("it has let go of what is no longer its own", || {
        let routes = fabric.hosts[2].routes();
        let is_own = |route: &String| route.starts_with(&address) && route.contains("dev pop");
        if routes.iter().any(is_own) { Err(format!("{routes:?}")) } else { Ok(()) }
    });
    assert!(web.reaches(heir.v4()), "the heir keeps the address");
}

fn is_met(host: &Agent, name: &str) -> bool {
    let status = host.status();
    let sessions = status["sessions"].as_array().cloned().unwrap_or_default();
    sessions.iter().any(|session| session["name"] == name && session["state"] == "Established")
}

fn learned(host: &Agent) -> usize {
    host.routes().iter().filter(|route| route.contains(" via ")).count()
}

#[test]
fn hosts_know_one_another_by_a_password_and_strangers_on_the_segment_do_not_get_through() {
    let fabric = Fabric::meshed(2);
    let (web, db) = (fabric.container(1, "web"), fabric.container(2, "db"));
    let (first, second) = ("172.30.0.1".parse().unwrap(), fabric.hosts[1].namespace());
    assert!(second.connect(first, 179).is_ok(), "before that anybody may call");
    let file = fabric.lab.directory().join("hosts.key");
    std::fs::write(&file, "secret\n").unwrap();
    let sessions = format!("{{passwordFile: {}, holdTimeSeconds: 9, connectRetrySeconds: 1}}", file.display());

    fabric.hosts[0].apply(&format!(
        "{{apiVersion: poplin.dev/v1, kind: FabricConfig, metadata: {{name: default}}, spec: {{hostSessions: {sessions}}}}}"
    ));

    until("the session lasts, and waits", || fabric.hosts[0].status()["sessions"][0]["pending"][1] == "protection");
    assert!(is_met(&fabric.hosts[0], "h2"));
    fabric.hosts[0].poplin(&["bgp", "clear", "h2"]);
    eventually("the session is there again, signed", || {
        let neighbour = fabric.hosts[0].poplin(&["bgp", "neighbor", "h2", "-o", "json"]);
        let is_so = neighbour.contains("\"holdSeconds\": 9") && neighbour.contains("Established");
        if is_so { Ok(()) } else { Err(neighbour) }
    });
    assert!(second.connect(first, 179).is_err(), "the kernel drops a call without a signature");
    until("containers reach each other", || web.reaches(db.v4()) && db.reaches(web.v6()));
}
