//! Endpoints, as far as policy looks at them.

use poplin_policy::model::Endpoint;
use poplin_proto::v1;

use crate::address::addresses;
use crate::field::{Findings, Invalids, checked_labels, named_ports};

/// Checks an endpoint. Its labels are its own, without those it inherits.
pub fn check_endpoint(endpoint: &v1::Endpoint) -> Result<Endpoint, Invalids> {
    let spec = endpoint.spec.clone().unwrap_or_default();
    let mut findings = Findings::default();
    let labels = findings.take(checked_labels(endpoint.metadata.as_ref()));
    let addresses = addresses(&mut findings, "spec.addresses", &spec.addresses).into_iter().collect();
    let ports = findings.take_all(named_ports("spec.ports", &spec.ports));
    let namespace = endpoint.metadata.as_ref().map(|metadata| metadata.namespace.clone());
    let namespace = namespace.filter(|namespace| !namespace.is_empty());
    findings.finish(labels.map(|labels| Endpoint { labels, namespace, addresses, ports }))
}
