//! WorkloadService: containers of this host.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;
use std::time::SystemTime;

use poplin_manifest::check_profiles;
use poplin_manifest::field::{Findings, Invalids, labels, named_ports, object_name, published_ports};
use poplin_node::kernel::Mac;
use poplin_node::name::{AttachmentId, EndpointName, NetworkName, PoolName};
use poplin_node::request::{Answer, Attach, Attached, Detach, Refusal};
use poplin_policy::model::NamedPort;
use poplin_policy::nat::Published;
use poplin_policy::ruleset::Interface;
use poplin_proto::Failure;
use poplin_proto::v1::workload_service_server::WorkloadService;
use poplin_proto::v1::{
    AttachRequest, AttachResponse, CheckRequest, CheckResponse, DetachRequest, DetachResponse, Endpoint,
};
use tonic::{Code, Request, Response, Status};

use super::{Call, Desk, door, floating};
use crate::resource::show_endpoint;

/// Name of the container's interface when the caller names none.
const DEFAULT_INTERFACE: &str = "eth0";

pub(super) struct Workloads(pub(super) Desk);

#[tonic::async_trait]
impl WorkloadService for Workloads {
    async fn attach(&self, request: Request<AttachRequest>) -> Result<Response<AttachResponse>, Status> {
        door::may_change(&request)?;
        self.0.is_host()?;
        let may_declare = door::may_do_everything(&request);
        let request = request.into_inner();
        let wanted = floating::asked(&request.floating)?;
        let attach = checked_attach(request)?;
        let name = attach.name.as_ref().map(EndpointName::as_str).unwrap_or_default();
        floating::are_free(&self.0, &wanted, name, may_declare).await?;
        // Not held back until the head is ready: an attachment waits in the head, and no longer than any request may.
        match self.0.ask(|answer| Call::Attach(attach, answer)).await? {
            Answer::Attached(attached) => {
                floating::lead(&self.0, &wanted, &attached.endpoint.name).await?;
                Ok(Response::new(told(&attached)))
            }
            Answer::Refused(refusal) => Err(refused(&refusal).into()),
            Answer::Detached(_) | Answer::Held(_) => Err(mixed_up()),
        }
    }

    async fn detach(&self, request: Request<DetachRequest>) -> Result<Response<DetachResponse>, Status> {
        door::may_change(&request)?;
        self.0.is_host()?;
        let detach = checked_detach(request.into_inner())?;
        self.0.until_ready().await;
        match self.0.ask(|answer| Call::Detach(detach, answer)).await? {
            Answer::Detached(endpoint) => {
                Ok(Response::new(DetachResponse { endpoint: endpoint.as_ref().map(show_endpoint) }))
            }
            Answer::Refused(refusal) => Err(refused(&refusal).into()),
            Answer::Attached(_) | Answer::Held(_) => Err(mixed_up()),
        }
    }

    async fn check(&self, request: Request<CheckRequest>) -> Result<Response<CheckResponse>, Status> {
        let request = request.into_inner();
        self.0.is_host()?;
        let attachment = attachment(request.container, request.container_interface)?;
        self.0.until_ready().await;
        let id = attachment.clone();
        let (attached, findings) = self.0.ask(|answer| Call::Check(id, answer)).await?.ok_or_else(|| {
            Failure::new(Code::NotFound, "NOT_ATTACHED", format!("{attachment} is not attached on this host"))
                .advice("see `poplin get endpoints`")
        })?;
        Ok(Response::new(CheckResponse {
            gateways: gateways(&attached),
            gateway_mac: attached.gateway_mac.to_string(),
            endpoint: Some(shown(&attached)),
            findings,
        }))
    }
}

fn told(attached: &Attached) -> AttachResponse {
    AttachResponse {
        gateways: gateways(attached),
        gateway_mac: attached.gateway_mac.to_string(),
        nameservers: attached.resolver.iter().map(|resolver| resolver.nameserver.clone()).collect(),
        search_domains: attached.resolver.iter().flat_map(|resolver| resolver.search.clone()).collect(),
        service_addresses: attached.lent.iter().map(ToString::to_string).collect(),
        endpoint: Some(shown(attached)),
    }
}

fn mixed_up() -> Status {
    Status::internal("the head answered another question")
}

fn checked_attach(request: AttachRequest) -> Result<Attach, Failure> {
    let netns = Path::new(&request.netns);
    if !netns.is_absolute() {
        let message = format!("netns {:?} is not an absolute path", request.netns);
        return Err(bad("netns", "BAD_NETNS", message).advice("give the namespace's path, such as /run/netns/web"));
    }
    let labels = labels("labels", &request.labels).map_err(|invalid| invalid.into_failure("attach"))?;
    let name = Some(request.name).filter(|name| !name.is_empty());
    let is_named = name.is_some();
    Ok(Attach {
        attachment: attachment(request.container, request.container_interface)?,
        name: name.map(|name| endpoint_name(&name)).transpose()?,
        preferred: request.preferred_names.iter().map(|name| endpoint_name(name)).collect::<Result<_, _>>()?,
        labels,
        namespace: namespace(&request.namespace)?,
        profiles: profiles(&request.profiles)?,
        ports: ports(&request.ports)?,
        published: published(&request.published)?,
        netns: netns.to_owned(),
        addresses: addresses(&request.addresses)?,
        has_all_addresses: false,
        mac: mac(&request.mac)?,
        network: network(&request.network, &request.namespace)?,
        pools: pools(&request.pools)?,
        is_sticky: sticky(request.sticky, is_named)?,
        at: SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).ok().map(|since| since.as_secs()),
        aliases: aliases(&request.aliases)?,
    })
}

