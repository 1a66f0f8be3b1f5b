//! A real dockerd on one host, with a `/run/docker` of its own, and an image that holds nothing but busybox.
//!
//! ```text
//! host's network namespace ── holder (mount namespace: RUN on /run/docker) ── dockerd ── containerd ── shims ── containers
//! ```
//! The holder outlives dockerd, as a machine does. All containers are in one cgroup, by which they are found at the end.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::{Agent, Lab, Process, eventually, rootfs, run};

/// The image every container is made of.
pub const IMAGE: &str = "busybox:lab";

/// A dockerd, and what it runs.
#[derive(Debug)]
pub struct Docker {
    daemon: Option<Process>,
    holder: Process,
    directory: PathBuf,
    cgroup: String,
    more: Vec<String>,
}

impl Docker {
    /// A host's dockerd, not yet started.
    pub fn new(lab: &Lab, host: &Agent) -> Self {
        assert!(Path::new("/usr/sbin/dockerd").exists(), "install dockerd first: apt-get install docker.io");
        let cgroup = host.namespace().name().to_owned();
        let directory = lab.directory().join(format!("{cgroup}-docker"));
        std::fs::create_dir_all(directory.join("run/plugins")).expect("the lab has a directory");
        std::fs::create_dir_all("/run/docker").expect("root may make a place to mount on");
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", host.namespace().path().display()));
        command.args(["unshare", "--mount", "--propagation", "private", "sh", "-c"]);
        command.arg(format!(
            "mount --bind {} /run/docker && echo ready && exec sleep infinity",
            directory.join("run").display()
        ));
        let holder = Process::spawn(command, directory.join("holder.log"));
        eventually("the mount namespace stands", || {
            if holder.said().contains("ready") { Ok(()) } else { Err(holder.said()) }
        });
        Self { daemon: None, holder, directory, cgroup, more: Vec::new() }
    }

    /// More arguments for dockerd.
    #[must_use]
    pub fn with(mut self, arguments: &[&str]) -> Self {
        self.more.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        self
    }

    /// What `poplind` has to be told of it.
    pub fn arguments(&self) -> [String; 4] {
        let socket = self.directory.join("docker.sock").display().to_string();
        let plugin = self.directory.join("run/plugins/poplin.sock").display().to_string();
        ["--docker-socket".to_owned(), socket, "--docker-plugin".to_owned(), plugin]
    }

    /// Starts dockerd, and waits until it serves.
    pub fn start(&mut self) {
        self.launch();
        eventually("dockerd serves", || match self.try_run(&["version"]) {
            output if output.status.success() => Ok(()),
            _ => Err(self.said()),
        });
        if !self.try_run(&["image", "inspect", IMAGE]).status.success() {
            self.import();
        }
    }

