//! Opens the agent's services.

use std::path::Path;

use poplin_proto::connect;
use poplin_proto::v1::bgp_service_client::BgpServiceClient;
use poplin_proto::v1::ipam_service_client::IpamServiceClient;
use poplin_proto::v1::policy_service_client::PolicyServiceClient;
use poplin_proto::v1::resource_service_client::ResourceServiceClient;
use poplin_proto::v1::status_service_client::StatusServiceClient;
use poplin_proto::v1::workload_service_client::WorkloadServiceClient;
use poplin_proto::v1::{ListRequest, Resource};
use tonic::transport::Channel;

use crate::problem::Problem;

/// How large an answer may be. A page of 500 policies with long lists outgrows gRPC's usual 4 MiB.
const ANSWER_OCTETS: usize = 64 << 20;

pub(crate) async fn resources(socket: &Path) -> Result<ResourceServiceClient<Channel>, Problem> {
    Ok(ResourceServiceClient::new(connect(socket).await?).max_decoding_message_size(ANSWER_OCTETS))
}

pub(crate) async fn workloads(socket: &Path) -> Result<WorkloadServiceClient<Channel>, Problem> {
    Ok(WorkloadServiceClient::new(connect(socket).await?))
}

pub(crate) async fn policies(socket: &Path) -> Result<PolicyServiceClient<Channel>, Problem> {
    Ok(PolicyServiceClient::new(connect(socket).await?).max_decoding_message_size(ANSWER_OCTETS))
}

pub(crate) async fn statuses(socket: &Path) -> Result<StatusServiceClient<Channel>, Problem> {
    Ok(StatusServiceClient::new(connect(socket).await?).max_decoding_message_size(ANSWER_OCTETS))
}

pub(crate) async fn ipam(socket: &Path) -> Result<IpamServiceClient<Channel>, Problem> {
    Ok(IpamServiceClient::new(connect(socket).await?).max_decoding_message_size(ANSWER_OCTETS))
}

pub(crate) async fn bgp(socket: &Path) -> Result<BgpServiceClient<Channel>, Problem> {
    Ok(BgpServiceClient::new(connect(socket).await?).max_decoding_message_size(ANSWER_OCTETS))
}

/// Every object of a kind whose labels a selector admits, page by page.
pub(crate) async fn all(
    client: &mut ResourceServiceClient<Channel>,
    kind: &str,
    selector: &str,
) -> Result<Vec<Resource>, Problem> {
    let mut request = ListRequest { kind: kind.to_owned(), selector: selector.to_owned(), ..ListRequest::default() };
    let mut resources = Vec::new();
    loop {
        let page = client.list(request.clone()).await?.into_inner();
        for key in &page.unreadable {
            eprintln!("warning: the value of {key} cannot be read, and is not listed; see `poplin status`");
        }
        resources.extend(page.resources);
        if page.next_page_token.is_empty() {
            return Ok(resources);
        }
        request.page_token = page.next_page_token;
    }
}
