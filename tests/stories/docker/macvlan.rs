//! Containers that are on a LAN themselves, each with a MAC of its own: the fabric gives them addresses, and its policies hold in their own namespaces.

use std::io::Read as _;
use std::net::{IpAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use poplin_lab::{Container, Docker, End, eventually, told, until};
use serde_json::Value;

use super::{Dockers, endpoints};

/// A machine on the LAN that knows nothing of any fabric.
const MACHINE: &str = "192.168.8.50";

const OPTIONS: [&str; 10] = [
    "--subnet",
    "192.168.8.0/24",
    "--ip-range",
    "192.168.8.128/25",
    "--gateway",
    "192.168.8.1",
    "-o",
    "mode=macvlan",
    "-o",
    "parent=lan0",
];

/// Two hosts with an interface on one LAN, beside their way to the ToR, and a machine there.
struct Scene {
    dockers: Dockers,
    machine: Container,
}

impl Scene {
    fn new() -> Self {
        let dockers = Dockers::start();
        let switch = dockers.tor.namespace();
        switch.run("ip", &["link", "add", "lan", "type", "bridge"]);
        switch.run("ip", &["link", "set", "lan", "up"]);
        let machine = dockers.lab.container("machine");
        let address = format!("{MACHINE}/24");
        switch.join("lan-m", &[], machine.namespace(), "eth0", &[&address]);
        switch.join("lan-1", &[], dockers.hosts[0].namespace(), "lan0", &[]);
        switch.join("lan-2", &[], dockers.hosts[1].namespace(), "lan0", &[]);
        for port in ["lan-m", "lan-1", "lan-2"] {
            switch.run("ip", &["link", "set", port, "master", "lan"]);
        }
        dockers.docker[0].make_network("lan", &OPTIONS);
        dockers.docker[1].until_network("lan");
        Self { dockers, machine }
    }

    /// A container on the LAN that serves ports 80 and 81: where it is.
    fn server(&self, host: usize, name: &str, more: &[&str]) -> IpAddr {
        let docker = &self.dockers.docker[host];
        let label = format!("app={name}");
        docker.sleeper(name, &[&["--network", "lan", "--label", &label][..], more].concat());
        for port in ["80", "81"] {
            docker.run(&["exec", name, "/bin/busybox", "httpd", "-p", port]);
        }
        docker.address(name, "lan").parse().expect("it has an address")
    }

    /// Until a host tells of a packet of the machine that a container's policy denied after this was called.
    fn until_told(&self, host: usize, address: IpAddr, endpoint: &str) {
        let before = self.drops(host).len();
        eventually("its host tells of what was denied", || {
            self.machine.connects(address, 81);
            let drops = self.drops(host);
            let is_it = |drop: &Value| {
                drop["endpoint"] == endpoint
                    && drop["direction"] == "ingress"
                    && drop["destination"] == address.to_string()
                    && drop["destinationPort"] == 81
                    && drop["tier"] == "default"
            };
            if drops.iter().skip(before).any(is_it) { Ok(()) } else { Err(format!("{drops:#?}")) }
        });
    }

    fn drops(&self, host: usize) -> Vec<Value> {
        let said = self.dockers.hosts[host].poplin(&["drops", "-o", "json"]);
        said.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// What the machine's cache holds of an address.
    fn cached(&self, address: IpAddr) -> String {
        self.machine.namespace().run("ip", &["neigh", "show", &address.to_string()])
    }
}

fn only(port: u16) -> String {
    format!(
        "{{apiVersion: poplin.dev/v1, kind: Policy, metadata: {{name: machines}}, spec: {{subject: app == 'web', ingress: [
          {{action: allow, from: {{nets: [{MACHINE}/32]}}, ports: [tcp/{port}]}}]}}}}"
    )
}

