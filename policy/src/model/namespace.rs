//! Namespaces.

use crate::label::Labels;

/// The label under which Calico's users know the namespace an endpoint lives in; every endpoint that lives in one has it.
pub const NAMESPACE_LABEL: &str = "projectcalico.org/namespace";

/// What policies know about a namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Namespace {
    /// Its name.
    pub name: String,
    /// What scopes of rules and subjects look at.
    pub labels: Labels,
    /// What its endpoints inherit where they have no such label of their own.
    pub endpoint_labels: Labels,
}
