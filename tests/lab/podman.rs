//! A real podman on one host, with storage, networks and an image of its own, and our plugin in its CNI backend or behind a real netavark.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::json;

use crate::agent::feed;
use crate::{Agent, IMAGE, Lab, rootfs, run, told};

/// What podman has to be told where no systemd runs and rights are few.
const CONFIGURATION: &str = r#"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
NETWORK
[containers]
default_ulimits = ["nofile=20000:20000", "nproc=4096:4096"]
"#;

const CNI: &str = r#"
[network]
network_backend = "cni"
cni_plugin_dirs = ["DIRECTORY/bin", "/usr/lib/cni"]
network_config_dir = "DIRECTORY/net.d"
"#;

const NETAVARK: &str = r#"
helper_binaries_dir = ["DIRECTORY/helpers"]
[network]
network_backend = "netavark"
network_config_dir = "DIRECTORY/net.d"
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
        let podman = Self::with(lab, host, CNI);
        podman.import();
        podman
    }

    /// The same on this netavark. Debian's podman is older than netavark's plugins, and does not tell where they are; its helper does.
    pub fn on_netavark(lab: &Lab, host: &Agent, netavark: &Path) -> Self {
        let podman = Self::with(lab, host, NETAVARK);
        let (helper, drivers) = (podman.directory.join("helpers/netavark"), podman.directory.join("drivers"));
        let script =
            format!("#!/bin/sh\nexec {} --plugin-directory {} \"$@\"\n", netavark.display(), drivers.display());
        std::fs::create_dir_all(podman.directory.join("helpers")).expect("the lab has a directory");
        std::fs::write(&helper, script).expect("the lab has a directory");
        run("chmod", &["755", &helper.display().to_string()]);
        host.poplin(&["netavark", "install", "--plugin-dir", &drivers.display().to_string()]);
        podman.import();
        podman
    }

    fn with(lab: &Lab, host: &Agent, network: &str) -> Self {
        assert!(Path::new("/usr/bin/podman").exists(), "install podman first: apt-get install podman");
        let directory = lab.directory().join(format!("{}-podman", host.namespace().name()));
        std::fs::create_dir_all(directory.join("net.d")).expect("the lab has a directory");
        let configuration = CONFIGURATION.replace("NETWORK", network);
        let configuration = configuration.replace("DIRECTORY", &directory.display().to_string());
        std::fs::write(directory.join("containers.conf"), configuration).expect("the directory is there");
        Self { directory, netns: host.namespace().path() }
    }

    /// Makes a network of ours, by `poplin cni install`.
    #[track_caller]
    pub fn install(&self, host: &Agent, name: &str, more: &[&str]) -> String {
        let place = |name: &str| self.directory.join(name).display().to_string();
        let (bin, conf) = (place("bin"), place("net.d"));
        host.poplin(&[&["cni", "install", "--bin-dir", &bin, "--conf-dir", &conf, "--name", name][..], more].concat())
    }

    /// Makes a network of our driver as podman 4.6 does, by asking the plugin and writing its answer down; Debian's is older, and only reads it.
    #[track_caller]
    pub fn create(&self, host: &Agent, name: &str, options: &[(&str, &str)]) {
        let id: String = name.bytes().map(|octet| format!("{octet:02x}")).collect();
        let socket = host.socket().display().to_string();
        let options: BTreeMap<&str, &str> = options.iter().copied().chain([("socket", socket.as_str())]).collect();
        let wanted = json!({
            "name": name, "id": format!("{id:0<64}"), "driver": "poplin", "dns_enabled": true, "created": "2026-01-01T00:00:00Z",
            "options": options, "ipam_options": {"driver": "host-local"},
        });
        let mut plugin = Command::new(self.directory.join("drivers/poplin"));
        plugin.arg("create");
        let created = feed(plugin, &wanted.to_string());
        assert!(created.status.success(), "create: {}", told(&created));
        std::fs::write(self.directory.join(format!("net.d/{name}.json")), created.stdout)
            .expect("the directory is there");
    }

    /// Runs `podman`, and panics if that fails.
    #[track_caller]
    pub fn run(&self, arguments: &[&str]) -> String {
        let output = self.try_run(arguments);
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "podman {arguments:?}: {told}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// What a shell is told to run `podman` here.
    pub fn shell(&self) -> String {
        let place = |name: &str| self.directory.join(name).display().to_string();
        let conf = format!("CONTAINERS_CONF={}", place("containers.conf"));
        let place = format!("--storage-driver vfs --root {} --runroot {}", place("root"), place("run"));
        format!("env {conf} nsenter --net={} podman {place}", self.netns.display())
    }

    /// Where its plugins and its networks are.
    pub fn places(&self) -> [PathBuf; 2] {
        ["bin", "net.d"].map(|name| self.directory.join(name))
    }

    /// Gives its image another name, with a command of its own.
    pub fn name_image(&self, name: &str) {
        let tar = self.directory.join("image.tar").display().to_string();
        self.run(&["import", "--change", "CMD [\"sleep\", \"100000\"]", &tar, name]);
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

    /// Removes every container.
    pub fn remove_all(&self) {
        let _ = self.try_run(&["rm", "--all", "--force", "--time", "0"]);
    }
}

impl Drop for Podman {
    /// Its containers end with it; what else runs in the host's namespace ends with that.
    fn drop(&mut self) {
        self.remove_all();
    }
}
