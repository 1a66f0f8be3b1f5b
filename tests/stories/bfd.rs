//! Hosts watch the ways to one another: one that is dead or cut off is noticed in about a second, and nobody else is.

use poplin_lab::{Agent, Container, Fabric, Lab, Process, eventually, until};
use rustix::process::Signal;
use serde_json::Value;

#[test]
fn a_host_that_stands_still_loses_its_routes_long_before_the_hold_time() {
    let (mut fabric, _containers) = watched_pair();

    is_missed(&mut fabric);
}

#[test]
fn a_host_that_is_cut_off_loses_its_routes_and_gets_them_back() {
    let (fabric, _containers) = watched_pair();
    let switch = fabric.tor.namespace();

    switch.run("ip", &["link", "set", "h2", "nomaster"]);

    for host in &fabric.hosts {
        until("both ends withdraw", || learned(host) == 0);
    }
    switch.run("ip", &["link", "set", "h2", "master", "segment"]);
    for host in &fabric.hosts {
        until("both ends are back", || learned(host) > 0 && is_up(host));
    }
}

#[test]
fn an_agent_that_was_killed_is_missed_by_bfd_and_its_routes_are_kept() {
    let (mut fabric, _containers) = watched_pair();
    let routes = fabric.hosts[0].routes();

    fabric.hosts[1].kill();

    until("BFD misses it", || session(&fabric.hosts[0])["bfd"]["state"] == "Down");
    assert_eq!(
        fabric.hosts[0].routes(),
        routes,
        "its kernel goes on forwarding, and BGP's graceful restart waits for it"
    );
    fabric.hosts[1].start();
    fabric.until_established(1);
    until("BFD sees it again", || is_up(&fabric.hosts[0]));
    let said = fabric.hosts[0].said();
    assert!(!said.contains("BFD down (6/10)"), "no session was ended for it: {said}");
    assert_eq!(fabric.hosts[0].routes(), routes);
}

#[test]
fn an_agent_that_is_back_at_once_is_not_missed_in_its_new_life() {
    let (mut fabric, _containers) = watched_pair();
    let routes = fabric.hosts[0].routes();

    for _ in 0..5 {
        fabric.hosts[1].kill();
        fabric.hosts[1].start();
        fabric.until_established(1);
        until("BFD sees it again", || is_up(&fabric.hosts[0]) && is_up(&fabric.hosts[1]));
        assert_eq!(fabric.hosts[0].routes(), routes);
    }

    let said = fabric.hosts[0].said();
    assert!(!said.contains("BFD down (6/10)"), "{said}");
}

#[test]
fn a_busy_host_is_not_taken_for_a_dead_one_and_a_dead_one_is_still_noticed() {
    let (mut fabric, _containers) = watched_pair();
    let mut hogs = Hogs::start(&fabric.lab, &fabric.hosts[0]);
    hogs.work_for_a_while();

    for host in &fabric.hosts {
        let downs = host.said().matches(" is down: control detection time expired").count();
        assert_eq!(downs, 0, "nobody flapped while every processor was taken: {}", host.said());
    }
    is_missed(&mut fabric);
    drop(hogs);
}

#[test]
fn bfd_that_is_switched_off_ends_no_session() {
    let (fabric, _containers) = watched_pair();
    let routes = fabric.hosts[0].routes();

    fabric.hosts[0].apply(&settings("{enabled: false}"));

    for host in &fabric.hosts {
        until("nobody watches any more", || session(host)["bfd"].is_null());
        let said = host.said();
        assert!(!said.contains("BFD down (6/10)"), "{said}");
    }
    assert_eq!(fabric.hosts[0].routes(), routes);
    fabric.hosts[0].apply(&settings("{intervalMilliseconds: 100, multiplier: 5, multihop: false}"));
    for host in &fabric.hosts {
        eventually("it is watched by other times and on the link", || match session(host)["bfd"].clone() {
            bfd if bfd["state"] == "Up" && bfd["path"] == "direct" && bfd["detectionMilliseconds"] == 500 => Ok(()),
            bfd => Err(bfd.to_string()),
        });
    }
    assert_eq!(fabric.hosts[0].routes(), routes);
}

