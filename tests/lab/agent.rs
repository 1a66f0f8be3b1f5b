//! One host with its agent, driven the way people and runtimes drive it: by `poplin` and `poplin-cni`.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use serde_json::{Value, json};

use crate::{Container, Lab, Namespace, Process, eventually, programs};

/// A host and its agent.
#[derive(Debug)]
pub struct Agent {
    process: Option<Process>,
    namespace: Namespace,
    /// What its files are called.
    name: String,
    /// What it is called in the fabric.
    host: String,
    arguments: Vec<String>,
    directory: PathBuf,
}

impl Agent {
    /// A host whose agent keeps its own store; not yet started.
    pub fn new(lab: &Lab, namespace: Namespace, name: &str) -> Self {
        let directory = lab.directory().to_owned();
        let data = directory.join(format!("{name}-data")).display().to_string();
        let socket = directory.join(format!("{name}.sock")).display().to_string();
        let arguments = ["--host", name, "--socket", &socket, "--data", &data].map(str::to_owned).to_vec();
        Self { process: None, namespace, name: name.to_owned(), host: name.to_owned(), arguments, directory }
    }

    /// A speaker alone, with a configuration of its own; not yet started.
    pub fn speaker(lab: &Lab, namespace: Namespace, name: &str, configuration: &str) -> Self {
        let directory = lab.directory().to_owned();
        let path = directory.join(format!("{name}.toml"));
        std::fs::write(&path, configuration).expect("the directory is there");
        let (path, socket) = (path.display().to_string(), directory.join(format!("{name}.sock")).display().to_string());
        let arguments = ["--role", "reflector", "--config", &path, "--host", name, "--socket", &socket];
        Self {
            process: None,
            namespace,
            name: name.to_owned(),
            host: name.to_owned(),
            arguments: arguments.map(str::to_owned).to_vec(),
            directory,
        }
    }

    /// Writes a speaker's configuration anew, and has it read.
    pub fn reconfigure(&mut self, configuration: &str) {
        let path = self.directory.join(format!("{}.toml", self.name));
        std::fs::write(path, configuration).expect("the directory is there");
        self.process().signal(rustix::process::Signal::HUP);
    }

    /// Its host has this name in the fabric.
    #[must_use]
    pub fn called(mut self, host: &str) -> Self {
        self.arguments[1] = host.to_owned();
        self.host = host.to_owned();
        self
    }

    /// More arguments for `poplind`.
    #[must_use]
    pub fn with(mut self, arguments: &[&str]) -> Self {
        self.arguments.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        self
    }

    /// The host's namespace.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Its socket.
    pub fn socket(&self) -> PathBuf {
        self.directory.join(format!("{}.sock", self.name))
    }

    /// Starts the agent, and waits until it serves and knows its store.
    pub fn start(&mut self) {
        self.launch();
        self.until_ready();
    }

    /// Puts an agent of another schema in the place of this one: the old one is killed, the new one started, and waited for.
    pub fn replace(&mut self, schema: u32) {
        self.kill();
        if let Some(at) = self.arguments.iter().position(|argument| argument == "--schema") {
            self.arguments.drain(at..at + 2);
        }
        self.arguments.extend(["--schema".to_owned(), schema.to_string()]);
        self.start();
    }

    /// Starts the agent, and does not wait.
    pub fn launch(&mut self) {
        let arguments: Vec<&str> = self.arguments.iter().map(String::as_str).collect();
        let log = self.directory.join(format!("{}.log", self.name));
        self.process = Some(self.namespace.spawn(log, programs().join("poplind"), &arguments));
    }

    /// Starts the agent as an ordinary user with the three capabilities it needs and no way to others, and does not wait.
    pub fn launch_powerless(&mut self, user: u32) {
        const CAPABILITIES: &str = "-all,+net_admin,+net_bind_service,+net_raw";
        let program = self.directory.join(format!("{}-poplind", self.name));
        std::fs::copy(programs().join("poplind"), &program).expect("where every user may run it");
        let data = self.directory.join(format!("{}-data", self.name));
        std::fs::create_dir_all(&data).expect("the lab has a directory");
        let files = std::fs::read_dir(&data).expect("it was just made").flatten().map(|file| file.path());
        for path in files.chain([data.clone()]) {
            std::os::unix::fs::chown(path, Some(user), Some(user)).expect("root gives what is its own");
        }
        let (user, program) = (user.to_string(), program.display().to_string());
        let mut arguments = vec!["--reuid", &user, "--regid", &user, "--clear-groups", "--no-new-privs"];
        for set in ["--inh-caps", "--ambient-caps", "--bounding-set"] {
            arguments.extend([set, CAPABILITIES]);
        }
        arguments.push(&program);
        arguments.extend(self.arguments.iter().map(String::as_str));
        let log = self.directory.join(format!("{}.log", self.name));
        self.process = Some(self.namespace.spawn(log, "setpriv", &arguments));
    }

