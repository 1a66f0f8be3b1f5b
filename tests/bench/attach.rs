//! What a runtime waits for: CNI ADD and DEL, beside the plainest plugin there is, `ptp` with `host-local`.
//!
//! `cargo build --release --workspace && cargo bench -p poplin-tests --bench attach`. Needs root, etcd and the reference
//! plugins in /usr/lib/cni. Repetitions: `POPLIN_REPETITIONS`. Network namespaces are made beforehand; in each batch every
//! plugin attaches twenty, in turns, and detaches them when they have lived three seconds. What is timed is the plugin's
//! process from start to end. A host that forwards IPv6 takes longer to remove any link with an IPv6 address, so the
//! reference runs on such a host too.

#![allow(clippy::unwrap_used)] // whatever fails here ends the bench

#[allow(dead_code)]
mod figures;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use figures::{Line, Times, setting, tell, time};
use poplin_lab::{Agent, Container, Lab, Namespace};
use serde_json::{Value, json};

const REFERENCE: &str = "/usr/lib/cni";

/// Containers of each plugin that live at the same time.
const BATCH: usize = 20;

/// How long they do. A link's own IPv6 address stands after two seconds at most (RFC 4862 §5.4), and costs when the link goes.
const LIFE: std::time::Duration = std::time::Duration::from_secs(3);

/// A plugin, and the host it runs on.
struct Plugin<'a> {
    who: &'static str,
    program: PathBuf,
    configuration: Value,
    host: &'a Namespace,
    add: Times,
    del: Times,
}

fn main() {
    let repetitions = setting("POPLIN_REPETITIONS", 200);
    let lab = Lab::new();
    let mut tor = lab.tor();
    tor.start_etcd();
    let mut alone = Agent::new(&lab, lab.namespace("alone"), "alone");
    alone.start();
    let mut fleet = tor.host(&lab, 1);
    fleet.start();
    fleet.apply(POOL);
    let (plain, dual) = (lab.namespace("plain"), lab.namespace("dual"));
    dual.run("sysctl", &["-qw", "net.ipv6.conf.all.forwarding=1"]);
    let idle = resident_kib(&mut alone);

    let ours = |who, agent: &Agent| (who, poplin_lab::programs().join("poplin-cni"), configuration(agent));
    let ptp = |who, data| (who, Path::new(REFERENCE).join("ptp"), reference(&lab.directory().join(data)));
    let contestants = [
        (ptp("ptp", "plain"), &plain),
        (ptp("ptp, host forwards IPv6", "dual"), &dual),
        (ours("poplin-cni, embedded store", &alone), alone.namespace()),
        (ours("poplin-cni, etcd", &fleet), fleet.namespace()),
        (("a process that does nothing", "/bin/true".into(), Value::Null), &plain),
    ];
    let mut plugins = contestants.map(|((who, program, configuration), host)| Plugin {
        who,
        program,
        configuration,
        host,
        add: Times::default(),
        del: Times::default(),
    });

    let count = plugins.len();
    let containers: Vec<_> = (0..BATCH * count).map(|number| lab.container(&format!("c{number}"))).collect();
    for batch in 0..repetitions.div_ceil(BATCH) {
        // Each plugin has other namespaces in each batch, and another turn in each repetition.
        let turns: Vec<_> = (0..BATCH * count).map(|turn| (turn % count + turn / count) % count).collect();
        let ours: Vec<_> = turns.iter().zip(containers.iter().cycle().skip(batch)).collect();
        for (which, container) in &ours {
            let took = plugins[**which].call("ADD", container);
            plugins[**which].add.add(took);
        }
        std::thread::sleep(LIFE);
        for (which, container) in &ours {
            let took = plugins[**which].call("DEL", container);
            plugins[**which].del.add(took);
        }
    }

    let [first, ..] = &plugins;
    let lines: Vec<_> = plugins
        .iter()
        .map(|plugin| Line { what: "ADD", who: plugin.who.into(), times: &plugin.add, reference: &first.add })
        .chain(plugins.iter().map(|plugin| Line {
            what: "DEL",
            who: plugin.who.into(),
            times: &plugin.del,
            reference: &first.del,
        }))
        .collect();
    tell("attach", "CNI, wall time of one call; ratio to ptp of the same operation", &lines);
    let after = resident_kib(&mut alone);
    println!("figure bench=attach what=resident who=poplind-embedded idle_kib={idle} after_kib={after}");
}

const POOL: &str = "apiVersion: poplin.dev/v1\nkind: Pool\nmetadata: {name: bench}\nspec: {cidr: 10.88.0.0/16}\n";

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

impl Plugin<'_> {
    fn call(&self, command: &str, container: &Container) -> std::time::Duration {
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

/// Resident memory of an agent, in KiB (proc_pid_status(5), `VmRSS`).
fn resident_kib(agent: &mut Agent) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", agent.process().pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
