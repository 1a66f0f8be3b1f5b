//! `poplin doctor`: looks for what is wrong or will be, and says what to do.
//!
//! In: what the agent knows, and what this host shows to anybody who looks. Out: findings. Changes nothing.
//!
//! ```text
//!   look (hands: files, netlink, probes, gRPC) ──► reading (what was seen) ──► judge (pure: what it means) ──► findings
//! ```
//! An agent that does not answer is the first finding; what can be seen from outside is looked at all the same.

mod finding;
mod judge;
mod look;
mod reading;

use std::path::PathBuf;
use std::process::ExitCode;

use crate::door::Door;
use crate::output::{json, print};
use crate::problem::{Exit, Problem};
use crate::status::Form;
use finding::Report;

/// Look for what is wrong with this host or will be, and say what to do. Changes nothing. Exits 7 if something was found.
///
/// It looks at the kernel, the ways to other hosts, rules of other programs, certificates, the clock, the store, BGP, and addresses. It works without
/// the agent too, and then says so first. Run it as root: probes need that.
#[derive(Debug, clap::Args)]
#[command(before_help = "Examples:
  poplin doctor
  poplin doctor -o json | jq -r '.findings[] | select(.weight == \"failure\") | .message'")]
pub(crate) struct Doctor {
    /// How to print.
    #[arg(short, long, value_enum, default_value_t)]
    output: Form,
    /// The agent's configuration file, looked at if the agent does not answer.
    #[arg(long, env = "POPLIND_CONFIG", default_value = "/etc/poplin/poplin.toml", value_name = "PATH")]
    config: PathBuf,
}

impl Doctor {
    pub(crate) async fn run(self, door: &Door) -> Result<ExitCode, Problem> {
        let reading = look::around(door, &self.config).await;
        let report = Report::of(judge::all(&reading), reading.unseen);
        print(&match self.output {
            Form::Text => report.text(),
            Form::Json => json(&report)?,
        })?;
        Ok(if report.healthy { ExitCode::SUCCESS } else { Exit::Unhealthy.into() })
    }
}
