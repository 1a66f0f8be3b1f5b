//! An agent of a few lines: it keeps what it is given in memory, and listens on a socket in a directory of its own.
//! The tests of the CNI plugin use it too.

#![allow(dead_code, reason = "each test program uses its part")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use poplin_proto::Failure;
use poplin_proto::v1::apply_response::{Result as Applied, result::Outcome};
use poplin_proto::v1::bgp_service_server::{BgpService, BgpServiceServer};
use poplin_proto::v1::ipam_service_server::{IpamService, IpamServiceServer};
use poplin_proto::v1::policy_service_server::{PolicyService, PolicyServiceServer};
use poplin_proto::v1::resource_service_server::{ResourceService, ResourceServiceServer};
use poplin_proto::v1::status_service_server::{StatusService, StatusServiceServer};
use poplin_proto::v1::watch_response::Change;
use poplin_proto::v1::workload_service_server::{WorkloadService, WorkloadServiceServer};
use poplin_proto::v1::*;
use tokio_stream::wrappers::{ReceiverStream, UnixListenerStream};
use tonic::{Code, Request, Response, Status, Streaming};

pub(crate) const GATEWAY: &str = "169.254.40.1";
pub(crate) const GATEWAY_MAC: &str = "02:00:00:00:00:01";

/// What the agent knows; tests set it and look at it.
#[derive(Default)]
pub(crate) struct World {
    pub(crate) objects: BTreeMap<(String, String), Resource>,
    pub(crate) failures: Vec<Failure>,
    pub(crate) status: GetStatusResponse,
    pub(crate) examined: ExamineStoreResponse,
    pub(crate) counters: Vec<RuleCounter>,
    pub(crate) explanation: ExplainResponse,
    pub(crate) drops: Vec<Drop>,
    pub(crate) routes: Vec<RouteStatus>,
    pub(crate) changes: Vec<RouteChange>,
    pub(crate) orders: Vec<OrderNeighbourRequest>,
    pub(crate) detached: Vec<DetachRequest>,
    pub(crate) attached: Vec<AttachRequest>,
    pub(crate) findings: Vec<String>,
    pub(crate) addresses: ShowAddressesResponse,
    pub(crate) audit: CheckAddressesResponse,
}

#[derive(Clone, Default)]
struct Service(Arc<Mutex<World>>);

/// A running agent; its socket and its thread end with it.
pub(crate) struct Agent {
    service: Service,
    directory: PathBuf,
    _runtime: tokio::runtime::Runtime,
}

