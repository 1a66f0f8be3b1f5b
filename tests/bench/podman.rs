//! How long `podman run` takes until its container has ended: with our network by CNI and by netavark, beside none and each one's own bridge.
//!
//! `cargo build --release --workspace && cargo bench -p poplin-tests --bench podman`. Needs root, Debian's `podman` and `containernetworking-plugins`,
//! and a netavark made for speed: `cargo install netavark@2.1.0 --locked --root target/netavark`. Repetitions: `POPLIN_REPETITIONS`; the networks
//! take turns. The container's program is busybox's `true`, and `--rm` removes it.

#![allow(clippy::unwrap_used)] // whatever fails here ends the bench

#[allow(dead_code)]
mod figures;

use figures::{Line, Times, setting, tell, time};
use poplin_lab::{Agent, IMAGE, Lab, Netavark, Podman};

const POOL: &str = "apiVersion: poplin.dev/v1\nkind: Pool\nmetadata: {name: bench}\nspec: {cidr: 10.88.0.0/16}\n";

/// Who is timed: under which name, on which of the two hosts, as `podman run --network` has it.
const RUNS: [(&str, usize, &str); 5] = [
    ("no network", 0, "none"),
    ("CNI bridge", 0, "plain"),
    ("Poplin by CNI", 0, "ours"),
    ("netavark bridge", 1, "plain"),
    ("Poplin by netavark", 1, "ours"),
];

/// Of these, the one all are compared with.
const REFERENCE: usize = 3;

fn main() {
    let repetitions = setting("POPLIN_REPETITIONS", 40);
    let lab = Lab::new();
    let hosts = ["h1", "h2"].map(|name| {
        let mut host = Agent::new(&lab, lab.namespace(name), name);
        host.start();
        host.apply(POOL);
        host
    });
    let podmans = [Podman::new(&lab, &hosts[0]), Podman::on_netavark(&lab, &hosts[1], &Netavark::program())];
    podmans[0].install(&hosts[0], "ours", &[]);
    podmans[1].create(&hosts[1], "ours", &[]);
    podmans.iter().for_each(|podman| drop(podman.run(&["network", "create", "--disable-dns", "plain"])));

    let mut times = RUNS.map(|_| Times::default());
    for turn in 0..=repetitions {
        for ((_, podman, network), times) in RUNS.iter().zip(&mut times) {
            let run = ["run", "--rm", "--network", network, IMAGE, "/bin/busybox", "true"];
            let (_, took) = time(|| podmans[*podman].run(&run));
            // The first of each finds nothing in memory.
            if turn > 0 {
                times.add(took);
            }
        }
    }
    let lines: Vec<_> = RUNS
        .iter()
        .zip(&times)
        .map(|((who, ..), own)| Line {
            what: "podman run --rm",
            who: (*who).to_owned(),
            times: own,
            reference: &times[REFERENCE],
        })
        .collect();
    tell("podman", "A container started, ended and removed; ratio to netavark's bridge", &lines);
}
