//! PolicyService: why a packet may or may not pass, for the fabric as it stands in the store.

use std::collections::BTreeMap;
use std::net::IpAddr;

use poplin_node::object::{Fabric, Object, ObjectKey};
use poplin_node::outlook;
use poplin_policy::explain::{Account, GateAccount, Step, explain, explain_at_host};
use poplin_policy::gate::{GateBy, Lane};
use poplin_policy::host::HostEndpoint;
use poplin_policy::model::{IcmpMatch, IcmpVersion, PortMatch};
use poplin_policy::packet::{Packet, Transport};
use poplin_policy::verdict::{By, RuleName};
use poplin_policy::world::World;
use poplin_proto::v1::policy_service_server::PolicyService;
use poplin_proto::v1::{DirectionTrace, Drop, ExplainRequest, ExplainResponse, SkippedRule, WatchDropsRequest};
use poplin_proto::{Failure, nearest};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Response, Status};

use super::apply::declared;
use super::{Desk, drops, store_failure};
use crate::resource::ROOT;

/// First of the dynamic ports (RFC 6335 §6): where a source port stands that nobody named.
const ANY_SOURCE_PORT: u16 = 49152;

pub(super) struct Policies(pub(super) Desk);

#[tonic::async_trait]
impl PolicyService for Policies {
    type WatchDropsStream = ReceiverStream<Result<Drop, Status>>;

    async fn watch_drops(
        &self,
        request: Request<WatchDropsRequest>,
    ) -> Result<Response<Self::WatchDropsStream>, Status> {
        Ok(Response::new(drops::watch(self.0.drops.clone(), request.into_inner())?))
    }

    async fn explain(&self, request: Request<ExplainRequest>) -> Result<Response<ExplainResponse>, Status> {
        let snapshot = self.0.store.snapshot(ROOT).await.map_err(|error| store_failure(&error))?;
        let objects = declared(&snapshot, |key| !matches!(key, ObjectKey::Block(..)));
        Ok(Response::new(answer(&objects, request.get_ref())?))
    }
}

fn answer(objects: &BTreeMap<ObjectKey, Object>, request: &ExplainRequest) -> Result<ExplainResponse, Failure> {
    let world = outlook::world(objects.values());
    let (source, destination) = ends(&world, objects, request)?;
    let transport = transport(&request.traffic, request.source_port, source)?;
    let packet = Packet { source, destination, transport };
    let explanation = explain(&world, &packet);
    let trace = |direction, account: &Option<Account>| Some(trace(direction, account.as_ref()?));
    let mut directions = Vec::from_iter(trace("egress", &explanation.egress));
    directions.extend(host_traces(&world, objects, source, &[Lane::UntrackedOut, Lane::Output], &packet));
    let incoming = [Lane::UntrackedIn, Lane::PreDnat, Lane::Input];
    directions.extend(host_traces(&world, objects, destination, &incoming, &packet));
    directions.extend(trace("ingress", &explanation.ingress));
    Ok(ExplainResponse {
        allowed: directions.iter().all(|trace| trace.allowed),
        directions,
        source_address: source.to_string(),
        destination_address: destination.to_string(),
    })
}

/// What the host endpoint says that has an address: lane by lane, as far as policies speak there, until one lets the packet go on
/// untracked or not at all.
fn host_traces(
    world: &World,
    objects: &BTreeMap<ObjectKey, Object>,
    address: IpAddr,
    lanes: &[Lane],
    packet: &Packet,
) -> Vec<DirectionTrace> {
    let Some(endpoint) = host_endpoints(objects).find(|endpoint| endpoint.addresses.contains(&address)) else {
        return Vec::new();
    };
    let fabric = objects.get(&ObjectKey::Fabric).and_then(|object| <&Fabric>::try_from(object).ok());
    let failsafe = fabric.map(|fabric| fabric.failsafe.clone()).unwrap_or_default();
    let mut traces = Vec::new();
    for lane in lanes {
        let Some(GateAccount { steps, ruling }) = explain_at_host(world, &failsafe, &endpoint.name, *lane, packet)
        else {
            continue;
        };
        if !lane.is_closed() && matches!(ruling.by, GateBy::Failsafe | GateBy::Policy(By::Ungoverned)) {
            continue;
        }
        let (tier, policy, rule) = match &ruling.by {
            GateBy::Policy(by) => decider(by),
            GateBy::Failsafe => Default::default(),
        };
        traces.push(DirectionTrace {
            direction: lane.to_string(),
            endpoint: endpoint.name.clone(),
            allowed: ruling.allowed,
            reason: ruling.reason(),
            tier,
            policy,
            rule,
            skipped: steps.iter().map(skipped).collect(),
        });
        if ruling.is_untracked || !ruling.allowed {
            break;
        }
    }
    traces
}