    /// Starts the agent as a service manager does that listens on this socket and wants to hear of it so often, and does not wait.
    pub fn launch_managed(&mut self, socket: &std::path::Path, patience: std::time::Duration) {
        let mut command = self.namespace.command(programs().join("poplind"));
        command.args(&self.arguments).env("NOTIFY_SOCKET", socket);
        command.env("WATCHDOG_USEC", patience.as_micros().to_string());
        self.process = Some(Process::spawn(command, self.directory.join(format!("{}.log", self.name))));
    }

    /// Starts the agent with a time of day that is off by what a file says (`-1d`, `+30s`), at each moment, and waits until it serves. Its other clocks are the kernel's.
    pub fn start_by_clock(&mut self, clock: &std::path::Path) {
        let libraries = std::fs::read_dir("/usr/lib").expect("there is one").flatten();
        let library = libraries.map(|entry| entry.path().join("faketime/libfaketime.so.1")).find(|path| path.exists());
        let mut command = self.namespace.command(programs().join("poplind"));
        command.args(&self.arguments).env("LD_PRELOAD", library.expect("package faketime is installed"));
        command
            .env("FAKETIME_TIMESTAMP_FILE", clock)
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        self.process = Some(Process::spawn(command, self.directory.join(format!("{}.log", self.name))));
        self.until_ready();
    }

    /// Has systemd's own program listen on a socket, which starts the agent when somebody calls there.
    pub fn launch_when_called(&mut self, socket: &str) {
        let program = programs().join("poplind").display().to_string();
        let mut arguments = vec!["--listen", socket, &program];
        arguments.extend(self.arguments.iter().map(String::as_str));
        let log = self.directory.join(format!("{}.log", self.name));
        self.process = Some(self.namespace.spawn(log, "systemd-socket-activate", &arguments));
    }

    /// Waits until the agent serves and has written its host down.
    pub fn until_ready(&mut self) {
        eventually("the agent is ready", || match self.try_poplin(&["get", "host", &self.host, "-o", "name"]) {
            output if output.status.success() => Ok(()),
            output => Err(format!("{}\n{}", text(&output.stderr), self.said())),
        });
    }

    /// Kills the agent: `kill -9`.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Kills the agent while others are using it; [`kill`](Self::kill) buries it.
    pub fn strike(&self) {
        self.process.iter().for_each(|process| process.signal(rustix::process::Signal::KILL));
    }

    /// The agent's process.
    pub fn process(&mut self) -> &mut Process {
        self.process.as_mut().expect("the agent was started")
    }

    /// Whether it lives, and answers.
    pub fn is_alive(&self) -> bool {
        self.process.is_some() && self.try_poplin(&["get", "host", &self.host, "-o", "name"]).status.success()
    }

    /// Waits until every address is accounted for, and nobody has one in vain: what each story of containers that have gone is to end with.
    #[track_caller]
    pub fn until_tidy(&self) {
        eventually("poplin ipam check finds nothing", || match self.try_poplin(&["ipam", "check"]) {
            output if output.status.success() => Ok(()),
            output => Err(told(&output)),
        });
    }

    /// What the agent has logged so far.
    pub fn said(&self) -> String {
        self.process.as_ref().map(Process::said).unwrap_or_default()
    }

    /// What a shell is told to run `poplin` for this agent.
    pub fn shell(&self) -> String {
        let program = programs().join("poplin");
        format!("ip netns exec {} {} --socket {}", self.namespace.name(), program.display(), self.socket().display())
    }

