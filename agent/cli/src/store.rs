//! `poplin store`: what a person says of the store.

use std::process::ExitCode;

use poplin_proto::v1::{AcceptStoreRequest, AcceptStoreResponse};

use crate::agent;
use crate::door::Door;
use crate::output::print;
use crate::problem::Problem;

/// Say that a store which was restored or emptied is right as it is.
#[derive(Debug, clap::Args)]
pub(crate) struct Store {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    Accept(Accept),
}

/// Wait for no host any more that has still to tell what the store forgot: addresses are given again.
///
/// A container that runs on such a host may have an address that is given to another then; of the two it is closed off when its host comes back.
#[derive(Debug, clap::Args)]
#[command(before_help = "Examples:
  poplin store accept --dry-run
  poplin store accept")]
struct Accept {
    /// Only tell which hosts are waited for.
    #[arg(long)]
    dry_run: bool,
}

impl Store {
    pub(crate) async fn run(self, door: &Door) -> Result<ExitCode, Problem> {
        match self.verb {
            Verb::Accept(accept) => accept.run(door).await,
        }
    }
}

impl Accept {
    async fn run(self, door: &Door) -> Result<ExitCode, Problem> {
        let request = AcceptStoreRequest { dry_run: self.dry_run };
        let answer = agent::resources(door).await?.accept_store(request).await?.into_inner();
        print(&self.told(&answer))?;
        Ok(ExitCode::SUCCESS)
    }

    fn told(&self, answer: &AcceptStoreResponse) -> String {
        let hosts = answer.awaited.join(", ");
        match (answer.awaited.is_empty(), self.dry_run) {
            (true, _) => "nobody is waited for\n".to_owned(),
            (false, true) => format!("would wait no more for {hosts}\n"),
            (false, false) => format!("waits no more for {hosts}: addresses are given again\n"),
        }
    }
}
