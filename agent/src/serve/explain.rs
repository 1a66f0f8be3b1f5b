//! PolicyService: why a packet may or may not pass, what was dropped, and how often each rule had its say.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use poplin_manifest::way::Question;
use poplin_node::object::{Endpoint, Object, ObjectKey};
use poplin_node::policing::Passage;
use poplin_proto::v1::policy_service_server::PolicyService;
use poplin_proto::v1::{
    CompiledChain, Drop, ExplainRequest, ExplainResponse, ListCountersRequest, ListCountersResponse, WatchDropsRequest,
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::apply::declared;
use super::{Call, Desk, count, drops, host, store_failure};
use crate::resource::ROOT;

pub(super) struct Policies(pub(super) Desk);

#[tonic::async_trait]
impl PolicyService for Policies {
    type WatchDropsStream = ReceiverStream<Result<Drop, Status>>;

    async fn watch_drops(
        &self,
        request: Request<WatchDropsRequest>,
    ) -> Result<Response<Self::WatchDropsStream>, Status> {
        let request = request.into_inner();
        let known = self.known(&[&request.source, &request.destination]).await;
        Ok(Response::new(drops::watch(self.0.drops.clone(), request, &known)?))
    }

    async fn explain(&self, request: Request<ExplainRequest>) -> Result<Response<ExplainResponse>, Status> {
        let request = request.get_ref();
        let snapshot = self.0.store.snapshot(ROOT).await.map_err(|error| store_failure(&error))?;
        let objects = declared(&snapshot, |key| !matches!(key, ObjectKey::Block(..)));
        let site = host::site(&objects);
        let question = Question::of(&site, request)?;
        let packet = question.packet;
        let inside = inside(&objects, [packet.source, packet.destination]);
        let course = match inside.is_empty() {
            true => self.0.ask(|sender| Call::Course(packet, sender)).await?,
            false => None, // no host's own interface is on the way of those whose interface is on a LAN
        };
        let mut answer = question.answer(&self.0.host, course.as_ref());
        answer.notes.extend(inside);
        answer.notes.extend(self.0.not_in_force(&snapshot).await);
        if request.compiled {
            let passages = self.0.ask(|sender| Call::Passages(packet, sender)).await?;
            answer.chains = passages.into_iter().map(written).collect();
        }
        Ok(Response::new(answer))
    }

    async fn list_counters(
        &self,
        request: Request<ListCountersRequest>,
    ) -> Result<Response<ListCountersResponse>, Status> {
        let counters = count::list(&self.0, &request.get_ref().policy).await?;
        Ok(Response::new(ListCountersResponse { counters }))
    }
}

impl Policies {
    /// The addresses of these ends, of those that are known by name. A store that is away keeps nobody from drops: names alone are then looked for.
    async fn known(&self, names: &[&str]) -> BTreeMap<String, BTreeSet<IpAddr>> {
        let named: Vec<_> = names.iter().filter(|name| !name.is_empty() && name.parse::<IpAddr>().is_err()).collect();
        if named.is_empty() {
            return BTreeMap::new();
        }
        let Ok(snapshot) = self.0.store.snapshot(ROOT).await else { return BTreeMap::new() };
        let objects = declared(&snapshot, |key| !matches!(key, ObjectKey::Block(..)));
        let site = host::site(&objects);
        let known = named.iter().filter_map(|name| Some(((**name).to_owned(), site.known(name)?)));
        known.collect()
    }
}

/// Of each end whose interface is in its container: where its rules stand.
fn inside(objects: &BTreeMap<ObjectKey, Object>, ends: [IpAddr; 2]) -> Vec<String> {
    let endpoints = objects.values().filter_map(|object| <&Endpoint>::try_from(object).ok());
    let is_end = |endpoint: &&Endpoint| ends.iter().any(|end| endpoint.addresses.contains(end));
    let inside = endpoints.filter(|endpoint| endpoint.is_in_a_sandbox()).filter(is_end);
    inside.map(told_of).collect()
}

fn told_of(endpoint: &Endpoint) -> String {
    let Endpoint { name, host, interface, netns, .. } = endpoint;
    format!("the rules of {name} stand in its container on host {host}: table inet {interface} in {}", netns.display())
}

fn written(passage: Passage) -> CompiledChain {
    let form = passage.form.map(|form| form.to_string()).unwrap_or_default();
    CompiledChain {
        name: passage.chain.to_string(),
        form,
        rules: passage.rules.iter().map(ToString::to_string).collect(),
    }
}
