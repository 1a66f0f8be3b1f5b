//! `policy.networking.k8s.io`: ClusterNetworkPolicy (v1alpha2), and what it was made from, AdminNetworkPolicy and
//! BaselineAdminNetworkPolicy (v1alpha1).
//!
//! Policies of administrators, in a tier before or after everybody's. A direction without a rule is left alone. A peer this
//! house cannot tell apart is refused, for the API asks that such a rule be not half understood.

pub(super) mod admin;
pub(super) mod cluster_network_policy;
mod peer;
mod rules;
mod subject;
