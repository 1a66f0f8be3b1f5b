//! How long traffic stops when a switch dies silently: a host with two ToR switches, watched by BFD, beside BIRD 2 as the host.
//!
//! `cargo build --release --workspace && cargo bench -p poplin-tests --bench failover`, as root, with `bird2` of Debian. Repetitions:
//! `POPLIN_REPETITIONS`. Numbered datagrams leave a container every 2 ms to each of sixteen addresses, so that both switches carry some; then all
//! that comes to one switch is dropped without a word. Told is the longest gap of each flow that had one.

#![allow(clippy::unwrap_used)] // whatever fails here ends the bench

#[allow(dead_code)]
mod figures;

use std::time::Duration;

use figures::{Line, Times, setting, tell};
use poplin_lab::{Agent, Bird, Lab, Namespace, Numbered, PACE, until};

/// Flows to as many addresses.
const FLOWS: u8 = 16;

/// Prefixes that each switch announces, besides the one where the traffic goes.
const MANY: u32 = 2000;

/// How often each end sends, in milliseconds; three packets may be missed.
const INTERVALS: [u32; 2] = [300, 50];

fn main() {
    let repetitions = setting("POPLIN_REPETITIONS", 5);
    for interval in INTERVALS {
        let (mut ours, mut birds) = (Times::default(), Times::default());
        for _ in 0..repetitions {
            ours.extend(gaps(interval, Host::poplin));
            birds.extend(gaps(interval, Host::bird));
        }
        let what = format!("BFD 3 x {interval} ms");
        let line = |who: &str, times| Line { what: &what, who: who.to_owned(), times, reference: &birds };
        let title = format!("A switch dies under {FLOWS} flows and {MANY} prefixes; ratio to BIRD 2");
        tell("failover", &title, &[line("Poplin", &ours), line("BIRD 2", &birds)]);
    }
}

/// Who routes for the container.
enum Host {
    Poplin(Agent),
    Bird(Bird),
}

/// Makes a host between two switches that watches them so often, and a container on it.
type Make = fn(&Lab, &[Bird; 2], u32) -> (Host, Namespace);

/// A host between two switches, a container on it, and a server behind them.
struct World {
    host: Host,
    container: Namespace,
    switches: [Bird; 2],
    server: Namespace,
}

/// The gaps of the flows that had one.
fn gaps(interval: u32, host: Make) -> Vec<Duration> {
    let lab = Lab::new();
    let world = World::new(&lab, interval, host);
    let flow = |last| Numbered::start(&world.container, &world.server, [198, 51, 100, last].into(), 4000);
    let flows: Vec<_> = (1..=FLOWS).map(flow).collect();
    flows[0].goes_on_for(250);
    world.switches[0].namespace().cut();
    until("no prefix is by the dead switch", || world.by_both() == 0);
    flows[0].goes_on_for(500);
    let missing = flows.into_iter().map(Numbered::end);
    missing.filter(|missing| missing.all > 0).map(|missing| PACE * missing.in_a_row).collect()
}

impl World {
    fn new(lab: &Lab, interval: u32, host: Make) -> Self {
        let mut switches = [1, 2].map(|number| Bird::new(lab, &format!("tor{number}")));
        let server = lab.namespace("server");
        for (number, switch) in (1..).zip(&switches) {
            let (near, far) = (format!("172.29.{number}.2/24"), format!("172.29.{number}.1/24"));
            server.join(&format!("up{number}"), &[&near], switch.namespace(), "server", &[&far]);
        }
        for last in 1..=FLOWS {
            server.run("ip", &["address", "add", &format!("198.51.100.{last}/32"), "dev", "lo"]);
        }
        let (host, container) = host(lab, &switches, interval);
        for (number, switch) in (1..).zip(&mut switches) {
            switch.start(&format!("172.31.{number}.1"), &switch_protocols(number, interval));
        }
        let world = Self { host, container, switches, server };
        until("all prefixes are by both", || world.by_both() > MANY as usize);
        until("BFD watches both", || world.is_watched());
        world
    }

