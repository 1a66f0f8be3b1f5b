//! The doors: gRPC on a unix socket, and by TLS where that is wanted. Each call is checked here, then either asks the store or the head.
//!
//! In: calls of `poplin.v1`. Out: answers, or a [`Failure`](poplin_proto::Failure) that names the field and what to try.
//! Objects go to the store directly, since every agent serves them alike; attachments go to the head of this host.

pub mod door;

mod accept;
mod apply;
mod bearing;
mod bgp;
mod count;
mod delete;
mod drops;
mod explain;
mod export;
mod floating;
mod force;
mod host;
mod import;
mod ipam;
mod list;
mod neighbour;
mod reflection;
mod remove_host;
mod rename_host;
mod resize;
mod resources;
mod routes;
mod schema;
mod status;
mod usage;
mod workloads;

#[cfg(test)]
mod tests;

pub(crate) use apply::{apply, fence, rest_on_fence};
pub(crate) use delete::{delete, leaned_on_since};
pub(crate) use workloads::refused;

use reflection::Reflection;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use ipnet::IpNet;
use poplin_bgp::{Address, Advertised, NeighbourDetail, Order, OrderRefusal};
use poplin_node::Role;
use poplin_node::audit::Truth;
use poplin_node::course::Course;
use poplin_node::drops::{Account, Dropped};
use poplin_node::name::AttachmentId;
use poplin_node::policing::Passage;
use poplin_node::request::{Answer, Attach, Attached, Detach, Hold, Renew};
use poplin_node::status::{Heard, Session, Status};
use poplin_policy::compile::Counted;
use poplin_policy::packet::Packet;
use poplin_policy::ruleset::Name;
use poplin_proto::{Failure, v1};
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;

use crate::drops::Feed;
use crate::memory::Complaints;
use crate::metrics::{self, Figures};
use crate::store::{Rejected, Revision, Store, StoreError};
use door::{Guest, Wholes};

/// What the doors ask of the loop that owns the head.
#[derive(Debug)]
pub enum Call {
    /// Join a namespace.
    Attach(Attach, oneshot::Sender<Answer>),
    /// Leave.
    Detach(Detach, oneshot::Sender<Answer>),
    /// Hold an address.
    Hold(Hold, oneshot::Sender<Answer>),
    /// Know an endpoint better.
    Renew(Renew, oneshot::Sender<Answer>),
    /// An address that was held is not wanted any more.
    LetGo(IpAddr),
    /// What was promised to an attachment, and what of it does not hold.
    Check(AttachmentId, oneshot::Sender<Option<(Attached, Vec<String>)>>),
    /// What only this host can know of addresses, if it knows.
    Truth(oneshot::Sender<Option<Truth>>),
    /// This host at this moment.
    Status(oneshot::Sender<Status>),
    /// The routes the neighbours offer, to one prefix or to all.
    Routes(Option<IpNet>, oneshot::Sender<Vec<Heard>>),
    /// The neighbour an operator means by an address or a name.
    NeighbourCalled(String, oneshot::Sender<Option<Address>>),
    /// One session from inside.
    Neighbour(Address, oneshot::Sender<Option<(Session, NeighbourDetail)>>),
    /// What a neighbour has been told, or all of them, of one prefix or all; each with the neighbour's name.
    Advertised(Option<Address>, Option<IpNet>, oneshot::Sender<Vec<(String, Advertised)>>),
    /// Ask something of a session; answered by its neighbour's name, or why not.
    Order(Address, Order, oneshot::Sender<Result<String, OrderRefusal>>),
    /// The changes of best paths from now on.
    WatchRoutes(oneshot::Sender<broadcast::Receiver<v1::RouteChange>>),
    /// This host, and each session with all its figures.
    Figures(oneshot::Sender<(Status, Vec<Figures>)>),
    /// The table as records of MRT.
    Dump(oneshot::Sender<Vec<Vec<u8>>>),
    /// Whose dropped packets were, and who decided.
    Account(Vec<Dropped>, oneshot::Sender<Vec<Account>>),
    /// Where the ends of a packet are, seen from this host; absent while its kernel is not known.
    Course(Packet, oneshot::Sender<Option<Course>>),
    /// The chains of our table a packet comes through.
    Passages(Packet, oneshot::Sender<Vec<Passage>>),
    /// What each chain of our table that counts counts.
    Counted(oneshot::Sender<BTreeMap<Name, Counted>>),
}

/// How long a call waits for an agent that has just started.
const STARTUP: Duration = Duration::from_secs(10);

/// How long an answer waits for the head to hear of what was written; usually that is a millisecond.
const HEARING: Duration = Duration::from_secs(1);

/// Largest request, in octets: a directory of manifests comes as one. Of who may only look it is less, see [`door`].
const LARGEST_REQUEST: usize = 16 << 20;

/// How long a call may take until it begins to answer. The longest is to remove a host, which may be asked for again and then goes on.
const DEADLINE: Duration = Duration::from_secs(120);

/// How many calls one connection may have under way.
const CALLS_AT_ONCE: u32 = 128;

/// The way from the doors to the head and the store. Cheap to clone.
#[derive(Clone)]
pub struct Desk {
    /// To the loop.
    pub calls: mpsc::Sender<Call>,
    /// The store.
    pub store: Arc<dyn Store>,
    /// This host's name.
    pub host: String,
    /// The last packets this host dropped.
    pub drops: Arc<Feed>,
    /// What this node is there for.
    pub role: Role,
    /// Whether the head has read the store and the kernel.
    pub ready: watch::Receiver<bool>,
    /// How far the head has heard the store.
    pub heard: watch::Receiver<Revision>,
    /// Whether the kernel holds the rules that are wanted here, as far as the head has heard.
    pub in_force: watch::Receiver<bool>,
    /// Until when an earlier life knew the store, if it wrote that down.
    pub known_at: Option<SystemTime>,
    /// Turns of those who want a whole table.
    pub wholes: Wholes,
    /// Why what this host knows cannot be kept at the moment.
    pub complaints: Complaints,
}

