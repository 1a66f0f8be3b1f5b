//! `poplin bgp`: this host's BGP sessions from inside, and what can be asked of them.
//!
//! What `status` and `routes` show already is shown here by the same code: `summary` is the sessions of `status`, `rib in` and
//! `rib best` are `routes`.

mod dump;
mod neighbour;
mod order;
mod rib;
mod watch;

use std::process::ExitCode;

use poplin_proto::v1::GetStatusRequest;

use crate::agent;
use crate::door::Door;
use crate::output::{json, print};
use crate::problem::Problem;
use crate::status::{Form, sessions_table};

/// Look into the BGP sessions of this host, and ask something of them.
#[derive(Debug, clap::Args)]
#[command(before_help = "Examples:
  poplin bgp summary
  poplin bgp neighbor tor
  poplin bgp rib best 10.77.0.64/26
  poplin bgp clear tor --soft in
  poplin bgp shutdown tor --message 'new optics, back at 5'
  poplin bgp watch")]
pub(crate) struct Bgp {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    Summary(Summary),
    Neighbor(neighbour::Neighbour),
    Rib(rib::Rib),
    Refresh(order::Refresh),
    Clear(order::Clear),
    Shutdown(order::Shutdown),
    Start(order::Start),
    Watch(watch::Watch),
    Dump(dump::Dump),
}

/// List the sessions, as `poplin status` does: state, since when, prefixes in and out, last error.
#[derive(Debug, clap::Args)]
struct Summary {
    /// How to print.
    #[arg(short, long, value_enum, default_value_t)]
    output: Form,
}

impl Bgp {
    pub(crate) async fn run(self, door: &Door) -> Result<ExitCode, Problem> {
        match self.verb {
            Verb::Summary(summary) => summary.run(door).await,
            Verb::Neighbor(neighbour) => neighbour.run(door).await,
            Verb::Rib(rib) => rib.run(door).await,
            Verb::Refresh(refresh) => refresh.run(door).await,
            Verb::Clear(clear) => clear.run(door).await,
            Verb::Shutdown(shutdown) => shutdown.run(door).await,
            Verb::Start(start) => start.run(door).await,
            Verb::Watch(watch) => watch.run(door).await,
            Verb::Dump(dump) => dump.run(door).await,
        }
    }
}

impl Summary {
    async fn run(self, door: &Door) -> Result<ExitCode, Problem> {
        let status = agent::statuses(door).await?.get_status(GetStatusRequest {}).await?.into_inner();
        print(&match self.output {
            Form::Text => sessions_table(&status.sessions),
            Form::Json => json(&status.sessions)?,
        })?;
        Ok(ExitCode::SUCCESS)
    }
}
