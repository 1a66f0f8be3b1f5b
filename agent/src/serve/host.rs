//! What the store says of hosts and of policy, for who asks about packets.

use std::collections::BTreeMap;

use poplin_manifest::Site;
use poplin_node::object::{Endpoint, Fabric, Host, Object, ObjectKey};
use poplin_node::outlook;
use poplin_policy::host::HostEndpoint;

/// The fabric, as far as it has a say about packets.
pub(super) fn site(objects: &BTreeMap<ObjectKey, Object>) -> Site {
    let fabric = objects.get(&ObjectKey::Fabric).and_then(|object| <&Fabric>::try_from(object).ok());
    let Fabric { failsafe, workload_to_host, naming, .. } = fabric.cloned().unwrap_or_default();
    let all = objects.values();
    let hosts = all.clone().filter_map(|object| <&Host>::try_from(object).ok());
    let endpoints = all.clone().filter_map(|object| <&Endpoint>::try_from(object).ok());
    let host_endpoints = all.clone().filter_map(|object| <&HostEndpoint>::try_from(object).ok());
    Site {
        world: outlook::world(all.clone()),
        hosts: hosts.map(|host| (host.name.to_string(), host.addresses.clone())).collect(),
        homes: endpoints.map(|one| (one.name.to_string(), one.host.to_string())).collect(),
        host_endpoints: host_endpoints.cloned().collect(),
        failsafe,
        workload_to_host,
        serves_names: naming.is_served,
    }
}
