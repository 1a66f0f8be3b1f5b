//! `poplin bgp refresh` and `poplin bgp clear`: what can be asked of one session.

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

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Direction {
    In,
    Out,
}

impl Refresh {
    pub(crate) async fn run(self, door: &Door) -> Result<ExitCode, Problem> {
        give(door, self.neighbour, Order::AskAgain).await
    }
}

impl Clear {
    pub(crate) async fn run(self, door: &Door) -> Result<ExitCode, Problem> {
        let order = match self.soft {
            None => Order::Reset,
            Some(Direction::In) => Order::AskAgain,
            Some(Direction::Out) => Order::TellAgain,
        };
        give(door, self.neighbour, order).await
    }
}

async fn give(door: &Door, neighbour: String, order: Order) -> Result<ExitCode, Problem> {
    let request = OrderNeighbourRequest { neighbour, order: order.into() };
    let answer = agent::bgp(door).await?.order_neighbour(request).await?.into_inner();
    let OrderNeighbourResponse { address, name } = &answer;
    print(&match order {
        Order::AskAgain => format!("asked {name} ({address}) for all its routes\n"),
        Order::TellAgain => format!("told {name} ({address}) all routes again\n"),
        Order::Reset | Order::Unspecified => format!("ended the session with {name} ({address}); it begins anew\n"),
    })?;
    Ok(ExitCode::SUCCESS)
}
