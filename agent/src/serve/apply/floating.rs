//! Whether floating addresses fit pools, services, hosts and one another: an address has one meaning, and one holder at a time.

use std::collections::BTreeMap;
use std::net::IpAddr;

use poplin_manifest::field::Invalid;
use poplin_node::object::{FloatingAddress, Host, Object, ObjectKey, Pool, Service};
use poplin_policy::ruleset::SourceNat;

/// What else there is, by key.
type Others = BTreeMap<ObjectKey, Object>;

fn all<'o, T: 'o>(others: &'o Others) -> impl Iterator<Item = &'o T>
where
    &'o T: TryFrom<&'o Object>,
{
    others.values().filter_map(|object| object.try_into().ok())
}

/// Why a floating address cannot be as it is, if it cannot.
pub(super) fn fits(one: &FloatingAddress, after: &Others) -> Option<Invalid> {
    meaning(one.address, after).or_else(|| is_taken(one, after)).or_else(|| has_another(one, after))
}

/// What the address is already.
fn meaning(address: IpAddr, after: &Others) -> Option<Invalid> {
    let is = |reason, message: String, advice: &str| Some(Invalid::new("spec.address", reason, message).advice(advice));
    if let Some(pool) = all::<Pool>(after).find(|pool| pool.cidr.contains(&address)) {
        let message = format!("{address} lies in pool {} ({}), which gives it to containers", pool.name, pool.cidr);
        return is("IN_POOL", message, "take an address that no pool has; see `poplin get pools`");
    }
    if let Some(pool) = all::<Pool>(after).find(|pool| leaves_as(pool) == Some(address)) {
        let message = format!("{address} is what packets of pool {} leave under", pool.name);
        return is("ADDRESS_TAKEN", message, "take another, or give that pool another");
    }
    if let Some(service) = all::<Service>(after).find(|service| service.addresses.contains(&address)) {
        let message = format!("{address} is of service {} already", service.name);
        return is("ADDRESS_TAKEN", message, "take another, or change that service first");
    }
    let host = all::<Host>(after).find(|host| host.addresses.contains(&address))?;
    is("ADDRESS_TAKEN", format!("{address} is of host {}", host.name), "take one that is nobody's")
}

fn is_taken(one: &FloatingAddress, after: &Others) -> Option<Invalid> {
    let is_its = |other: &&FloatingAddress| other.name != one.name && other.address == one.address;
    let other = all::<FloatingAddress>(after).find(is_its)?;
    let message = format!("{} is floating address {} already", one.address, other.name);
    Some(Invalid::new("spec.address", "ADDRESS_TAKEN", message).advice("change that one: an address has one object"))
}

/// What an endpoint begins to the outside comes from one address.
fn has_another(one: &FloatingAddress, after: &Others) -> Option<Invalid> {
    let endpoint = one.endpoint.as_ref()?;
    let is_rival = |other: &&FloatingAddress| {
        other.name != one.name
            && other.endpoint.as_ref() == Some(endpoint)
            && other.address.is_ipv4() == one.address.is_ipv4()
    };
    let other = all::<FloatingAddress>(after).find(is_rival)?;
    let family = if one.address.is_ipv4() { "IPv4" } else { "IPv6" };
    let message = format!("endpoint {endpoint} has {} ({}) of {family} already", other.address, other.name);
    let advice = format!("an endpoint has one of each family: `poplin floating release {}` first", other.address);
    Some(Invalid::new("spec.endpoint", "ENDPOINT_HAS_ONE", message).advice(advice))
}

/// Why a pool cannot be as it is: it would give away a floating address, or send others' packets under it.
pub(super) fn spared_by(pool: &Pool, after: &Others) -> Option<Invalid> {
    let mut floating = all::<FloatingAddress>(after);
    if let Some(one) = floating.find(|one| pool.cidr.contains(&one.address)) {
        let message = format!("{} holds {}, which is floating address {}", pool.cidr, one.address, one.name);
        return Some(
            Invalid::new("spec.cidr", "FLOATING_ADDRESS", message).advice("take another range, or delete that first"),
        );
    }
    let one = all::<FloatingAddress>(after).find(|one| leaves_as(pool) == Some(one.address))?;
    let message = format!("{} is floating address {}", one.address, one.name);
    Some(Invalid::new("spec.nat.address", "FLOATING_ADDRESS", message).advice("take another, or delete that first"))
}

/// Why a service cannot be as it is: one of its addresses floats.
pub(super) fn is_beside(service: &Service, after: &Others) -> Option<Invalid> {
    let one = all::<FloatingAddress>(after).find(|one| service.addresses.contains(&one.address))?;
    let message = format!("{} is floating address {} already", one.address, one.name);
    Some(Invalid::new("spec.addresses", "ADDRESS_TAKEN", message).advice("take another, or delete that first"))
}

fn leaves_as(pool: &Pool) -> Option<IpAddr> {
    match pool.nat.as_ref()?.source {
        SourceNat::To(address) => Some(address),
        SourceNat::Masquerade => None,
    }
}