#[test]
fn containers_of_both_hosts_and_a_machine_are_on_one_lan() {
    let scene = Scene::new();
    let Scene { dockers: Dockers { docker: [one, two], hosts, .. }, machine } = &scene;

    let web = scene.server(0, "web", &[]);
    let db = scene.server(1, "db", &["--ip", "192.168.8.77"]);

    assert_eq!(db.to_string(), "192.168.8.77");
    let routes = one.run(&["exec", "web", "ip", "route"]);
    assert!(routes.contains("default via 192.168.8.1 dev eth0"), "{routes}");
    assert!(routes.contains("192.168.8.0/24 dev eth0 scope link"), "{routes}");
    until("the hosts' containers talk", || one.pings("web", &db.to_string()) && two.pings("db", &web.to_string()));
    until("the machine reaches both", || [web, db].iter().all(|address| machine.connects(*address, 80)));
    let mac = one.run(&["exec", "web", "cat", "/sys/class/net/eth0/address"]);
    assert!(scene.cached(web).contains(&mac), "its own, and not its host's: {}", scene.cached(web));
    assert_eq!(one.inspect("web")["NetworkSettings"]["Networks"]["lan"]["MacAddress"], mac);
    assert!(one.pings("web", MACHINE));
    for host in hosts {
        assert_eq!(host.routes().iter().filter(|route| route.contains("192.168.8.")).count(), 0);
        assert_eq!(host.links(), Vec::<String>::new());
    }

    let explained = told(&hosts[0].try_poplin(&["explain", MACHINE, "web.lan", "tcp/80"]));
    assert!(
        explained.contains("the rules of web.lan stand in its container on host h1: table inet pop"),
        "{explained}"
    );
    let doctor = told(&hosts[0].try_poplin(&["doctor"]));
    assert!(!doctor.contains("has no link") && !doctor.contains("lan-pool"), "{doctor}");

    let before = [one, two].map(heard);
    machine.namespace().within(|| {
        let socket = UdpSocket::bind((MACHINE, 0)).expect("the machine has that address");
        socket.set_broadcast(true).expect("anybody may");
        socket.send_to(b"who is there?", "192.168.8.255:9000").expect("it is sent");
    });
    until("a broadcast comes in everywhere", || {
        [one, two].map(heard).iter().zip(before).all(|(now, then)| *now > then)
    });
}

/// How many datagrams for everybody came to where nobody listens, in a host's only container.
fn heard(docker: &Docker) -> u64 {
    let name = docker.run(&["ps", "--format", "{{.Names}}"]);
    let counted = docker.run(&["exec", &name, "cat", "/proc/net/snmp"]);
    let mut lines = counted.lines().filter(|line| line.starts_with("Udp:")).map(str::split_whitespace);
    let names = lines.next().expect("it is counted");
    let (_, count) =
        names.zip(lines.next().expect("it is counted")).find(|(name, _)| *name == "IgnoredMulti").expect("it is");
    count.parse().expect("a number")
}

#[test]
fn policies_hold_inside_and_are_followed() {
    let scene = Scene::new();
    let Scene { dockers: Dockers { hosts, .. }, machine } = &scene;
    let web = scene.server(0, "web", &[]);
    until("both ports answer", || machine.connects(web, 80) && machine.connects(web, 81));

    hosts[1].apply(&only(80));
    until("one is closed", || !machine.connects(web, 81));
    assert!(machine.connects(web, 80));

    hosts[1].apply(&only(81));
    until("the other is closed now", || machine.connects(web, 81) && !machine.connects(web, 80));

    hosts[1].poplin(&["delete", "policy", "machines"]);
    until("both answer again", || machine.connects(web, 80) && machine.connects(web, 81));
}

#[test]
fn what_is_dropped_inside_is_told_by_the_host() {
    let mut scene = Scene::new();
    let web = scene.server(0, "web", &[]);
    let other = scene.server(0, "other", &["--cap-add", "NET_ADMIN"]);
    scene.dockers.hosts[1].apply(&only(80));

    scene.until_told(0, web, "web.lan");
    scene.dockers.hosts[0].kill();
    scene.dockers.hosts[0].start();
    scene.until_told(0, web, "web.lan");

    let docker = &scene.dockers.docker[0];
    docker.run(&["exec", "other", "ip", "address", "add", "192.168.8.99/32", "dev", "eth0"]);
    eventually("whose address another takes is not the one who is told", || {
        let _ = docker.try_run(&["exec", "other", "ping", "-c1", "-W1", "-I", "192.168.8.99", MACHINE]);
        let drops = scene.drops(0);
        let spoof = drops.iter().find(|drop| drop["source"] == "192.168.8.99");
        let is_others = spoof.is_some_and(|drop| drop["endpoint"] == "other.lan" && drop["direction"] == "egress");
        if is_others { Ok(()) } else { Err(format!("{other}: {drops:#?}")) }
    });

    docker.run(&["rm", "-f", "web"]);
    let again = scene.server(0, "web", &[]);
    scene.until_told(0, again, "web.lan");

    let second = ["--subnet", "192.168.9.0/24", "-o", "mode=macvlan", "-o", "parent=lan0"];
    docker.make_network("second", &second);
    docker.run(&["network", "connect", "second", "web"]);
    scene.machine.namespace().run("ip", &["address", "add", "192.168.9.50/24", "dev", "eth0"]);
    let there = docker.address("web", "second");
    // The kernel in the container would answer by either of its interfaces.
    let mac = docker.run(&["exec", "web", "cat", "/sys/class/net/eth1/address"]);
    scene.machine.namespace().run("ip", &["neigh", "replace", &there, "lladdr", mac.trim(), "dev", "eth0"]);
    let there = there.parse().expect("it has an address");
    scene.until_told(0, there, "web.second");
    scene.until_told(0, again, "web.lan");
}

