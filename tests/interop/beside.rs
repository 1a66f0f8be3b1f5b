//! A host beside a BIRD on one link, and what each is told of the other.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use poplin_lab::{Agent, Bird, Container, Lab, Namespace, Pings, eventually, until};
use serde_json::Value;

/// What BIRD announces.
const FOREIGN: &str = "198.51.100.0/24";

/// The two ends of the link, BIRD's first.
pub(crate) const V4: [&str; 2] = ["172.31.1.1", "172.31.1.2"];
pub(crate) const V6: [&str; 2] = ["fd31:1::1", "fd31:1::2"];

/// A host of AS 64601 on one link with a router, which stands at the first addresses of [`V4`] and [`V6`].
pub(crate) fn host_beside(lab: &Lab, router: &Namespace) -> Agent {
    host_beside_with(lab, router, &["--asn", "64601"])
}

/// The same, started with these arguments.
pub(crate) fn host_beside_with(lab: &Lab, router: &Namespace, arguments: &[&str]) -> Agent {
    let namespace = lab.namespace("h1");
    let addresses = [["172.31.1.2/24", "fd31:1::2/64"], ["172.31.1.1/24", "fd31:1::1/64"]];
    namespace.join("uplink", &addresses[0], router, "h1", &addresses[1]);
    namespace.run("ip", &["route", "add", "default", "via", "172.31.1.1"]);
    let mut host = Agent::new(lab, namespace, "h1").with(arguments);
    host.start();
    host
}

/// A host beside a BIRD.
pub(crate) struct World {
    pub(crate) host: Agent,
    pub(crate) tor: std::cell::RefCell<Bird>,
    pub(crate) lab: Lab,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(&[])
    }

    /// The host is started with these arguments, too.
    pub(crate) fn with(arguments: &[&str]) -> Self {
        let lab = Lab::new();
        let tor = Bird::new(&lab, "tor");
        let host = host_beside_with(&lab, tor.namespace(), &[&["--asn", "64601"], arguments].concat());
        Self { host, tor: tor.into(), lab }
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.lab.directory().join("password")
    }

    pub(crate) fn password(&self, password: &str) {
        std::fs::write(self.file(), password).expect("the directory is there");
    }

    /// Tells the host of BIRD; `FILE` stands for the password's file.
    pub(crate) fn peer(&self, [bird, _]: [&str; 2], more: &str) {
        let more = more.replace("FILE", &self.file().display().to_string());
        self.host.apply(&format!(
            "{{apiVersion: poplin.dev/v1, kind: Peer, metadata: {{name: router}}, spec: {{address: '{bird}', asn: 65001, {more}}}}}"
        ));
    }

    /// Starts BIRD with these words about the host, or starts it again with others.
    pub(crate) fn bird(&self, ends: [&str; 2], more: &str) {
        self.bird_on(ends, [179, 179], more);
    }

    /// The same, on these ports, BIRD's first.
    pub(crate) fn bird_on(&self, [bird, us]: [&str; 2], [near, far]: [u16; 2], more: &str) {
        let protocols = format!(
            "protocol static {{ ipv4; route {FOREIGN} blackhole; }}\n\
             protocol bgp fabric {{ direct; {more} connect delay time 1; connect retry time 3; error wait time 1, 1;\n\
             local {bird} port {near} as 65001; neighbor {us} port {far} as 64601; ipv4 {{ import all; export all; next hop self; }};\n\
             ipv6 {{ import all; export all; next hop self; }}; }}"
        );
        self.tor.borrow_mut().start("172.31.0.1", &protocols);
    }

    #[track_caller]
    pub(crate) fn until_established(&self) {
        eventually("there is a session", || match self.session() {
            session if session["state"] == "Established" && session["prefixesReceived"] == 1 => Ok(()),
            session => Err(format!("{session}\n{}", self.tor.borrow().birdc("show protocols all fabric"))),
        });
    }

    /// Waits until the status says all of this of the session.
    #[track_caller]
    pub(crate) fn until_told(&self, words: &[&str]) {
        eventually("the status tells why there is no session", || match self.session()["lastError"].as_str() {
            Some(told) if words.iter().all(|word| told.contains(word)) => Ok(()),
            told => Err(format!("{told:?}")),
        });
    }

    pub(crate) fn session(&self) -> Value {
        self.host.status()["sessions"][0].clone()
    }

    pub(crate) fn traffic(&self) -> Traffic<'_> {
        Traffic::through(&self.lab, &self.host, self.tor.borrow().namespace())
    }
}

/// Numbered packets, a hundred a second, from a container to an address that only the router's announcement leads to.
pub(crate) struct Traffic<'a> {
    lab: &'a Lab,
    web: Container,
    pings: Option<Pings>,
    lost: u32,
}

/// In the prefix the router announces.
const BEYOND: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1));

impl<'a> Traffic<'a> {
    /// Attaches the container and waits until packets pass; who sends them back must know the way.
    #[track_caller]
    pub(crate) fn through(lab: &'a Lab, host: &Agent, router: &Namespace) -> Self {
        router.run("ip", &["address", "add", &format!("{BEYOND}/32"), "dev", "lo"]);
        host.namespace().run("ip", &["route", "del", "default"]);
        let mut web = lab.container("web");
        host.attach(&mut web, &[]);
        until("packets pass", || web.reaches(BEYOND));
        Self { lab, web, pings: None, lost: 0 }
    }

    /// Begins anew if as many were sent as were to be.
    pub(crate) fn go_on(&mut self) {
        if self.pings.as_mut().is_some_and(Pings::are_running) {
            return;
        }
        self.lost += self.pings.take().map_or(0, Pings::lost);
        self.pings = Some(Pings::start(self.lab.directory(), &self.web, BEYOND, 500));
    }

    /// How many never came back.
    pub(crate) fn lost(self) -> u32 {
        self.lost + self.pings.map_or(0, Pings::lost)
    }
}

/// Waits until an address answers.
#[track_caller]
pub(crate) fn until_pings(from: &Namespace, to: &str) {
    until("packets pass", || from.output("ping", &["-c1", "-W1", to]).status.success());
}