    /// Routes of the host that lead by both switches, but for its default.
    fn by_both(&self) -> usize {
        let host = match &self.host {
            Host::Poplin(agent) => agent.namespace(),
            Host::Bird(bird) => bird.namespace(),
        };
        let routes = host.run("ip", &["route"]).replace("\n\t", " ");
        let learned = routes.lines().filter(|route| !route.starts_with("default"));
        learned.filter(|route| route.contains("172.31.1.1 ") && route.contains("172.31.2.1 ")).count()
    }

    fn is_watched(&self) -> bool {
        match &self.host {
            Host::Poplin(agent) => {
                let sessions = agent.status()["sessions"].as_array().cloned().unwrap_or_default();
                sessions.len() == 2 && sessions.iter().all(|session| session["bfd"]["state"] == "Up")
            }
            Host::Bird(bird) => bird.birdc("show bfd sessions").matches(" Up ").count() == 2,
        }
    }
}

impl Host {
    fn poplin(lab: &Lab, switches: &[Bird; 2], interval: u32) -> (Self, Namespace) {
        let namespace = lab.namespace("h1");
        join(&namespace, switches);
        let mut agent = Agent::new(lab, namespace, "h1").with(&["--asn", "64601"]);
        agent.start();
        for number in [1, 2] {
            agent.apply(&format!(
                "{{apiVersion: poplin.dev/v1, kind: Peer, metadata: {{name: tor{number}}}, \
                 spec: {{address: 172.31.{number}.1, asn: 65000, bfd: {{intervalMilliseconds: {interval}}}}}}}"
            ));
        }
        let mut container = lab.container("web");
        agent.attach(&mut container, &[]);
        (Self::Poplin(agent), container.into_namespace())
    }

    fn bird(lab: &Lab, switches: &[Bird; 2], interval: u32) -> (Self, Namespace) {
        let mut bird = Bird::new(lab, "h1");
        join(bird.namespace(), switches);
        let container = lab.namespace("web");
        container.join("eth0", &["10.77.0.2/24"], bird.namespace(), "web", &["10.77.0.1/24"]);
        container.run("ip", &["route", "add", "default", "via", "10.77.0.1"]);
        let session = |number: u8| {
            format!(
                "protocol bgp tor{number} {{ connect delay time 1; direct; bfd on; local 172.31.{number}.2 as 64601; neighbor 172.31.{number}.1 as 65000;\n\
                 ipv4 {{ import all; export where source = RTS_STATIC; }}; }}\n"
            )
        };
        let own = "protocol static { ipv4; route 10.77.0.0/24 via \"web\"; }\n";
        bird.start("172.31.1.2", &format!("{}{own}{}{}", bfd(interval), session(1), session(2)));
        (Self::Bird(bird), container)
    }
}

fn join(host: &Namespace, switches: &[Bird; 2]) {
    for (number, switch) in (1..).zip(switches) {
        let (near, far) = (format!("172.31.{number}.2/24"), format!("172.31.{number}.1/24"));
        host.join(&format!("up{number}"), &[&near], switch.namespace(), "host", &[&far]);
    }
    host.run("ip", &["route", "add", "default", "nexthop", "via", "172.31.1.1", "nexthop", "via", "172.31.2.1"]);
}

fn bfd(interval: u32) -> String {
    format!("protocol bfd {{ interface \"*\" {{ interval {interval} ms; multiplier 3; }}; }}\n")
}

fn switch_protocols(number: u8, interval: u32) -> String {
    let many = |many: u32| format!("route 100.64.{}.{}/32 via 172.29.{number}.2;", many / 250, many % 250);
    let many: String = (0..MANY).map(many).collect();
    format!(
        "{}protocol static {{ ipv4; route 198.51.100.0/24 via 172.29.{number}.2; {many} }}\n\
         protocol bgp host {{ connect delay time 1; direct; bfd on; local 172.31.{number}.1 as 65000; neighbor 172.31.{number}.2 as 64601;\n\
         ipv4 {{ import all; export all; next hop self; }}; }}",
        bfd(interval)
    )
}
