//! Much at once: links that come and go by the thousand, many containers that all want to join, an uplink that flaps.

use std::thread;

use poplin_lab::{Agent, Container, Fabric, Lab, Pings, eventually, until};
use rustix::process::Signal;
use serde_json::json;

/// Pairs of links that come, and go again, while the kernel can hold a few hundred messages for who does not read them. `POPLIN_PAIRS=5000` makes a storm of
/// ten thousand links, for minutes.
const PAIRS: usize = 200;

/// Routes that come, and go again, while an agent stands still: each is told of twice, and the kernel holds some 60,000 messages for it.
const FLOOD: usize = 60_000;

/// Containers at once; `POPLIN_CROWD=200` makes it 200.
const CROWD: usize = 60;

#[test]
fn links_of_others_that_come_and_go_by_the_thousand_hold_nobody_up() {
    let lab = Lab::new();
    let host = lab.host();
    let (mut web, mut late) = (lab.container("web"), lab.container("late"));
    host.attach(&mut web, &[]);
    let script = lab.directory().join("storm");
    let pairs = setting("POPLIN_PAIRS", PAIRS);
    let write = |lines: &dyn Fn(usize) -> String| {
        std::fs::write(&script, (0..pairs).map(lines).collect::<String>()).expect("the directory is there");
        host.namespace().run("ip", &["-batch", &script.display().to_string()]);
    };

    write(&|number| format!("link add s{number} type veth peer name t{number}\n"));
    write(&|number| format!("link del s{number}\n"));

    host.namespace().run("ip", &["route", "del", &format!("{}/32", web.v4())]);
    let route = format!("{}/32", web.v4());
    until("what was altered by hand amid it is repaired", || {
        host.namespace().output("ip", &["route", "get", &web.v4().to_string()]).status.success()
            && host.ip("route").contains(route.trim_end_matches("/32"))
    });
    host.attach(&mut late, &[]);
    until("who comes after it is reached", || web.reaches(late.v4()));
}

#[test]
fn what_was_altered_unheard_by_an_agent_whose_ear_ran_over_is_repaired() {
    let lab = Lab::new();
    let mut host = lab.host();
    let (mut web, mut db) = (lab.container("web"), lab.container("db"));
    host.attach(&mut web, &[]);
    host.attach(&mut db, &[]);
    let script = lab.directory().join("flood");
    let of = |number: usize| format!("10.{}.{}.{}/32", 128 + number / 65536, number / 256 % 256, number % 256);
    let flood =
        |verb: &str| (0..FLOOD).map(|number| format!("route {verb} {} dev lo\n", of(number))).collect::<String>();
    std::fs::write(&script, flood("add") + &flood("del")).expect("the directory is there");

    let interface = interface_of(&host, "db");
    host.process().signal(Signal::STOP);
    host.namespace().run("ip", &["-batch", &script.display().to_string()]);
    host.namespace().run("ip", &["route", "del", &format!("{}/32", web.v4())]);
    host.namespace().run("ip", &["neighbour", "del", &db.v4().to_string(), "dev", &interface]);
    assert!(has_lost_messages(&host), "the flood is too small to say anything");
    host.process().signal(Signal::CONT);

    until("both are reached again", || db.reaches(web.v4()) && web.reaches(db.v4()));
    let neighbours = || host.ip("neighbour show nud permanent");
    until("the neighbour stands again", || neighbours().contains(&format!("{} dev", db.v4())));
}

/// Whether some socket of netlink had no room for a message (linux net/netlink/af_netlink.c, the column `Drops`).
fn has_lost_messages(host: &Agent) -> bool {
    let sockets = host.namespace().run("cat", &["/proc/net/netlink"]);
    sockets.lines().skip(1).any(|line| line.split_whitespace().nth(8).is_some_and(|drops| drops != "0"))
}

fn interface_of(host: &Agent, endpoint: &str) -> String {
    host.get(&["endpoint", endpoint])["spec"]["interface"].as_str().expect("it has one").to_owned()
}

#[test]
fn many_containers_join_and_leave_at_once() {
    let (lab, crowd) = (Lab::new(), setting("POPLIN_CROWD", CROWD));
    let host = lab.host();
    let mut containers: Vec<Container> = (0..crowd).map(|number| lab.container(&format!("c{number}"))).collect();

    thread::scope(|scope| {
        for container in &mut containers {
            scope.spawn(|| host.cni_add(container, &json!({})));
        }
    });
    let mut addresses: Vec<_> = containers.iter().map(Container::v4).collect();
    addresses.sort_unstable();
    addresses.dedup();
    assert_eq!((addresses.len(), host.links().len()), (crowd, crowd));
    assert!(containers.windows(2).step_by(20).all(|pair| pair[0].reaches(pair[1].v4())));

    thread::scope(|scope| {
        for container in &containers {
            scope.spawn(|| host.cni_delete(container));
        }
    });
    assert_eq!(host.links(), Vec::<String>::new());
    assert_eq!(host.status()["endpoints"], json!(0));
    assert!(host.try_poplin(&["ipam", "leaks"]).status.success(), "nothing is leaked");
}

#[test]
fn an_uplink_that_goes_down_and_up_again_takes_nothing_away_for_good() {
    let fabric = Fabric::meshed(2);
    let (web, db, near) = (fabric.container(1, "web"), fabric.container(2, "db"), fabric.container(1, "near"));
    until("db answers", || web.reaches(db.v4()) && web.reaches(db.v6()));
    let local = Pings::start(fabric.lab.directory(), &web, near.v4(), 300);
    let inside = fabric.hosts[0].namespace();

    for _ in 0..3 {
        inside.run("ip", &["link", "set", "uplink", "down"]);
        until("db is away", || !web.reaches(db.v4()));
        inside.run("ip", &["link", "set", "uplink", "up"]);
        inside.run("ip", &["route", "replace", "default", "via", "172.30.0.254"]);
        inside.run("ip", &["-6", "address", "replace", "fd30::1/64", "dev", "uplink", "nodad"]);
        inside.run("ip", &["-6", "route", "replace", "default", "via", "fd30::fe"]);
    }

    eventually("db answers again", || match (web.reaches(db.v4()), web.reaches(db.v6()), db.reaches(web.v4())) {
        (true, true, true) => Ok(()),
        seen => Err(format!("{seen:?}\n{}", fabric.hosts[0].said())),
    });
    assert_eq!(local.lost(), 0, "containers of one host need no uplink");
}

fn setting(name: &str, default: usize) -> usize {
    std::env::var(name)
        .map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} is a number, not {text:?}")))
}
