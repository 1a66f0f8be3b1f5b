//! A real podman on one host, with storage, networks and an image of its own, and our plugin in its CNI backend.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::{Agent, IMAGE, Lab, rootfs, run};

/// What podman has to be told where no systemd runs and rights are few.
const CONFIGURATION: &str = r#"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
[network]
network_backend = "cni"
cni_plugin_dirs = ["DIRECTORY/bin", "/usr/lib/cni"]
network_config_dir = "DIRECTORY/net.d"
[containers]
default_ulimits = ["nofile=20000:20000", "nproc=4096:4096"]
"#;

/// A podman, and what it runs.
#[derive(Debug)]
pub struct Podman {
    directory: PathBuf,
    netns: PathBuf,
}

impl Podman {
    /// A host's podman, with the image in its store.
    pub fn new(lab: &Lab, host: &Agent) -> Self {
        assert!(Path::new("/usr/bin/podman").exists(), "install podman first: apt-get install podman");
        let directory = lab.directory().join(format!("{}-podman", host.namespace().name()));
        std::fs::create_dir_all(directory.join("net.d")).expect("the lab has a directory");
        let configuration = CONFIGURATION.replace("DIRECTORY", &directory.display().to_string());
        std::fs::write(directory.join("containers.conf"), configuration).expect("the directory is there");
        let podman = Self { directory, netns: host.namespace().path() };
        podman.import();
        podman
    }

    /// Makes a network of ours, by `poplin cni install`.
    #[track_caller]
    pub fn install(&self, host: &Agent, name: &str, more: &[&str]) -> String {
        let place = |name: &str| self.directory.join(name).display().to_string();
        let (bin, conf) = (place("bin"), place("net.d"));
        host.poplin(&[&["cni", "install", "--bin-dir", &bin, "--conf-dir", &conf, "--name", name][..], more].concat())
    }

    /// Runs `podman`, and panics if that fails.
    #[track_caller]
    pub fn run(&self, arguments: &[&str]) -> String {
        let output = self.try_run(arguments);
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "podman {arguments:?}: {told}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Runs `podman`.
    pub fn try_run(&self, arguments: &[&str]) -> Output {
        let place = |name: &str| self.directory.join(name).display().to_string();
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.netns.display())).arg("podman");
        command.args(["--storage-driver", "vfs", "--root", &place("root"), "--runroot", &place("run")]);
        command.env("CONTAINERS_CONF", place("containers.conf"));
        command.args(arguments).output().expect("nsenter runs")
    }

    /// Runs a container that goes on by itself: `podman run -d --name NAME … IMAGE COMMAND`.
    #[track_caller]
    pub fn start(&self, name: &str, more: &[&str], command: &[&str]) {
        self.run(&[&["run", "-d", "--name", name][..], more, &[IMAGE], command].concat());
    }

    /// Whether one ping from a container is answered within a second.
    pub fn pings(&self, container: &str, address: &str) -> bool {
        self.try_run(&["exec", container, "ping", "-c1", "-W1", address]).status.success()
    }

    fn import(&self) {
        let root = self.directory.join("image");
        rootfs::fill(&root);
        let tar = self.directory.join("image.tar").display().to_string();
        run("tar", &["-C", &root.display().to_string(), "-cf", &tar, "."]);
        self.run(&["import", &tar, IMAGE]);
    }
}

impl Drop for Podman {
    /// Its containers end with it; what else runs in the host's namespace ends with that.
    fn drop(&mut self) {
        let _ = self.try_run(&["rm", "--all", "--force", "--time", "0"]);
    }
}
