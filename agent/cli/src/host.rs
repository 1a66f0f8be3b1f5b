//! `poplin host`: hosts that come and go.

use std::path::Path;
use std::process::ExitCode;

use poplin_proto::v1::{RemoveHostRequest, RemoveHostResponse};

use crate::agent;
use crate::output::{json, print};
use crate::problem::Problem;
use crate::status::Form;

/// Take a host that is gone for good out of the fabric.
#[derive(Debug, clap::Args)]
pub(crate) struct Host {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    Remove(Remove),
}

/// Remove a host that is gone for good: its endpoints go, their addresses and its blocks become free.
///
/// Without --gone it only tells what would go, and exits 1. A host that has a BGP session with the one that is asked is refused.
#[derive(Debug, clap::Args)]
#[command(before_help = "Examples:
  poplin host remove rack1-h7
  poplin host remove rack1-h7 --gone")]
struct Remove {
    /// The host.
    name: String,
    /// You have made sure that it does not run: if its containers did, their addresses would be given to others too.
    #[arg(long)]
    gone: bool,
    /// How to print.
    #[arg(short, long, value_enum, default_value_t)]
    output: Form,
}

impl Host {
    pub(crate) async fn run(self, socket: &Path) -> Result<ExitCode, Problem> {
        match self.verb {
            Verb::Remove(remove) => remove.run(socket).await,
        }
    }
}

impl Remove {
    async fn run(self, socket: &Path) -> Result<ExitCode, Problem> {
        let request = RemoveHostRequest { name: self.name.clone(), is_gone: self.gone };
        let answer = agent::resources(socket).await?.remove_host(request).await?.into_inner();
        print(&match self.output {
            Form::Text => self.told(&answer),
            Form::Json => json(&answer)?,
        })?;
        Ok(if self.gone { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn told(&self, answer: &RemoveHostResponse) -> String {
        let name = &self.name;
        let mut told = match self.gone {
            true => format!("host {name} removed\n"),
            false => format!("host {name} stays; with it would go:\n"),
        };
        let mut line = |what: &str, of: &[String]| {
            if !of.is_empty() {
                told += &format!("  {what} ({}): {}\n", of.len(), of.join(", "));
            }
        };
        line("endpoints", &answer.endpoints);
        line("blocks freed", &answer.blocks_freed);
        line("blocks moved", &answer.blocks_moved);
        told += &format!("  addresses freed: {}\n", answer.addresses_freed);
        if !self.gone {
            told += &format!("once you are sure that it does not run: poplin host remove {name} --gone\n");
        }
        told
    }
}
