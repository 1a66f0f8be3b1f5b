//! How long `docker run` takes until its container has ended: with our network, beside none, Docker's default bridge and one that a user made.
//!
//! `cargo build --release --workspace && cargo bench -p poplin-tests --bench docker`. Needs root and Debian's `docker.io`. Repetitions:
//! `POPLIN_REPETITIONS`; the networks take turns. The container's program is busybox's `true`, and `--rm` removes it.

#![allow(clippy::unwrap_used)] // whatever fails here ends the bench

#[allow(dead_code)]
mod figures;

use figures::{Line, Times, setting, tell, time};
use poplin_lab::{Agent, Docker, IMAGE, Lab};

/// As `docker run --network` has them; the third is the one to be compared with.
const NETWORKS: [(&str, &str); 4] =
    [("no network", "none"), ("the default bridge", "bridge"), ("a user's bridge", "plain"), ("Poplin", "ours")];

const POOL: &str = "apiVersion: poplin.dev/v1\nkind: Pool\nmetadata: {name: bench}\nspec: {cidr: 10.88.0.0/16}\n";

fn main() {
    let repetitions = setting("POPLIN_REPETITIONS", 40);
    let lab = Lab::new();
    let host = Agent::new(&lab, lab.namespace("h1"), "h1");
    let mut docker = Docker::new(&lab, &host);
    let arguments = docker.arguments();
    let mut host = host.with(&arguments.each_ref().map(String::as_str));
    host.start();
    host.apply(POOL);
    docker.start();
    docker.run(&["network", "create", "plain"]);
    docker.make_network("ours", &[]);

    let mut times = NETWORKS.map(|_| Times::default());
    for turn in 0..=repetitions {
        for ((_, network), times) in NETWORKS.iter().zip(&mut times) {
            let (_, took) = time(|| docker.run(&["run", "--rm", "--network", network, IMAGE, "/bin/busybox", "true"]));
            // The first of each finds nothing in memory.
            if turn > 0 {
                times.add(took);
            }
        }
    }
    let [.., reference, _] = &times;
    let lines: Vec<_> = NETWORKS
        .iter()
        .zip(&times)
        .map(|((who, _), times)| Line { what: "docker run --rm", who: (*who).to_owned(), times, reference })
        .collect();
    tell("docker", "A container started, ended and removed; ratio to a user's bridge", &lines);
}
