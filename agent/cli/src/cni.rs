//! `poplin cni install`: puts the plugin and a configuration where container runtimes look for them.
//!
//! In: two directories, and what endpoints of the network shall be like. Out: two files, each there whole or not at all, and a line about each.

pub(crate) mod place;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::{Value, json};

use crate::joining::label;
use crate::output::{json, print};
use crate::problem::Problem;

/// Serve container runtimes such as podman, containerd and Kubernetes.
#[derive(Debug, clap::Args)]
pub(crate) struct Cni {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    Install(Install),
}

/// Put the plugin and a configuration where runtimes look for them. Twice is once.
#[derive(Debug, clap::Args)]
#[command(before_help = "Examples:
  poplin cni install
  poplin cni install --name web --label app=web --network shop")]
struct Install {
    /// Where runtimes look for plugins.
    #[arg(long, value_name = "DIRECTORY", default_value = "/opt/cni/bin")]
    bin_dir: PathBuf,
    /// Where they look for configurations.
    #[arg(long, value_name = "DIRECTORY", default_value = "/etc/cni/net.d")]
    conf_dir: PathBuf,
    /// What runtimes call the network.
    #[arg(long, default_value = "poplin")]
    name: String,
    /// Label of every endpoint of it; may be given again.
    #[arg(long = "label", alias = "labels", value_name = "KEY=VALUE", value_parser = label, value_delimiter = ',')]
    labels: Vec<(String, String)>,
    /// Profile whose labels its endpoints inherit; may be given again, and of two that have a label the first counts.
    #[arg(long = "profile", value_name = "PROFILE")]
    profiles: Vec<String>,
    /// Network of the fabric its endpoints join.
    #[arg(long)]
    network: Option<String>,
    /// Pool its addresses shall be of; may be given again, for the other family.
    #[arg(long = "pool", value_name = "POOL")]
    pools: Vec<String>,
    /// Version of the specification the configuration is written in: podman 4 and containerd 1.6 know none above 1.0.0.
    #[arg(long, value_name = "VERSION", default_value = "1.0.0", value_parser = ["0.3.1", "0.4.0", "1.0.0", "1.1.0"])]
    cni_version: String,
    /// The plugin to install; otherwise the one beside this program.
    #[arg(long, value_name = "PATH")]
    plugin: Option<PathBuf>,
}

/// What a runtime may tell the plugin beyond the specification; each tells what it can.
const CAPABILITIES: [&str; 7] =
    ["portMappings", "ips", "mac", "bandwidth", "dns", "aliases", "io.kubernetes.cri.pod-annotations"];

impl Cni {
    pub(crate) fn run(self, socket: &Path) -> Result<ExitCode, Problem> {
        match self.verb {
            Verb::Install(install) => install.run(socket),
        }
    }
}

impl Install {
    /// The plugin comes first: a runtime that reads the configuration at once shall find it.
    fn run(self, socket: &Path) -> Result<ExitCode, Problem> {
        place::is_name("--name", &self.name, "a CNI network")?;
        poplin_manifest::check_profiles("--profile", &self.profiles)
            .map_err(|invalids| Problem::usage(invalids.to_string()))?;
        let configuration = json(&self.configuration(socket))?;
        let file = self.conf_dir.join(format!("10-{}.conflist", self.name));
        place::is_only(&self.conf_dir, &file, &self.name)?;
        let program = place::plugin(self.plugin.as_deref())?;
        let said = place::put(&self.bin_dir.join("poplin-cni"), &program, 0o755)?;
        print(&said)?;
        let said = place::put_keeping(&file, configuration.as_bytes())?;
        print(&said)?;
        Ok(ExitCode::SUCCESS)
    }

    fn configuration(&self, socket: &Path) -> Value {
        let mut plugin = json!({
            "type": "poplin-cni",
            "capabilities": CAPABILITIES.iter().map(|capability| (*capability, true)).collect::<BTreeMap<_, _>>(),
        });
        if socket != Path::new(poplin_proto::DEFAULT_SOCKET) {
            plugin["socket"] = json!(socket);
        }
        if !self.labels.is_empty() {
            plugin["labels"] = json!(self.labels.iter().cloned().collect::<BTreeMap<_, _>>());
        }
        if !self.profiles.is_empty() {
            plugin["profiles"] = json!(self.profiles);
        }
        if let Some(network) = &self.network {
            plugin["network"] = json!(network);
        }
        if !self.pools.is_empty() {
            plugin["pools"] = json!(self.pools);
        }
        json!({"cniVersion": self.cni_version, "name": self.name, "plugins": [plugin]})
    }
}
