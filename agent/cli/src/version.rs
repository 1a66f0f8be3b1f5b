//! `poplin version`: which program this is, and which agent it talks to.

use std::path::Path;
use std::process::ExitCode;

use poplin_proto::v1::GetStatusRequest;

use crate::agent;
use crate::output::print;
use crate::problem::Problem;

/// Show the versions of this program and of the agent.
#[derive(Debug, clap::Args)]
#[command(before_help = "Examples:
  poplin version")]
pub(crate) struct Version {}

impl Version {
    /// An agent that is not there is a remark and no failure: the question was about versions.
    pub(crate) async fn run(self, socket: &Path) -> Result<ExitCode, Problem> {
        print(&format!("poplin {}\n", env!("CARGO_PKG_VERSION")))?;
        match agent_version(socket).await {
            Ok(version) => print(&format!("poplind {version}\n"))?,
            Err(problem) => {
                problem.report();
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

async fn agent_version(socket: &Path) -> Result<String, Problem> {
    Ok(agent::statuses(socket).await?.get_status(GetStatusRequest {}).await?.into_inner().version)
}
