//! Whether services fit pools, hosts and one another: an address has one meaning.

use std::collections::BTreeMap;
use std::net::IpAddr;

use poplin_manifest::field::Invalid;
use poplin_node::object::{Host, Object, ObjectKey, Pool, Service};

/// Why a service cannot be as it is, if it cannot.
pub(super) fn fits(service: &Service, after: &BTreeMap<ObjectKey, Object>) -> Option<Invalid> {
    let in_pool = after.values().filter_map(|object| object.try_into().ok()).find_map(|pool| lies_in(service, pool));
    let shared = || after.values().filter_map(|object| object.try_into().ok()).find_map(|other| shares(service, other));
    let at_host = || after.values().filter_map(|object| object.try_into().ok()).find_map(|host| is_of(service, host));
    in_pool.map(|(address, pool)| inside(address, pool)).or_else(shared).or_else(at_host)
}

/// A host answers to its own address itself, before any route is asked.
fn is_of(service: &Service, host: &Host) -> Option<Invalid> {
    let address = service.addresses.intersection(&host.addresses).next()?;
    let message = format!("{address} is of host {}, which answers there itself", host.name);
    Some(Invalid::new("spec.addresses", "ADDRESS_TAKEN", message).advice("take an address that is nobody's"))
}

/// Why a pool cannot be as it is: it would give away the address of a service.
pub(super) fn spared_by(pool: &Pool, after: &BTreeMap<ObjectKey, Object>) -> Option<Invalid> {
    let services = after.values().filter_map(|object| <&Service>::try_from(object).ok());
    services.filter_map(|service| Some((service, lies_in(service, pool)?))).next().map(|(service, (address, _))| {
        let message = format!("{} holds {address}, which is of service {}", pool.cidr, service.name);
        Invalid::new("spec.cidr", "SERVICE_ADDRESS", message).advice("take another range, or move the service first")
    })
}

fn lies_in<'p>(service: &Service, pool: &'p Pool) -> Option<(IpAddr, &'p Pool)> {
    let address = service.addresses.iter().find(|address| pool.cidr.contains(*address))?;
    Some((*address, pool))
}

fn inside(address: IpAddr, pool: &Pool) -> Invalid {
    let message = format!("{address} lies in pool {} ({}), which gives it to containers", pool.name, pool.cidr);
    Invalid::new("spec.addresses", "IN_POOL", message)
        .advice("take an address outside of every pool; see `poplin get pools`")
}

fn shares(service: &Service, other: &Service) -> Option<Invalid> {
    let address = service.addresses.intersection(&other.addresses).next().filter(|_| service.name != other.name)?;
    let message = format!("{address} is of service {} already", other.name);
    Some(Invalid::new("spec.addresses", "ADDRESS_TAKEN", message).advice("take another, or change that service first"))
}
