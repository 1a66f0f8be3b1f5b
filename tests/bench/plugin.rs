//! CNI plugins, called as a runtime calls them.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use poplin_lab::{Agent, Container, Namespace};
use serde_json::{Value, json};

use crate::figures::{Times, time};

const REFERENCE: &str = "/usr/lib/cni";

/// What is called: under which name it is told, its program, its configuration.
pub(crate) type Program<'w> = (&'w str, PathBuf, Value);

/// A plugin, and the host it runs on.
pub(crate) struct Plugin<'a> {
    pub(crate) who: &'a str,
    program: PathBuf,
    configuration: Value,
    host: &'a Namespace,
    pub(crate) add: Times,
    pub(crate) del: Times,
}

/// Our plugin on a host with an agent.
pub(crate) fn ours<'w>(who: &'w str, agent: &Agent) -> Program<'w> {
    (who, poplin_lab::programs().join("poplin-cni"), configuration(agent))
}

/// The plainest plugin there is, whose addresses stand in files.
pub(crate) fn ptp<'w>(who: &'w str, data: &Path) -> Program<'w> {
    (who, Path::new(REFERENCE).join("ptp"), reference(data))
}

/// The plugin most people begin with, on a bridge it makes itself.
pub(crate) fn bridge<'w>(who: &'w str, data: &Path) -> Program<'w> {
    let mut configuration = reference(data);
    configuration["type"] = json!("bridge");
    configuration["bridge"] = json!("bench0");
    configuration["isGateway"] = json!(true);
    (who, Path::new(REFERENCE).join("bridge"), configuration)
}

fn configuration(agent: &Agent) -> Value {
    json!({"cniVersion": "1.0.0", "name": "bench", "type": "poplin-cni", "socket": agent.socket()})
}

fn reference(data: &Path) -> Value {
    json!({
        "cniVersion": "1.0.0", "name": "bench", "type": "ptp",
        "ipam": {
            "type": "host-local",
            "dataDir": data,
            "ranges": [[{"subnet": "10.99.0.0/16"}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        },
    })
}

impl<'a> Plugin<'a> {
    pub(crate) fn new((who, program, configuration): Program<'a>, host: &'a Namespace) -> Self {
        Self { who, program, configuration, host, add: Times::default(), del: Times::default() }
    }

    /// Where the times of a command are gathered.
    pub(crate) fn times(&mut self, command: &str) -> &mut Times {
        if command == "ADD" { &mut self.add } else { &mut self.del }
    }

    /// How long the process takes from start to end.
    pub(crate) fn call(&self, command: &str, container: &Container) -> Duration {
        let mut plugin = Command::new(&self.program);
        plugin.env("CNI_COMMAND", command).env("CNI_CONTAINERID", container.name());
        plugin.env("CNI_NETNS", container.namespace().path()).env("CNI_IFNAME", "eth0").env("CNI_PATH", REFERENCE);
        plugin.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let input = self.configuration.to_string();
        let (output, took) = self.host.within(|| {
            time(|| {
                let mut child = plugin.spawn().unwrap();
                let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
                child.wait_with_output().unwrap()
            })
        });
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{} {command}: {said}{}", self.who, String::from_utf8_lossy(&output.stderr));
        took
    }
}
