//! PolicyService: why a packet may or may not pass, for the fabric as it stands in the store.

use poplin_manifest::question::answer;
use poplin_node::object::ObjectKey;
use poplin_node::outlook;
use poplin_proto::v1::policy_service_server::PolicyService;
use poplin_proto::v1::{ExplainRequest, ExplainResponse};
use tonic::{Request, Response, Status};

use super::apply::declared;
use super::{Desk, store_failure};
use crate::resource::ROOT;

pub(super) struct Policies(pub(super) Desk);

#[tonic::async_trait]
impl PolicyService for Policies {
    async fn explain(&self, request: Request<ExplainRequest>) -> Result<Response<ExplainResponse>, Status> {
        let snapshot = self.0.store.snapshot(ROOT).await.map_err(|error| store_failure(&error))?;
        let objects = declared(&snapshot, |key| !matches!(key, ObjectKey::Block(..)));
        Ok(Response::new(answer(&outlook::world(objects.values()), request.get_ref())?))
    }
}
