//! StatusService: this host at this moment.

use std::time::SystemTime;

use poplin_bgp::bfd::{Diagnostic, Path};
use poplin_bgp::wire::Family;
use poplin_node::name::EndpointName;
use poplin_node::quarantine::Unreadable;
use poplin_node::release::MinWriter;
use poplin_node::statics::StaticNextHop;
use poplin_node::status::{
    BlockUse, FloatingUse, Member as ServingMember, ServiceUse, Session, Status as Host, Watched,
};
use poplin_proto::v1::status_service_server::StatusService;
use poplin_proto::v1::{
    BfdStatus, BlockStatus, CredentialFile, ExamineStoreRequest, ExamineStoreResponse, FloatingStatus,
    GetMetricsRequest, GetMetricsResponse, GetStatusRequest, GetStatusResponse, ListRoutesRequest, ListRoutesResponse,
    NextHopStatus, PrefixCount, ServiceMember, ServiceStatus, SessionStatus, StoreMember, StoreStatus,
    UnreadableObject,
};
use tonic::{Request, Response, Status};

use super::{Call, Desk, routes};
use crate::resource::path_of;
use crate::schema;
use crate::store::{self, Member};

pub(super) struct StatusDoor(pub(super) Desk);

#[tonic::async_trait]
impl StatusService for StatusDoor {
    async fn get_status(&self, _: Request<GetStatusRequest>) -> Result<Response<GetStatusResponse>, Status> {
        let host = self.0.ask(Call::Status).await?;
        let store = StoreStatus {
            kind: self.0.store.kind().to_owned(),
            location: self.0.store.location(),
            connected: host.store_error.is_none(),
            revision: host.revision,
            error: host.store_error.clone().or(host.write_error.clone()).unwrap_or_default(),
            from_memory: host.is_recalled,
            memory_age_seconds: if host.is_recalled { age(self.0.known_at) } else { 0 },
            owed: count(host.owed),
            untold: count(host.untold),
            forgotten: host.lapsed.iter().map(path_of).collect(),
            contested: host.contested.iter().map(ToString::to_string).collect(),
            awaited: host.awaited.iter().map(ToString::to_string).collect(),
            importing: host.is_importing,
            memory_error: self.0.complaints.text(),
            schema: schema::release().schema,
            min_writer: match host.min_writer {
                MinWriter::From(schema) => schema,
                MinWriter::Unsaid | MinWriter::Unreadable => 0,
            },
            read_only: host.read_only.as_ref().map(ToString::to_string).unwrap_or_default(),
        };
        Ok(Response::new(response(host, store)))
    }

    async fn get_metrics(&self, _: Request<GetMetricsRequest>) -> Result<Response<GetMetricsResponse>, Status> {
        Ok(Response::new(GetMetricsResponse { text: self.0.metrics().await? }))
    }

    async fn examine_store(&self, _: Request<ExamineStoreRequest>) -> Result<Response<ExamineStoreResponse>, Status> {
        let examined = self.0.store.examine().await;
        let members = examined.members.into_iter().map(member).collect();
        Ok(Response::new(ExamineStoreResponse { members, files: examined.files.into_iter().map(file).collect() }))
    }

    async fn list_routes(&self, request: Request<ListRoutesRequest>) -> Result<Response<ListRoutesResponse>, Status> {
        let prefix = routes::prefix(&request.get_ref().prefix)?;
        let turn = match prefix {
            None => Some(self.0.wholes.turn(&request).await?),
            Some(_) => None,
        };
        let heard = self.0.ask(|sender| Call::Routes(prefix, sender)).await?;
        Ok(routes::within(turn, routes::response(heard, &request.get_ref().neighbour)))
    }
}

fn response(host: Host, store: StoreStatus) -> GetStatusResponse {
    GetStatusResponse {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        store: Some(store),
        sessions: host.sessions.into_iter().map(session).collect(),
        blocks: host.blocks.into_iter().map(block).collect(),
        endpoints: count(host.endpoints),
        policies: count(host.policies),
        routes_learned: count(host.routes_learned),
        routing_problems: host.routing_problems,
        kernel_error: host.kernel_error.unwrap_or_default(),
        name_conflict: host.name_conflict.map(|one| format!("{one}; {}", one.advice())).unwrap_or_default(),
        asn: host.asn.0,
        router_id: host.router_id.to_string(),
        addresses: host.addresses.iter().map(ToString::to_string).collect(),
        host: host.host.to_string(),
        services: host.services.into_iter().map(service).collect(),
        floating: host.floating.into_iter().map(floating).collect(),
        static_next_hops: host.static_next_hops.into_iter().map(next_hop).collect(),
        draining: host.is_draining,
        unreadable: host.unreadable.into_iter().map(unreadable).collect(),
    }
}

