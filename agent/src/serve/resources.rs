//! ResourceService: every call a few lines, the work is in the modules beside this one.

use std::pin::Pin;

use poplin_proto::v1::apply_response::{Result as Applied, result::Outcome};
use poplin_proto::v1::resource_service_server::ResourceService;
use poplin_proto::v1::{
    AcceptStoreRequest, AcceptStoreResponse, ApplyRequest, ApplyResponse, ConfirmRequest, ConfirmResponse,
    DeleteAllRequest, DeleteAllResponse, DeleteRequest, DeleteResponse, ExportRequest, ExportResponse, GetRequest,
    GetResponse, ImportRequest, ImportResponse, ListRequest, ListResponse, RemoveHostRequest, RemoveHostResponse,
    RenameHostRequest, RenameHostResponse, SetSchemaRequest, SetSchemaResponse, WatchRequest, WatchResponse,
};
use tokio_stream::Stream;
use tonic::{Request, Response, Status, Streaming};

use super::import::Import;
use super::{Call, Desk, accept, apply, delete, door, export, import, list, remove_host, rename_host, schema};
use crate::trial;

pub(super) struct Resources(pub(super) Desk);

#[tonic::async_trait]
impl ResourceService for Resources {
    type ExportStream = Pin<Box<dyn Stream<Item = Result<ExportResponse, Status>> + Send>>;
    type WatchStream = Pin<Box<dyn Stream<Item = Result<WatchResponse, Status>> + Send>>;

    async fn get(&self, request: Request<GetRequest>) -> Result<Response<GetResponse>, Status> {
        let request = request.into_inner();
        let resource = list::get(&*self.0.store, &request.kind, &request.name).await?;
        Ok(Response::new(GetResponse { resource: Some(resource) }))
    }

    async fn list(&self, request: Request<ListRequest>) -> Result<Response<ListResponse>, Status> {
        Ok(Response::new(list::list(&*self.0.store, request.get_ref()).await?))
    }

    async fn watch(&self, request: Request<WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let stream = list::watch(self.0.store.clone(), request.into_inner())?;
        Ok(Response::new(Box::pin(stream)))
    }

    async fn export(&self, request: Request<ExportRequest>) -> Result<Response<Self::ExportStream>, Status> {
        let answers = export::export(&*self.0.store, request.get_ref()).await?;
        Ok(Response::new(Box::pin(tokio_stream::iter(answers.into_iter().map(Ok)))))
    }

    async fn import(&self, request: Request<Streaming<ImportRequest>>) -> Result<Response<ImportResponse>, Status> {
        door::may_change(&request)?;
        let mut requests = request.into_inner();
        let mut wanted: Option<Import> = None;
        while let Some(ImportRequest { manifest, record, merge, dry_run, schema }) = requests.message().await? {
            let wanted = wanted.get_or_insert_with(|| Import::with(merge, dry_run));
            wanted.schema = wanted.schema.max(schema);
            wanted.take(manifest, record)?;
        }
        Ok(Response::new(import::import(&*self.0.store, &wanted.unwrap_or_default()).await?))
    }

    async fn apply(&self, request: Request<ApplyRequest>) -> Result<Response<ApplyResponse>, Status> {
        if !request.get_ref().dry_run {
            door::may_change(&request)?;
        }
        let answer = apply::apply(&*self.0.store, &self.0.host, request.get_ref()).await?;
        let is_written = |result: &Applied| result.outcome() != Outcome::Unchanged;
        if !request.get_ref().dry_run && answer.results.iter().any(is_written) {
            self.0.until_heard(answer.revision).await;
        }
        Ok(Response::new(answer))
    }

    async fn confirm(&self, request: Request<ConfirmRequest>) -> Result<Response<ConfirmResponse>, Status> {
        door::may_change(&request)?;
        let trial = trial::confirm(&*self.0.store, &request.get_ref().trial).await?;
        Ok(Response::new(ConfirmResponse { trial }))
    }

    async fn delete(&self, request: Request<DeleteRequest>) -> Result<Response<DeleteResponse>, Status> {
        if !request.get_ref().dry_run {
            door::may_change(&request)?;
        }
        Ok(Response::new(delete::delete(&*self.0.store, request.get_ref()).await?))
    }

    async fn delete_all(&self, request: Request<DeleteAllRequest>) -> Result<Response<DeleteAllResponse>, Status> {
        if !request.get_ref().dry_run {
            door::may_change(&request)?;
        }
        Ok(Response::new(delete::delete_all(&*self.0.store, request.into_inner()).await?))
    }

    async fn remove_host(&self, request: Request<RemoveHostRequest>) -> Result<Response<RemoveHostResponse>, Status> {
        if request.get_ref().is_gone {
            door::may_change(&request)?;
        }
        let sessions = self.0.ask(Call::Status).await?.sessions;
        remove_host::check_is_no_other(&self.0.host, &sessions, &request.get_ref().name)?;
        Ok(Response::new(remove_host::remove(&*self.0.store, request.get_ref()).await?))
    }

    async fn rename_host(&self, request: Request<RenameHostRequest>) -> Result<Response<RenameHostResponse>, Status> {
        door::may_change(&request)?;
        let sessions = self.0.ask(Call::Status).await?.sessions;
        remove_host::check_is_no_other(&self.0.host, &sessions, &request.get_ref().name)?;
        Ok(Response::new(rename_host::rename(&*self.0.store, request.get_ref()).await?))
    }

    async fn accept_store(
        &self,
        request: Request<AcceptStoreRequest>,
    ) -> Result<Response<AcceptStoreResponse>, Status> {
        let dry_run = request.get_ref().dry_run;
        if !dry_run {
            door::may_change(&request)?;
        }
        Ok(Response::new(accept::accept(&*self.0.store, dry_run).await?))
    }

    async fn set_schema(&self, request: Request<SetSchemaRequest>) -> Result<Response<SetSchemaResponse>, Status> {
        let wish = *request.get_ref();
        if wish != SetSchemaRequest::default() {
            door::may_change(&request)?;
        }
        Ok(Response::new(schema::set(&*self.0.store, &self.0.host, wish).await?))
    }
}
