//! Containers with addresses of the hosts' own LAN: a machine there that knows of no route reaches them, wherever they are.

use std::net::IpAddr;

use poplin_lab::{Agent, Container, Fabric, Pings, both, told, until};

/// A printer, say: it has an address on the segment and nothing else.
const PRINTER: [IpAddr; 2] = both([172, 30, 0, 50], [0xfd30, 0, 0, 0, 0, 0, 0, 0x50]);

const POOLS: &str = "
{apiVersion: poplin.dev/v1, kind: Pool, metadata: {name: containers}, spec: {
  cidr: 172.30.0.0/24, blockSize: 28, lan: true, reserved: [172.30.0.0/25, 172.30.0.254]}}
---
{apiVersion: poplin.dev/v1, kind: Pool, metadata: {name: containers-v6}, spec: {cidr: 'fd30::1:0/112', lan: true}}
";

const POLICY: &str = "
{apiVersion: poplin.dev/v1, kind: Policy, metadata: {name: printers}, spec: {subject: app == 'web', ingress: [
  {action: allow, from: {nets: [172.30.0.0/24, 'fd30::/64']}, ports: [tcp/80]}]}}
";

/// Two hosts on a segment with a machine, and containers that have addresses of it.
struct Scene {
    fabric: Fabric,
    printer: Container,
}

impl Scene {
    fn new() -> Self {
        let fabric = Fabric::meshed(2);
        for pool in ["containers", "containers-v6"] {
            fabric.hosts[0].poplin(&["delete", "pool", pool]);
        }
        fabric.hosts[0].apply(POOLS);
        let printer = fabric.lab.container("printer");
        let (far, tor) = (PRINTER.map(|address| address.to_string()), fabric.tor.namespace());
        let far = [format!("{}/24", far[0]), format!("{}/64", far[1])];
        tor.join("printer", &[], printer.namespace(), "eth0", &[&far[0], &far[1]]);
        tor.run("ip", &["link", "set", "printer", "master", "segment"]);
        Self { fabric, printer }
    }

    /// What the machine's cache holds of an address: a MAC, or nothing.
    fn cached(&self, address: IpAddr) -> Option<String> {
        let shown = self.printer.namespace().run("ip", &["neigh", "show", &address.to_string()]);
        let mut words = shown.split_whitespace().skip_while(|word| *word != "lladdr");
        words.nth(1).map(str::to_owned)
    }
}

fn mac_of_uplink(host: &Agent) -> String {
    host.namespace().run("cat", &["/sys/class/net/uplink/address"]).trim().to_owned()
}

/// For whom a host answers on the LAN.
fn answered(host: &Agent) -> Vec<IpAddr> {
    let shown = host.ip("neigh show proxy") + &host.ip("-6 neigh show proxy");
    let mut all: Vec<IpAddr> = shown.lines().filter_map(|line| line.split_whitespace().next()?.parse().ok()).collect();
    all.sort_unstable();
    all.dedup();
    all
}

#[test]
fn a_machine_without_any_route_and_containers_of_every_host_reach_one_another() {
    let Scene { fabric, printer } = Scene::new();
    let (web, db) = (fabric.container(1, "web"), fabric.container(2, "db"));
    let _ports = [&web, &db, &printer].map(|one| one.listen(80));

    for container in [&web, &db] {
        for (address, machine) in [container.v4(), container.v6()].into_iter().zip(PRINTER) {
            until("the machine pings it", || printer.reaches(address));
            assert!(printer.connects(address, 80) && container.connects(machine, 80), "{address}");
        }
    }
    for (one, other) in [(&web, &db), (&db, &web)] {
        until("the other host's is reached", || one.reaches(other.v4()) && one.reaches(other.v6()));
    }
    let own_host = fabric.hosts[0].namespace();
    assert!([web.v4(), web.v6(), db.v4(), db.v6()].iter().all(|address| own_host.connect(*address, 80).is_ok()));
    assert!(web.reaches("172.30.0.254".parse().expect("an address")), "the LAN's router");

    for host in &fabric.hosts {
        let lan: Vec<String> = host.routes().into_iter().filter(|route| route.contains("172.30.0.")).collect();
        assert!(lan.iter().all(|route| route.contains(" dev pop")), "only ways to its own containers: {lan:?}");
    }
    assert_eq!(answered(&fabric.hosts[0]), [web.v4(), web.v6()]);
    fabric.hosts[0].cni_delete(&web);
    assert_eq!(answered(&fabric.hosts[0]), Vec::<IpAddr>::new());
    assert!(!printer.reaches(web.v4()));
}

