//! What this host does for the services whose endpoints it has.
//!
//! In: the store as last heard, the endpoints attached here, the kernel as last seen, their health. Out: where packets to service addresses
//! go, who may answer from them, what is to be probed. What BGP announces is read off the kernel: see [`announced`].
//! Packets reach an endpoint as they are, by its own address on its link, and it answers from the service's address.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;

use crate::health::Health;
use crate::kernel::{Gateway, KernelState, LinkState, Target};
use crate::mirror::Mirror;
use crate::name::{AttachmentId, EndpointName, ServiceName};
use crate::object::{Endpoint, Host, Service};
use crate::outlook;
use crate::prefix::host_prefix;
use crate::service::Probe;

/// All that is to be done for services.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Serving {
    /// Where packets to service addresses go.
    pub routes: BTreeMap<IpNet, Target>,
    /// Addresses that endpoints may send from beside their own.
    pub lent: BTreeMap<EndpointName, BTreeSet<IpAddr>>,
    /// What is to be probed, and what is believed of it before it was.
    pub probes: BTreeMap<Probe, bool>,
    /// The endpoints here of each service, and the probe that tells how they are.
    pub members: BTreeMap<ServiceName, BTreeMap<EndpointName, Option<Probe>>>,
}

/// Finds out who serves what. `local` are the endpoints that are attached here and stay; to those that are not ready nobody is led yet.
pub fn serving<'a>(
    mirror: &'a Mirror,
    local: impl Iterator<Item = &'a Endpoint>,
    kernel: &KernelState,
    health: &Health,
    unready: &BTreeSet<AttachmentId>,
) -> Serving {
    let mut serving = Serving::default();
    let standing =
        |one: &'a Endpoint| Some((one, kernel.links.get(&one.interface).filter(|link| link.is_up && link.index != 0)?));
    for (endpoint, link) in local.filter_map(standing) {
        for service in mirror.services().filter(|service| is_served_by(mirror, service, endpoint)) {
            let probe = service.health.as_ref().zip(endpoint.addresses.first());
            let probe = probe.map(|(check, address)| Probe { address: *address, check: check.clone() });
            let is_healthy = probe.as_ref().is_none_or(|probe| health.is_healthy(probe));
            let is_led_to = is_healthy && !unready.contains(&endpoint.attachment);
            serving.add(service, endpoint, link, kernel, probe, is_led_to);
        }
    }
    serving
}

/// The addresses an endpoint is to answer to beside its own.
pub fn lent_to(mirror: &Mirror, endpoint: &Endpoint) -> BTreeSet<IpAddr> {
    let services = mirror.services().filter(|service| is_served_by(mirror, service, endpoint));
    services
        .flat_map(|service| service.addresses.iter().copied())
        .filter(|address| has_family(endpoint, address))
        .collect()
}

/// The service addresses this host announces: those that lead to an endpoint of it, unless its traffic is to go to others.
pub fn announced<'a>(me: &Host, kernel: &'a KernelState) -> impl Iterator<Item = IpNet> + use<'a> {
    let is_draining = me.is_draining;
    let served = kernel.routes.iter().filter(move |(_, target)| !is_draining && matches!(target, Target::Endpoints(_)));
    served.map(|(prefix, _)| *prefix)
}

fn is_served_by(mirror: &Mirror, service: &Service, endpoint: &Endpoint) -> bool {
    service.endpoints.admits(&outlook::seen(mirror, endpoint).labels)
}

fn has_family(endpoint: &Endpoint, address: &IpAddr) -> bool {
    endpoint.addresses.iter().any(|own| own.is_ipv4() == address.is_ipv4())
}

impl Serving {
    fn add(
        &mut self,
        service: &Service,
        endpoint: &Endpoint,
        link: &LinkState,
        kernel: &KernelState,
        probe: Option<Probe>,
        is_led_to: bool,
    ) {
        let mut was_served = false;
        for address in service.addresses.iter().filter(|address| has_family(endpoint, address)) {
            self.lent.entry(endpoint.name.clone()).or_default().insert(*address);
            let own = endpoint.addresses.iter().find(|own| own.is_ipv4() == address.is_ipv4());
            let Some(own) = own else { continue };
            let gateway = Gateway { address: *own, interface: Some(link.index) };
            was_served |= leads_to(kernel, *address, &gateway);
            if is_led_to {
                self.lead(host_prefix(*address), gateway);
            }
        }
        if let Some(probe) = &probe {
            *self.probes.entry(probe.clone()).or_default() |= was_served;
        }
        self.members.entry(service.name.clone()).or_default().insert(endpoint.name.clone(), probe);
    }

    fn lead(&mut self, prefix: IpNet, gateway: Gateway) {
        match self.routes.entry(prefix).or_insert_with(|| Target::Endpoints(BTreeSet::new())) {
            Target::Endpoints(gateways) => drop(gateways.insert(gateway)),
            Target::Link(_) | Target::Gateways(_) | Target::Group(_) | Target::Blackhole => {}
        }
    }
}

/// Whether the kernel leads packets to this address to that endpoint.
fn leads_to(kernel: &KernelState, address: IpAddr, gateway: &Gateway) -> bool {
    match kernel.routes.get(&host_prefix(address)) {
        Some(Target::Endpoints(gateways)) => gateways.contains(gateway),
        Some(Target::Link(_) | Target::Gateways(_) | Target::Group(_) | Target::Blackhole) | None => false,
    }
}