#[test]
fn a_flow_that_policy_comes_to_deny_ends() {
    let scene = Scene::new();
    let web = scene.server(0, "web", &[]);
    let ticking = "while sleep 0.1; do echo tick; done | nc -l -p 82";
    scene.dockers.docker[0].run(&["exec", "-d", "web", "sh", "-c", ticking]);
    let mut stream = None;
    until("it ticks", || {
        stream = scene.machine.namespace().connect(web, 82).ok();
        stream.is_some()
    });
    let mut stream = stream.expect("it has connected");
    stream.set_read_timeout(Some(Duration::from_secs(1))).expect("a socket takes that");
    let mut room = [0; 4096];
    assert!(stream.read(&mut room).expect("it ticks") > 0);

    scene.dockers.hosts[1].apply(&only(80));

    until("nothing comes any more", || stream.read(&mut room).is_err());
}

#[test]
fn names_are_known_inside() {
    let scene = Scene::new();
    let [one, two] = &scene.dockers.docker;
    one.sleeper("web", &["--network", "lan", "--dns", "169.254.1.1"]);
    two.sleeper("db", &["--network", "lan", "--network-alias", "sql"]);
    let db = two.address("db", "lan");
    let found = |name: &str| told(&one.try_run(&["exec", "web", "/bin/busybox", "nslookup", name])).contains(&db);

    for name in ["db", "sql", "db.lan.poplin.internal"] {
        until(&format!("{name} is found"), || found(name));
    }
    let ask = ["exec", "web", "/bin/busybox", "nslookup", "db.lan", "169.254.1.1"];
    until("the gateway answers itself", || told(&one.try_run(&ask)).contains(&db));

    two.run(&["rm", "-f", "db"]);
    until("who has ended is not found any more", || !found("db.lan.poplin.internal"));
}

#[test]
fn a_container_that_starts_where_policy_denies_was_never_open() {
    let scene = Scene::new();
    scene.dockers.hosts[1].apply(&only(80));
    let web: IpAddr = "192.168.8.90".parse().expect("an address");
    let (docker, machine) = (&scene.dockers.docker[0], &scene.machine);

    docker.run(&[
        "create",
        "--name",
        "web",
        "--network",
        "lan",
        "--ip",
        "192.168.8.90",
        "--label",
        "app=web",
        poplin_lab::IMAGE,
        "/bin/busybox",
        "httpd",
        "-f",
        "-p",
        "81",
    ]);
    std::thread::scope(|all| {
        let start = all.spawn(|| docker.run(&["start", "web"]));
        let mut is_started = false;
        while !is_started {
            is_started = start.is_finished();
            assert!(!machine.connects(web, 81), "its label is known before its process begins");
        }
    });
}

#[test]
fn rules_outlive_the_agent_and_are_edited_by_the_next() {
    let mut scene = Scene::new();
    let web = scene.server(0, "web", &[]);
    scene.dockers.hosts[1].apply(&only(80));
    until("one port is closed", || !scene.machine.connects(web, 81));

    scene.dockers.hosts[0].kill();
    scene.dockers.hosts[1].apply(&only(81));
    for _ in 0..50 {
        assert!(!scene.machine.connects(web, 81), "rules stay as they were");
    }
    assert!(scene.machine.connects(web, 80));

    scene.dockers.hosts[0].start();
    until("the edit is made up for", || scene.machine.connects(web, 81) && !scene.machine.connects(web, 80));
    scene.dockers.hosts[1].apply(&only(80));
    until("and further ones follow", || scene.machine.connects(web, 80) && !scene.machine.connects(web, 81));
}

