//! A real netavark, asked as podman asks it.

use std::path::PathBuf;
use std::process::Output;

use serde_json::{Value, json};

use crate::agent::feed;
use crate::{Agent, Container, Lab, programs, told};

/// A netavark, and our plugin among its drivers.
#[derive(Debug)]
pub struct Netavark {
    program: PathBuf,
    directory: PathBuf,
}

impl Netavark {
    /// Where it is: what `tests/run` has built beside our own programs, or `POPLIN_NETAVARK`.
    pub fn program() -> PathBuf {
        let built = || programs().with_file_name("netavark").join("bin/netavark");
        let program = std::env::var_os("POPLIN_NETAVARK").map_or_else(built, PathBuf::from);
        let advice = "build it: cargo install netavark@2.1.0 --locked --debug --root target/netavark";
        assert!(program.exists(), "{} is not there; {advice}", program.display());
        program
    }

    /// A host's netavark, with our plugin by `poplin netavark install`.
    pub fn new(lab: &Lab, host: &Agent) -> Self {
        let netavark = Self { program: Self::program(), directory: lab.directory().join("netavark") };
        host.poplin(&["netavark", "install", "--plugin-dir", &netavark.place("drivers").display().to_string()]);
        netavark
    }

    fn place(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// What the plugin makes of a network that `podman network create` wants.
    pub fn create(&self, wanted: &Value) -> Output {
        let mut plugin = std::process::Command::new(self.place("drivers/poplin"));
        plugin.arg("create");
        feed(plugin, &wanted.to_string())
    }

    /// What netavark answers of a container: of each network what it got, or an error.
    pub fn ask(&self, verb: &str, host: &Agent, container: &Container, wanted: &Value) -> Result<Value, String> {
        let mut command = host.namespace().command("env");
        command.arg("NETAVARK_FW=none").arg(&self.program).arg("--config").arg(&self.directory);
        command.arg("--plugin-directory").arg(self.place("drivers")).arg(verb).arg(container.namespace().path());
        let output = feed(command, &wanted.to_string());
        let answer = serde_json::from_slice(&output.stdout).unwrap_or_default();
        if output.status.success() { Ok(answer) } else { Err(told(&output)) }
    }
}

/// A container of some networks as podman 5 tells of it: each network as `podman network inspect` shows it, and the container's own options in it.
pub fn wanted(container: &Container, networks: &[(&Value, Value)], ports: &Value) -> Value {
    let name = |network: &Value| network["name"].as_str().unwrap_or_default().to_owned();
    let by_name = |value: fn(&(&Value, Value)) -> Value| {
        networks.iter().map(|one| (name(one.0), value(one))).collect::<serde_json::Map<_, _>>()
    };
    json!({
        "container_id": container.namespace().name(),
        "container_name": container.name(),
        "port_mappings": ports,
        "networks": by_name(|one| one.1.clone()),
        "network_info": by_name(|one| one.0.clone()),
    })
}
