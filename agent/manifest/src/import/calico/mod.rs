//! `projectcalico.org/v3`, and the same as Kubernetes stores it, `crd.projectcalico.org/v1`: policies, tiers, sets, profiles and host endpoints.
//!
//! The model of this house is Calico's, so each rule becomes one rule, under the same number.

mod entity;
pub(super) mod host;
pub(super) mod policy;
pub(super) mod profile;
mod protocol;
mod rule;
pub(super) mod set;
pub(super) mod tier;