    /// Runs `poplin`.
    pub fn try_poplin(&self, arguments: &[&str]) -> Output {
        let mut command = self.namespace.command(programs().join("poplin"));
        command.arg("--socket").arg(self.socket()).args(arguments).output().expect("poplin runs")
    }

    /// Starts a `poplin` that goes on by itself; what it says is in a log of this name.
    pub fn start_poplin(&self, name: &str, arguments: &[&str]) -> Process {
        let mut command = self.namespace.command(programs().join("poplin"));
        command.arg("--socket").arg(self.socket()).args(arguments);
        Process::spawn(command, self.socket().with_extension(name))
    }

    /// Runs `poplin`, and panics if that fails.
    #[track_caller]
    pub fn poplin(&self, arguments: &[&str]) -> String {
        let output = self.try_poplin(arguments);
        assert!(output.status.success(), "poplin {arguments:?}: {}{}", text(&output.stderr), text(&output.stdout));
        text(&output.stdout)
    }

    /// `poplin get … -o json`, parsed.
    pub fn get(&self, arguments: &[&str]) -> Value {
        let mut all = vec!["get"];
        all.extend(arguments);
        all.extend(["-o", "json"]);
        serde_json::from_str(&self.poplin(&all)).expect("-o json is JSON")
    }

    /// `poplin status -o json`, parsed; it exits 7 when something is wrong, and still tells.
    pub fn status(&self) -> Value {
        serde_json::from_slice(&self.try_poplin(&["status", "-o", "json"]).stdout).unwrap_or(Value::Null)
    }

    /// `poplin apply` of a text.
    pub fn try_apply(&self, yaml: &str) -> Output {
        let mut command = self.namespace.command(programs().join("poplin"));
        command.arg("--socket").arg(self.socket()).args(["apply", "-f", "-"]);
        feed(command, yaml)
    }

    /// `poplin apply` of a text, and panics if that fails.
    #[track_caller]
    pub fn apply(&self, yaml: &str) {
        let output = self.try_apply(yaml);
        assert!(output.status.success(), "apply: {}", text(&output.stderr));
    }

    /// Attaches a container as a person would: `poplin attach`. Labels are `key=value`.
    #[track_caller]
    pub fn attach(&self, container: &mut Container, labels: &[&str]) {
        let labels: Vec<&str> = labels.iter().flat_map(|label| ["--label", label]).collect();
        self.attach_with(container, &labels);
    }

    /// Attaches a container by `poplin attach` with more arguments.
    #[track_caller]
    pub fn attach_with(&self, container: &mut Container, arguments: &[&str]) {
        let netns = container.namespace().path().display().to_string();
        let mut all = vec!["attach", "--netns", &netns, "--name", container.name()];
        all.extend(arguments);
        self.poplin(&all);
        let endpoint = self.get(&["endpoint", container.name()]);
        let addresses = endpoint["spec"]["addresses"].as_array().cloned().unwrap_or_default();
        container.learn(addresses.iter().filter_map(Value::as_str));
    }

    /// Calls `poplin-cni` as a runtime would.
    pub fn cni(&self, command: &str, container: &Container, labels: &Value) -> Output {
        self.cni_with(command, container, &json!({"labels": labels}))
    }

    /// Calls `poplin-cni` with more in its configuration.
    pub fn cni_with(&self, command: &str, container: &Container, more: &Value) -> Output {
        let netns = container.namespace().path().display().to_string();
        self.cni_raw(command, container.name(), &netns, more)
    }

    /// Calls `poplin-cni` for any container and namespace path, also such as are not there.
    pub fn cni_raw(&self, command: &str, container: &str, netns: &str, more: &Value) -> Output {
        let mut configuration =
            json!({"cniVersion": "1.0.0", "name": "lab", "type": "poplin-cni", "socket": self.socket()});
        for (key, value) in more.as_object().into_iter().flatten() {
            configuration[key] = value.clone();
        }
        let mut plugin = self.namespace.command("env");
        plugin.arg(format!("CNI_COMMAND={command}")).arg(format!("CNI_CONTAINERID={container}"));
        plugin.arg(format!("CNI_NETNS={netns}"));
        plugin.args(["CNI_IFNAME=eth0", "CNI_PATH=/usr/lib/cni"]).arg(programs().join("poplin-cni"));
        feed(plugin, &configuration.to_string())
    }

