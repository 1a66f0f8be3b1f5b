//! ExaBGP as a router of the lab: it says whatever its file has it say, and forwards nothing.

use std::path::PathBuf;

use crate::{Lab, Namespace, Process};

/// One ExaBGP in a namespace of its own.
#[derive(Debug)]
pub struct Exabgp {
    process: Option<Process>,
    namespace: Namespace,
    directory: PathBuf,
}

impl Exabgp {
    /// A router that is not started yet.
    pub fn new(lab: &Lab, name: &str) -> Self {
        let directory = lab.directory().join(name);
        std::fs::create_dir_all(&directory).expect("the lab has a directory");
        Self { process: None, namespace: lab.namespace(name), directory }
    }

    /// Its namespace.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Starts it with this configuration, or starts it again with another. It calls, and listens at `listen` if that is an address.
    pub fn start(&mut self, configuration: &str, listen: &str) {
        self.process = None;
        let path = self.directory.join("exabgp.conf").display().to_string();
        std::fs::write(&path, configuration).expect("the directory is there");
        let bind = format!("exabgp.tcp.bind={listen}");
        let settings = ["exabgp.daemon.user=root", "exabgp.log.destination=stderr", "exabgp.log.all=true"];
        let arguments = [&settings[..], &["exabgp.api.cli=false", &bind, "exabgp", &path]].concat();
        self.process = Some(self.namespace.spawn(self.directory.join("exabgp.log"), "env", &arguments));
    }

    /// Kills it.
    pub fn stop(&mut self) {
        self.process = None;
    }

    /// All it has logged so far, in all its lives.
    pub fn said(&self) -> String {
        std::fs::read_to_string(self.directory.join("exabgp.log")).unwrap_or_default()
    }
}
