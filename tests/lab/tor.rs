//! The ToR switch: links to hosts, BIRD, and an etcd everybody reaches.

use std::fmt::Write as _;
use std::path::PathBuf;

use crate::{Agent, Bird, Lab, Namespace, Process, eventually};

/// Where etcd listens, in the ToR's namespace.
pub const ETCD: &str = "http://172.31.0.1:2379";

/// The ToR's AS.
pub const TOR_ASN: u32 = 65000;

/// A ToR switch. Host *n* is at 172.31.n.2 and fd31:n::2, and its gateway at .1.
#[derive(Debug)]
pub struct Tor {
    etcd: Option<Process>,
    /// What etcd may hold, in bytes; 0: what it holds by default.
    quota: u64,
    bird: Bird,
    directory: PathBuf,
}

/// One BGP session of the ToR.
#[derive(Clone, Copy, Debug)]
pub struct Session {
    /// The host's number.
    pub host: u8,
    /// The host's AS.
    pub asn: u32,
}

impl Tor {
    pub(crate) fn new(lab: &Lab) -> Self {
        let bird = Bird::new(lab, "tor");
        bird.namespace().run("ip", &["address", "add", "172.31.0.1/32", "dev", "lo"]);
        Self { etcd: None, quota: 0, bird, directory: lab.directory().to_owned() }
    }

    /// Its namespace.
    pub fn namespace(&self) -> &Namespace {
        self.bird.namespace()
    }

    /// Its BIRD.
    pub fn bird(&mut self) -> &mut Bird {
        &mut self.bird
    }

    /// Asks its BIRD as a person would.
    pub fn ask(&self, question: &str) -> String {
        self.bird.birdc(question)
    }

    /// Starts etcd, or starts it again on the same data.
    pub fn start_etcd(&mut self) {
        let data = self.directory.join("etcd").display().to_string();
        let arguments = [
            "--name",
            "lab",
            "--data-dir",
            &data,
            "--log-level",
            "error",
            "--unsafe-no-fsync",
            "--listen-client-urls",
            ETCD,
            "--advertise-client-urls",
            ETCD,
            "--listen-peer-urls",
            "http://127.0.0.1:2380",
            "--quota-backend-bytes",
            &self.quota.to_string(),
        ];
        self.etcd = Some(self.namespace().spawn(self.directory.join("etcd.log"), "etcd", &arguments));
        eventually("etcd serves", || match self.etcdctl(&["endpoint", "health"]) {
            output if output.status.success() => Ok(()),
            output => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        });
    }

    /// From its next start on, etcd may hold so many bytes.
    pub fn limit_etcd(&mut self, quota: u64) {
        self.quota = quota;
    }

    /// Kills etcd.
    pub fn stop_etcd(&mut self) {
        self.etcd = None;
    }

    /// Sends etcd a signal.
    pub fn signal_etcd(&self, signal: rustix::process::Signal) {
        self.etcd.as_ref().expect("etcd was started").signal(signal);
    }

    /// Takes etcd's data away; it does not run.
    pub fn empty_etcd(&self) {
        std::fs::remove_dir_all(self.directory.join("etcd")).expect("etcd's data are there");
    }

    /// Puts the data of a backup in the place of etcd's own; it does not run.
    pub fn restore_etcd(&self, backup: &str) {
        let data = self.directory.join("etcd");
        std::fs::remove_dir_all(&data).expect("etcd's data are there");
        let data = data.display().to_string();
        let own = "lab=http://localhost:2380";
        let arguments = ["snapshot", "restore", backup, "--name", "lab", "--initial-cluster", own, "--data-dir", &data];
        let urls = ["--initial-advertise-peer-urls", "http://localhost:2380"];
        let output = self.etcdctl(&[&arguments[..], &urls[..]].concat());
        assert!(output.status.success(), "{}", crate::told(&output));
    }

    /// Asks etcd as a person would.
    pub fn etcdctl(&self, arguments: &[&str]) -> std::process::Output {
        let mut command = self.namespace().command("env");
        command.args(["ETCDCTL_API=3", "etcdctl", "--endpoints", ETCD]).args(arguments);
        command.output().expect("etcdctl runs")
    }

    /// Starts BIRD with these sessions, or starts it again with others.
    pub fn start_bird(&mut self, sessions: &[Session]) {
        let mut protocols = String::new();
        for Session { host, asn } in sessions {
            let _ = writeln!(
                protocols,
                "protocol bgp h{host} {{ connect delay time 1; local 172.31.{host}.1 as {TOR_ASN}; neighbor 172.31.{host}.2 as {asn};\n\
                 ipv4 {{ import all; export all; }}; ipv6 {{ import all; export all; next hop self; }}; }}"
            );
        }
        self.bird.start("172.31.0.1", &protocols);
    }

    /// A host on a link of its own, its agent not yet started, its store the ToR's etcd.
    pub fn host(&self, lab: &Lab, number: u8) -> Agent {
        self.lone_host(lab, number).with(&["--etcd", ETCD])
    }

    /// A host on a link of its own, its agent not yet started, with a store of its own.
    pub fn lone_host(&self, lab: &Lab, number: u8) -> Agent {
        let namespace = lab.namespace(&format!("h{number}"));
        let (v4, v6) = (format!("172.31.{number}"), format!("fd31:{number}:"));
        self.namespace().join(
            &format!("h{number}"),
            &[&format!("{v4}.1/24"), &format!("{v6}:1/64")],
            &namespace,
            "uplink",
            &[&format!("{v4}.2/24"), &format!("{v6}:2/64")],
        );
        namespace.run("ip", &["route", "add", "default", "via", &format!("{v4}.1")]);
        namespace.run("ip", &["-6", "route", "add", "default", "via", &format!("{v6}:1")]);
        Agent::new(lab, namespace, &format!("h{number}")).with(&["--label", &format!("host=h{number}")])
    }

    /// A host on a segment all such hosts share, at 172.30.0.n and fd30::n; its store the ToR's etcd.
    pub fn host_on_segment(&self, lab: &Lab, number: u8) -> Agent {
        self.make_segment();
        let namespace = lab.namespace(&format!("h{number}"));
        let port = format!("h{number}");
        let addresses = [format!("172.30.0.{number}/24"), format!("fd30::{number}/64")];
        self.namespace().join(&port, &[], &namespace, "uplink", &[&addresses[0], &addresses[1]]);
        self.namespace().run("ip", &["link", "set", &port, "master", "segment"]);
        namespace.run("ip", &["route", "add", "default", "via", "172.30.0.254"]);
        namespace.run("ip", &["-6", "route", "add", "default", "via", "fd30::fe"]);
        Agent::new(lab, namespace, &format!("h{number}")).with(&["--etcd", ETCD])
    }

    fn make_segment(&self) {
        let inside = self.namespace();
        if !inside.output("ip", &["link", "show", "segment"]).status.success() {
            // By itself a bridge takes the least MAC of its ports, so each that comes could make its neighbours lose it.
            inside.run("ip", &["link", "add", "segment", "address", "02:00:00:00:00:fe", "type", "bridge"]);
            inside.run("ip", &["address", "add", "172.30.0.254/24", "dev", "segment"]);
            inside.run("ip", &["address", "add", "fd30::fe/64", "dev", "segment", "nodad"]);
            inside.run("ip", &["link", "set", "segment", "up"]);
        }
    }
}
