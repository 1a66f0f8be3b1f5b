//! The world that documents describe, for those who have no agent to ask.
//!
//! In: documents, endpoints among them if there is a topology. Out: what policy reasons about, or everything that is wrong.
//! Endpoints inherit labels as they do in the fabric. Kinds policy does not look at are left out.

use std::collections::BTreeMap;
use std::net::IpAddr;

use poplin_policy::circle::Circle;
use poplin_policy::host::{Failsafe, HostEndpoint};
use poplin_policy::model::{Namespace, Profile, inherited};
use poplin_policy::world::World;
use poplin_proto::Failure;
use poplin_proto::v1::resource::Object;

use crate::field::{Invalid, Invalids, check_metadata};
use crate::{
    Document, check_address_set, check_circle, check_endpoint, check_failsafe, check_floating_address,
    check_host_endpoint, check_namespace, check_policy, check_profile, check_profiles, check_service_addresses,
    check_tier,
};

/// What all these documents together mean to policy. Each object may be declared once.
pub fn world(documents: &[Document]) -> Result<World, Vec<Failure>> {
    let mut reader = Reader::default();
    let mut failures = Vec::new();
    for document in documents {
        if let Err(invalids) = reader.add(document) {
            failures.extend(document.failures(invalids));
        }
    }
    if failures.is_empty() { Ok(reader.finish()) } else { Err(failures) }
}

/// The host endpoints of documents that mean a [`world`], with their own labels only.
pub fn host_endpoints(documents: &[Document]) -> Vec<HostEndpoint> {
    let declared = documents.iter().filter_map(|document| {
        let Some(Object::HostEndpoint(endpoint)) = &document.resource.object else { return None };
        check_host_endpoint(endpoint).ok()
    });
    declared.collect()
}

/// The ports that stay open at host endpoints, as documents say.
pub fn failsafe(documents: &[Document]) -> Result<Failsafe, Vec<Failure>> {
    let declared = documents.iter().find_map(|document| {
        let Some(Object::FabricConfig(config)) = &document.resource.object else { return None };
        Some((document, config))
    });
    declared.map_or(Ok(Failsafe::default()), |(document, config)| {
        check_failsafe(&config.spec.clone().unwrap_or_default()).map_err(|invalids| document.failures(invalids))
    })
}

#[derive(Default)]
struct Reader {
    world: World,
    namespaces: BTreeMap<String, Namespace>,
    profiles: BTreeMap<String, Profile>,
    /// The profiles that endpoints name.
    named: BTreeMap<String, Vec<String>>,
    host_endpoints: BTreeMap<String, HostEndpoint>,
    circles: BTreeMap<String, Circle>,
    /// Floating addresses by name, each with the endpoint it leads to.
    floating: BTreeMap<String, (IpAddr, Option<String>)>,
}

impl Reader {
    fn add(&mut self, document: &Document) -> Result<(), Invalids> {
        check_metadata(&document.resource)?;
        let world = &mut self.world;
        let former = match &document.resource.object {
            Some(Object::Policy(policy)) => {
                let policy = check_policy(policy)?;
                world.policies.insert(policy.name.clone(), policy).is_some()
            }
            Some(Object::Tier(tier)) => {
                let tier = check_tier(tier)?;
                world.tiers.insert(tier.name.clone(), tier).is_some()
            }
            Some(Object::AddressSet(set)) => {
                let set = check_address_set(set)?;
                world.sets.insert(set.name.clone(), set).is_some()
            }
            Some(Object::Namespace(namespace)) => {
                let namespace = check_namespace(namespace)?;
                self.namespaces.insert(namespace.name.clone(), namespace).is_some()
            }
            Some(Object::Profile(profile)) => {
                let profile = check_profile(profile)?;
                self.profiles.insert(profile.name.clone(), profile).is_some()
            }
            Some(Object::Endpoint(endpoint)) => {
                let name = document.resource.name().to_owned();
                let named = endpoint.spec.as_ref().map(|spec| &spec.profiles[..]).unwrap_or_default();
                self.named.insert(name.clone(), check_profiles("spec.profiles", named)?);
                world.endpoints.insert(name, check_endpoint(endpoint)?).is_some()
            }
            Some(Object::HostEndpoint(endpoint)) => {
                let endpoint = check_host_endpoint(endpoint)?;
                self.host_endpoints.insert(endpoint.name.clone(), endpoint).is_some()
            }
            Some(Object::Service(service)) => {
                let addresses = check_service_addresses(service)?;
                world.sets.insert(addresses.name.clone(), addresses).is_some()
            }
            Some(Object::FloatingAddress(one)) => {
                let floating = check_floating_address(one)?;
                self.floating.insert(document.resource.name().to_owned(), floating).is_some()
            }
            Some(Object::Network(network)) => {
                let circle = check_circle(network)?;
                self.circles.insert(circle.name.clone(), circle).is_some()
            }
            Some(
                Object::Pool(_)
                | Object::Host(_)
                | Object::Peer(_)
                | Object::FabricConfig(_)
                | Object::RouteMap(_)
                | Object::StaticRoute(_),
            )
            | None => false,
        };
        match former {
            false => Ok(()),
            true => {
                let message = format!("{} is declared twice", document.title());
                Err(Invalid::new("metadata.name", "DUPLICATE", message).into())
            }
        }
    }

