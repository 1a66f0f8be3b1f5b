//! Endpoints.

use poplin_manifest::field::{Findings, Invalid, Invalids, checked_name, published_ports, show_labels};
use poplin_manifest::{check_endpoint, check_profiles};
use poplin_node::name::{AttachmentId, EndpointName, HostName, NetworkName};
use poplin_node::object::Endpoint;
use poplin_policy::ruleset::Interface;
use poplin_proto::v1;

use super::mac::mac;
use super::naming::aliases;

pub(super) fn check(endpoint: &v1::Endpoint) -> Result<Endpoint, Invalids> {
    let spec = endpoint.spec.clone().unwrap_or_default();
    let mut findings = Findings::default();
    let bad =
        |field: &str, text: &str| Invalid::new(field, "BAD_VALUE", format!("{text:?} is not one the agent writes"));
    let known = findings.take_part(check_endpoint(endpoint));
    let interface =
        findings.take(Interface::new(&spec.interface).ok_or_else(|| bad("spec.interface", &spec.interface)));
    let attachment =
        findings.take(AttachmentId::parse(&spec.attachment).ok_or_else(|| bad("spec.attachment", &spec.attachment)));
    let published = published_ports(&mut findings, "spec.published", &spec.published);
    let aliases = aliases(&mut findings, "spec.aliases", &spec.aliases);
    let profiles = findings.take_part(check_profiles("spec.profiles", &spec.profiles)).unwrap_or_default();
    let mac = findings.take(mac(&spec.mac).ok_or_else(|| bad("spec.mac", &spec.mac)));
    let checked = known.zip(interface).zip(attachment).zip(mac);
    findings.finish(checked.map(|(((known, interface), attachment), mac)| Endpoint {
        name: EndpointName::new(checked_name(endpoint.metadata.as_ref())),
        labels: known.labels,
        namespace: known.namespace,
        profiles,
        ports: known.ports,
        published,
        host: HostName::new(spec.host),
        attachment,
        addresses: known.addresses.into_iter().collect(),
        interface,
        mac,
        netns: spec.netns.into(),
        mtu_bytes: spec.mtu_bytes,
        network: Some(spec.network).filter(|name| !name.is_empty()).map(NetworkName::new),
        is_sticky: spec.sticky,
        since: Some(spec.attached_at).filter(|seconds| *seconds > 0),
        aliases,
        container: Some(spec.container).filter(|container| !container.is_empty()),
        parent: Interface::new(&spec.parent),
    }))
}

/// The endpoint in the form of the wire contract.
pub fn show(endpoint: &Endpoint) -> v1::Endpoint {
    v1::Endpoint {
        metadata: Some(v1::Metadata {
            name: endpoint.name.to_string(),
            namespace: endpoint.namespace.clone().unwrap_or_default(),
            labels: show_labels(&endpoint.labels),
            ..v1::Metadata::default()
        }),
        spec: Some(v1::EndpointSpec {
            host: endpoint.host.to_string(),
            addresses: endpoint.addresses.iter().map(|address| ipnet::IpNet::from(*address).to_string()).collect(),
            interface: endpoint.interface.to_string(),
            container_interface: endpoint.attachment.interface.clone(),
            mac: endpoint.mac.to_string(),
            attachment: endpoint.attachment.to_string(),
            netns: endpoint.netns.display().to_string(),
            mtu_bytes: endpoint.mtu_bytes,
            ports: endpoint.ports.iter().map(ToString::to_string).collect(),
            published: endpoint.published.iter().map(ToString::to_string).collect(),
            network: endpoint.network.as_ref().map(ToString::to_string).unwrap_or_default(),
            sticky: endpoint.is_sticky,
            attached_at: endpoint.since.unwrap_or_default(),
            aliases: endpoint.aliases.iter().cloned().collect(),
            container: endpoint.container.clone().unwrap_or_default(),
            profiles: endpoint.profiles.clone(),
            parent: endpoint.parent.as_ref().map(ToString::to_string).unwrap_or_default(),
        }),
        ..v1::Endpoint::default()
    }
}
