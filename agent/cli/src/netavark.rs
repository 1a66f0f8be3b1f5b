//! `poplin netavark install`: puts the plugin where podman and its netavark look for drivers of networks.
//!
//! In: a directory, and what the driver shall be called. Out: one file, there whole or not at all, and a line about it.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::cni::place;
use crate::output::print;
use crate::problem::Problem;

/// Serve podman with its netavark backend.
#[derive(Debug, clap::Args)]
pub(crate) struct Netavark {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    Install(Install),
}

/// Put the plugin where podman looks for drivers. Twice is once.
#[derive(Debug, clap::Args)]
#[command(before_help = "Examples:
  poplin netavark install
  podman network create --driver poplin -o network=shop -o label.app=web web")]
struct Install {
    /// One of netavark_plugin_dirs in containers.conf.
    #[arg(long, value_name = "DIRECTORY", default_value = "/usr/libexec/netavark")]
    plugin_dir: PathBuf,
    /// What podman calls the driver.
    #[arg(long, value_name = "NAME", default_value = "poplin")]
    driver: String,
    /// The plugin to install; otherwise the one beside this program.
    #[arg(long, value_name = "PATH")]
    plugin: Option<PathBuf>,
}

/// Drivers of podman itself: it would never ask a plugin of the name.
const TAKEN: [&str; 3] = ["bridge", "ipvlan", "macvlan"];

impl Netavark {
    pub(crate) fn run(self) -> Result<ExitCode, Problem> {
        match self.verb {
            Verb::Install(install) => install.run(),
        }
    }
}

impl Install {
    fn run(self) -> Result<ExitCode, Problem> {
        place::is_name("--driver", &self.driver, "a driver")?;
        if TAKEN.contains(&self.driver.as_str()) {
            return Err(Problem::usage(format!("--driver {} is one of podman's own", self.driver))
                .advice("another name, such as poplin"));
        }
        let program = place::plugin(self.plugin.as_deref())?;
        print(&place::put(&self.plugin_dir.join(&self.driver), &program, 0o755)?)?;
        Ok(ExitCode::SUCCESS)
    }
}