fn host_endpoints(objects: &BTreeMap<ObjectKey, Object>) -> impl Iterator<Item = &HostEndpoint> {
    objects.values().filter_map(|object| object.try_into().ok())
}

/// The addresses of both ends, of one family: IPv4 where both have it.
fn ends(
    world: &World,
    objects: &BTreeMap<ObjectKey, Object>,
    request: &ExplainRequest,
) -> Result<(IpAddr, IpAddr), Failure> {
    let sources = addresses(world, objects, "source", &request.source)?;
    let destinations = addresses(world, objects, "destination", &request.destination)?;
    let pair = |is_v6: bool| {
        let of_family = |addresses: &[IpAddr]| addresses.iter().find(|address| address.is_ipv6() == is_v6).copied();
        of_family(&sources).zip(of_family(&destinations))
    };
    let is_icmp6 = request.traffic.starts_with("icmp6");
    let found = if is_icmp6 { pair(true) } else { pair(false).or_else(|| pair(true)) };
    found.ok_or_else(|| {
        let message = format!("{} and {} have no address family in common", request.source, request.destination);
        Failure::new(Code::InvalidArgument, "NO_COMMON_FAMILY", message).field("destination")
    })
}

fn addresses(
    world: &World,
    objects: &BTreeMap<ObjectKey, Object>,
    field: &str,
    text: &str,
) -> Result<Vec<IpAddr>, Failure> {
    if let Ok(address) = text.parse() {
        return Ok(vec![address]);
    }
    let of_host = host_endpoints(objects).find(|endpoint| endpoint.name == text && !world.endpoints.contains_key(text));
    if let Some(endpoint) = of_host.filter(|endpoint| !endpoint.addresses.is_empty()) {
        return Ok(endpoint.addresses.iter().copied().collect());
    }
    let found = world.endpoints.get(text).ok_or_else(|| {
        let failure =
            Failure::new(Code::NotFound, "NOT_FOUND", format!("{text:?} is no endpoint and no address")).field(field);
        match nearest(text, world.endpoints.keys().map(String::as_str)) {
            Some(near) => failure.advice(format!("did you mean {near}?")),
            None => failure.advice("see `poplin get endpoints`"),
        }
    })?;
    Ok(found.addresses.clone())
}

/// One packet of the traffic asked about. Ports and messages left open stand for the first of their range.
fn transport(traffic: &str, source_port: u32, source: IpAddr) -> Result<Transport, Failure> {
    let port = u16::try_from(source_port).map_err(|_| bad("source_port", format!("{source_port} is above 65535")))?;
    let transport = match parsed_traffic(traffic)? {
        PortMatch::Ports { protocol, range } => Transport::Ports {
            protocol: protocol.number(),
            source: if port == 0 { ANY_SOURCE_PORT } else { port },
            destination: *range.start(),
        },
        PortMatch::Named { .. } => {
            return Err(bad("traffic", format!("{traffic:?}: give the port's number, names are an endpoint's own")));
        }
        PortMatch::Icmp { version, message } => {
            let echo = match version {
                IcmpVersion::V4 => 8,
                IcmpVersion::V6 => 128,
            };
            let (kind, code) = match message {
                IcmpMatch::Any => (echo, 0),
                IcmpMatch::Type(kind) => (kind, 0),
                IcmpMatch::TypeAndCode(kind, code) => (kind, code),
            };
            Transport::Icmp { protocol: version.protocol(), kind, code }
        }
        PortMatch::Protocol(number) => Transport::Other(number),
    };
    match transport {
        Transport::Icmp { protocol: 1, .. } if source.is_ipv6() => {
            Err(bad("traffic", "icmp is IPv4's, and the two ends have only IPv6 in common: ask for icmp6".to_owned()))
        }
        other => Ok(other),
    }
}