impl Agent {
    pub(crate) fn start() -> Self {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let serial = COUNTER.fetch_add(1, Ordering::Relaxed);
        let directory = std::env::temp_dir().join(format!("poplin-fake-{}-{serial}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let service = Service::default();
        let listener = runtime.block_on(async { tokio::net::UnixListener::bind(directory.join("api.sock")) }).unwrap();
        runtime.spawn(
            tonic::transport::Server::builder()
                .add_service(ResourceServiceServer::new(service.clone()))
                .add_service(WorkloadServiceServer::new(service.clone()))
                .add_service(PolicyServiceServer::new(service.clone()))
                .add_service(StatusServiceServer::new(service.clone()))
                .add_service(BgpServiceServer::new(service.clone()))
                .add_service(IpamServiceServer::new(service.clone()))
                .serve_with_incoming(UnixListenerStream::new(listener)),
        );
        Self { service, directory, _runtime: runtime }
    }

    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.service.0.lock().unwrap()
    }

    /// A file in the agent's own directory.
    pub(crate) fn file(&self, name: &str, text: &str) -> String {
        let path = self.directory.join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    pub(crate) fn socket(&self) -> String {
        self.directory.join("api.sock").display().to_string()
    }
}

impl std::ops::Drop for Agent {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

impl Service {
    fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap()
    }

    /// Everything of a kind, by name. Understands no selector but `none`, which matches nothing.
    fn all(&self, kind: &str, selector: &str) -> Vec<Resource> {
        let world = self.world();
        let of_kind = world.objects.iter().filter(|((known, _), _)| known == kind && selector != "none");
        of_kind.map(|(_, resource)| resource.clone()).collect()
    }
}

/// What every attachment gets.
fn endpoint() -> Endpoint {
    let spec = EndpointSpec {
        addresses: vec!["10.77.0.5/32".to_owned()],
        interface: "pop1".to_owned(),
        mac: "02:00:00:00:00:05".to_owned(),
        mtu_bytes: 1450,
        ..EndpointSpec::default()
    };
    Endpoint { spec: Some(spec), ..Endpoint::default() }
}

fn documents(manifest: &Manifest) -> Vec<Resource> {
    let documents = manifest.text.split("\n---\n").filter(|text| !text.trim().is_empty());
    let read = |text: &str| {
        let header: poplin_proto::resource::Header = serde_saphyr::from_str(text).unwrap();
        serde_saphyr::with_deserializer_from_str(text, |d| Resource::deserialize_kind(&header.kind, d)).unwrap()
    };
    documents.map(read).collect()
}

#[tonic::async_trait]
impl ResourceService for Service {
    type ExportStream = ReceiverStream<Result<ExportResponse, Status>>;
    type WatchStream = ReceiverStream<Result<WatchResponse, Status>>;

    async fn get(&self, request: Request<GetRequest>) -> Result<Response<GetResponse>, Status> {
        let GetRequest { kind, name } = request.into_inner();
        let resource = self.world().objects.get(&(kind.clone(), name.clone())).cloned();
        let missing = || Failure::new(Code::NotFound, "NOT_FOUND", format!("{kind} {name} is not there"));
        let resource = resource.ok_or_else(|| missing().advice("poplin get policies"))?;
        Ok(Response::new(GetResponse { resource: Some(resource) }))
    }

    /// Two a page, so that pages are turned.
    async fn list(&self, request: Request<ListRequest>) -> Result<Response<ListResponse>, Status> {
        let request = request.into_inner();
        let start: usize = request.page_token.parse().unwrap_or(0);
        let all = self.all(&request.kind, &request.selector);
        let next = if start + 2 < all.len() { (start + 2).to_string() } else { String::new() };
        let resources = all.into_iter().skip(start).take(2).collect();
        Ok(Response::new(ListResponse { resources, next_page_token: next, revision: 1, unreadable: Vec::new() }))
    }

    /// What is there, then the first of it deleted, then the end.
    async fn watch(&self, request: Request<WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let all = self.all(&request.get_ref().kind, &request.get_ref().selector);
        let event = |change: Change, resource| Ok(WatchResponse { change: change.into(), resource, revision: 1 });
        let mut events: Vec<_> = all.iter().map(|r| event(Change::Put, Some(r.clone()))).collect();
        events.push(event(Change::Synced, None));
        events.push(event(Change::Deleted, all.first().cloned()));
        let (sender, receiver) = tokio::sync::mpsc::channel(events.len());
        for event in events {
            sender.send(event).await.unwrap();
        }
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    async fn apply(&self, request: Request<ApplyRequest>) -> Result<Response<ApplyResponse>, Status> {
        let request = request.into_inner();
        let mut world = self.world();
        if !world.failures.is_empty() {
            return Err(Failure::combine(world.failures.clone()));
        }
        let mut results = Vec::new();
        for resource in request.manifests.iter().flat_map(documents) {
            let (kind, name) = (resource.kind().to_owned(), resource.name().to_owned());
            let before = world.objects.get(&(kind.clone(), name.clone())).cloned();
            let outcome = match before {
                None => Outcome::Created,
                Some(before) if before == resource => Outcome::Unchanged,
                Some(_) => Outcome::Configured,
            };
            if !request.dry_run {
                world.objects.insert((kind.clone(), name.clone()), resource);
            }
            results.push(Applied { kind, name, outcome: outcome.into(), written_as: String::new() });
        }
        Ok(Response::new(ApplyResponse { results, revision: 1, trial: String::new() }))
    }

    async fn export(&self, _: Request<ExportRequest>) -> Result<Response<Self::ExportStream>, Status> {
        Err(Status::unimplemented("no test asks for it"))
    }

    async fn import(&self, _: Request<Streaming<ImportRequest>>) -> Result<Response<ImportResponse>, Status> {
        Err(Status::unimplemented("no test asks for it"))
    }

    async fn confirm(&self, request: Request<ConfirmRequest>) -> Result<Response<ConfirmResponse>, Status> {
        Ok(Response::new(ConfirmResponse { trial: request.into_inner().trial }))
    }

    async fn accept_store(&self, _: Request<AcceptStoreRequest>) -> Result<Response<AcceptStoreResponse>, Status> {
        Ok(Response::new(AcceptStoreResponse { awaited: vec!["h2".to_owned(), "h3".to_owned()] }))
    }

    async fn set_schema(&self, request: Request<SetSchemaRequest>) -> Result<Response<SetSchemaResponse>, Status> {
        let SetSchemaRequest { set, raise } = request.into_inner();
        let host = |host: &str, schema| HostSchema { host: host.to_owned(), version: "0.1.0".to_owned(), schema };
        Ok(Response::new(SetSchemaResponse {
            min_writer: if raise { 2 } else { set.max(1) },
            can_raise_to: 2,
            hosts: vec![host("h1", 2), host("h2", 3)],
            later: vec!["/poplin/v1/c/pool/lan: spec.lan is of schema 2".to_owned()],
        }))
    }

    async fn rename_host(&self, _: Request<RenameHostRequest>) -> Result<Response<RenameHostResponse>, Status> {
        let host_endpoints = vec!["h1-uplink".to_owned()];
        Ok(Response::new(RenameHostResponse { endpoints: 2, blocks: 1, host_endpoints }))
    }

    async fn remove_host(&self, _: Request<RemoveHostRequest>) -> Result<Response<RemoveHostResponse>, Status> {
        Ok(Response::new(RemoveHostResponse {
            endpoints: vec!["db".to_owned()],
            addresses_freed: 1,
            blocks_freed: vec!["10.77.0.0/26".to_owned()],
            blocks_moved: vec!["10.77.0.64/26 to h2".to_owned()],
        }))
    }

    async fn delete(&self, request: Request<DeleteRequest>) -> Result<Response<DeleteResponse>, Status> {
        let request = request.into_inner();
        let resource = self.world().objects.remove(&(request.kind.clone(), request.name.clone()));
        if resource.is_none() && !request.allow_missing {
            let message = format!("{} {} is not there", request.kind, request.name);
            return Err(Failure::new(Code::NotFound, "NOT_FOUND", message).into());
        }
        Ok(Response::new(DeleteResponse { resource }))
    }

    async fn delete_all(&self, request: Request<DeleteAllRequest>) -> Result<Response<DeleteAllResponse>, Status> {
        let request = request.into_inner();
        let mut world = self.world();
        let key = |object: ObjectName| (object.kind, object.name);
        let keys: Vec<(String, String)> = request.objects.into_iter().map(key).collect();
        let were_there: Vec<bool> = keys.iter().map(|key| world.objects.contains_key(key)).collect();
        if !request.allow_missing && were_there.contains(&false) {
            return Err(Failure::new(Code::NotFound, "NOT_FOUND", "not all of them are there").into());
        }
        keys.iter().for_each(|key| drop(world.objects.remove(key)));
        Ok(Response::new(DeleteAllResponse { were_there }))
    }
}

#[tonic::async_trait]
impl WorkloadService for Service {
    async fn attach(&self, request: Request<AttachRequest>) -> Result<Response<AttachResponse>, Status> {
        let request = request.into_inner();
        self.world().attached.push(request);
        Ok(Response::new(AttachResponse {
            service_addresses: Vec::new(),
            nameservers: vec![GATEWAY.to_owned()],
            search_domains: vec!["poplin.internal".to_owned()],
            endpoint: Some(endpoint()),
            gateways: vec![GATEWAY.to_owned()],
            gateway_mac: GATEWAY_MAC.to_owned(),
        }))
    }

    async fn detach(&self, request: Request<DetachRequest>) -> Result<Response<DetachResponse>, Status> {
        let mut world = self.world();
        world.detached.push(request.into_inner());
        let endpoint = (!world.attached.is_empty()).then(Endpoint::default);
        Ok(Response::new(DetachResponse { endpoint }))
    }

    async fn check(&self, request: Request<CheckRequest>) -> Result<Response<CheckResponse>, Status> {
        let container = request.into_inner().container;
        let world = self.world();
        if !world.attached.iter().any(|attached| attached.container == container) {
            return Err(Failure::new(Code::NotFound, "NOT_ATTACHED", format!("{container} is not attached")).into());
        }
        Ok(Response::new(CheckResponse {
            endpoint: Some(endpoint()),
            findings: world.findings.clone(),
            gateways: vec![GATEWAY.to_owned()],
            gateway_mac: GATEWAY_MAC.to_owned(),
        }))
    }
}

#[tonic::async_trait]
impl PolicyService for Service {
    type WatchDropsStream = ReceiverStream<Result<Drop, Status>>;

    /// Those it has; a stream that is followed then stays open.
    async fn watch_drops(
        &self,
        request: Request<WatchDropsRequest>,
    ) -> Result<Response<Self::WatchDropsStream>, Status> {
        let drops = self.world().drops.clone();
        let (sender, receiver) = tokio::sync::mpsc::channel(drops.len() + 1);
        for drop in drops {
            sender.send(Ok(drop)).await.unwrap();
        }
        if request.into_inner().follow {
            tokio::spawn(async move { sender.closed().await });
        }
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    async fn explain(&self, _: Request<ExplainRequest>) -> Result<Response<ExplainResponse>, Status> {
        Ok(Response::new(self.world().explanation.clone()))
    }

    async fn list_counters(&self, _: Request<ListCountersRequest>) -> Result<Response<ListCountersResponse>, Status> {
        Ok(Response::new(ListCountersResponse { counters: self.world().counters.clone() }))
    }
}

#[tonic::async_trait]
impl StatusService for Service {
    async fn get_status(&self, _: Request<GetStatusRequest>) -> Result<Response<GetStatusResponse>, Status> {
        Ok(Response::new(self.world().status.clone()))
    }

    async fn get_metrics(&self, _: Request<GetMetricsRequest>) -> Result<Response<GetMetricsResponse>, Status> {
        Ok(Response::new(GetMetricsResponse { text: "poplin_bgp_peer_up 1\n".to_owned() }))
    }

    async fn examine_store(&self, _: Request<ExamineStoreRequest>) -> Result<Response<ExamineStoreResponse>, Status> {
        Ok(Response::new(self.world().examined.clone()))
    }

    async fn list_routes(&self, _: Request<ListRoutesRequest>) -> Result<Response<ListRoutesResponse>, Status> {
        Ok(Response::new(ListRoutesResponse { routes: self.world().routes.clone() }))
    }
}

#[tonic::async_trait]
impl BgpService for Service {
    type WatchRoutesStream = ReceiverStream<Result<RouteChange, Status>>;
    type DumpTableStream = ReceiverStream<Result<DumpTableResponse, Status>>;

    async fn get_neighbour(
        &self,
        request: Request<GetNeighbourRequest>,
    ) -> Result<Response<GetNeighbourResponse>, Status> {
        let name = request.into_inner().neighbour;
        let session = self.world().status.sessions.iter().find(|session| session.name == name).cloned();
        let missing = || Failure::new(Code::NotFound, "NO_NEIGHBOUR", format!("no BGP neighbour is called {name:?}"));
        let session = Some(session.ok_or_else(missing)?);
        Ok(Response::new(GetNeighbourResponse { session, hold_seconds_proposed: 90, ..Default::default() }))
    }

    async fn list_advertised(&self, _: Request<ListAdvertisedRequest>) -> Result<Response<ListRoutesResponse>, Status> {
        Ok(Response::new(ListRoutesResponse { routes: self.world().routes.clone() }))
    }

    async fn order_neighbour(
        &self,
        request: Request<OrderNeighbourRequest>,
    ) -> Result<Response<OrderNeighbourResponse>, Status> {
        let request = request.into_inner();
        self.world().orders.push(request.clone());
        Ok(Response::new(OrderNeighbourResponse { address: "192.0.2.9".to_owned(), name: request.neighbour }))
    }

    /// Two pieces, then the end.
    async fn dump_table(&self, _: Request<DumpTableRequest>) -> Result<Response<Self::DumpTableStream>, Status> {
        let (sender, receiver) = tokio::sync::mpsc::channel(2);
        for (records, prefixes) in [(b"one".to_vec(), 1), (b"two".to_vec(), 2)] {
            sender.send(Ok(DumpTableResponse { records, prefixes })).await.unwrap();
        }
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    /// Those it has, then the end.
    async fn watch_routes(&self, _: Request<WatchRoutesRequest>) -> Result<Response<Self::WatchRoutesStream>, Status> {
        let changes = self.world().changes.clone();
        let (sender, receiver) = tokio::sync::mpsc::channel(changes.len() + 1);
        for change in changes {
            sender.send(Ok(change)).await.unwrap();
        }
        Ok(Response::new(ReceiverStream::new(receiver)))
    }
}

#[tonic::async_trait]
impl IpamService for Service {
    async fn resize_pool(&self, _: Request<ResizePoolRequest>) -> Result<Response<ResizePoolResponse>, Status> {
        Err(Status::unimplemented("nobody asks for it here"))
    }

    async fn show(&self, _: Request<ShowAddressesRequest>) -> Result<Response<ShowAddressesResponse>, Status> {
        Ok(Response::new(self.world().addresses.clone()))
    }

    async fn check(&self, request: Request<CheckAddressesRequest>) -> Result<Response<CheckAddressesResponse>, Status> {
        let mut audit = self.world().audit.clone();
        for finding in audit.findings.iter_mut().filter(|finding| !finding.mending.is_empty()) {
            finding.mended = request.get_ref().fix;
        }
        Ok(Response::new(audit))
    }

    async fn release(&self, _: Request<ReleaseAddressRequest>) -> Result<Response<ReleaseAddressResponse>, Status> {
        Ok(Response::new(ReleaseAddressResponse::default()))
    }
}
