//! FRR as a router of the lab: zebra, bfdd and bgpd, with files of their own.

use std::path::PathBuf;

use crate::{Lab, Namespace, Process, eventually, run};

/// The daemons, in the order they are started: the others ask zebra for interfaces, bgpd asks bfdd.
const DAEMONS: [&str; 3] = ["zebra", "bfdd", "bgpd"];

/// Where Debian keeps them.
const PROGRAMS: &str = "/usr/lib/frr";

/// One FRR in a namespace of its own.
#[derive(Debug)]
pub struct Frr {
    daemons: Vec<Process>,
    namespace: Namespace,
    directory: PathBuf,
}

impl Frr {
    /// A router that is not started yet.
    pub fn new(lab: &Lab, name: &str) -> Self {
        let directory = lab.directory().join(name);
        std::fs::create_dir_all(&directory).expect("the lab has a directory");
        Self { daemons: Vec::new(), namespace: lab.namespace(name), directory }
    }

    /// Its namespace.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Starts it with this configuration. Each daemon reads all of it and takes what is its own.
    pub fn start(&mut self, configuration: &str) {
        std::fs::write(self.directory.join("frr.conf"), configuration).expect("the directory is there");
        run("chown", &["-R", "frr:frrvty", &self.path("")]); // they give up being root, and are then refused root's files
        DAEMONS.into_iter().for_each(|daemon| self.launch(daemon));
    }

    fn launch(&mut self, daemon: &str) {
        let process = self.spawn(daemon);
        self.daemons.push(process);
        eventually(daemon, || match self.vtysh_of(daemon, "show version") {
            answer if answer.contains("FRRouting") => Ok(()),
            answer => Err(answer),
        });
    }

    /// Kills its bgpd, which is the last of its daemons, and nothing else: `kill -9`.
    pub fn kill_bgpd(&mut self) {
        self.daemons.pop();
    }

    /// Starts a bgpd that was killed again.
    pub fn start_bgpd(&mut self) {
        self.launch(DAEMONS[2]);
    }

    fn spawn(&self, daemon: &str) -> Process {
        let log = self.directory.join(format!("{daemon}.log"));
        let [configuration, zebra, pid] = ["frr.conf", "zserv", &format!("{daemon}.pid")].map(|file| self.path(file));
        let files = ["-f", &configuration, "-z", &zebra, "-i", &pid, "--vty_socket", &self.path("")];
        let arguments = [&files[..], &["-P", "0", "-u", "frr", "-g", "frr", "--log", "stdout"]].concat();
        self.namespace.spawn(log, format!("{PROGRAMS}/{daemon}"), &arguments)
    }

    /// Asks it as a person would.
    pub fn vtysh(&self, questions: &[&str]) -> String {
        self.ask(&[], questions)
    }

    fn vtysh_of(&self, daemon: &str, question: &str) -> String {
        self.ask(&["-d", daemon], &[question])
    }

    fn ask(&self, options: &[&str], questions: &[&str]) -> String {
        let directory = self.path("");
        let questions: Vec<&str> = questions.iter().flat_map(|question| ["-c", question]).collect();
        let arguments = [&["--vty_socket", &directory], options, &questions].concat();
        String::from_utf8_lossy(&self.namespace.output("vtysh", &arguments).stdout).into_owned()
    }

    fn path(&self, file: &str) -> String {
        self.directory.join(file).display().to_string()
    }
}
