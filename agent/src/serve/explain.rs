//! PolicyService: why a packet may or may not pass, what was dropped, and how often each rule had its say.

use poplin_node::object::ObjectKey;
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
        Ok(Response::new(drops::watch(self.0.drops.clone(), request.into_inner())?))
    }

    async fn explain(&self, request: Request<ExplainRequest>) -> Result<Response<ExplainResponse>, Status> {
        let request = request.get_ref();
        let snapshot = self.0.store.snapshot(ROOT).await.map_err(|error| store_failure(&error))?;
        let objects = declared(&snapshot, |key| !matches!(key, ObjectKey::Block(..)));
        let question = host::Question::of(&objects, request)?;
        let packet = question.packet;
        let course = self.0.ask(|sender| Call::Course(packet, sender)).await?;
        let mut answer = question.answer(&self.0.host, course.as_ref());
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

fn written(passage: Passage) -> CompiledChain {
    let form = passage.form.map(|form| form.to_string()).unwrap_or_default();
    CompiledChain {
        name: passage.chain.to_string(),
        form,
        rules: passage.rules.iter().map(ToString::to_string).collect(),
    }
}
