//! BIRD 2 as a router of the lab.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::{Lab, Namespace, Process, eventually};

/// One BIRD in a namespace of its own.
#[derive(Debug)]
pub struct Bird {
    process: Option<Process>,
    namespace: Namespace,
    name: String,
    directory: PathBuf,
}

impl Bird {
    /// A router that is not started yet.
    pub fn new(lab: &Lab, name: &str) -> Self {
        let namespace = lab.namespace(name);
        namespace.run("sysctl", &["-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"]);
        Self { process: None, namespace, name: name.to_owned(), directory: lab.directory().to_owned() }
    }

    /// Its namespace.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Starts it with these protocols, or starts it again with others. Devices and the kernel's tables are always there.
    pub fn start(&mut self, router_id: &str, protocols: &str) {
        let text = format!(
            "router id {router_id};\nlog stderr all;\nprotocol device {{}}\n\
             protocol kernel {{ ipv4 {{ export all; }}; merge paths on; }}\n\
             protocol kernel {{ ipv6 {{ export all; }}; merge paths on; }}\n{protocols}"
        );
        self.start_with(&text);
    }

    /// Starts it with this configuration and nothing else, or starts it again with another.
    pub fn start_with(&mut self, configuration: &str) {
        self.spawn(configuration, &[]);
    }

    /// Starts it as after a restart, so that it takes up what its life before left in the kernel (RFC 4724).
    pub fn start_again_with(&mut self, configuration: &str) {
        self.spawn(configuration, &["-R"]);
    }

    fn spawn(&mut self, configuration: &str, more: &[&str]) {
        self.process = None;
        let path = self.file("conf");
        std::fs::write(&path, configuration).expect("the directory is there");
        let control = self.file("ctl");
        let arguments = [&["-f", "-c", &path, "-s", &control], more].concat();
        self.process = Some(self.namespace.spawn(self.file("log").into(), "bird", &arguments));
        eventually("BIRD answers", || match self.birdc("show status") {
            answer if answer.contains("up and running") => Ok(()),
            answer => Err(format!("{answer}\n{}", self.process().said())),
        });
    }

    /// Its process, once started.
    pub fn process(&mut self) -> &mut Process {
        self.process.as_mut().expect("BIRD was started")
    }

    /// Kills it.
    pub fn stop(&mut self) {
        self.process = None;
    }

    /// Asks it as a person would.
    pub fn birdc(&self, question: &str) -> String {
        let control = self.file("ctl");
        let mut arguments = vec!["-s", &control];
        arguments.extend(question.split(' '));
        String::from_utf8_lossy(&self.namespace.output("birdc", &arguments).stdout).into_owned()
    }

    /// The prefixes it learned by BGP, of both families.
    pub fn learned(&self) -> BTreeSet<String> {
        let routes = self.birdc("show route where source = RTS_BGP");
        let words =
            routes.lines().filter(|line| !line.starts_with([' ', '\t'])).filter_map(|line| line.split(' ').next());
        words.filter(|word| word.contains('/')).map(str::to_owned).collect()
    }

    fn file(&self, extension: &str) -> String {
        self.directory.join(format!("{}.{extension}", self.name)).display().to_string()
    }
}
