//! `networking.k8s.io/v1` and `v1`: NetworkPolicy and Namespace.

pub(super) mod namespace;
pub(super) mod network_policy;
mod peer;
mod port;

pub(super) use port::PROTOCOLS;