#[test]
fn an_agent_that_comes_back_opens_nothing_on_the_way() {
    let mut scene = Scene::new();
    let web = scene.server(0, "web", &[]);
    scene.dockers.hosts[1].apply(&only(80));
    until("one port is closed", || !scene.machine.connects(web, 81));
    scene.dockers.docker[0].run(&["exec", "web", "/bin/busybox", "httpd", "-p", "82"]);
    let Scene { dockers, machine } = &mut scene;
    let begun_anew = dockers.hosts[0].said().matches("begun anew").count();

    dockers.hosts[0].kill();
    let is_back = AtomicBool::new(false);
    let opened = std::thread::scope(|all| {
        let denied = all.spawn(|| {
            let mut opened = 0;
            while !is_back.load(Ordering::Relaxed) {
                opened += usize::from(machine.connects(web, 81));
            }
            opened
        });
        let end = End(&is_back);
        dockers.hosts[0].start();
        dockers.hosts[1].apply(&only(80).replace("tcp/80", "tcp/80, tcp/82"));
        until("the next edit has come", || {
            assert!(machine.connects(web, 80), "what was open stays so");
            machine.connects(web, 82)
        });
        drop(end);
        denied.join().expect("it tries until the end")
    });

    assert_eq!(opened, 0);
    let said = dockers.hosts[0].said();
    assert_eq!(said.matches("begun anew").count(), begun_anew, "what stands is kept, in containers too: {said}");
}

#[test]
fn nothing_is_left_of_a_container_that_goes() {
    let scene = Scene::new();
    let Scene { dockers: Dockers { docker: [one, _], hosts: [host, _], .. }, machine } = &scene;
    let links = || host.namespace().run("ip", &["-o", "link", "show", "type", "macvlan"]);
    let web = scene.server(0, "web", &[]);
    one.sleeper("both", &["--network", "bridge"]);
    one.run(&["network", "connect", "lan", "both"]);
    until("the machine reaches it", || machine.connects(web, 80));

    one.run(&["network", "disconnect", "lan", "both"]);
    let rules = one.run(&["inspect", "--format", "{{.State.Pid}}", "both"]);
    let inside = host.namespace().run("nsenter", &["--target", rules.trim(), "--net", "nft", "list", "tables"]);
    assert!(!inside.contains("inet pop"), "{inside}");
    one.run(&["stop", "-t", "0", "web"]);
    assert_eq!(links(), "");
    one.run(&["start", "web"]);
    let web: IpAddr = one.address("web", "lan").parse().expect("it has an address");
    until("it is back", || one.pings("web", MACHINE));
    one.run(&["rm", "-f", "web", "both"]);

    assert_eq!(links(), "");
    assert_eq!(endpoints(host), Vec::<String>::new());
    assert!(!machine.reaches(web));
    let checked = host.poplin(&["ipam", "check"]);
    assert!(checked.contains("0 endpoints: 0 wrong"), "{checked}");
    one.run(&["network", "rm", "lan"]);
    until("its pool is gone too", || !host.poplin(&["get", "pools", "-o", "name"]).contains("lan"));
}

#[test]
fn what_a_lan_network_cannot_be_is_said() {
    let scene = Scene::new();
    let Scene { dockers: Dockers { docker: [one, two], hosts: [host, other], .. }, .. } = &scene;
    let refused = |more: &[&str]| {
        let words = [&["network", "create", "-d", "poplin", "--ipam-driver", "poplin"][..], more, &["other"]].concat();
        told(&one.try_run(&words))
    };

    assert!(refused(&["-o", "mode=macvlan", "--subnet", "192.168.9.0/24"]).contains("-o parent=eth1"));
    assert!(refused(&["-o", "parent=lan0", "--subnet", "192.168.9.0/24"]).contains("add -o mode=macvlan"));
    assert!(refused(&["-o", "mode=macvlan", "-o", "parent=lan0"]).contains("--subnet"));
    let routed = refused(&["-o", "mode=macvlan", "-o", "parent=lan0", "--subnet", "10.77.8.0/24"]);
    assert!(routed.contains("is routed by the fabric"), "{routed}");

    other.namespace().run("ip", &["link", "delete", "lan0"]);
    eventually("its agent has heard that it is gone", || {
        let lacking = told(&two.try_run(&["run", "--rm", "--network", "lan", poplin_lab::IMAGE, "sh"]));
        let is_it = lacking.contains("host h2 has no interface lan0, the parent of network lan");
        if is_it { Ok(()) } else { Err(lacking) }
    });
    let mut bare = scene.dockers.lab.container("bare");
    let netns = bare.namespace().path().display().to_string();
    let attached = told(&host.try_poplin(&["attach", "--netns", &netns, "--name", "bare", "--network", "lan"]));
    assert!(attached.contains("network lan has mode macvlan"), "{attached}");
    host.attach_with(&mut bare, &[]);
    host.poplin(&["detach", "bare"]);
}
