//! STATUS: whether ADD could succeed now.

use poplin_proto::v1::GetStatusRequest;
use poplin_proto::v1::status_service_client::StatusServiceClient;
use tonic::Status;

use crate::agent::{connect, request};
use crate::conf::Conf;
use crate::error::CniError;

/// An agent that answers and knows the fabric is ready, also while its store is away: blocks already claimed serve new containers.
pub(crate) async fn status(conf: &Conf) -> Result<(), CniError> {
    let channel =
        connect(conf).await.map_err(|error| CniError::not_available(error.to_string()).details(error.advice()))?;
    let answer = StatusServiceClient::new(channel).get_status(request(GetStatusRequest {})).await;
    let silent = |status: Status| CniError::not_available(format!("the agent does not answer: {}", status.message()));
    let store = answer.map_err(silent)?.into_inner().store.unwrap_or_default();
    match store.connected || store.from_memory || store.revision > 0 {
        true => Ok(()),
        false => Err(CniError::not_available(format!("the agent has not heard of its fabric yet: {}", store.error))
            .details("see `poplin status` on this host")),
    }
}