impl Desk {
    /// Asks the head once it is ready, or says that it is not.
    pub(crate) async fn ask<T>(&self, call: impl FnOnce(oneshot::Sender<T>) -> Call) -> Result<T, Failure> {
        let (sender, receiver) = oneshot::channel();
        let stopping =
            || Failure::new(Code::Unavailable, "STOPPING", "the agent is stopping").advice("try again in a moment");
        self.calls.send(call(sender)).await.map_err(|_| stopping())?;
        receiver.await.map_err(|_| stopping())
    }

    /// Whether this node has containers.
    fn is_host(&self) -> Result<(), Failure> {
        match self.role {
            Role::Host => Ok(()),
            Role::Speaker { .. } => {
                let message = "this poplind only speaks BGP and has no containers";
                let failure = Failure::new(Code::FailedPrecondition, "SPEAKER_ONLY", message);
                Err(failure.advice("ask the agent of a host, one that was started without --role reflector"))
            }
        }
    }

    /// The figures of this host, as text.
    pub(crate) async fn metrics(&self) -> Result<String, Failure> {
        let (status, sessions) = self.ask(Call::Figures).await?;
        let is_forgetful = !self.complaints.text().is_empty();
        let rules = match self.role {
            // A kernel that does not tell now is asked again with the next scrape.
            Role::Host => Some((count::list(self, "").await.unwrap_or_default(), self.drops.heard())),
            Role::Speaker { .. } => None,
        };
        let rules = rules.as_ref().map(|(counters, drops)| (&counters[..], drops));
        Ok(metrics::written(Instant::now(), &status, &sessions, is_forgetful, rules))
    }

    pub(crate) async fn until_ready(&self) {
        let mut ready = self.ready.clone();
        // Not ready in time: the head itself says best what it lacks.
        let _ = tokio::time::timeout(STARTUP, ready.wait_for(|is_ready| *is_ready)).await;
    }

    /// Whoever declares something and attaches a container right after it finds it there: the head has heard of it, or of nothing for a while.
    pub(crate) async fn until_heard(&self, revision: Revision) {
        let mut heard = self.heard.clone();
        let _ = tokio::time::timeout(HEARING, heard.wait_for(|heard| *heard >= revision)).await;
    }
}

/// Serves whoever is told of by a door, until the future is dropped.
pub async fn serve(guests: mpsc::Receiver<Guest>, desk: Desk) -> Result<(), tonic::transport::Error> {
    let (health, health_service) = tonic_health::server::health_reporter();
    tokio::spawn(report_health(health, desk.ready.clone()));
    tonic::transport::Server::builder()
        .timeout(DEADLINE)
        .max_concurrent_streams(CALLS_AT_ONCE)
        .layer(door::Guard)
        .add_service(health_service)
        .add_service(Reflection)
        .add_service(
            v1::resource_service_server::ResourceServiceServer::new(resources::Resources(desk.clone()))
                .max_decoding_message_size(LARGEST_REQUEST),
        )
        .add_service(v1::workload_service_server::WorkloadServiceServer::new(workloads::Workloads(desk.clone())))
        .add_service(v1::policy_service_server::PolicyServiceServer::new(explain::Policies(desk.clone())))
        .add_service(v1::status_service_server::StatusServiceServer::new(status::StatusDoor(desk.clone())))
        .add_service(v1::ipam_service_server::IpamServiceServer::new(ipam::IpamDoor(desk.clone())))
        .add_service(v1::bgp_service_server::BgpServiceServer::new(bgp::BgpDoor(desk)))
        .serve_with_incoming(ReceiverStream::new(guests).map(Ok::<_, Infallible>))
        .await
}

/// Tells grpc.health.v1 what the head says of itself.
async fn report_health(health: tonic_health::server::HealthReporter, mut ready: watch::Receiver<bool>) {
    loop {
        let status = match *ready.borrow_and_update() {
            true => tonic_health::ServingStatus::Serving,
            false => tonic_health::ServingStatus::NotServing,
        };
        health.set_service_status("", status).await;
        if ready.changed().await.is_err() {
            return;
        }
    }
}

/// A store that could not be asked, in the form errors travel in.
pub(crate) fn store_failure(error: &StoreError) -> Failure {
    let (code, reason) = match error {
        StoreError::Rejected(Rejected::ReadOnly(_)) => (Code::FailedPrecondition, "READ_ONLY"),
        StoreError::Rejected(Rejected::TooMany { .. } | Rejected::TooLarge { .. } | Rejected::TooMuch { .. }) => {
            let failure = Failure::new(Code::InvalidArgument, "TOO_LARGE", error.story());
            return failure.advice("nothing was changed; make the objects smaller, or apply them in several calls");
        }
        StoreError::Outdated(_) => (Code::FailedPrecondition, "READ_ONLY"),
        StoreError::Ahead { .. } => (Code::FailedPrecondition, "SCHEMA"),
        _ => (Code::Unavailable, "STORE_UNREACHABLE"),
    };
    let mut failure = Failure::new(code, reason, error.story());
    failure.advice = error.advice().map(str::to_owned);
    failure
}
