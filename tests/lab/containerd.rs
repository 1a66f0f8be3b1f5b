//! A real containerd on one host, and its `ctr`, which calls CNI plugins as `nerdctl` and Kubernetes' runtime service do.
//!
//! ```text
//! host's network namespace ── holder (mount namespace: /etc/cni/net.d, /opt/cni/bin) ── containerd ── shims ── containers
//! ```

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::{Agent, Lab, Process, eventually, rootfs};

/// Where `ctr` looks for configurations and plugins, and nowhere else.
const PLACES: [(&str, &str); 2] = [("net.d", "/etc/cni/net.d"), ("bin", "/opt/cni/bin")];

/// A containerd, and what it runs.
#[derive(Debug)]
pub struct Containerd {
    daemon: Process,
    holder: Process,
    directory: PathBuf,
    /// What its containers' names begin with: runc has one list of them for the whole machine.
    host: String,
}

impl Containerd {
    /// A host's containerd, started, with our plugin by `poplin cni install`.
    pub fn start(lab: &Lab, host: &Agent, more: &[&str]) -> Self {
        assert!(Path::new("/usr/bin/containerd").exists(), "install containerd first: apt-get install containerd");
        let name = host.namespace().name().to_owned();
        let directory = lab.directory().join(format!("{name}-containerd"));
        let place = |name: &str| directory.join(name).display().to_string();
        for (own, place) in PLACES {
            std::fs::create_dir_all(directory.join(own)).expect("the lab has a directory");
            std::fs::create_dir_all(place).expect("root may make a place to mount on");
        }
        rootfs::fill(&directory.join("rootfs"));
        host.poplin(
            &[&["cni", "install", "--bin-dir", &place("bin"), "--conf-dir", &place("net.d")][..], more].concat(),
        );
        let holder = hold(host, &directory);
        let mut command = inside(&holder);
        command.args(["containerd", "--address", &place("sock"), "--root", &place("root"), "--state", &place("state")]);
        command.args(["--config", "/dev/null"]);
        let daemon = Process::spawn(command, directory.join("containerd.log"));
        let containerd = Self { daemon, holder, directory, host: name };
        eventually("containerd serves", || match containerd.ctr(&["version"]) {
            output if output.status.success() => Ok(()),
            _ => Err(containerd.daemon.said()),
        });
        containerd
    }

    /// Runs `ctr`.
    pub fn ctr(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("nsenter runs")
    }

    /// Runs a container until it is stopped, its network by CNI.
    pub fn run(&self, name: &str) -> Process {
        let root = self.directory.join("rootfs").display().to_string();
        let arguments = ["run", "--rm", "--cni", "--rootfs", &root, &self.full(name), "/bin/sleep", "100000"];
        Process::spawn(self.command(&arguments), self.directory.join(format!("{name}.log")))
    }

    /// Ends a container; its `ctr run` clears up.
    pub fn stop(&self, name: &str) {
        self.ctr(&["task", "kill", "--signal", "SIGKILL", &self.full(name)]);
    }

    /// What a command in a container says.
    pub fn exec(&self, name: &str, command: &[&str]) -> Output {
        self.ctr(&[&["task", "exec", "--exec-id", "look", &self.full(name)][..], command].concat())
    }

    fn full(&self, name: &str) -> String {
        format!("{}-{name}", self.host)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = inside(&self.holder);
        command.arg("ctr").arg("--address").arg(self.directory.join("sock")).args(arguments);
        command
    }
}

fn hold(host: &Agent, directory: &Path) -> Process {
    let mounts = PLACES.map(|(own, place)| format!("mount --bind {} {place}", directory.join(own).display()));
    let mut command = Command::new("nsenter");
    command.arg(format!("--net={}", host.namespace().path().display()));
    command.args(["unshare", "--mount", "--propagation", "slave", "sh", "-c"]);
    command.arg(format!("{} && echo ready && exec sleep infinity", mounts.join(" && ")));
    let holder = Process::spawn(command, directory.join("holder.log"));
    eventually(
        "the mount namespace stands",
        || {
            if holder.said().contains("ready") { Ok(()) } else { Err(holder.said()) }
        },
    );
    holder
}

/// A command beside the holder.
fn inside(holder: &Process) -> Command {
    let mut command = Command::new("nsenter");
    command.args(["--target", &holder.pid().to_string(), "--mount", "--net"]);
    command
}

impl Drop for Containerd {
    /// A shim ends with its task.
    fn drop(&mut self) {
        let names = self.ctr(&["task", "list", "--quiet"]);
        for name in String::from_utf8_lossy(&names.stdout).lines() {
            self.ctr(&["task", "delete", "--force", name]);
        }
        self.daemon.kill();
        self.holder.kill();
    }
}