#[test]
fn a_closed_host_endpoint_leaves_bfd_open() {
    let (fabric, _containers) = watched_pair();
    fabric.hosts[0].apply(
        "{apiVersion: poplin.dev/v1, kind: HostEndpoint, metadata: {name: h1}, spec: {host: h1, interface: uplink}}",
    );

    let pinged = || fabric.hosts[1].namespace().output("ping", &["-c1", "-W1", "172.30.0.1"]).status.success();
    until("the host endpoint is closed", || !pinged());

    let since = |host: &Agent| session(host)["bfd"]["secondsInState"].as_u64().unwrap_or_default();
    let before = since(&fabric.hosts[0]);
    until("BFD outlasts its detection time", || since(&fabric.hosts[0]) >= before + 2);
    assert!(fabric.hosts.iter().all(is_up));
}

#[test]
fn settings_out_of_bounds_are_refused_by_name() {
    let lab = Lab::new();
    let host = lab.host();

    let output = host.try_apply(&settings("{intervalMilliseconds: 5, multiplier: 0}"));

    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success());
    assert!(told.contains("spec.bfd.intervalMilliseconds: 5 ms is below 10"), "{told}");
    assert!(told.contains("spec.bfd.multiplier: 0 is below 1"), "{told}");
}

/// Two hosts that peer with each other and have blocks to tell of; BFD is up at both ends.
fn watched_pair() -> (Fabric, [Container; 2]) {
    let fabric = Fabric::meshed(2);
    let containers = [(1, "web"), (2, "db")].map(|(host, name)| fabric.container(host, name));
    for host in &fabric.hosts {
        eventually("BFD is up, and the other's blocks are learned", || match (is_up(host), learned(host)) {
            (true, 2) => Ok(()),
            _ => Err(format!("{} {:?}", session(host), host.routes())),
        });
    }
    (fabric, containers)
}

/// Stops the second agent until the first has withdrawn its routes for the want of BFD, long before the hold time; leaves both as they were.
fn is_missed(fabric: &mut Fabric) {
    fabric.hosts[1].process().signal(Signal::STOP);
    until("its routes are withdrawn", || learned(&fabric.hosts[0]) == 0);
    let session = session(&fabric.hosts[0]);
    assert_eq!(session["lastError"], "BFD down (6/10)", "{session}");
    assert_eq!(session["bfd"]["diagnostic"], "control detection time expired", "{session}");
    fabric.hosts[1].process().signal(Signal::CONT);
    until("they are back", || fabric.hosts.iter().all(|host| is_up(host) && learned(host) == 2));
}

fn settings(bfd: &str) -> String {
    format!("{{apiVersion: poplin.dev/v1, kind: FabricConfig, metadata: {{name: default}}, spec: {{bfd: {bfd}}}}}")
}

fn session(host: &Agent) -> Value {
    host.status()["sessions"][0].clone()
}

fn is_up(host: &Agent) -> bool {
    let session = session(host);
    session["state"] == "Established" && session["bfd"]["state"] == "Up"
}

fn learned(host: &Agent) -> usize {
    host.routes().iter().filter(|route| route.contains(" via ")).count()
}

/// Programs that take every processor, several times over.
struct Hogs {
    hogs: Vec<Process>,
    measure: Process,
}

impl Hogs {
    const COUNT: usize = 12;

    fn start(lab: &Lab, host: &Agent) -> Self {
        let spawn = |name: &str, work: &str| host.namespace().spawn(lab.directory().join(name), "sh", &["-c", work]);
        let hogs = (0..Self::COUNT).map(|_| spawn("hog.log", "while :; do :; done")).collect();
        let measure = spawn("measure.log", "sleep 8");
        Self { hogs, measure }
    }

    fn work_for_a_while(&mut self) {
        until("some seconds of it are over", || !self.measure.is_running());
        assert!(self.hogs.iter_mut().all(Process::is_running));
    }
}
