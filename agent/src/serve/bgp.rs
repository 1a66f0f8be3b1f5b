//! BgpService: one session from inside, what is told over it, and what an operator may ask of it.

use std::time::Instant;

use poplin_bgp::{Address, Order, OrderRefusal};
use poplin_proto::Failure;
use poplin_proto::v1::bgp_service_server::BgpService;
use poplin_proto::v1::order_neighbour_request::Order as Asked;
use poplin_proto::v1::{
    DumpTableRequest, DumpTableResponse, GetNeighbourRequest, GetNeighbourResponse, ListAdvertisedRequest,
    ListRoutesResponse, OrderNeighbourRequest, OrderNeighbourResponse, RouteChange, WatchRoutesRequest,
};
use tokio::sync::broadcast::{Receiver, error::RecvError};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Response, Status};

use super::{Call, Desk, door, neighbour, routes};
use crate::resource;

pub(super) struct BgpDoor(pub(super) Desk);

/// Changes on their way to one caller; the rest waits in the feed.
const UNDER_WAY: usize = 64;

/// Records of a table in one piece: some 100 octets each, and a piece has to stay below 4 MB.
const RECORDS: usize = 500;

#[tonic::async_trait]
impl BgpService for BgpDoor {
    type WatchRoutesStream = ReceiverStream<Result<RouteChange, Status>>;

    type DumpTableStream = ReceiverStream<Result<DumpTableResponse, Status>>;

    async fn get_neighbour(
        &self,
        request: Request<GetNeighbourRequest>,
    ) -> Result<Response<GetNeighbourResponse>, Status> {
        let address = self.address_of(&request.get_ref().neighbour).await?;
        let known = self.0.ask(|sender| Call::Neighbour(address, sender)).await?;
        let (session, detail) = known.ok_or_else(|| unknown(&request.get_ref().neighbour))?;
        Ok(Response::new(neighbour::written(Instant::now(), session, detail)))
    }

    async fn list_advertised(
        &self,
        request: Request<ListAdvertisedRequest>,
    ) -> Result<Response<ListRoutesResponse>, Status> {
        let prefix = routes::prefix(&request.get_ref().prefix)?;
        let turn = match prefix {
            None => Some(self.0.wholes.turn(&request).await?),
            Some(_) => None,
        };
        let neighbour = request.into_inner().neighbour;
        let neighbour = match neighbour.as_str() {
            "" => None,
            text => Some(self.address_of(text).await?),
        };
        let told = self.0.ask(|sender| Call::Advertised(neighbour, prefix, sender)).await?;
        let routes = told.into_iter().map(routes::advertised).collect();
        Ok(routes::within(turn, ListRoutesResponse { routes }))
    }

    async fn order_neighbour(
        &self,
        request: Request<OrderNeighbourRequest>,
    ) -> Result<Response<OrderNeighbourResponse>, Status> {
        door::may_change(&request)?;
        let request = request.into_inner();
        let asked = request.order();
        let order = order(asked, request.message)?;
        let address = self.address_of(&request.neighbour).await?;
        let outcome = self.0.ask(|sender| Call::Order(address, order, sender)).await?;
        let name = outcome.map_err(refused)?;
        Ok(Response::new(OrderNeighbourResponse { address: address.to_string(), name }))
    }

    async fn dump_table(&self, request: Request<DumpTableRequest>) -> Result<Response<Self::DumpTableStream>, Status> {
        self.0.until_ready().await;
        let turn = self.0.wholes.turn(&request).await?;
        let records = self.0.ask(Call::Dump).await?;
        let (sender, receiver) = mpsc::channel(UNDER_WAY);
        tokio::spawn(hand_over(records, sender));
        Ok(routes::within(Some(turn), ReceiverStream::new(receiver)))
    }

    async fn watch_routes(&self, _: Request<WatchRoutesRequest>) -> Result<Response<Self::WatchRoutesStream>, Status> {
        self.0.until_ready().await;
        let changes = self.0.ask(Call::WatchRoutes).await?;
        let (sender, receiver) = mpsc::channel(UNDER_WAY);
        tokio::spawn(pass_on(changes, sender));
        Ok(Response::new(ReceiverStream::new(receiver)))
    }
}

