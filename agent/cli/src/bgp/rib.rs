//! `poplin bgp rib`: what was heard, what is used of it and why, and what was told.

use std::process::ExitCode;

use poplin_proto::v1::{ListAdvertisedRequest, ListRoutesRequest, ListRoutesResponse};

use crate::agent;
use crate::door::Door;
use crate::output::{json, print};
use crate::problem::{Exit, Problem};
use crate::routes::{advertised_table, table};
use crate::status::Form;

/// List routes: those heard (`in`), those used with the step that decided and where the others fell (`best`), those told (`out`).
#[derive(Debug, clap::Args)]
#[command(before_help = "Examples:
  poplin bgp rib in --peer tor
  poplin bgp rib best 10.77.0.64/26
  poplin bgp rib out --peer tor -o json")]
pub(crate) struct Rib {
    /// Which table: `in` and `best` show what `poplin routes` shows.
    #[arg(value_enum)]
    side: Side,
    /// Only routes to exactly this prefix.
    #[arg(default_value = "", hide_default_value = true)]
    prefix: String,
    /// Only routes of, or to, this neighbour: address, or name of the peer or host.
    #[arg(long, default_value = "", hide_default_value = true, value_name = "PEER")]
    peer: String,
    /// How to print.
    #[arg(short, long, value_enum, default_value_t)]
    output: Form,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Side {
    In,
    Out,
    Best,
}

impl Rib {
    pub(crate) async fn run(self, door: &Door) -> Result<ExitCode, Problem> {
        let answer = self.ask(door).await?;
        print(&match (self.output, self.side) {
            (Form::Json, _) => json(&answer)?,
            (Form::Text, Side::Out) => advertised_table(&answer),
            (Form::Text, Side::In) => table(&answer, false),
            (Form::Text, Side::Best) => table(&answer, true),
        })?;
        if answer.routes.is_empty() && !self.prefix.is_empty() {
            return Err(Problem::new(Exit::NotFound, format!("there is no such route to exactly {}", self.prefix))
                .advice("leave the prefix out to see all"));
        }
        Ok(ExitCode::SUCCESS)
    }

    async fn ask(&self, door: &Door) -> Result<ListRoutesResponse, Problem> {
        let (prefix, neighbour) = (self.prefix.clone(), self.peer.clone());
        if self.side == Side::Out {
            let request = ListAdvertisedRequest { neighbour, prefix };
            return Ok(agent::bgp(door).await?.list_advertised(request).await?.into_inner());
        }
        let request = ListRoutesRequest { prefix, neighbour };
        let mut answer = agent::statuses(door).await?.list_routes(request).await?.into_inner();
        if self.side == Side::Best && self.prefix.is_empty() {
            answer.routes.retain(|route| route.state == "best" || route.state == "used");
        }
        Ok(answer)
    }
}
