//! The store's objects as policy sees them.
//!
//! In: objects. Out: a [`World`]. The only thing that is computed is what endpoints inherit.

use std::collections::BTreeMap;

use poplin_policy::model::{self, Namespace};
use poplin_policy::nat;
use poplin_policy::world::World;

use crate::object::{Endpoint, Network, Object, Pool};

/// All that policy looks at among these objects.
pub fn world<'a>(objects: impl IntoIterator<Item = &'a Object> + Clone) -> World {
    let mut world = World::default();
    let mut inherited: BTreeMap<&str, Namespace> = BTreeMap::new();
    for object in objects.clone() {
        match object {
            Object::Tier(tier) => drop(world.tiers.insert(tier.name.clone(), tier.clone())),
            Object::Policy(policy) => drop(world.policies.insert(policy.name.clone(), policy.clone())),
            Object::AddressSet(set) => drop(world.sets.insert(set.name.clone(), set.clone())),
            Object::Namespace(namespace) => {
                inherited.insert(namespace.name.as_str(), namespace.clone());
            }
            Object::HostEndpoint(endpoint) => drop(world.add_host_endpoint(endpoint)),
            Object::Service(service) => {
                let other_end = service.as_other_end();
                world.sets.insert(other_end.name.clone(), other_end);
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
    for network in objects.clone().into_iter().filter_map(|object| <&Network>::try_from(object).ok()) {
        let policy = network.circle.policy();
        world.policies.entry(policy.name.clone()).or_insert(policy);
        let namespace = network.circle.namespace(inherited.get(network.name.as_str()));
        inherited.insert(network.name.as_str(), namespace);
    }
    world.namespaces = inherited.values().map(|one| (one.name.clone(), one.labels.clone())).collect();
    for object in objects {
        if let Object::Endpoint(one) = object {
            let namespace = one.namespace.as_deref().and_then(|name| inherited.get(name));
            world.endpoints.insert(one.name.to_string(), endpoint(one, namespace));
        }
    }
    world
}

/// An endpoint as policy sees it; `namespace` is the declaration of the one it lives in, if there is one.
pub fn endpoint(one: &Endpoint, namespace: Option<&Namespace>) -> model::Endpoint {
    model::Endpoint {
        labels: Namespace::inherited(&one.labels, one.namespace.as_deref(), namespace),
        namespace: one.namespace.clone(),
        addresses: one.addresses.iter().copied().collect(),
        ports: one.ports.clone(),
    }
}

/// A pool as translation sees it, disabled or not: its addresses are inside all the same.
pub fn pool(one: &Pool) -> nat::Pool {
    nat::Pool { cidr: one.cidr, outgoing: one.nat.clone() }
}

/// What an endpoint publishes, if it does.
pub fn publication(one: &Endpoint) -> Option<nat::Publication> {
    let publication = nat::Publication { addresses: one.addresses.clone(), ports: one.published.clone() };
    (!one.published.is_empty()).then_some(publication)
}
