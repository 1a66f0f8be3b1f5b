//! GoBGP as a router of the lab.

use std::path::PathBuf;

use crate::{Lab, Namespace, Process, eventually};

/// One GoBGP in a namespace of its own.
#[derive(Debug)]
pub struct Gobgp {
    process: Option<Process>,
    namespace: Namespace,
    directory: PathBuf,
}

impl Gobgp {
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

    /// Starts it with this configuration (TOML) and these arguments, or starts it again with others.
    pub fn start(&mut self, configuration: &str, arguments: &[&str]) {
        self.process = None;
        let path = self.directory.join("gobgp.toml").display().to_string();
        std::fs::write(&path, configuration).expect("the directory is there");
        let arguments = [&["-f", &path, "--api-hosts", "127.0.0.1:50051"], arguments].concat();
        self.process = Some(self.namespace.spawn(self.directory.join("gobgp.log"), "gobgpd", &arguments));
        eventually("GoBGP answers", || match self.gobgp("global") {
            answer if answer.contains("AS:") => Ok(()),
            answer => Err(answer),
        });
    }

    /// Kills it.
    pub fn stop(&mut self) {
        self.process = None;
    }

    /// Asks it as a person would; the words are separated by blanks.
    pub fn gobgp(&self, words: &str) -> String {
        let output = self.namespace.output("gobgp", &words.split(' ').collect::<Vec<_>>());
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat()
    }
}