fn profiles(names: &[String]) -> Result<Vec<String>, Failure> {
    check_profiles("profiles", names).map_err(first)
}

/// What is refused is refused for something.
fn first(invalids: Invalids) -> Failure {
    let invalid = invalids.0.into_iter().next().expect("what is refused is refused for something");
    invalid.into_failure("attach")
}

fn pools(names: &[String]) -> Result<BTreeSet<PoolName>, Failure> {
    let check = |(index, name): (usize, &String)| {
        object_name(&format!("pools[{index}]"), name).map_err(|invalid| invalid.into_failure("attach"))?;
        Ok(PoolName::new(name.as_str()))
    };
    names.iter().enumerate().map(check).collect()
}

/// What is kept is kept under a name.
fn sticky(wanted: bool, is_named: bool) -> Result<bool, Failure> {
    match wanted && !is_named {
        true => Err(bad("sticky", "NO_NAME", "a sticky endpoint needs a name".to_owned())
            .advice("name it: its addresses are kept under that name")),
        false => Ok(wanted),
    }
}

fn aliases(texts: &[String]) -> Result<BTreeSet<String>, Failure> {
    let mut findings = Findings::default();
    let aliases = crate::resource::aliases(&mut findings, "aliases", texts);
    findings.finish(Some(aliases)).map_err(first)
}

/// Who joins a network lives in its namespace and in no other.
fn network(name: &str, namespace: &str) -> Result<Option<NetworkName>, Failure> {
    if name.is_empty() {
        return Ok(None);
    }
    object_name("network", name).map_err(|invalid| invalid.into_failure("attach"))?;
    if !namespace.is_empty() && namespace != name {
        let message = format!("who joins network {name} lives in namespace {name}, not in {namespace}");
        return Err(bad("namespace", "OTHER_NAMESPACE", message).advice("leave the namespace out"));
    }
    Ok(Some(NetworkName::new(name)))
}

fn mac(text: &str) -> Result<Option<Mac>, Failure> {
    let read = |text: &str| {
        let message = format!("{text:?} is not a MAC address of one interface");
        let is_of_one = |mac: &Mac| mac.0[0] & 1 == 0 && mac.0 != [0; 6];
        crate::resource::mac(text).filter(is_of_one).ok_or_else(|| bad("mac", "BAD_MAC", message))
    };
    Some(text).filter(|text| !text.is_empty()).map(read).transpose()
}

fn namespace(text: &str) -> Result<Option<String>, Failure> {
    if text.is_empty() {
        return Ok(None);
    }
    object_name("namespace", text).map_err(|invalid| invalid.into_failure("attach"))?;
    Ok(Some(text.to_owned()))
}

fn ports(texts: &[String]) -> Result<Vec<NamedPort>, Failure> {
    named_ports("ports", texts).into_iter().map(|port| port.map_err(|invalid| invalid.into_failure("attach"))).collect()
}

fn published(texts: &[String]) -> Result<Vec<Published>, Failure> {
    let mut findings = Findings::default();
    let published = published_ports(&mut findings, "published", texts);
    let first = |invalids: Invalids| invalids.0.into_iter().next().expect("what is refused is refused for something");
    findings.finish(Some(published)).map_err(|invalids| first(invalids).into_failure("attach"))
}

fn checked_detach(request: DetachRequest) -> Result<Detach, Failure> {
    match request.name.as_str() {
        "" => attachment(request.container, request.container_interface).map(Detach::Attachment),
        name => endpoint_name(name).map(Detach::Endpoint),
    }
}

/// Checks who asks: ids come from runtimes and are distrusted, as they end up in keys and names.
fn attachment(container: String, interface: String) -> Result<AttachmentId, Failure> {
    let is_plain = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_' | b'.');
    let begins_well = container.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric);
    if !begins_well || container.len() > 253 || !container.bytes().all(is_plain) {
        let message = format!("container id {container:?} is not one: letters, digits, dashes, dots, at most 253");
        return Err(bad("container", "BAD_CONTAINER", message));
    }
    let interface = if interface.is_empty() { DEFAULT_INTERFACE.to_owned() } else { interface };
    match Interface::new(&interface) {
        Some(_) => Ok(AttachmentId { container, interface }),
        None => {
            let message = format!("interface name {interface:?} is not one: 1 to 15 letters, no / and no :");
            Err(bad("container_interface", "BAD_INTERFACE", message))
        }
    }
}

fn endpoint_name(name: &str) -> Result<EndpointName, Failure> {
    object_name("name", name).map_err(|invalid| invalid.into_failure("endpoint"))?;
    Ok(EndpointName::new(name))
}