pub(super) fn session(session: Session) -> SessionStatus {
    SessionStatus {
        address: session.address.to_string(),
        asn: session.asn.map_or(0, |asn| asn.0),
        state: session.state,
        seconds_in_state: session.in_state.as_secs(),
        prefixes_received: count(session.prefixes_received.total()),
        prefixes_sent: count(session.prefixes_sent.total()),
        prefixes_received_v6: count(session.prefixes_received.ipv6),
        prefixes_sent_v6: count(session.prefixes_sent.ipv6),
        last_error: session.last_error.unwrap_or_default(),
        name: session.name,
        bfd: session.bfd.map(bfd),
        prefix_limits: session.limits.into_iter().map(prefixes).collect(),
        shut_down: session.is_shut_down,
        held_down: session.is_held,
        pending: session.pending.into_iter().map(str::to_owned).collect(),
    }
}

fn prefixes((family, (received, limit)): (Family, (usize, usize))) -> PrefixCount {
    PrefixCount { family: family.to_string(), received: count(received), limit: count(limit) }
}

fn bfd(watched: Watched) -> BfdStatus {
    let millis = |time: std::time::Duration| u32::try_from(time.as_millis()).unwrap_or(u32::MAX);
    let words = |diagnostic: Diagnostic| match diagnostic {
        Diagnostic::NONE => String::new(),
        said => said.to_string(),
    };
    BfdStatus {
        state: watched.view.state.to_string(),
        seconds_in_state: watched.in_state.as_secs(),
        path: match watched.view.path {
            Path::Direct => "direct".to_owned(),
            Path::Multihop => "multihop".to_owned(),
        },
        interval_milliseconds: millis(watched.view.transmit_interval),
        detection_milliseconds: millis(watched.view.detection_time),
        diagnostic: words(watched.view.diagnostic),
        remote_diagnostic: words(watched.view.remote_diagnostic),
    }
}

fn block(block: BlockUse) -> BlockStatus {
    BlockStatus {
        cidr: block.cidr.to_string(),
        pool: block.pool.to_string(),
        taken: count(block.taken),
        size: block.size,
    }
}

fn next_hop((next_hop, watched): (StaticNextHop, Option<Watched>)) -> NextHopStatus {
    NextHopStatus {
        route: next_hop.route.to_string(),
        address: next_hop.address.to_string(),
        used: next_hop.is_used,
        bfd: watched.map(bfd),
    }
}

fn floating(one: FloatingUse) -> FloatingStatus {
    FloatingStatus {
        name: one.name.to_string(),
        address: one.address.to_string(),
        endpoint: one.endpoint.to_string(),
        leads_to: one.own.map(|own| own.to_string()).unwrap_or_default(),
        announced: one.is_announced,
    }
}

fn service(service: ServiceUse) -> ServiceStatus {
    let member = |(endpoint, member): (EndpointName, ServingMember)| ServiceMember {
        endpoint: endpoint.to_string(),
        healthy: member.is_healthy,
        complaint: member.complaint.unwrap_or_default(),
    };
    ServiceStatus {
        name: service.name.to_string(),
        addresses: service.addresses.iter().map(ToString::to_string).collect(),
        announced: service.is_announced,
        members: service.members.into_iter().map(member).collect(),
    }
}

fn member(member: Member) -> StoreMember {
    let [octets, octets_in_use, octets_allowed] = member.octets;
    StoreMember {
        location: member.location,
        version: member.version.unwrap_or_default(),
        latency_microseconds: u64::try_from(member.latency.as_micros()).unwrap_or(u64::MAX),
        octets,
        octets_in_use,
        octets_allowed,
        alarms: member.alarms,
        error: member.error.unwrap_or_default(),
    }
}

fn file(file: store::CredentialFile) -> CredentialFile {
    CredentialFile {
        path: file.path.display().to_string(),
        setting: file.setting.to_owned(),
        error: file.error.unwrap_or_default(),
    }
}

fn age(since: Option<SystemTime>) -> u64 {
    since.and_then(|since| since.elapsed().ok()).map_or(0, |age| age.as_secs())
}

fn unreadable((one, is_known): (Unreadable, bool)) -> UnreadableObject {
    UnreadableObject { key: path_of(&one.key), reason: one.reason, revision: one.version, last_good_in_force: is_known }
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