    /// Starts dockerd, and does not wait.
    pub fn launch(&mut self) {
        let _ = std::fs::remove_file(self.directory.join("docker.pid"));
        let place = |name: &str| self.directory.join(name).display().to_string();
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.holder.pid().to_string(), "--mount", "--net", "dockerd"]);
        command.args(["--data-root", &place("data"), "--exec-root", &place("exec"), "--pidfile", &place("docker.pid")]);
        command.args([
            "--host",
            &format!("unix://{}", place("docker.sock")),
            "--cgroup-parent",
            &format!("/{}", self.cgroup),
        ]);
        command.args(&self.more);
        self.daemon = Some(Process::spawn(command, self.directory.join("dockerd.log")));
    }

    /// Ends dockerd as its service would; containers end with it.
    pub fn stop(&mut self) {
        let daemon = self.daemon.as_mut().expect("dockerd was started");
        daemon.signal(rustix::process::Signal::TERM);
        eventually("dockerd stops", || if daemon.is_running() { Err(daemon.said()) } else { Ok(()) });
        self.daemon = None;
    }

    /// Kills dockerd; its containers go on. Its containerd dies with it, and may stand as a zombie that the next dockerd would wait for.
    pub fn kill(&mut self) {
        self.daemon = None;
        let _ = std::fs::remove_file(self.directory.join("exec/containerd/containerd.pid"));
    }

    /// Kills dockerd while others are using it; [`kill`](Self::kill) buries it.
    pub fn strike(&self) {
        self.daemon.iter().for_each(|daemon| daemon.signal(rustix::process::Signal::KILL));
    }

    /// What dockerd has logged so far.
    pub fn said(&self) -> String {
        self.daemon.as_ref().map(Process::said).unwrap_or_default()
    }

    /// Runs `docker`, and panics if that fails.
    #[track_caller]
    pub fn run(&self, arguments: &[&str]) -> String {
        let output = self.try_run(arguments);
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "docker {arguments:?}: {told}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Runs `docker`.
    pub fn try_run(&self, arguments: &[&str]) -> Output {
        let socket = format!("unix://{}", self.directory.join("docker.sock").display());
        Command::new("docker").args(["--host", &socket]).args(arguments).output().expect("docker runs")
    }

    /// What a shell is told to run `docker` for this dockerd.
    pub fn shell(&self) -> String {
        format!("docker --host unix://{}", self.directory.join("docker.sock").display())
    }

    /// Gives its image another name, with a command of its own.
    pub fn name_image(&self, name: &str) {
        let tar = self.directory.join("image.tar").display().to_string();
        self.run(&["import", "--change", "CMD [\"sleep\", \"100000\"]", &tar, name]);
    }

    /// Makes a network of ours.
    #[track_caller]
    pub fn make_network(&self, name: &str, more: &[&str]) {
        self.run(
            &[&["network", "create", "--driver", "poplin", "--ipam-driver", "poplin"][..], more, &[name]].concat(),
        );
    }

    /// Makes and enables the managed plugin that Swarm needs.
    #[track_caller]
    pub fn make_swarm_plugin(&self) {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/swarm/plugin");
        run(script, &["--host", &format!("unix://{}", self.directory.join("docker.sock").display())]);
    }

    /// Waits until dockerd has a network.
    #[track_caller]
    pub fn until_network(&self, name: &str) {
        eventually("dockerd has the network", || match self.try_run(&["network", "inspect", name]) {
            output if output.status.success() => Ok(()),
            output => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        });
    }

    /// Runs a container that sleeps: `docker run -d --name NAME … IMAGE sleep`.
    #[track_caller]
    pub fn sleeper(&self, name: &str, more: &[&str]) {
        self.run(&[&["run", "-d", "--init", "--name", name][..], more, &[IMAGE, "sleep", "100000"]].concat());
    }

    /// Whether one ping from a container is answered within a second.
    pub fn pings(&self, container: &str, address: &str) -> bool {
        self.try_run(&["exec", container, "ping", "-c1", "-W1", address]).status.success()
    }

    /// Asks the agent as dockerd does, with an empty `Host:` as version 20.10 has it: the status, and what is answered.
    #[track_caller]
    pub fn ask_plugin(&self, call: &str, request: Option<&Value>) -> (u16, Value) {
        let mut command = Command::new("curl");
        command.args([
            "--silent",
            "--unix-socket",
            &self.directory.join("run/plugins/poplin.sock").display().to_string(),
        ]);
        command.args([
            "--request",
            "POST",
            "--header",
            "Host;",
            "--write-out",
            "\n%{http_code}",
            &format!("http://plugin/{call}"),
        ]);
        command.args(request.iter().flat_map(|request| ["--data".to_owned(), request.to_string()]));
        let output = command.output().expect("curl runs");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let (body, status) = text.rsplit_once('\n').unwrap_or_else(|| panic!("no answer to {call}"));
        (status.parse().unwrap_or_default(), serde_json::from_str(body).unwrap_or(Value::Null))
    }

    /// Asks dockerd itself: what a person can say by its API and not by every `docker`.
    #[track_caller]
    pub fn ask(&self, method: &str, path: &str, request: &Value) -> Value {
        let mut command = Command::new("curl");
        let socket = self.directory.join("docker.sock").display().to_string();
        command.args(["--silent", "--unix-socket", &socket, "--request", method]);
        command.args(["--header", "Content-Type: application/json", "--data", &request.to_string()]);
        let output = command.arg(format!("http://docker{path}")).output().expect("curl runs");
        serde_json::from_slice(&output.stdout).unwrap_or(Value::Null)
    }

    /// Runs `docker-compose` for the file at this path.
    pub fn compose(&self, file: &Path, arguments: &[&str]) -> Output {
        let socket = format!("unix://{}", self.directory.join("docker.sock").display());
        let mut command = Command::new("docker-compose");
        command.env("DOCKER_HOST", &socket).args(["--project-name", "shop", "--file"]).arg(file).args(arguments);
        command.output().expect("docker-compose runs")
    }

    /// Removes every container.
    pub fn remove_all(&self) {
        let all = self.try_run(&["ps", "--all", "--quiet"]);
        let all = String::from_utf8_lossy(&all.stdout).into_owned();
        let ids: Vec<&str> = all.split_whitespace().collect();
        if !ids.is_empty() {
            let _ = self.try_run(&[&["rm", "--force", "--volumes"][..], &ids].concat());
        }
    }

    /// What `docker inspect` says of something.
    #[track_caller]
    pub fn inspect(&self, name: &str) -> Value {
        let all: Value = serde_json::from_str(&self.run(&["inspect", name])).expect("inspect says JSON");
        all[0].clone()
    }

    /// A container's address in a network.
    #[track_caller]
    pub fn address(&self, container: &str, network: &str) -> String {
        let inspected = self.inspect(container);
        inspected["NetworkSettings"]["Networks"][network]["IPAddress"].as_str().unwrap_or_default().to_owned()
    }

    /// The same of IPv6.
    #[track_caller]
    pub fn address_v6(&self, container: &str, network: &str) -> String {
        let inspected = self.inspect(container);
        inspected["NetworkSettings"]["Networks"][network]["GlobalIPv6Address"].as_str().unwrap_or_default().to_owned()
    }

    /// Makes the image of what this machine has: static busybox under each of its names.
    fn import(&self) {
        let root = self.directory.join("image");
        rootfs::fill(&root);
        let tar = self.directory.join("image.tar").display().to_string();
        run("tar", &["-C", &root.display().to_string(), "-cf", &tar, "."]);
        self.run(&["import", &tar, IMAGE]);
    }

    /// The processes of all its containers.
    fn processes(&self) -> Vec<String> {
        let groups = format!("/sys/fs/cgroup/pids/{}", self.cgroup);
        let groups = std::fs::read_dir(groups).into_iter().flatten().flatten().map(|group| group.path());
        let plugins = self.plugins().into_iter().map(|id| Path::new("/sys/fs/cgroup/pids").join(id));
        let all = groups.chain(plugins);
        let text = all.filter_map(|group| std::fs::read_to_string(group.join("cgroup.procs")).ok());
        text.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>()).collect()
    }

    /// Ids of its managed plugins, each of which has a cgroup of that name beside all others.
    fn plugins(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.directory.join("data/plugins")).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        names.filter(|name| name.len() == 64).collect()
    }

    /// Removes the cgroups, of every kind, which no process is in any more.
    fn remove_groups(&self) {
        for kind in std::fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten() {
            let group = kind.path().join(&self.cgroup);
            for below in std::fs::read_dir(&group).into_iter().flatten().flatten() {
                let _ = std::fs::remove_dir(below.path());
            }
            let _ = std::fs::remove_dir(group);
            for id in self.plugins() {
                let _ = std::fs::remove_dir(kind.path().join(id));
            }
        }
    }
}

impl Drop for Docker {
    /// Whatever runs in the host's network namespace, shims among it, ends with that; containers have namespaces of their own.
    fn drop(&mut self) {
        self.daemon = None;
        for process in self.processes() {
            let _ = Command::new("kill").args(["-9", &process]).output();
        }
        let pids = Command::new("ip").args(["netns", "pids", &self.cgroup]).output();
        for pid in pids.iter().flat_map(|output| output.stdout.split(|octet| *octet == b'\n')) {
            let name = std::fs::read_to_string(format!("/proc/{}/comm", String::from_utf8_lossy(pid)));
            if name.is_ok_and(|name| name.starts_with("containerd")) {
                let _ = Command::new("kill").args(["-9", &String::from_utf8_lossy(pid)]).status();
            }
        }
        let deadline = std::time::Instant::now() + crate::PATIENCE;
        while !self.processes().is_empty() && std::time::Instant::now() < deadline {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        self.remove_groups();
        self.holder.kill();
    }
}
