//! STATUS: whether ADD could succeed now.

use poplin_proto::v1::GetStatusRequest;
use poplin_proto::v1::status_service_client::StatusServiceClient;

use crate::agent::{connect, request};
use crate::conf::Conf;
use crate::error::CniError;

/// An agent that answers is ready, also while its store is away: blocks already claimed serve new containers.
pub(crate) async fn status(conf: &Conf) -> Result<(), CniError> {
    let channel =
        connect(conf).await.map_err(|error| CniError::not_available(error.to_string()).details(error.advice()))?;
    let answer = StatusServiceClient::new(channel).get_status(request(GetStatusRequest {})).await;
    answer
        .map(|_| ())
        .map_err(|status| CniError::not_available(format!("the agent does not answer: {}", status.message())))
}
