//! GC: attachments the runtime has forgotten are released.
//!
//! In: the attachments the runtime still knows. Out: the others of the same network and host are detached. Only what
//! ADD labelled with this network's name is looked at, so that other networks, other runtimes with their own, and
//! `poplin attach` have nothing to fear.

use poplin_proto::v1::resource_service_client::ResourceServiceClient;
use poplin_proto::v1::status_service_client::StatusServiceClient;
use poplin_proto::v1::workload_service_client::WorkloadServiceClient;
use poplin_proto::v1::{EndpointSpec, GetStatusRequest, ListRequest, Resource, resource::Object};
use tonic::transport::Channel;

use crate::agent::{connect, detach, failure, request};
use crate::conf::{Conf, NETWORK_LABEL, ValidAttachment};
use crate::error::CniError;
use crate::invocation::Attachment;

pub(crate) async fn gc(conf: &Conf) -> Result<(), CniError> {
    // An absent list is a runtime that does not say, not one that has no container left.
    let valid = conf.valid_attachments.as_deref().ok_or_else(|| {
        CniError::config("GC needs cni.dev/valid-attachments; an empty list would release everything")
    })?;
    let channel = connect(conf).await.map_err(|error| CniError::unreachable(&error))?;
    let status = StatusServiceClient::new(channel.clone()).get_status(request(GetStatusRequest {})).await;
    let host = status.map_err(failure)?.into_inner().host;
    let endpoints = list(channel.clone()).await?;
    let mut workloads = WorkloadServiceClient::new(channel);
    for attachment in forgotten(&endpoints, &host, &conf.name, valid) {
        detach(&mut workloads, &attachment).await?;
    }
    Ok(())
}

async fn list(channel: Channel) -> Result<Vec<Resource>, CniError> {
    let mut client = ResourceServiceClient::new(channel);
    let mut message = ListRequest { kind: "Endpoint".to_owned(), ..ListRequest::default() };
    let mut endpoints = Vec::new();
    loop {
        let page = client.list(request(message.clone())).await.map_err(failure)?.into_inner();
        endpoints.extend(page.resources);
        if page.next_page_token.is_empty() {
            return Ok(endpoints);
        }
        message.page_token = page.next_page_token;
    }
}

fn forgotten(endpoints: &[Resource], host: &str, network: &str, valid: &[ValidAttachment]) -> Vec<Attachment> {
    let is_of_network = |resource: &&Resource| {
        let labels = resource.metadata().map(|metadata| &metadata.labels);
        labels.and_then(|labels| labels.get(NETWORK_LABEL)).is_some_and(|label| label == network)
    };
    let is_forgotten = |attachment: &Attachment| {
        !valid.iter().any(|valid| valid.container == attachment.container && valid.interface == attachment.interface)
    };
    let ours = endpoints.iter().filter(is_of_network).filter_map(spec).filter(|spec| spec.host == host);
    ours.filter_map(|spec| attachment(&spec.attachment)).filter(is_forgotten).collect()
}

fn spec(resource: &Resource) -> Option<&EndpointSpec> {
    match &resource.object {
        Some(Object::Endpoint(endpoint)) => endpoint.spec.as_ref(),
        _ => None,
    }
}

/// `container/interface`, as the contract writes it; a container id has no slash.
fn attachment(text: &str) -> Option<Attachment> {
    let (container, interface) = text.split_once('/')?;
    Some(Attachment { container: container.to_owned(), interface: interface.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use poplin_proto::v1::{Endpoint, Metadata};

    fn endpoint(host: &str, network: &str, attachment: &str) -> Resource {
        let labels = [(NETWORK_LABEL.to_owned(), network.to_owned())].into();
        let metadata = Some(Metadata { name: attachment.to_owned(), labels, ..Metadata::default() });
        let spec = EndpointSpec { host: host.to_owned(), attachment: attachment.to_owned(), ..EndpointSpec::default() };
        Endpoint { metadata, spec: Some(spec), ..Endpoint::default() }.into()
    }

    #[test]
    fn only_forgotten_attachments_of_this_network_and_host_are_released() {
        let endpoints = [
            endpoint("h1", "n", "known/eth0"),
            endpoint("h1", "n", "known/eth1"),
            endpoint("h1", "n", "gone/eth0"),
            endpoint("h2", "n", "elsewhere/eth0"),
            endpoint("h1", "other", "foreign/eth0"),
        ];
        let valid = [ValidAttachment { container: "known".to_owned(), interface: "eth0".to_owned() }];

        let forgotten = forgotten(&endpoints, "h1", "n", &valid);

        let names: Vec<_> = forgotten.iter().map(|a| format!("{}/{}", a.container, a.interface)).collect();
        assert_eq!(names, ["known/eth1", "gone/eth0"]);
    }
}
