//! An etcd of three members, each in a namespace of its own behind the ToR.

use poplin_lab::{Lab, Namespace, Process, Tor, eventually, told};
use serde_json::Value;

/// The three members.
pub(crate) struct Members {
    processes: Vec<Option<Process>>,
    namespaces: Vec<Namespace>,
}

impl Members {
    pub(crate) fn start(lab: &Lab, tor: &Tor) -> Self {
        let mut members = Self { processes: Vec::new(), namespaces: Vec::new() };
        for number in 1..=3 {
            let namespace = lab.namespace(&format!("e{number}"));
            let (near, far) = (format!("172.32.{number}.1"), format!("172.32.{number}.2/24"));
            tor.namespace().join(&format!("e{number}"), &[&format!("{near}/24")], &namespace, "uplink", &[&far]);
            namespace.run("ip", &["route", "add", "default", "via", &near]);
            members.namespaces.push(namespace);
            members.processes.push(None);
        }
        (0..3).for_each(|index| members.revive(lab, index));
        members.until_whole();
        members
    }

    pub(crate) fn revive(&mut self, lab: &Lab, index: usize) {
        let (name, data) = (format!("e{}", index + 1), lab.directory().join(format!("etcd{index}")));
        let (client, peer) = (endpoint(index, 2379), endpoint(index, 2380));
        let all: Vec<String> = (0..3).map(|index| format!("e{}={}", index + 1, endpoint(index, 2380))).collect();
        let (data, all) = (data.display().to_string(), all.join(","));
        let arguments = [
            ["--name", &name, "--data-dir", &data, "--log-level", "error", "--unsafe-no-fsync"].as_slice(),
            &["--listen-client-urls", &client, "--advertise-client-urls", &client],
            &["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer, "--initial-cluster", &all],
        ]
        .concat();
        let log = lab.directory().join(format!("{name}.log"));
        self.processes[index] = Some(self.namespaces[index].spawn(log, "etcd", &arguments));
    }

    pub(crate) fn kill(&mut self, index: usize) {
        self.processes[index] = None;
    }

    fn etcdctl(&self, arguments: &[&str]) -> std::process::Output {
        let mut command = self.namespaces[0].command("env");
        command.args(["ETCDCTL_API=3", "etcdctl", "--endpoints", &endpoints()]).args(arguments);
        command.output().expect("etcdctl runs")
    }

    #[track_caller]
    pub(crate) fn until_whole(&self) {
        eventually("all members are well", || match self.etcdctl(&["endpoint", "health"]) {
            output if output.status.success() => Ok(()),
            output => Err(told(&output)),
        });
    }

    pub(crate) fn leader(&self) -> usize {
        eventually("there is a leader", || {
            let output = self.etcdctl(&["endpoint", "status", "-w", "json"]);
            let all: Value = serde_json::from_slice(&output.stdout).map_err(|_| told(&output))?;
            let leads = |one: &Value| one["Status"]["leader"] == one["Status"]["header"]["member_id"];
            all.as_array().and_then(|all| all.iter().position(leads)).ok_or_else(|| all.to_string())
        })
    }
}

fn endpoint(index: usize, port: u16) -> String {
    format!("http://172.32.{}.2:{port}", index + 1)
}

/// Where clients find them.
pub(crate) fn endpoints() -> String {
    (0..3).map(|index| endpoint(index, 2379)).collect::<Vec<_>>().join(",")
}