fn addresses(texts: &[String]) -> Result<BTreeSet<IpAddr>, Failure> {
    let parse = |text: &String| {
        let bare = text.split_once('/').map_or(text.as_str(), |(address, _)| address);
        bare.parse().map_err(|_| {
            let message = format!("{text:?} is not an address");
            bad("addresses", "BAD_ADDRESS", message).advice("ask for an address such as 10.77.0.7, or for none")
        })
    };
    texts.iter().map(parse).collect()
}

fn bad(field: &str, reason: &str, message: String) -> Failure {
    Failure::new(Code::InvalidArgument, reason, message).field(field)
}

fn shown(attached: &Attached) -> Endpoint {
    let mut endpoint = show_endpoint(&attached.endpoint);
    if let Some(metadata) = &mut endpoint.metadata {
        metadata.resource_version = attached.version;
    }
    endpoint
}

fn gateways(attached: &Attached) -> Vec<String> {
    attached.gateways.iter().map(ToString::to_string).collect()
}

pub(crate) fn refused(refusal: &Refusal) -> Failure {
    let (code, reason) = match refusal {
        Refusal::NameTaken { .. } => (Code::AlreadyExists, "NAME_TAKEN"),
        Refusal::AttachedElsewhere { .. } => (Code::AlreadyExists, "ATTACHED_ELSEWHERE"),
        Refusal::OtherNamespace { .. } => (Code::AlreadyExists, "ALREADY_ATTACHED"),
        Refusal::NoNetwork { .. } => (Code::NotFound, "NO_NETWORK"),
        Refusal::NoParent { .. } => (Code::FailedPrecondition, "NO_PARENT"),
        Refusal::MacvlanForDocker { .. } => (Code::InvalidArgument, "MACVLAN_FOR_DOCKER"),
        Refusal::NoPool { .. } => (Code::FailedPrecondition, "NO_POOL"),
        Refusal::PoolRefuses { .. } => (Code::FailedPrecondition, "POOL_REFUSES"),
        Refusal::PoolFull { .. } => (Code::ResourceExhausted, "POOL_FULL"),
        Refusal::TooManyBlocks { .. } => (Code::ResourceExhausted, "TOO_MANY_BLOCKS"),
        Refusal::AddressOutsidePools { .. } => (Code::InvalidArgument, "ADDRESS_OUTSIDE_POOLS"),
        Refusal::AddressTaken { .. } => (Code::AlreadyExists, "ADDRESS_TAKEN"),
        Refusal::AddressReserved { .. } => (Code::InvalidArgument, "ADDRESS_RESERVED"),
        Refusal::AddressKept { .. } => (Code::AlreadyExists, "ADDRESS_KEPT"),
        Refusal::AddressOfOtherHost { .. } => (Code::FailedPrecondition, "ADDRESS_OF_OTHER_HOST"),
        Refusal::StickyWithoutName { .. } => (Code::InvalidArgument, "NO_NAME"),
        Refusal::AddressInReserve { .. } => (Code::FailedPrecondition, "ADDRESS_IN_RESERVE"),
        Refusal::NameConflict(_) => (Code::FailedPrecondition, "NAME_CONFLICT"),
        Refusal::StillWired { .. } => (Code::FailedPrecondition, "STILL_WIRED"),
        Refusal::PortTaken { .. } => (Code::AlreadyExists, "PORT_TAKEN"),
        Refusal::PortOfTunnels { .. } => (Code::FailedPrecondition, "PORT_OF_TUNNELS"),
        Refusal::PortLeadsNowhere { .. } => (Code::FailedPrecondition, "PORT_LEADS_NOWHERE"),
        Refusal::TwoAddressesOfOneFamily { .. } => (Code::InvalidArgument, "TWO_OF_ONE_FAMILY"),
        Refusal::NamespaceMissing { .. } => (Code::NotFound, "NETNS_MISSING"),
        Refusal::InterfaceExists { .. } => (Code::AlreadyExists, "INTERFACE_EXISTS"),
        Refusal::Wiring { .. } => (Code::Internal, "WIRING"),
        Refusal::NotAcknowledged { .. } => (Code::Unavailable, "ROUTE_NOT_ACKNOWLEDGED"),
        Refusal::DetachElsewhere { .. } => (Code::FailedPrecondition, "ATTACHED_ELSEWHERE"),
        Refusal::Busy { .. } => (Code::Unavailable, "BUSY"),
        Refusal::ImportUnderWay => (Code::Unavailable, "IMPORT_UNDER_WAY"),
        Refusal::StoreForgot { .. } => (Code::Unavailable, "STORE_FORGOT"),
        Refusal::Unreadable { .. } => (Code::FailedPrecondition, "UNREADABLE"),
        Refusal::ReadOnly(_) => (Code::FailedPrecondition, "READ_ONLY"),
        Refusal::StoreUnreachable { .. } => (Code::Unavailable, "STORE_UNREACHABLE"),
    };
    Failure::new(code, reason, refusal.to_string()).advice(refusal.advice())
}