#[test]
fn policy_holds_for_who_comes_from_the_lan() {
    let Scene { fabric, printer } = Scene::new();
    let web = fabric.container(1, "web");
    let _ports = [80, 81].map(|port| web.listen(port));
    let addresses = [web.v4(), web.v6()];
    until("both ports answer", || addresses.iter().all(|to| printer.connects(*to, 80) && printer.connects(*to, 81)));

    fabric.hosts[1].apply(POLICY);

    until("one port is closed", || addresses.iter().all(|to| !printer.connects(*to, 81)));
    assert!(addresses.iter().all(|to| printer.connects(*to, 80)));
}

#[test]
fn a_sticky_address_that_moves_is_followed_by_those_who_knew_it_elsewhere() {
    let scene = Scene::new();
    let Scene { fabric, printer } = &scene;
    let mut db = fabric.lab.container("db");
    fabric.hosts[0].attach_with(&mut db, &["--sticky"]);
    let addresses = [db.v4(), db.v6()];
    until("it is reached", || addresses.iter().all(|address| printer.reaches(*address)));
    let is_at = |host: usize| {
        let mac = Some(mac_of_uplink(&fabric.hosts[host]));
        addresses.iter().all(|address| scene.cached(*address) == mac)
    };
    assert!(is_at(0));
    fabric.hosts[0].poplin(&["detach", "db"]);
    // Nothing is asked meanwhile: what the cache learns, it learns because it is told.
    let elsewhere = fabric.lab.container("db-elsewhere");
    let netns = elsewhere.namespace().path().display().to_string();
    fabric.hosts[1].poplin(&["attach", "--netns", &netns, "--name", "db", "--sticky"]);

    assert_eq!(answered(&fabric.hosts[1]), addresses);
    until("the cache has the new host", || is_at(1));
    until("it is reached there", || addresses.iter().all(|address| printer.reaches(*address)));
    assert_eq!(answered(&fabric.hosts[0]), Vec::<IpAddr>::new());
}

#[test]
fn the_lan_is_answered_while_the_agent_is_dead_and_what_others_remove_comes_back() {
    let Scene { mut fabric, printer } = Scene::new();
    let web = fabric.container(1, "web");
    let addresses = [web.v4(), web.v6()];
    until("it is reached", || addresses.iter().all(|address| printer.reaches(*address)));
    let pings = addresses.map(|address| Pings::start(fabric.lab.directory(), &printer, address, 400));

    fabric.hosts[0].kill();
    printer.namespace().run("ip", &["neigh", "flush", "dev", "eth0"]);
    assert!(addresses.iter().all(|address| printer.reaches(*address)), "nobody asks the agent");
    fabric.hosts[0].start();
    fabric.hosts[0].until_established(1);
    assert_eq!(answered(&fabric.hosts[0]), addresses);
    assert_eq!(pings.map(Pings::lost), [0, 0]);

    let host = &fabric.hosts[0];
    for address in addresses {
        host.ip(&format!("neigh del proxy {address} dev uplink"));
        until("it is answered for again", || answered(host) == addresses);
    }
    // As when the cable is pulled, and put in again.
    for state in ["down", "up"] {
        fabric.tor.namespace().run("ip", &["link", "set", "h1", state]);
    }
    until("it is reached again", || addresses.iter().all(|address| printer.reaches(*address)));
    host.namespace().run("sysctl", &["-qw", "net.ipv6.conf.uplink.proxy_ndp=0"]);
    let switch = || host.namespace().run("sysctl", &["-n", "net.ipv6.conf.uplink.proxy_ndp"]);
    until("the switch is on again", || switch().trim() == "1");
}

#[test]
fn who_is_on_the_lan_already_is_left_out_or_the_pool_is_refused() {
    let fabric = Fabric::meshed(1);
    let host = &fabric.hosts[0];
    let pool = |more: &str| {
        format!(
            "{{apiVersion: poplin.dev/v1, kind: Pool, metadata: {{name: lan}}, spec: {{cidr: 172.30.0.0/24, lan: true{more}}}}}"
        )
    };

    let covers = told(&host.try_apply(&pool("")));
    let translated = told(&host.try_apply(&pool(", reserved: [172.30.0.0/25], nat: {}")));
    host.apply(&pool(", reserved: [172.30.0.0/25, 172.30.0.254]"));

    assert!(covers.contains("172.30.0.0/24 holds 172.30.0.1, which is of host h1"), "{covers}");
    assert!(covers.contains("reserved: [172.30.0.1]"), "{covers}");
    assert!(translated.contains("spec.nat: addresses of a LAN are answered on it as they are"), "{translated}");
    assert!(host.poplin(&["get", "pool", "lan", "-o", "yaml"]).contains("lan: true"));
}
