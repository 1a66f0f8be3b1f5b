//! `poplin confirm`: keeps what was applied on trial.

use std::process::ExitCode;

use poplin_proto::v1::ConfirmRequest;

use crate::agent;
use crate::door::Door;
use crate::output::print;
use crate::problem::Problem;

/// Keep what `poplin apply --confirm-within` applied; otherwise it is taken back.
#[derive(Debug, clap::Args)]
pub(crate) struct Confirm {
    /// What apply said to confirm; not needed while only one change is on trial.
    #[arg(default_value = "", hide_default_value = true)]
    trial: String,
}

impl Confirm {
    pub(crate) async fn run(self, door: &Door) -> Result<ExitCode, Problem> {
        let kept = agent::resources(door).await?.confirm(ConfirmRequest { trial: self.trial }).await?.into_inner();
        print(&format!("{} is kept\n", kept.trial))?;
        Ok(ExitCode::SUCCESS)
    }
}
