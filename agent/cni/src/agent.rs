//! Talks to the agent, in the runtime's words.

use std::path::Path;
use std::time::Duration;

use poplin_proto::v1::workload_service_client::WorkloadServiceClient;
use poplin_proto::v1::{CheckResponse, DetachRequest, Endpoint, EndpointSpec};
use poplin_proto::{ConnectError, DEFAULT_SOCKET, Failure};
use tonic::Request;
use tonic::transport::Channel;

use crate::conf::Conf;
use crate::error::CniError;
use crate::invocation::Attachment;

/// How long one call may take. An attach takes milliseconds; a runtime that waits minutes holds up its whole queue.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) async fn connect(conf: &Conf) -> Result<Channel, ConnectError> {
    poplin_proto::connect(conf.socket.as_deref().unwrap_or(Path::new(DEFAULT_SOCKET))).await
}

pub(crate) async fn workloads(conf: &Conf) -> Result<WorkloadServiceClient<Channel>, CniError> {
    let channel = connect(conf).await.map_err(|error| CniError::unreachable(&error))?;
    Ok(WorkloadServiceClient::new(channel))
}

/// Puts a bound on how long the call may take.
pub(crate) fn request<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(PATIENCE);
    request
}

#[allow(clippy::needless_pass_by_value, reason = "so that it can be named in map_err")]
pub(crate) fn failure(status: tonic::Status) -> CniError {
    CniError::failure(&Failure::from_status(&status))
}

/// Idempotent on both sides: an agent that knows nothing of the attachment has nothing to do.
pub(crate) async fn detach(
    client: &mut WorkloadServiceClient<Channel>,
    attachment: &Attachment,
) -> Result<(), CniError> {
    let message = DetachRequest {
        container: attachment.container.clone(),
        container_interface: attachment.interface.clone(),
        name: String::new(),
    };
    match client.detach(request(message)).await {
        Ok(_) => Ok(()),
        Err(status) if status.code() == tonic::Code::NotFound => Ok(()),
        Err(status) => Err(failure(status)),
    }
}

/// What Attach and Check both answer: the endpoint and the way out of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Attached {
    pub(crate) spec: EndpointSpec,
    pub(crate) gateways: Vec<String>,
    pub(crate) gateway_mac: String,
}

impl Attached {
    pub(crate) fn new(endpoint: Option<Endpoint>, gateways: Vec<String>, gateway_mac: String) -> Self {
        let spec = endpoint.and_then(|endpoint| endpoint.spec).unwrap_or_default();
        Self { spec, gateways, gateway_mac }
    }

    pub(crate) fn of_check(answer: CheckResponse) -> Self {
        Self::new(answer.endpoint, answer.gateways, answer.gateway_mac)
    }
}
