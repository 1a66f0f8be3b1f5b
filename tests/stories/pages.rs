//! The pages for those who come from elsewhere: every command stands there as it works, in that order, and every document is accepted.
//!
//! What a page says is run by a shell, with the lab's agents, dockerds and podmans in the place of a machine's own. Where a page leaves something to the reader, a test does it before that block.

use std::path::PathBuf;
use std::process::Command;

use poplin_lab::{Agent, Lab, Podman, until};

use crate::docker::Dockers;

const OVERLAY: &str = include_str!("../../examples/from/docker-overlay.md");
const MACVLAN: &str = include_str!("../../examples/from/macvlan.md");
const FLANNEL: &str = include_str!("../../examples/from/flannel.md");
const CALICO: &str = include_str!("../../examples/from/calico.md");

#[test]
fn the_way_from_docker_overlay_is_walked() {
    let dockers = Dockers::start();
    let one = &dockers.docker[0];
    let reader = Reader::new(&dockers.lab, &dockers.hosts[0]);
    reader.has_real("docker", &one.shell());
    one.run(&["network", "create", "old-overlay"]);
    one.sleeper("web", &["--network", "old-overlay"]);

    let last = reader.follow(OVERLAY, |block| {
        if block.contains("network connect shop web") {
            one.until_network("shop");
        }
    });

    assert!(last.contains("is kept"), "{last}");
    assert!(!one.address("web", "shop").is_empty(), "web has moved");
    assert!(one.address("web", "old-overlay").is_empty());
}

#[test]
fn the_ways_from_macvlan_are_walked() {
    let dockers = Dockers::start();
    let (one, host) = (&dockers.docker[0], &dockers.hosts[0]);
    host.namespace().run("ip", &["link", "add", "eth1", "type", "veth", "peer", "name", "lan1"]);
    for link in ["eth1", "lan1"] {
        host.namespace().run("ip", &["link", "set", link, "up"]);
    }
    host.namespace().run("ip", &["address", "add", "192.0.2.50/24", "dev", "eth1"]);
    one.name_image("camera");
    let reader = Reader::new(&dockers.lab, host);
    reader.has_real("docker", &one.shell());
    reader.has("camera", "exec sleep 100");

    host.poplin(&["delete", "peer", "tor-h1"]);
    let page = MACVLAN.replace("address: 192.0.2.1,", "address: 172.31.1.1,"); // where this host has a router
    let page = page.replace("--mac-address 02:42:c0:a8:08:aa ", ""); // a docker of 2024 and later refuses that to a dockerd of before
    let page = page.replace("-- camera --listen 80", "-- camera --listen 80 & sleep 2"); // as in a terminal of its own

    reader.follow(&page, |block| {
        if block.contains("network create") || block.contains("poplin run") {
            one.remove_all();
            let _ = one.try_run(&["network", "rm", "lan"]);
            until("the name is free again", || !host.try_poplin(&["get", "network", "lan"]).status.success());
        }
    });

    assert_eq!(one.address("camera", "lan"), "192.0.2.140");
}

#[test]
fn the_way_from_flannel_is_walked() {
    let lab = Lab::new();
    let host = lab.host();
    host.poplin(&["delete", "pool", "default"]); // what an agent without etcd has
    let podman = Podman::new(&lab, &host);
    podman.name_image("web");
    let reader = Reader::new(&lab, &host);
    reader.has_real("podman", &podman.shell());
    reader.installs_into(&podman.places());

    let last = reader.follow(FLANNEL, |_| {});

    assert!(last.contains("0 wrong"), "{last}");
    assert!(host.poplin(&["get", "endpoints"]).contains("10.77."));
    podman.remove_all();
    host.until_tidy();
}

#[test]
fn the_way_from_calico_is_walked() {
    let lab = Lab::new();
    let host = lab.host();
    host.poplin(&["delete", "pool", "default"]);
    let reader = Reader::new(&lab, &host);
    reader.installs_into(&["bin", "net.d"].map(|name| lab.directory().join(name)));
    let policies = Block::all(CALICO).into_iter().find(|block| block.kind == "yaml").expect("policies stand there");
    reader.keeps("policies", &policies.text);
    reader.has("calicoctl", "cat policies");
    reader.keeps(
        "topology.yaml",
        "apiVersion: poplin.dev/v1\nkind: Topology\nendpoints:\n  api: {labels: {app: api}, addresses: [10.77.0.3]}\n  db: {labels: {app: db}, addresses: [10.77.0.4]}\n",
    );
    reader.keeps(
        "tests.yaml",
        "{apiVersion: poplin.dev/v1, kind: PolicyTest, metadata: {name: db}, \
         spec: {cases: [{from: api, to: db, ports: tcp/5432, nobodyElse: true}]}}",
    );
    let mut containers = Vec::new();

    let last = reader.follow(CALICO, |block| {
        if block.contains("poplin explain api db") {
            for name in ["api", "db"] {
                let mut container = lab.container(name);
                host.attach(&mut container, &[&format!("app={name}")]);
                containers.push(container);
            }
        }
    });

    assert!(last.contains("allow"), "{last}");
}

