//! The store's objects as policy sees them.
//!
//! In: objects. Out: a [`World`]. All that is computed is what endpoints and host endpoints inherit, and that a floating address is another of theirs: who reaches
//! an endpoint by it, or may not, is asked as if it were its own.

use std::collections::BTreeMap;
use std::net::IpAddr;

use poplin_policy::model::{self, Namespace, Profile, inherited};
use poplin_policy::nat;
use poplin_policy::world::World;

use crate::mirror::Mirror;
use crate::object::{Endpoint, FloatingAddress, Network, Object, Pool};

/// All that policy looks at among these objects.
pub fn world<'a>(objects: impl IntoIterator<Item = &'a Object> + Clone) -> World {
    let mut world = World::default();
    let mut namespaces: BTreeMap<&str, Namespace> = BTreeMap::new();
    let mut profiles: BTreeMap<&str, &Profile> = BTreeMap::new();
    let mut floating: BTreeMap<&str, Vec<&FloatingAddress>> = BTreeMap::new();
    let mut host_endpoints = Vec::new();
    for object in objects.clone() {
        match object {
            Object::Tier(tier) => drop(world.tiers.insert(tier.name.clone(), tier.clone())),
            Object::Policy(policy) => drop(world.policies.insert(policy.name.clone(), policy.clone())),
            Object::AddressSet(set) => drop(world.sets.insert(set.name.clone(), set.clone())),
            Object::Namespace(namespace) => {
                namespaces.insert(namespace.name.as_str(), namespace.clone());
            }
            Object::Profile(profile) => {
                profiles.insert(profile.name.as_str(), profile);
            }
            Object::HostEndpoint(endpoint) => host_endpoints.push(endpoint),
            Object::Service(service) => {
                let other_end = service.as_other_end();
                world.sets.insert(other_end.name.clone(), other_end);
            }
            Object::FloatingAddress(one) => {
                one.endpoint.iter().for_each(|name| floating.entry(name.as_str()).or_default().push(one));
            }
            Object::Endpoint(_)
            | Object::Pool(_)
            | Object::Block(_)
            | Object::Host(_)
            | Object::Peer(_)
            | Object::Fabric(_)
            | Object::RouteMap(_)
            | Object::Network(_)
            | Object::StaticRoute(_)
            | Object::Lineage(_) => {}
        }
    }
    for endpoint in host_endpoints {
        world.add_host_endpoint(&endpoint.heir(|name| profiles.get(name).copied()));
    }
    for network in objects.clone().into_iter().filter_map(|object| <&Network>::try_from(object).ok()) {
        let policy = network.circle.policy();
        world.policies.entry(policy.name.clone()).or_insert(policy);
        let namespace = network.circle.namespace(namespaces.get(network.name.as_str()));
        namespaces.insert(network.name.as_str(), namespace);
    }
    world.namespaces = namespaces.values().map(|one| (one.name.clone(), one.labels.clone())).collect();
    for object in objects {
        if let Object::Endpoint(one) = object {
            let namespace = one.namespace.as_deref().and_then(|name| namespaces.get(name));
            let floating = floating.get(one.name.as_str()).into_iter().flatten().copied();
            let seen = endpoint(one, namespace, |name| profiles.get(name).copied(), floating);
            world.endpoints.insert(one.name.to_string(), seen);
        }
    }
    world
}

/// An endpoint as policy sees it; `namespace` is the declaration of the one it lives in, if there is one, and `profile` finds those of profiles.
fn endpoint<'p>(
    one: &'p Endpoint,
    namespace: Option<&Namespace>,
    profile: impl Fn(&str) -> Option<&'p Profile> + Clone,
    floating: impl Iterator<Item = &'p FloatingAddress>,
) -> model::Endpoint {
    let profiles = one.profiles.iter().map(|name| (name.as_str(), profile(name)));
    let home = one.namespace.as_deref().map(|name| (name, namespace));
    model::Endpoint {
        labels: inherited(&one.labels, profiles, home),
        namespace: one.namespace.clone(),
        addresses: one
            .addresses
            .iter()
            .copied()
            .chain(floating.filter_map(|floating| leads_to(floating, one)))
            .collect(),
        ports: one.ports.clone(),
    }
}

/// An endpoint as policy sees it, with all that it inherits.
pub fn seen(mirror: &Mirror, one: &Endpoint) -> model::Endpoint {
    let namespace = one.namespace.as_ref().and_then(|name| mirror.namespace(name));
    endpoint(one, namespace.as_ref(), |name| mirror.profile(name), mirror.floating_of(&one.name))
}

/// The floating address, if the endpoint has one of its family that it could lead to.
fn leads_to(floating: &FloatingAddress, one: &Endpoint) -> Option<IpAddr> {
    let leads = one.addresses.iter().any(|own| own.is_ipv4() == floating.address.is_ipv4());
    leads.then_some(floating.address)
}

/// A pool as translation sees it, disabled or not: its addresses are inside all the same.
pub fn pool(one: &Pool) -> nat::Pool {
    nat::Pool { cidr: one.cidr, outgoing: one.nat.clone() }
}

/// What an endpoint publishes, if it does.
pub fn publication(one: &Endpoint) -> Option<nat::Publication> {
    let publication =
        || nat::Publication { addresses: one.addresses.iter().copied().collect(), ports: one.published.clone() };
    (!one.published.is_empty()).then(publication)
}
