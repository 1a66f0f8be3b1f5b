//! `poplin bgp refresh`, `clear`, `shutdown` and `start`: what can be asked of one session.

use std::process::ExitCode;

use poplin_proto::v1::order_neighbour_request::Order;
use poplin_proto::v1::{OrderNeighbourRequest, OrderNeighbourResponse};

use crate::agent;
use crate::door::Door;
use crate::output::print;
use crate::problem::Problem;

/// Let a neighbour tell all its routes again (RFC 2918); nothing is lost meanwhile.
#[derive(Debug, clap::Args)]
pub(crate) struct Refresh {
    /// Address, or name of the peer or host.
    #[arg(value_name = "PEER")]
    neighbour: String,
}

/// End a session and begin it anew, so that its routes go meanwhile; with `--soft` only tell the routes of one direction again.
#[derive(Debug, clap::Args)]
pub(crate) struct Clear {
    /// Address, or name of the peer or host.
    #[arg(value_name = "PEER")]
    neighbour: String,
    /// Keep the session: `in` is `poplin bgp refresh`, `out` tells the neighbour all of ours again.
    #[arg(long, value_enum, value_name = "DIRECTION")]
    soft: Option<Direction>,
}

/// End a session, and have none until `poplin bgp start` or until the agent restarts.
///
/// Its routes go, and the neighbour's operator reads the message (RFC 9003). What outlasts the agent is `shutdown` in the Peer.
#[derive(Debug, clap::Args)]
#[command(before_help = "Examples:
  poplin bgp shutdown tor --message 'new optics, back at 5'
  poplin bgp start tor")]
pub(crate) struct Shutdown {
    /// Address, or name of the peer or host.
    #[arg(value_name = "PEER")]
    neighbour: String,
    /// What the neighbour's operator is to read, at most 255 octets.
    #[arg(long, value_name = "TEXT", default_value_t)]
    message: String,
}

/// Take `poplin bgp shutdown` back: the session begins at once.
#[derive(Debug, clap::Args)]
pub(crate) struct Start {
    /// Address, or name of the peer or host.
    #[arg(value_name = "PEER")]
    neighbour: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Direction {
    In,
    Out,
}

impl Refresh {
    pub(crate) async fn run(self, door: &Door) -> Result<ExitCode, Problem> {
        give(door, self.neighbour, Order::AskAgain, String::new()).await
    }
}

impl Clear {
    pub(crate) async fn run(self, door: &Door) -> Result<ExitCode, Problem> {
        let order = match self.soft {
            None => Order::Reset,
            Some(Direction::In) => Order::AskAgain,
            Some(Direction::Out) => Order::TellAgain,
        };
        give(door, self.neighbour, order, String::new()).await
    }
}

impl Shutdown {
    pub(crate) async fn run(self, door: &Door) -> Result<ExitCode, Problem> {
        give(door, self.neighbour, Order::ShutDown, self.message).await
    }
}

impl Start {
    pub(crate) async fn run(self, door: &Door) -> Result<ExitCode, Problem> {
        give(door, self.neighbour, Order::Start, String::new()).await
    }
}

async fn give(door: &Door, neighbour: String, order: Order, message: String) -> Result<ExitCode, Problem> {
    let request = OrderNeighbourRequest { neighbour, order: order.into(), message };
    let answer = agent::bgp(door).await?.order_neighbour(request).await?.into_inner();
    let OrderNeighbourResponse { address, name } = &answer;
    print(&match order {
        Order::AskAgain => format!("asked {name} ({address}) for all its routes\n"),
        Order::TellAgain => format!("told {name} ({address}) all routes again\n"),
        Order::Reset | Order::Unspecified => format!("ended the session with {name} ({address}); it begins anew\n"),
        Order::ShutDown => format!(
            "shut down the session with {name} ({address}) until `poplin bgp start {name}`, or until the agent restarts\n"
        ),
        Order::Start => format!("let the session with {name} ({address}) begin\n"),
    })?;
    Ok(ExitCode::SUCCESS)
}