/// What traffic is asked about.
pub(super) fn parsed_traffic(text: &str) -> Result<PortMatch, Failure> {
    text.parse().map_err(|error| bad("traffic", format!("{text:?}: {error}")))
}

fn bad(field: &str, message: String) -> Failure {
    Failure::new(Code::InvalidArgument, "BAD_TRAFFIC", message)
        .field(field)
        .advice("traffic looks like tcp/5432, udp/53, icmp/8, proto/47")
}

fn trace(direction: &str, account: &Account) -> DirectionTrace {
    let (tier, policy, rule) = decider(&account.ruling.by);
    DirectionTrace {
        direction: direction.to_owned(),
        endpoint: account.ruling.endpoint.clone(),
        allowed: account.ruling.allowed,
        reason: account.ruling.to_string(),
        tier,
        policy,
        rule,
        skipped: account.steps.iter().map(skipped).collect(),
    }
}

/// Tier, policy and rule that decided; empty where none did.
pub(crate) fn decider(by: &By) -> (String, String, String) {
    match by {
        By::Rule(name) => (name.tier.clone(), name.policy.to_string(), name.rule.clone()),
        By::EndOfTier { tier } => (tier.clone(), String::new(), String::new()),
        By::Itself | By::Ungoverned | By::EndOfTiers => Default::default(),
    }
}

fn skipped(step: &Step) -> SkippedRule {
    let of = |rule: &RuleName, reason: &str| SkippedRule {
        tier: rule.tier.clone(),
        policy: rule.policy.to_string(),
        rule: rule.rule.clone(),
        reason: reason.to_owned(),
    };
    match step {
        Step::Skipped { rule, because } => of(rule, &because.to_string()),
        Step::Logged { rule } => of(rule, "logs and goes on"),
        Step::Passed { rule } => of(rule, "passes to the next tier"),
        Step::TierPassed { tier } => {
            SkippedRule { tier: tier.clone(), reason: "passes to the next tier".to_owned(), ..SkippedRule::default() }
        }
    }
}

#[cfg(test)]
mod tests {
    use poplin_proto::v1::Manifest;

    use super::*;
    use crate::resource::check;

    const EDGE: &str = "
apiVersion: poplin.dev/v1
kind: HostEndpoint
metadata: {name: edge, labels: {role: edge}}
spec: {host: h1, interface: eth0, addresses: [192.0.2.1]}
---
apiVersion: poplin.dev/v1
kind: Policy
metadata: {name: p}
spec: {subject: role == 'edge', hosts: local, ingress: [{action: allow, ports: [tcp/8080]}]}
";

    fn told(source: &str, destination: &str, traffic: &str) -> (bool, Vec<String>) {
        let manifest = Manifest { name: "edge.yaml".to_owned(), text: EDGE.to_owned() };
        let documents = poplin_manifest::read(&manifest).unwrap();
        let objects = documents.iter().map(|document| check(&document.resource).unwrap());
        let objects: BTreeMap<ObjectKey, Object> = objects.map(|object| (object.key(), object)).collect();
        let request = ExplainRequest {
            source: source.to_owned(),
            destination: destination.to_owned(),
            traffic: traffic.to_owned(),
            source_port: 0,
        };
        let answer = answer(&objects, &request).unwrap();
        let traces = answer.directions.iter();
        let traces = traces.map(|trace| format!("{} of {}: {}", trace.direction, trace.endpoint, trace.reason));
        (answer.allowed, traces.collect())
    }

    #[test]
    fn a_host_endpoint_has_its_say_about_what_goes_to_its_addresses() {
        let input = |told: &str| vec![format!("input of edge: {told}")];

        assert_eq!(told("198.51.100.1", "edge", "tcp/8080"), (true, input("default/p/1: allowed")));
        assert_eq!(told("198.51.100.1", "192.0.2.1", "tcp/22"), (true, input("failsafe port: allowed")));
        assert_eq!(told("198.51.100.1", "edge", "tcp/80"), (false, input("end of tier default: denied")));
        let output = vec!["output of edge: no policy governs: denied".to_owned()];
        assert_eq!(told("edge", "198.51.100.1", "tcp/80"), (false, output));
    }
}
