//! Opens the agent's services.

use poplin_proto::v1::bgp_service_client::BgpServiceClient;
use poplin_proto::v1::ipam_service_client::IpamServiceClient;
use poplin_proto::v1::policy_service_client::PolicyServiceClient;
use poplin_proto::v1::resource_service_client::ResourceServiceClient;
use poplin_proto::v1::status_service_client::StatusServiceClient;
use poplin_proto::v1::workload_service_client::WorkloadServiceClient;
use poplin_proto::v1::{ListRequest, Resource};
use tonic::transport::Channel;

use crate::door::Door;
use crate::problem::Problem;

/// How large an answer may be. A page of 500 policies with long lists outgrows gRPC's usual 4 MiB.
const ANSWER_OCTETS: usize = 64 << 20;

pub(crate) async fn resources(door: &Door) -> Result<ResourceServiceClient<Channel>, Problem> {
    Ok(ResourceServiceClient::new(door.open().await?).max_decoding_message_size(ANSWER_OCTETS))
}

pub(crate) async fn workloads(door: &Door) -> Result<WorkloadServiceClient<Channel>, Problem> {
    Ok(WorkloadServiceClient::new(door.open().await?))
}

pub(crate) async fn policies(door: &Door) -> Result<PolicyServiceClient<Channel>, Problem> {
    Ok(PolicyServiceClient::new(door.open().await?).max_decoding_message_size(ANSWER_OCTETS))
}

pub(crate) async fn statuses(door: &Door) -> Result<StatusServiceClient<Channel>, Problem> {
    Ok(StatusServiceClient::new(door.open().await?).max_decoding_message_size(ANSWER_OCTETS))
}

pub(crate) async fn ipam(door: &Door) -> Result<IpamServiceClient<Channel>, Problem> {
    Ok(IpamServiceClient::new(door.open().await?).max_decoding_message_size(ANSWER_OCTETS))
}

pub(crate) async fn bgp(door: &Door) -> Result<BgpServiceClient<Channel>, Problem> {
    Ok(BgpServiceClient::new(door.open().await?).max_decoding_message_size(ANSWER_OCTETS))
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