    /// Labels are inherited last: a namespace or profile may be declared after its endpoints.
    fn finish(mut self) -> World {
        let mut world = self.world;
        for (name, circle) in self.circles {
            world.policies.entry(Circle::policy_name(&name)).or_insert_with(|| circle.policy());
            let namespace = circle.namespace(self.namespaces.get(&name));
            self.namespaces.insert(name, namespace);
        }
        for (name, endpoint) in &mut world.endpoints {
            let home = endpoint.namespace.as_deref().map(|name| (name, self.namespaces.get(name)));
            let profiles = self.named[name].iter().map(|name| (name.as_str(), self.profiles.get(name)));
            endpoint.labels = inherited(&endpoint.labels, profiles, home);
        }
        for endpoint in self.host_endpoints.values() {
            world.add_host_endpoint(&endpoint.heir(|name| self.profiles.get(name)));
        }
        for (address, name) in self.floating.into_values() {
            let endpoint = name.and_then(|name| world.endpoints.get_mut(&name));
            let of_family = |one: &&mut poplin_policy::model::Endpoint| {
                one.addresses.iter().any(|own| own.is_ipv4() == address.is_ipv4())
            };
            endpoint.filter(of_family).into_iter().for_each(|one| one.addresses.push(address));
        }
        world.namespaces = self.namespaces.into_iter().map(|(name, namespace)| (name, namespace.labels)).collect();
        world
    }
}

#[cfg(test)]
mod tests {
    use poplin_proto::v1::Manifest;

    use super::*;
    use crate::read;

    fn world_of(text: &str) -> Result<World, Vec<Failure>> {
        world(&read(&Manifest { name: "shop.yaml".to_owned(), text: text.to_owned() })?)
    }

    #[test]
    fn endpoints_inherit_from_a_namespace_declared_after_them() {
        let text = "\
apiVersion: poplin.dev/v1
kind: Endpoint
metadata: {name: web, namespace: shop, labels: {app: web}}
spec: {addresses: [10.77.0.1]}
---
apiVersion: poplin.dev/v1
kind: Namespace
metadata: {name: shop, labels: {team: blue}}
spec: {endpointLabels: {env: prod}}
";
        let world = world_of(text).unwrap();

        let labels: Vec<_> = world.endpoints["web"].labels.iter().collect();
        assert_eq!(labels, [("app", "web"), ("env", "prod"), ("projectcalico.org/namespace", "shop")]);
        assert_eq!(world.namespace_labels("shop").get("team"), Some("blue"));
    }

    #[test]
    fn endpoints_inherit_from_profiles_before_their_namespace() {
        let text = "\
apiVersion: poplin.dev/v1
kind: Endpoint
metadata: {name: web, namespace: shop, labels: {app: web}}
spec: {addresses: [10.77.0.1], profiles: [pci, lost]}
---
apiVersion: poplin.dev/v1
kind: Namespace
metadata: {name: shop}
spec: {endpointLabels: {env: prod}}
---
apiVersion: poplin.dev/v1
kind: Profile
metadata: {name: pci}
spec: {endpointLabels: {env: pci, zone: inner, app: none}}
";
        let world = world_of(text).unwrap();

        let label = |key| world.endpoints["web"].labels.get(key);
        assert_eq!((label("app"), label("env"), label("zone")), (Some("web"), Some("pci"), Some("inner")));
    }

    #[test]
    fn what_is_declared_twice_is_refused_where_it_stands() {
        let tier = "apiVersion: poplin.dev/v1\nkind: Tier\nmetadata: {name: ops}\n";

        let failures = world_of(&format!("{tier}---\n{tier}")).unwrap_err();

        assert_eq!(failures[0].message, "Tier ops: metadata.name: Tier ops is declared twice");
        assert_eq!(failures[0].origin.as_deref(), Some("shop.yaml:7:18"));
    }
}
