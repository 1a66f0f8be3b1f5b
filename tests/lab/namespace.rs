//! Network namespaces, made and removed by ip-netns(8).

use std::fs::File;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd as _;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::Duration;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::process::{Process, run};

/// How long a connection may take before it counts as denied: a policy denies by silence. Within one machine an answer
/// takes less than a millisecond, and the kernel repeats a lost SYN only after one second.
const CONNECT: Duration = Duration::from_millis(400);

/// A network namespace. Dropping it kills what runs in it and removes it.
#[derive(Debug)]
pub struct Namespace {
    name: String,
}

impl Namespace {
    pub(crate) fn new(name: &str) -> Self {
        run("ip", &["netns", "add", name]);
        let namespace = Self { name: name.to_owned() };
        namespace.run("ip", &["link", "set", "lo", "up"]);
        namespace
    }

    /// Its name, as `ip netns` knows it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its path.
    pub fn path(&self) -> PathBuf {
        format!("/run/netns/{}", self.name).into()
    }

    /// A command that will run in it.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]).arg(program);
        command
    }

    /// Runs a program in it, and panics if that fails.
    #[track_caller]
    pub fn run(&self, program: &str, arguments: &[&str]) -> String {
        let output = self.output(program, arguments);
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program} {arguments:?} in {}: {told}", self.name);
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Runs a program in it.
    pub fn output(&self, program: &str, arguments: &[&str]) -> Output {
        self.command(program).args(arguments).output().expect("ip runs")
    }

    /// Runs something in a thread that lives in it; programs it starts live there too, and sockets it opens stay there.
    pub fn within<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let path = self.path();
        std::thread::scope(|scope| {
            let worker = scope.spawn(move || {
                let namespace = File::open(path).expect("the namespace is there");
                let kind = Some(LinkNameSpaceType::Network);
                move_into_link_name_space(namespace.as_fd(), kind).expect("root may enter it");
                work()
            });
            worker.join().unwrap_or_else(|cause| std::panic::resume_unwind(cause))
        })
    }

    /// Starts a program in it, logging to a file.
    pub fn spawn(&self, log: PathBuf, program: impl AsRef<std::ffi::OsStr>, arguments: &[&str]) -> Process {
        let mut command = self.command(program);
        command.args(arguments);
        Process::spawn(command, log)
    }

    /// Listens on a TCP port, for both families.
    #[track_caller]
    pub fn listen(&self, port: u16) -> TcpListener {
        let address = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
        self.within(|| TcpListener::bind(address))
            .unwrap_or_else(|error| panic!("port {port} in {}: {error}", self.name))
    }

    /// Opens a TCP connection.
    pub fn connect(&self, address: IpAddr, port: u16) -> std::io::Result<TcpStream> {
        self.within(|| TcpStream::connect_timeout(&SocketAddr::from((address, port)), CONNECT))
    }

    /// From now on nothing comes in; links stay up, and nobody is told.
    pub fn cut(&self) {
        let table = "table inet cut { chain in { type filter hook prerouting priority -310; policy drop; }; }";
        self.run("nft", &[table]);
    }

    /// Takes that back.
    pub fn mend(&self) {
        self.run("nft", &["delete table inet cut"]);
    }

    /// Joins two namespaces by a veth pair with addresses such as `172.31.1.1/24`.
    pub fn join(
        &self,
        interface: &str,
        addresses: &[&str],
        other: &Namespace,
        other_interface: &str,
        other_addresses: &[&str],
    ) {
        let pair = [
            "link",
            "add",
            interface,
            "netns",
            &self.name,
            "type",
            "veth",
            "peer",
            "name",
            other_interface,
            "netns",
            &other.name,
        ];
        run("ip", &pair);
        for (namespace, interface, addresses) in
            [(self, interface, addresses), (other, other_interface, other_addresses)]
        {
            for address in addresses {
                let mut arguments = vec!["address", "add", address, "dev", interface];
                arguments.extend(address.contains(':').then_some("nodad"));
                namespace.run("ip", &arguments);
            }
            namespace.run("ip", &["link", "set", interface, "up"]);
        }
    }
}

impl AsRef<Namespace> for Namespace {
    fn as_ref(&self) -> &Namespace {
        self
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let pids = Command::new("ip").args(["netns", "pids", &self.name]).output();
        for pid in pids.iter().flat_map(|output| output.stdout.split(|octet| *octet == b'\n')) {
            let pid = String::from_utf8_lossy(pid).into_owned();
            if !pid.is_empty() {
                let _ = Command::new("kill").args(["-9", &pid]).status();
            }
        }
        let _ = Command::new("ip").args(["netns", "delete", &self.name]).status();
    }
}