    /// Calls any plugin for one interface of a container.
    pub fn plugin(
        &self,
        command: &str,
        container: &Container,
        interface: &str,
        program: &Path,
        configuration: &Value,
    ) -> Output {
        let mut plugin = self.namespace.command("env");
        plugin.arg(format!("CNI_COMMAND={command}")).arg(format!("CNI_CONTAINERID={}", container.name()));
        plugin.arg(format!("CNI_NETNS={}", container.namespace().path().display()));
        plugin.arg(format!("CNI_IFNAME={interface}")).arg("CNI_PATH=/usr/lib/cni").arg(program);
        feed(plugin, &configuration.to_string())
    }

    /// Gives a container up as a runtime would, and panics if that fails.
    #[track_caller]
    pub fn cni_delete(&self, container: &Container) {
        let output = self.cni("DEL", container, &json!({}));
        assert!(output.status.success(), "CNI DEL: {}", told(&output));
    }

    /// Attaches a container as a runtime would, and panics if that fails.
    #[track_caller]
    pub fn cni_add(&self, container: &mut Container, labels: &Value) -> Value {
        self.cni_add_with(container, &json!({"labels": labels}))
    }

    /// The same with more in its configuration.
    #[track_caller]
    pub fn cni_add_with(&self, container: &mut Container, more: &Value) -> Value {
        let output = self.cni_with("ADD", container, more);
        assert!(output.status.success(), "CNI ADD: {}{}", text(&output.stdout), text(&output.stderr));
        let result: Value = serde_json::from_slice(&output.stdout).expect("a CNI result is JSON");
        let addresses = result["ips"].as_array().cloned().unwrap_or_default();
        container.learn(addresses.iter().filter_map(|ip| ip["address"].as_str()));
        result
    }

    /// What `ip` says in the host's namespace, for arguments separated by spaces.
    #[track_caller]
    pub fn ip(&self, arguments: &str) -> String {
        self.namespace.run("ip", &arguments.split(' ').collect::<Vec<_>>())
    }

    /// The routes of the agent, of both families, one a line, in order.
    pub fn routes(&self) -> Vec<String> {
        let mut routes = self.ip("route show proto 143") + &self.ip("-6 route show proto 143");
        routes = routes.replace("\n\t", " ");
        let mut lines: Vec<String> = routes.lines().map(|line| line.trim_end().to_owned()).collect();
        lines.sort();
        lines
    }

    /// The prefixes it keeps from before a neighbour's restart, which has not told them again.
    pub fn stale(&self) -> Vec<String> {
        let told: Value = serde_json::from_str(&self.poplin(&["routes", "-o", "json"])).expect("-o json is JSON");
        let routes = told["routes"].as_array().cloned().unwrap_or_default();
        let stale = routes.iter().filter(|route| route["stale"] == true).filter_map(|route| route["prefix"].as_str());
        stale.map(str::to_owned).collect()
    }

    /// The host's ends of container links.
    pub fn links(&self) -> Vec<String> {
        let links: Value = serde_json::from_str(&self.ip("-j link show")).unwrap_or(Value::Null);
        let names = links.as_array().cloned().unwrap_or_default();
        let names = names.iter().filter_map(|link| link["ifname"].as_str());
        names.filter(|name| name.starts_with("pop")).map(str::to_owned).collect()
    }

    /// Waits until every BGP session of the host is established.
    #[track_caller]
    pub fn until_established(&self, count: usize) {
        eventually("BGP sessions are established", || {
            let status = self.status();
            let sessions = status["sessions"].as_array().cloned().unwrap_or_default();
            let up = sessions.iter().filter(|session| session["state"] == "Established").count();
            if up == count && sessions.len() == count { Ok(()) } else { Err(status.to_string()) }
        });
    }
}

pub(crate) fn feed(mut command: std::process::Command, input: &str) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut stdin = child.stdin.take().expect("stdin is piped");
    stdin.write_all(input.as_bytes()).expect("the program reads");
    drop(stdin);
    child.wait_with_output().expect("the program ends")
}

/// Everything a program said, on both ways out.
pub fn told(output: &Output) -> String {
    text(&output.stdout) + &text(&output.stderr)
}

fn text(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}

impl AsRef<Namespace> for Agent {
    fn as_ref(&self) -> &Namespace {
        self.namespace()
    }
}
