//! What Calico says about hosts, and this house does not hear yet: one place, for it will come.

use super::super::written::Scalar;
use crate::field::{Findings, Invalid};

/// Said wherever a document speaks of host endpoints.
const MESSAGE: &str = "host endpoints are not supported yet";

/// The kind that declares a host's own interface.
pub(in crate::import) const KIND: &str = "HostEndpoint";

/// A document of that kind.
pub(in crate::import) fn refusal() -> Invalid {
    Invalid::new("kind", "NOT_SUPPORTED", MESSAGE).advice("leave the document out; workloads are governed all the same")
}

/// A switch of a policy that changes what it does to hosts' own interfaces. Off, it says nothing.
pub(super) fn switch(findings: &mut Findings, field: &str, value: Option<&Scalar>) {
    match value {
        None | Some(Scalar::Bool(false)) => {}
        Some(Scalar::Bool(true)) => {
            let name = field.rsplit('.').next().unwrap_or(field);
            let message = format!("{name} speaks of hosts' own interfaces; {MESSAGE}");
            findings.add(Invalid::new(field, "NOT_SUPPORTED", message).advice("leave it out, or the whole policy"));
        }
        Some(other) => findings.add(Invalid::new(field, "NOT_A_SWITCH", format!("{other} is not true or false"))),
    }
}
