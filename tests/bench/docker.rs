//! How long `docker run` takes until its container has ended: with our network, beside none, Docker's default bridge and one that a user made.
//!
//! `cargo build --release --workspace && cargo bench -p poplin-tests --bench docker`. Needs root and Debian's `docker.io`. Repetitions:
//! `POPLIN_REPETITIONS`; the networks take turns. The container's program is busybox's `true`, and `--rm` removes it. How much of that the agent was
//! asked for is timed by somebody who stands between the two and hands on what each says: from a request's first octet to its answer's.

#![allow(clippy::unwrap_used)] // whatever fails here ends the bench

#[allow(dead_code)]
mod figures;

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

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
    let handlers = Handlers::before(Path::new(&arguments[3]));
    docker.start();
    docker.run(&["network", "create", "plain"]);
    docker.make_network("ours", &[]);

    let (mut times, mut asked) = (NETWORKS.map(|_| Times::default()), Times::default());
    for turn in 0..=repetitions {
        for ((_, network), times) in NETWORKS.iter().zip(&mut times) {
            handlers.take();
            let (_, took) = time(|| docker.run(&["run", "--rm", "--network", network, IMAGE, "/bin/busybox", "true"]));
            // The first of each finds nothing in memory.
            if turn > 0 {
                times.add(took);
                if *network == "ours" {
                    asked.add(handlers.take());
                }
            }
        }
    }
    let [.., reference, ours] = &times;
    let lines: Vec<_> = NETWORKS
        .iter()
        .zip(&times)
        .map(|((who, _), times)| Line { what: "docker run --rm", who: (*who).to_owned(), times, reference })
        .collect();
    let handlers = Line { what: "of it our handlers", who: "Poplin".to_owned(), times: &asked, reference: ours };
    let lines: Vec<_> = lines.into_iter().chain([handlers]).collect();
    tell(
        "docker",
        "A container started, ended and removed; ratio to a user's bridge, of our handlers to the whole",
        &lines,
    );
}

/// Somebody between dockerd and the agent.
struct Handlers(Arc<Mutex<Duration>>);

impl Handlers {
    /// Takes the place of the agent's socket, and asks there in dockerd's name.
    fn before(socket: &Path) -> Self {
        let behind = socket.with_extension("behind");
        std::fs::rename(socket, &behind).unwrap();
        let (listener, sum) = (UnixListener::bind(socket).unwrap(), Arc::new(Mutex::new(Duration::ZERO)));
        let total = Arc::clone(&sum);
        thread::spawn(move || listener.incoming().flatten().for_each(|caller| hand_on(caller, &behind, &total)));
        Self(sum)
    }

    /// How long the agent took for all it was asked since this was last taken.
    fn take(&self) -> Duration {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

fn hand_on(caller: UnixStream, behind: &PathBuf, sum: &Arc<Mutex<Duration>>) {
    let agent = UnixStream::connect(behind).unwrap();
    let (asked, total) = (Arc::new(Mutex::new(None)), Arc::clone(sum));
    let (began, from, to) = (Arc::clone(&asked), caller.try_clone().unwrap(), agent.try_clone().unwrap());
    let asks = move || {
        began.lock().unwrap().get_or_insert_with(Instant::now);
    };
    thread::spawn(move || copy(from, to, asks));
    let answered = move || {
        if let Some(began) = asked.lock().unwrap().take() {
            *total.lock().unwrap() += Instant::elapsed(&began);
        }
    };
    thread::spawn(move || copy(agent, caller, answered));
}

/// Until there is nothing more, or nobody to take it.
fn copy(mut from: UnixStream, mut to: UnixStream, each: impl Fn()) {
    let mut buffer = [0; 1 << 16];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        each();
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(std::net::Shutdown::Write);
}
