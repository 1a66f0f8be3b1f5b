//! Floating addresses: what one is, whoever has it.

use std::net::IpAddr;

use poplin_proto::v1;

use crate::address::address;
use crate::field::{Findings, Invalid, Invalids, object_name};
use crate::service::reachable;

/// Checks a floating address, and tells it and the endpoint it is to lead to, if there is one.
pub fn check_floating_address(one: &v1::FloatingAddress) -> Result<(IpAddr, Option<String>), Invalids> {
    let spec = one.spec.clone().unwrap_or_default();
    let mut findings = Findings::default();
    let address = findings.take(check_address("spec.address", &spec.address));
    let endpoint = Some(spec.endpoint).filter(|name| !name.is_empty());
    if let Some(name) = &endpoint {
        findings.take(object_name("spec.endpoint", name));
    }
    if spec.until_detached && endpoint.is_none() {
        let message = "it leads to nobody who could be detached";
        findings.add(
            Invalid::new("spec.untilDetached", "NO_ENDPOINT", message).advice("name an endpoint, or leave it out"),
        );
    }
    let namespace = one.metadata.as_ref().map(|metadata| metadata.namespace.as_str()).unwrap_or_default();
    if !namespace.is_empty() {
        let invalid = Invalid::new("metadata.namespace", "NO_NAMESPACE", "floating addresses live in no namespace");
        findings.add(invalid.advice("leave it out"));
    }
    findings.finish(address.map(|address| (address, endpoint)))
}

/// One that others can be routed to.
pub fn check_address(field: &str, text: &str) -> Result<IpAddr, Invalid> {
    if text.is_empty() {
        return Err(Invalid::new(field, "NO_ADDRESS", "it says no address")
            .advice("give one that lies in no pool, such as 198.51.100.7"));
    }
    address(field, text).and_then(|address| reachable(field, address))
}
