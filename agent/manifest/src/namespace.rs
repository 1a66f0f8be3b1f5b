//! Namespaces.

use poplin_policy::model::Namespace;
use poplin_proto::v1;

use crate::field::{Findings, Invalids, checked_labels, checked_name, labels};

/// Checks a namespace.
pub fn check_namespace(namespace: &v1::Namespace) -> Result<Namespace, Invalids> {
    let spec = namespace.spec.clone().unwrap_or_default();
    let mut findings = Findings::default();
    let own = findings.take(checked_labels(namespace.metadata.as_ref()));
    let inherited = findings.take(labels("spec.endpointLabels", &spec.endpoint_labels));
    let name = checked_name(namespace.metadata.as_ref());
    findings.finish(own.zip(inherited).map(|(labels, endpoint_labels)| Namespace { name, labels, endpoint_labels }))
}