impl BgpDoor {
    /// A host that has just started knows no neighbours yet.
    async fn address_of(&self, text: &str) -> Result<Address, Failure> {
        self.0.until_ready().await;
        let address = self.0.ask(|sender| Call::NeighbourCalled(text.to_owned(), sender)).await?;
        address.ok_or_else(|| unknown(text))
    }
}

fn unknown(text: &str) -> Failure {
    Failure::new(Code::NotFound, "NO_NEIGHBOUR", format!("no BGP neighbour of this host is called {text:?}"))
        .field("neighbour")
        .advice("see `poplin bgp summary` for names and addresses")
}

fn order(asked: Asked, message: String) -> Result<Order, Failure> {
    match asked {
        Asked::AskAgain => Ok(Order::AskAgain),
        Asked::TellAgain => Ok(Order::TellAgain),
        Asked::Reset => Ok(Order::Reset),
        Asked::ShutDown => match resource::communication("message", message) {
            Ok(words) => Ok(Order::ShutDown(words)),
            Err(invalid) => Err(invalid.into_failure("order")),
        },
        Asked::Start => Ok(Order::Start),
        Asked::Unspecified => {
            let failure = Failure::new(Code::InvalidArgument, "NO_ORDER", "the order is missing").field("order");
            Err(failure.advice("ORDER_ASK_AGAIN, ORDER_TELL_AGAIN, ORDER_RESET, ORDER_SHUT_DOWN or ORDER_START"))
        }
    }
}

fn refused(refusal: OrderRefusal) -> Failure {
    let failure = Failure::new(Code::FailedPrecondition, "ORDER_REFUSED", refusal.to_string());
    match refusal {
        OrderRefusal::Unknown(_) => failure.advice("see `poplin bgp summary` for names and addresses"),
        OrderRefusal::Down(..) => {
            failure.advice("see `poplin bgp neighbor` for why, or `poplin bgp clear` to dial at once")
        }
        OrderRefusal::ShutDown(_) => failure.advice("`poplin bgp neighbor` says by whom"),
        OrderRefusal::NotShutDown(_) => failure.advice("see `poplin bgp neighbor` for how it stands"),
        OrderRefusal::Declared(_) => failure
            .advice("take `shutdown` out of the Peer, or of the file of a speaker alone: that brings the session back"),
        OrderRefusal::Deaf(_) => failure.advice("`poplin bgp clear` begins a new session, and its routes go meanwhile"),
    }
}

/// The first record is the index of neighbours, each of the others a prefix.
async fn hand_over(records: Vec<Vec<u8>>, caller: mpsc::Sender<Result<DumpTableResponse, Status>>) {
    for (position, some) in records.chunks(RECORDS).enumerate() {
        let prefixes = some.len() - usize::from(position == 0);
        let prefixes = u32::try_from(prefixes).unwrap_or(u32::MAX);
        if caller.send(Ok(DumpTableResponse { records: some.concat(), prefixes })).await.is_err() {
            return;
        }
    }
}

/// Until the caller goes away, or the agent stops.
async fn pass_on(mut changes: Receiver<RouteChange>, caller: mpsc::Sender<Result<RouteChange, Status>>) {
    let mut lost = 0;
    loop {
        let change = tokio::select! {
            change = changes.recv() => change,
            () = caller.closed() => return,
        };
        match change {
            Ok(change) => {
                let change = RouteChange { lost: std::mem::take(&mut lost), ..change };
                if caller.send(Ok(change)).await.is_err() {
                    return;
                }
            }
            Err(RecvError::Lagged(count)) => lost += count,
            Err(RecvError::Closed) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::broadcast;

    use super::*;

    #[tokio::test]
    async fn who_reads_too_slowly_is_told_how_much_is_missing() {
        let feed = broadcast::Sender::new(2);
        let (sender, mut receiver) = mpsc::channel(8);
        let changes = feed.subscribe();
        for time in 1..=5 {
            feed.send(RouteChange { time, ..RouteChange::default() }).unwrap();
        }

        tokio::spawn(pass_on(changes, sender));

        let first = receiver.recv().await.unwrap().unwrap();
        let second = receiver.recv().await.unwrap().unwrap();
        assert_eq!([(first.time, first.lost), (second.time, second.lost)], [(4, 3), (5, 0)]);
    }
}