/// A block of a page between two fences.
struct Block {
    /// Its language; empty of what a shell is told.
    kind: String,
    text: String,
}

impl Block {
    fn all(page: &str) -> Vec<Self> {
        page.split("```").skip(1).step_by(2).map(Self::read).collect()
    }

    /// Without the indent of the list it stands in.
    fn read(text: &str) -> Self {
        const INDENT: &str = "   ";
        let (kind, text) = text.split_once('\n').expect("a block begins on a line of its own");
        let lines = text.lines().map(|line| line.strip_prefix(INDENT).unwrap_or(line).to_owned() + "\n");
        Self { kind: kind.to_owned(), text: lines.collect() }
    }
}

/// Somebody at a host who does what a page says.
struct Reader<'a> {
    host: &'a Agent,
    desk: PathBuf,
}

impl<'a> Reader<'a> {
    /// One with `poplin`; the agent he is to start runs already.
    fn new(lab: &Lab, host: &'a Agent) -> Self {
        let reader = Self { host, desk: lab.directory().join("desk") };
        std::fs::create_dir_all(reader.desk.join("bin")).expect("the lab has a directory");
        reader.has("poplin", &format!("exec {} \"$@\"", host.shell()));
        reader.has("poplind", "exit 0");
        reader
    }

    /// He has a program of this name.
    fn has(&self, name: &str, script: &str) {
        let program = self.desk.join("bin").join(name);
        std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).expect("the desk is there");
        poplin_lab::run("chmod", &["755", &program.display().to_string()]);
    }

    /// The real program of this name, told what a shell would be told.
    fn has_real(&self, name: &str, shell: &str) {
        self.has(name, &format!("PATH=${{PATH#*:}}\nexec {shell} \"$@\""));
    }

    /// His `poplin cni install` writes into these directories, for plugins and for networks.
    fn installs_into(&self, [plugins, networks]: &[PathBuf; 2]) {
        let places = format!("--bin-dir {} --conf-dir {}", plugins.display(), networks.display());
        let shell = self.host.shell();
        let script = format!(
            "case \"$1 $2\" in 'cni install') shift 2; exec {shell} cni install {places} \"$@\" ;; esac\nexec {shell} \"$@\""
        );
        self.has("poplin", &script);
    }

    fn keeps(&self, file: &str, text: &str) {
        std::fs::write(self.desk.join(file), text).expect("the desk is there");
    }

    /// Does all of it, block by block, after what is to be done before each; what the last one said.
    fn follow(&self, page: &str, mut before: impl FnMut(&str)) -> String {
        let (mut documents, mut last) = (String::new(), String::new());
        for block in Block::all(page) {
            match block.kind.as_str() {
                "yaml" if documents.is_empty() => documents = block.text,
                "yaml" => documents += &format!("---\n{}", block.text),
                "" => {
                    before(&block.text);
                    self.writes_down(&block.text, &mut documents);
                    last = self.does(&block.text);
                }
                _ => {} // a file of another program
            }
        }
        if !documents.is_empty() {
            self.keeps("rest.yaml", &documents);
            self.does("poplin apply -f rest.yaml");
        }
        last
    }

    /// What was declared before stands in the file that this block names first.
    fn writes_down(&self, block: &str, documents: &mut String) {
        let named = block.split_whitespace().skip_while(|word| *word != "-f").nth(1);
        if let Some(file) = named.filter(|_| !documents.is_empty()) {
            self.keeps(file, &std::mem::take(documents));
        }
    }

    #[track_caller]
    fn does(&self, block: &str) -> String {
        let path = format!("{}:{}", self.desk.join("bin").display(), std::env::var("PATH").unwrap_or_default());
        let said = self.desk.join("said"); // no pipe: what goes on in the background would hold it open
        let paper = || std::fs::File::options().create(true).append(true).open(&said).expect("the desk is there");
        std::fs::write(&said, "").expect("the desk is there");
        let mut shell = Command::new("timeout");
        shell.args(["60", "sh", "-ec", block]).current_dir(&self.desk).env("PATH", path);
        let status = shell.stdout(paper()).stderr(paper()).status().expect("sh runs");
        let said = std::fs::read_to_string(&said).expect("the desk is there");
        assert!(status.success(), "{block}\n{said}");
        said
    }
}
