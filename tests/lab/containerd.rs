//! A real containerd on one host: its `ctr`, which calls CNI plugins as `nerdctl` does, and its CRI, which does so as Kubernetes wants it.
//!
//! ```text
//! host's network namespace ── holder (mount namespace: /etc/cni/net.d, /opt/cni/bin) ── containerd ── shims ── containers
//! ```
//! The holder outlives containerd, as a machine does.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use crate::{Agent, Cri, Lab, PATIENCE, Process, eventually, rootfs};

/// Where containerd and `ctr` look for configurations and plugins, unless they are told otherwise.
const PLACES: [(&str, &str); 2] = [("net.d", "/etc/cni/net.d"), ("bin", "/opt/cni/bin")];

/// What its CRI has to be told where no registry is and rights are few: the image of pods' own process, and that nothing of a kernel's is to be had.
const CONFIGURATION: &str = r#"
version = 2
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "docker.io/library/busybox:lab"
restrict_oom_score_adj = true
"#;

/// A containerd, and what it runs.
#[derive(Debug)]
pub struct Containerd {
    daemon: Option<Process>,
    holder: Process,
    directory: PathBuf,
    /// What its containers' names begin with: runc has one list of them for the whole machine.
    host: String,
}

impl Containerd {
    /// The image of its pods, and of their containers.
    pub const IMAGE: &str = "docker.io/library/busybox:lab";

    /// A host's containerd, started, with our plugin by `poplin cni install`.
    pub fn start(lab: &Lab, host: &Agent, more: &[&str]) -> Self {
        Self::configured(lab, host, more, "")
    }

    /// The same with more in its configuration; what stands there of `/etc/cni` is beside its other files.
    pub fn configured(lab: &Lab, host: &Agent, more: &[&str], configuration: &str) -> Self {
        assert!(Path::new("/usr/bin/containerd").exists(), "install containerd first: apt-get install containerd");
        let name = host.namespace().name().to_owned();
        let directory = lab.directory().join(format!("{name}-containerd"));
        let place = |name: &str| directory.join(name).display().to_string();
        for (own, place) in PLACES {
            std::fs::create_dir_all(directory.join(own)).expect("the lab has a directory");
            std::fs::create_dir_all(place).expect("root may make a place to mount on");
        }
        let configuration = configuration.replace("/etc/cni", &directory.display().to_string());
        std::fs::write(directory.join("config.toml"), format!("{CONFIGURATION}{configuration}"))
            .expect("the lab has a directory");
        rootfs::fill(&directory.join("rootfs"));
        host.poplin(
            &[&["cni", "install", "--bin-dir", &place("bin"), "--conf-dir", &place("net.d")][..], more].concat(),
        );
        let holder = hold(host, &directory);
        let mut containerd = Self { daemon: None, holder, directory, host: name };
        containerd.restart();
        containerd
    }

    /// Starts it, again after [`kill`](Self::kill), and waits until it serves.
    pub fn restart(&mut self) {
        self.launch();
        eventually("containerd serves", || match self.socket().list() {
            Ok(_) => Ok(()),
            Err(status) => Err(format!("{status}\n{}", self.said())),
        });
    }

    /// Kills it: `kill -9`. What it runs goes on.
    pub fn kill(&mut self) {
        self.daemon = None;
    }

    /// Kills it, takes away all it knows, and starts it again; what it ran goes on without it.
    pub fn forget(&mut self) {
        self.kill();
        for place in ["root", "state"] {
            std::fs::remove_dir_all(self.place(place)).expect("it was there");
        }
        self.restart();
        self.cri();
    }

    /// Kills it while others are using it; [`kill`](Self::kill) buries it.
    pub fn strike(&self) {
        self.daemon.iter().for_each(|daemon| daemon.signal(rustix::process::Signal::KILL));
    }

    /// Its CRI, with an image to make pods of, and the plugin it wants beside each network's.
    pub fn cri(&self) -> Cri {
        let loopback = Path::new("/usr/lib/cni/loopback");
        assert!(loopback.exists(), "install loopback first: apt-get install containernetworking-plugins");
        let _ = std::os::unix::fs::symlink(loopback, self.directory.join("bin/loopback"));
        let image = rootfs::image(&self.directory, "busybox:lab").display().to_string();
        let output = self.ctr(&["--namespace", "k8s.io", "images", "import", &image]);
        assert!(output.status.success(), "ctr images import: {}", String::from_utf8_lossy(&output.stderr));
        self.socket()
    }

    /// Where something of its own is: `bin` for plugins, `net.d` for configurations of CNI.
    pub fn place(&self, name: &str) -> PathBuf {
        self.directory.join(name)
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

    /// What it has logged so far.
    pub fn said(&self) -> String {
        self.daemon.as_ref().map(Process::said).unwrap_or_default()
    }

    fn socket(&self) -> Cri {
        Cri::at(&self.directory.join("sock"))
    }

    fn launch(&mut self) {
        let place = |name: &str| self.directory.join(name).display().to_string();
        let mut command = inside(&self.holder);
        command.args(["containerd", "--address", &place("sock"), "--root", &place("root"), "--state", &place("state")]);
        command.args(["--config", &place("config.toml")]);
        self.daemon = Some(Process::spawn(command, self.directory.join("containerd.log")));
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

/// Mounts below /run/netns are seen on both sides, as on a machine, where the agent finds the namespaces of pods; all others stay inside.
fn hold(host: &Agent, directory: &Path) -> Process {
    let mounts = PLACES.map(|(own, place)| format!("mount --bind {} {place}", directory.join(own).display()));
    let mut command = Command::new("nsenter");
    command.arg(format!("--net={}", host.namespace().path().display()));
    command.args(["unshare", "--mount", "--propagation", "unchanged", "sh", "-c"]);
    command.arg(format!("mount --make-private / && {} && echo ready && exec sleep infinity", mounts.join(" && ")));
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
    /// A shim ends with its task, and a pod's namespace with its pod: only a containerd that lives ends them.
    fn drop(&mut self) {
        if self.daemon.is_none() {
            self.launch();
        }
        let (cri, deadline) = (self.socket(), Instant::now() + PATIENCE);
        while cri.list().is_err() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(20));
        }
        for pod in cri.list().unwrap_or_default() {
            let _ = cri.stop(&pod);
            let _ = cri.remove(&pod);
        }
        let names = self.ctr(&["task", "list", "--quiet"]);
        for name in String::from_utf8_lossy(&names.stdout).lines() {
            self.ctr(&["task", "delete", "--force", name]);
        }
        self.daemon = None;
        self.holder.kill();
    }
}
