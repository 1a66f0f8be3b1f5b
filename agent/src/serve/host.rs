//! Explain, with what host endpoints have to say.
//!
//! In: the objects of the store, and a question. Out: the packet that stands for it, and the whole story: of the endpoints at its ends,
//! as [`poplin_manifest::question`] tells it, and of the host endpoint that has one of its addresses.

use std::collections::BTreeMap;
use std::net::IpAddr;

use poplin_manifest::question::{self, decider, skipped};
use poplin_node::object::{Fabric, Object, ObjectKey};
use poplin_node::outlook;
use poplin_policy::explain::{GateAccount, explain_at_host};
use poplin_policy::gate::{GateBy, Lane};
use poplin_policy::host::HostEndpoint;
use poplin_policy::packet::Packet;
use poplin_policy::verdict::By;
use poplin_policy::world::World;
use poplin_proto::Failure;
use poplin_proto::v1::{DirectionTrace, ExplainRequest, ExplainResponse};

/// Tells the whole story of the packet that is asked about.
pub(super) fn answer(
    objects: &BTreeMap<ObjectKey, Object>,
    request: &ExplainRequest,
) -> Result<(Packet, ExplainResponse), Failure> {
    let world = outlook::world(objects.values());
    let (request, packet) = posed(&world, objects, request)?;
    let mut answer = question::answer(&world, &request)?;
    let mut of_hosts = host_traces(&world, objects, packet.source, &[Lane::UntrackedOut, Lane::Output], &packet);
    let incoming = [Lane::UntrackedIn, Lane::PreDnat, Lane::Input];
    of_hosts.extend(host_traces(&world, objects, packet.destination, &incoming, &packet));
    let after_egress = answer.directions.iter().take_while(|trace| trace.direction == "egress").count();
    answer.directions.splice(after_egress..after_egress, of_hosts);
    answer.allowed = answer.directions.iter().all(|trace| trace.allowed);
    Ok((packet, answer))
}

/// The question with addresses in place of host endpoints' names, in the first way that makes sense, and its packet.
fn posed(
    world: &World,
    objects: &BTreeMap<ObjectKey, Object>,
    request: &ExplainRequest,
) -> Result<(ExplainRequest, Packet), Failure> {
    let mut outcome = Err(Failure::new(tonic::Code::Internal, "NO_WAY", "a question can be put in at least one way"));
    for source in meanings(world, objects, &request.source) {
        for destination in meanings(world, objects, &request.destination) {
            let request = ExplainRequest { source: source.clone(), destination, ..request.clone() };
            outcome = question::packet(world, &request).map(|packet| (request, packet));
            if outcome.is_ok() {
                return outcome;
            }
        }
    }
    outcome
}

/// What a text may stand for: the addresses of the host endpoint of that name, or itself.
fn meanings(world: &World, objects: &BTreeMap<ObjectKey, Object>, text: &str) -> Vec<String> {
    let of_host = host_endpoints(objects).find(|endpoint| endpoint.name == text && !world.endpoints.contains_key(text));
    match of_host.filter(|endpoint| !endpoint.addresses.is_empty()) {
        Some(endpoint) => endpoint.addresses.iter().map(ToString::to_string).collect(),
        None => vec![text.to_owned()],
    }
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
            ..ExplainRequest::default()
        };
        let (_, answer) = answer(&objects, &request).unwrap();
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
