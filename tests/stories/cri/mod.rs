//! Stories of pods of a real containerd, which is told by its CRI socket what a kubelet would tell it. No Kubernetes is there.

mod death;
mod life;

use poplin_lab::{Agent, Containerd, Cri, Fabric, Pod};
use serde_json::Value;

/// Two hosts on a segment, the first of them with a containerd, or both.
struct Scene {
    runtimes: Vec<(Containerd, Cri)>,
    fabric: Fabric,
}

/// A pod with a container.
struct Running {
    host: usize,
    id: String,
    container: String,
}

impl Drop for Scene {
    /// Each story ends so: its pods go, and nothing is left of them.
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.runtimes.clear();
            self.fabric.hosts.iter().filter(|host| host.is_alive()).for_each(Agent::until_tidy);
        }
    }
}

impl Scene {
    fn new(count: usize) -> Self {
        Self::configured(count, "")
    }

    /// With more in containerd's configuration, whose directories are of this machine.
    fn configured(count: usize, more: &str) -> Self {
        let fabric = Fabric::meshed(2);
        let start = |host: &Agent| {
            let containerd = Containerd::configured(&fabric.lab, host, &["--label", "tier=pod"], more);
            let cri = containerd.cri();
            (containerd, cri)
        };
        Self { runtimes: fabric.hosts.iter().take(count).map(start).collect(), fabric }
    }

    fn host(&self, index: usize) -> &Agent {
        &self.fabric.hosts[index]
    }

    fn cri(&self, index: usize) -> &Cri {
        &self.runtimes[index].1
    }

    #[track_caller]
    fn start(&self, host: usize, pod: &Pod) -> Running {
        self.run(host, pod, &["sleep", "100000"])
    }

    /// A pod whose first process is this.
    #[track_caller]
    fn run(&self, host: usize, pod: &Pod, command: &[&str]) -> Running {
        let id = self.cri(host).run(pod).unwrap_or_else(|status| panic!("RunPodSandbox: {status}"));
        let container = self.cri(host).start(&id, pod, Containerd::IMAGE, command);
        let container = container.unwrap_or_else(|status| panic!("a container: {status}"));
        Running { host, id, container }
    }

    fn names(&self) -> Vec<String> {
        self.host(0).poplin(&["get", "endpoints", "-o", "name"]).lines().map(str::to_owned).collect()
    }

    /// An endpoint's addresses, without the lengths of their prefixes; none if it is not there.
    fn addresses(&self, name: &str) -> Vec<String> {
        let found = self.host(0).try_poplin(&["get", "endpoint", name, "-o", "json"]);
        let endpoint: Value = serde_json::from_slice(&found.stdout).unwrap_or_default();
        let addresses = endpoint["spec"]["addresses"].as_array().cloned().unwrap_or_default();
        let addresses = addresses.iter().filter_map(|address| address.as_str()?.split('/').next());
        addresses.map(str::to_owned).collect()
    }
}

impl Running {
    #[track_caller]
    fn addresses(&self, scene: &Scene) -> Vec<String> {
        scene.cri(self.host).standing(&self.id).expect("it stands").addresses
    }

    fn says(&self, scene: &Scene, command: &[&str]) -> String {
        scene.cri(self.host).exec(&self.container, command).map_or_else(|status| status.to_string(), |said| said.text())
    }

    fn pings(&self, scene: &Scene, there: &str) -> bool {
        let said = scene.cri(self.host).exec(&self.container, &["ping", "-c1", "-W1", there]);
        said.is_ok_and(|said| said.code == 0)
    }
}

/// What the README says after these words, to the end of the block.
fn shown(words: &str) -> &'static str {
    let readme = include_str!("../../../README.md");
    let (_, rest) = readme.split_once(words).unwrap_or_else(|| panic!("the README has {words:?}"));
    rest.split("```").next().unwrap_or_default()
}
