//! Stories of a real podman on each of two hosts: containers of networks that are ours, by CNI and by netavark.

mod cni;
mod netavark;

use poplin_lab::{Agent, Fabric, Podman, until};

use crate::run::DB_FOR_WEB;

const SLEEP: &[&str] = &["sleep", "100000"];
const ANSWERS: &[&str] = &["nc", "-ll", "-p", "80", "-e", "cat"];

/// Two hosts on a segment, each with a podman that has networks web, db and ci.
struct Scene {
    podmans: [Podman; 2],
    fabric: Fabric,
}

impl Drop for Scene {
    /// Each story ends so: its containers go, and nothing is left of them.
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.podmans.iter().for_each(Podman::remove_all);
            self.fabric.hosts.iter().filter(|host| host.is_alive()).for_each(Agent::until_tidy);
        }
    }
}

impl Scene {
    /// Each podman as it is made, and given one network after the other.
    fn new(podman: impl Fn(&Fabric, &Agent) -> Podman, network: impl Fn(&Podman, &Agent, &str)) -> Self {
        let fabric = Fabric::meshed(2);
        let podmans = [0, 1].map(|index| {
            let host = &fabric.hosts[index];
            let podman = podman(&fabric, host);
            ["web", "db", "ci"].iter().for_each(|name| network(&podman, host, name));
            podman
        });
        Self { podmans, fabric }
    }

    fn host(&self, number: usize) -> &Agent {
        &self.fabric.hosts[number - 1]
    }

    fn names(&self) -> Vec<String> {
        self.host(1).poplin(&["get", "endpoints", "-o", "name"]).lines().map(str::to_owned).collect()
    }

    /// `web` of the first host reaches `db` of the second, which is `sql` too and has port 8088 of its host; then a policy lets in `web` alone.
    fn is_reached_and_governed(&self, db: &str) {
        let one = &self.podmans[0];
        assert!(one.pings("web", db), "by address, on another host");
        until("by name", || one.pings("web", "db") && one.pings("web", "sql"));
        let host = "172.30.0.2".parse().expect("an address");
        let dials = |port| self.fabric.tor.namespace().connect(host, port).is_ok();
        until("a port of the host leads to it", || dials(8088));
        assert!(!dials(8089));

        self.host(1).apply(DB_FOR_WEB);
        one.start("ci", &["--network", "ci"], SLEEP);
        until("who is not meant is denied", || !one.pings("ci", db));
        assert!(one.pings("web", db), "who is meant is let in by its label");
        until("a stranger is denied at the port, too", || !dials(8088));
    }

    /// All that was started goes, and nothing stays behind.
    fn leaves_nothing(&self) {
        let [one, two] = &self.podmans;
        one.run(&["rm", "--force", "--time", "0", "web", "ci"]);
        two.run(&["rm", "--force", "--time", "0", "db"]);
        assert_eq!(self.names(), Vec::<String>::new());
        assert_eq!((self.host(1).links(), self.host(2).links()), (vec![], vec![]));
    }
}
