//! Floating addresses: of the outside, each led to one endpoint wherever that is attached, and moved to another by one write.
//!
//! In: the store as last heard, the endpoints attached here, the kernel as last seen. Out: what this host translates, the routes by which it says so,
//! what it announces. The endpoint knows nothing of it: its host translates, so the address is nobody's to send from but by that.
//! One whose endpoint is not attached, or has no address of its family, leads nowhere.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use poplin_policy::nat;

use crate::kernel::{KernelState, Target};
use crate::mirror::Mirror;
use crate::name::{EndpointName, FloatingName};
use crate::object::{Endpoint, Host};
use crate::prefix::host_prefix;

/// An address that leads to an endpoint and is not its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FloatingAddress {
    /// Its name.
    pub name: FloatingName,
    /// Where others reach it: in no pool, no service's, and no other's.
    pub address: IpAddr,
    /// To whom it leads; absent = to nobody for now. An endpoint has at most one of each family.
    pub endpoint: Option<EndpointName>,
    /// Whether it leads to nobody again once its endpoint is detached: whoever attached that had asked for it.
    pub is_until_detached: bool,
    /// What people wrote beside it, and find again.
    pub labels: BTreeMap<String, String>,
    /// The same.
    pub annotations: BTreeMap<String, String>,
}

impl FloatingAddress {
    /// The same, led to nobody.
    pub fn released(&self) -> Self {
        Self { endpoint: None, is_until_detached: false, ..self.clone() }
    }

    /// By this name the rules know that it is inside of the fabric.
    pub fn inside_name(name: &FloatingName) -> String {
        format!("{INSIDE}{name}")
    }
}

/// No host and no service is named so: names have no spaces.
const INSIDE: &str = "floating ";

/// The floating addresses that lead to an endpoint, each with its own of that family, by name.
pub fn leading_to<'a>(
    mirror: &'a Mirror,
    endpoint: &'a Endpoint,
) -> impl Iterator<Item = (&'a FloatingAddress, nat::Floating)> {
    mirror.floating_of(&endpoint.name).filter_map(|one| {
        let inside = *endpoint.addresses.iter().find(|own| own.is_ipv4() == one.address.is_ipv4())?;
        Some((one, nat::Floating { outside: one.address, inside }))
    })
}

/// The routes by which this host says that it translates: to the link of the endpoint, once it is there. A packet of the host itself finds
/// its way by it before its destination is translated.
pub fn routes<'a>(
    mirror: &'a Mirror,
    local: impl Iterator<Item = &'a Endpoint>,
    kernel: &KernelState,
) -> impl Iterator<Item = (IpNet, Target)> {
    let standing = local.filter(|one| kernel.links.get(&one.interface).is_some_and(|link| link.is_up));
    standing.flat_map(|endpoint| {
        let target = Target::Link(endpoint.interface.clone());
        leading_to(mirror, endpoint).map(move |(one, _)| (host_prefix(one.address), target.clone()))
    })
}

/// The floating addresses this host announces: those the kernel leads to their endpoint. No other host can take them, so a host that is drained
/// announces them too.
pub fn announced(mirror: &Mirror, me: &Host, kernel: &KernelState) -> impl Iterator<Item = IpNet> {
    routes(mirror, mirror.endpoints_on(&me.name), kernel)
        .filter(|(prefix, target)| kernel.routes.get(prefix) == Some(target))
        .map(|(prefix, _)| prefix)
}
