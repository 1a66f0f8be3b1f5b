//! Services, as far as policy sees them: their addresses, at the other end of rules.

use std::collections::BTreeSet;
use std::net::IpAddr;

use poplin_policy::model::AddressSet;
use poplin_proto::v1;

use crate::address::address;
use crate::field::{Findings, Invalid, Invalids, checked_labels, checked_name};

/// Checks the addresses and labels of a service, and makes of them what rules see: a set with its labels, under a name nobody can declare.
pub fn check_service_addresses(service: &v1::Service) -> Result<AddressSet, Invalids> {
    let texts = service.spec.clone().unwrap_or_default().addresses;
    let mut findings = Findings::default();
    let labels = findings.take(checked_labels(service.metadata.as_ref()));
    if texts.is_empty() {
        let invalid = Invalid::new("spec.addresses", "NO_ADDRESS", "a service needs an address");
        findings.add(invalid.advice("give one that lies in no pool, such as 198.51.100.7"));
    }
    let parsed = texts.iter().enumerate().map(|(index, text)| {
        let field = format!("spec.addresses[{index}]");
        address(&field, text).and_then(|address| reachable(&field, address))
    });
    let addresses: BTreeSet<IpAddr> = findings.take_all(parsed).into_iter().collect();
    let name = checked_name(service.metadata.as_ref());
    findings.finish(labels.map(|labels| AddressSet::of_service(&name, labels, addresses)))
}

pub(crate) fn reachable(field: &str, address: IpAddr) -> Result<IpAddr, Invalid> {
    let is_link_local = match address {
        IpAddr::V4(address) => address.is_link_local() || address.is_broadcast(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    if is_link_local || address.is_loopback() || address.is_multicast() || address.is_unspecified() {
        return Err(Invalid::new(field, "NOT_ROUTABLE", format!("{address} cannot be routed to containers"))
            .advice("take an address such as 198.51.100.7 or fd77:100::7"));
    }
    Ok(address)
}
