//! What a runtime waits for: CNI ADD and DEL, beside the plainest plugin there is, `ptp`, and the most usual, `bridge`, both with `host-local`.
//!
//! `cargo build --release --workspace && cargo bench -p poplin-tests --bench attach`. Needs root, etcd and the reference
//! plugins in /usr/lib/cni. Repetitions: `POPLIN_REPETITIONS`. Network namespaces are made beforehand; in each batch every
//! plugin attaches twenty, in turns, and detaches them when they have lived three seconds. What is timed is the plugin's
//! process from start to end. A host that forwards IPv6 takes longer to remove any link with an IPv6 address, so the
//! reference runs on such a host too.

#![allow(clippy::unwrap_used)] // whatever fails here ends the bench

#[allow(dead_code)]
mod figures;
#[allow(dead_code)]
mod plugin;

use figures::{Line, setting, tell};
use plugin::{Plugin, bridge, ours, ptp};
use poplin_lab::{Agent, Lab};
use serde_json::Value;

/// Containers of each plugin that live at the same time.
const BATCH: usize = 20;

/// How long they do. A link's own IPv6 address stands after two seconds at most (RFC 4862 §5.4), and costs when the link goes.
const LIFE: std::time::Duration = std::time::Duration::from_secs(3);

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
    let [plain, dual, bridged] = ["plain", "dual", "bridged"].map(|name| lab.namespace(name));
    dual.run("sysctl", &["-qw", "net.ipv6.conf.all.forwarding=1"]);
    let idle = resident_kib(&mut alone);

    let contestants = [
        (ptp("ptp", &lab.directory().join("plain")), &plain),
        (ptp("ptp, host forwards IPv6", &lab.directory().join("dual")), &dual),
        (bridge("bridge", &lab.directory().join("bridged")), &bridged),
        (ours("poplin-cni, embedded store", &alone), alone.namespace()),
        (ours("poplin-cni, etcd", &fleet), fleet.namespace()),
        (("a process that does nothing", "/bin/true".into(), Value::Null), &plain),
    ];
    let mut plugins = contestants.map(|(program, host)| Plugin::new(program, host));

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

/// Resident memory of an agent, in KiB (proc_pid_status(5), `VmRSS`).
fn resident_kib(agent: &mut Agent) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", agent.process().pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
