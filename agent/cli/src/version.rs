//! `poplin version`: which program this is, and which agent it talks to.

use std::process::ExitCode;

use poplin_proto::v1::GetStatusRequest;

use crate::agent;
use crate::door::Door;
use crate::output::print;
use crate::problem::Problem;

/// Show the versions of this program and of the agent.
#[derive(Debug, clap::Args)]
#[command(before_help = "Examples:
  poplin version")]
pub(crate) struct Version {}

impl Version {
    /// An agent that is not there is a remark and no failure: the question was about versions.
    pub(crate) async fn run(self, door: &Door) -> Result<ExitCode, Problem> {
        print(&format!("poplin {}\n", env!("CARGO_PKG_VERSION")))?;
        match agent_version(door).await {
            Ok(version) => print(&format!("poplind {version}\n"))?,
            Err(problem) => {
                problem.report();
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

async fn agent_version(door: &Door) -> Result<String, Problem> {
    Ok(agent::statuses(door).await?.get_status(GetStatusRequest {}).await?.into_inner().version)
}
