//! Asks the agent for all that it knows. One that takes a call and says nothing is as silent as one that is not there.

use std::time::Duration;

use poplin_policy::model::{PortMatch, PortProtocol};
use poplin_proto::v1::resource::Object;
use poplin_proto::v1::{
    CheckAddressesRequest, ExamineStoreRequest, GetStatusRequest, PolicySpec, ShowAddressesRequest,
};

use crate::agent::{all, ipam, resources, statuses};
use crate::doctor::finding::Unseen;
use crate::doctor::reading::Told;
use crate::door::Door;
use crate::problem::Problem;

/// What it knows by heart takes it microseconds.
const BY_HEART: Duration = Duration::from_secs(3);

/// What it asks the store takes at most the five seconds that a store may take, for each of several questions.
const BY_STORE: Duration = Duration::from_secs(12);

/// All of it, or why it says nothing and what to try.
pub(super) async fn asked(door: &Door, unseen: &mut Vec<Unseen>) -> Result<Told, (String, String)> {
    let status = tokio::time::timeout(BY_HEART, async {
        Ok::<_, Problem>(statuses(door).await?.get_status(GetStatusRequest {}).await?.into_inner())
    });
    let status = match status.await {
        Ok(Ok(status)) => status,
        Ok(Err(problem)) => return Err(problem.words()),
        Err(_) => {
            let advice = "see its log; kill -9 and a new start harm no traffic";
            return Err((format!("{door} takes calls and says nothing"), advice.to_owned()));
        }
    };
    let mut told = Told { status, ..Told::default() };
    bounded("the store's members", unseen, store(door, &mut told)).await;
    bounded("what is declared", unseen, declared(door, &mut told)).await;
    bounded("the records of addresses", unseen, addresses(door, &mut told)).await;
    Ok(told)
}

async fn bounded(what: &'static str, unseen: &mut Vec<Unseen>, asked: impl Future<Output = Result<(), Problem>>) {
    let reason = match tokio::time::timeout(BY_STORE, asked).await {
        Ok(Ok(())) => return,
        Ok(Err(problem)) => problem.words().0,
        Err(_) => "the agent did not answer in time".to_owned(),
    };
    unseen.push(Unseen { what, reason });
}

async fn store(door: &Door, told: &mut Told) -> Result<(), Problem> {
    told.store = statuses(door).await?.examine_store(ExamineStoreRequest {}).await?.into_inner();
    Ok(())
}

async fn declared(door: &Door, told: &mut Told) -> Result<(), Problem> {
    let mut client = resources(door).await?;
    for kind in ["Host", "FabricConfig", "Endpoint", "Policy"] {
        for resource in all(&mut client, kind, "").await? {
            let name = resource.qualified_name();
            take(told, name, resource.object);
        }
    }
    Ok(())
}

fn take(told: &mut Told, name: String, object: Option<Object>) {
    match object {
        Some(Object::Host(host)) => {
            let addresses = host.spec.unwrap_or_default().addresses;
            let first = addresses.iter().find_map(|address| address.parse().ok());
            told.hosts.extend(first.map(|address| (name, address)));
        }
        Some(Object::FabricConfig(fabric)) => told.fabric = fabric.spec.unwrap_or_default(),
        Some(Object::Endpoint(endpoint)) => {
            let spec = endpoint.spec.unwrap_or_default();
            let is_here = spec.host == told.status.host;
            told.endpoints.extend(is_here.then_some((name, spec)));
        }
        Some(Object::Policy(policy)) => {
            told.udplite_policies.extend(policy.spec.as_ref().is_some_and(speaks_of_udplite).then_some(name));
        }
        _ => {} // nothing else was asked for
    }
}

/// Whether some rule names the protocol, for ports it wants or does not.
fn speaks_of_udplite(spec: &PolicySpec) -> bool {
    let rules = spec.ingress.iter().chain(&spec.egress).flat_map(|list| &list.rules);
    let mut ports = rules.flat_map(|rule| [&rule.ports, &rule.source_ports, &rule.not_ports, &rule.not_source_ports]);
    let is_udplite =
        |text: &String| text.parse::<PortMatch>().is_ok_and(|port| port.protocol() == PortProtocol::UdpLite.number());
    ports.any(|ports| ports.iter().any(is_udplite))
}

async fn addresses(door: &Door, told: &mut Told) -> Result<(), Problem> {
    let mut client = ipam(door).await?;
    told.pools = client.show(ShowAddressesRequest::default()).await?.into_inner().pools;
    told.addresses = client.check(CheckAddressesRequest::default()).await?.into_inner().findings;
    Ok(())
}
