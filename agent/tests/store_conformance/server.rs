//! A real etcd of our own, on free ports of the loopback; it goes with the value, also when a test panics.

use crate::words::{Directory, Subject};
use poplin_agent::store::{Credentials, IdentityFiles, Location, open};
use rustix::process::{Pid, Signal, kill_process};
use std::ffi::OsString;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

pub(crate) struct Server {
    directory: Directory,
    client: String,
    peer: String,
    /// What more it is told at its start.
    arguments: Vec<OsString>,
    process: Option<Child>,
}

impl Server {
    /// Starts an empty one and waits until it answers.
    pub(crate) async fn start() -> Self {
        let mut server = Self::new(free_address());
        server.run().await;
        server
    }

    /// Starts an empty one that shows this certificate, and lets in whoever shows one of the same authority.
    pub(crate) async fn start_secured(ca: &Path, shown: &IdentityFiles, guest: &Credentials) -> Self {
        let mut server = Self::new(free_address().replace("http://", "https://"));
        let files = [("--trusted-ca-file", ca), ("--cert-file", &shown.certificate), ("--key-file", &shown.key)];
        server.arguments = files.into_iter().flat_map(|(name, path)| [name.into(), path.into()]).collect();
        server.arguments.push("--client-cert-auth".into());
        let location = Location::Etcd { endpoints: vec![server.client.clone()], credentials: guest.clone() };
        server.run_for(&open(&location).await.unwrap(), "/").await;
        server
    }

    fn new(client: String) -> Self {
        let (directory, peer) = (Directory::new(), free_address());
        Self { directory, client, peer, arguments: Vec::new(), process: None }
    }

    /// Starts it on the data it has.
    pub(crate) async fn run(&mut self) {
        let store = self.store().await;
        self.run_for(&store, "/nothing").await;
    }

    /// The same, and waits until it answers this store about that.
    pub(crate) async fn run_for(&mut self, store: &Subject, prefix: &str) {
        self.process = Some(self.spawn());
        let begin = Instant::now();
        while store.snapshot(prefix).await.is_err() {
            // A port that was free may be somebody's for a moment.
            if self.process.as_mut().is_none_or(|process| process.try_wait().is_ok_and(|ended| ended.is_some())) {
                self.process = Some(self.spawn());
            }
            assert!(begin.elapsed() < Duration::from_secs(30), "etcd answers within half a minute");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn spawn(&self) -> Child {
        let process = self.command().stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        process.expect("etcd is installed: apt install etcd-server")
    }

    fn command(&self) -> Command {
        let mut command = Command::new("etcd");
        command.arg("--data-dir").arg(self.data());
        command.args(["--listen-client-urls", &self.client, "--advertise-client-urls", &self.client]);
        command.args(["--listen-peer-urls", &self.peer, "--initial-advertise-peer-urls", &self.peer]);
        command.args(["--initial-cluster", &format!("default={}", self.peer)]);
        command.args(&self.arguments);
        command
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    pub(crate) fn endpoint(&self) -> &str {
        &self.client
    }

    /// A new connection to it.
    pub(crate) async fn store(&self) -> Subject {
        open(&Location::etcd(vec![self.client.clone()])).await.unwrap()
    }

    /// Ends it at once, as a crash would.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// Makes it stand still, with all its connections open.
    pub(crate) fn hang(&self) {
        self.signal(Signal::STOP);
    }

    pub(crate) fn wake(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let id = self.process.as_ref().expect("it runs").id();
        let pid = Pid::from_raw(id.try_into().unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// An address that no other server of these tests gets, and no caller: its port is below those that the kernel gives them (`ip_local_port_range`).
fn free_address() -> String {
    static GIVEN: AtomicU16 = AtomicU16::new(0);
    const OF_A_PROCESS: u16 = 300;
    let process = u16::try_from(std::process::id() % 70).expect("it is below 70");
    loop {
        let port = 10_000 + process * OF_A_PROCESS + GIVEN.fetch_add(1, Ordering::Relaxed) % OF_A_PROCESS;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return format!("http://127.0.0.1:{port}");
        }
    }
}
