//! `poplin pool`: what is done to a pool while its addresses are in use.

mod migrate;
mod resize;

use std::process::ExitCode;

use crate::door::Door;
use crate::problem::Problem;

/// Change a pool whose addresses are in use, step by step.
#[derive(Debug, clap::Args)]
pub(crate) struct Pool {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    Migrate(migrate::Migrate),
    Resize(resize::Resize),
}

impl Pool {
    pub(crate) async fn run(self, door: &Door) -> Result<ExitCode, Problem> {
        match self.verb {
            Verb::Migrate(migrate) => migrate.run(door).await,
            Verb::Resize(resize) => resize.run(door).await,
        }
    }
}
