//! A small data centre in network namespaces: a ToR switch, hosts with their agents, containers.
//!
//! ```text
//! tor (BIRD, etcd at 172.31.0.1) ── 172.31.N.0/24, fd31:N::/64 ── hN (poplind) ── containers
//! ```
//! Everything has a name of its own and goes away with its [`Lab`], also when a test panics. Nothing is waited for by the
//! clock: [`eventually`] asks until it is so.

mod agent;
mod bird;
mod container;
mod containerd;
mod cri;
mod deadline;
mod docker;
mod exabgp;
mod fabric;
mod frr;
mod gobgp;
mod namespace;
mod netavark;
mod numbered;
mod podman;
mod process;
mod rootfs;
mod tor;
mod traffic;
mod witness;

pub use agent::{Agent, told};
pub use bird::Bird;
pub use container::Container;
pub use containerd::Containerd;
pub use cri::{Cri, Dns, Metadata, Pod, Port, Said, Standing};
pub use docker::{Docker, IMAGE};
pub use exabgp::Exabgp;
pub use fabric::{Fabric, asn_of, both};
pub use frr::Frr;
pub use gobgp::Gobgp;
pub use namespace::Namespace;
pub use netavark::{Netavark, wanted};
pub use numbered::{Missing, Numbered, PACE};
pub use podman::Podman;
pub use process::{Process, run};
pub use tor::{ETCD, Session, TOR_ASN, Tor};
pub use traffic::{End, Flow, Pings, Talk};
pub use witness::Witness;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// How long anything may take before a test says that it does not happen.
pub const PATIENCE: Duration = Duration::from_secs(15);

/// One data centre. Dropping it ends every process and removes every namespace it made.
#[derive(Debug)]
pub struct Lab {
    name: String,
    directory: PathBuf,
    _deadline: deadline::Deadline,
}

static LABS: AtomicU32 = AtomicU32::new(0);

impl Lab {
    /// An empty one, with a name no other has. A story that has not dropped it after ten minutes is ended: what it waits for does not come.
    /// `POPLIN_LONGEST` is that bound in seconds, for stories that are asked to do more.
    pub fn new() -> Self {
        let name = format!("pl{}-{}", std::process::id(), LABS.fetch_add(1, Ordering::Relaxed));
        let directory = std::env::temp_dir().join(&name);
        std::fs::create_dir_all(&directory).expect("a temporary directory can be made");
        Self { _deadline: deadline::Deadline::new(&name), name, directory }
    }

    /// Where its processes keep their files and logs.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// A new network namespace, with `lo` up.
    pub fn namespace(&self, name: &str) -> Namespace {
        Namespace::new(&format!("{}-{name}", self.name))
    }

    /// A ToR switch: BIRD once sessions are declared, and etcd.
    pub fn tor(&self) -> Tor {
        Tor::new(self)
    }

    /// A host without neighbours, its agent started without configuration: its own store, the default pool.
    pub fn host(&self) -> Agent {
        let mut agent = Agent::new(self, self.namespace("h1"), "h1");
        agent.start();
        agent
    }

    /// A segment that these namespaces share, at `NET.N/24` each. It is gone when what this returns is dropped.
    pub fn segment(&self, net: &str, members: &[(&Namespace, u8)]) -> Namespace {
        let switch = self.namespace("segment");
        switch.run("ip", &["link", "add", "segment", "type", "bridge"]);
        switch.run("ip", &["link", "set", "segment", "up"]);
        for (member, number) in members {
            let port = format!("p{number}");
            switch.join(&port, &[], member, "eth0", &[&format!("{net}.{number}/24")]);
            switch.run("ip", &["link", "set", &port, "master", "segment"]);
        }
        switch
    }

    /// A namespace to be attached.
    pub fn container(&self, name: &str) -> Container {
        Container::new(name, self.namespace(name))
    }
}

impl Default for Lab {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("logs of the lab are in {}", self.directory.display());
        } else {
            let _ = std::fs::remove_dir_all(&self.directory);
        }
    }
}

/// Asks until it is so; panics with what was last answered if it does not come to be.
#[track_caller]
pub fn eventually<T>(what: &str, mut ask: impl FnMut() -> Result<T, String>) -> T {
    let began = Instant::now();
    loop {
        match ask() {
            Ok(answer) => return answer,
            Err(reason) if began.elapsed() > PATIENCE => panic!("{what}: not so after {PATIENCE:?}: {reason}"),
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

/// Asks until the answer is yes.
#[track_caller]
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    eventually(what, || if is_so() { Ok(()) } else { Err("it is not".to_owned()) });
}

/// The directory of the programs under test: the one this test was built in, or `POPLIN_BIN`.
pub fn programs() -> PathBuf {
    if let Some(directory) = std::env::var_os("POPLIN_BIN") {
        return directory.into();
    }
    let test = std::env::current_exe().expect("a test has a path");
    let directory = test.parent().and_then(Path::parent).expect("tests are built in target/PROFILE/deps");
    assert!(directory.join("poplind").exists(), "build the programs first: cargo build --workspace");
    directory.to_owned()
}
