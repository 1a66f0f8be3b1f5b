//! Where each object stands in the store, on one page.
//!
//! ```text
//! /poplin/v1/c/KIND/NAME      what people declare: pool, policy, tier, addressset, peer, fabricconfig, namespace, hostendpoint,
//!                             routemap, network, service, staticroute, profile, floatingaddress;
//!                             a policy or address set that lives in a namespace: NAMESPACE/NAME
//! /poplin/v1/h/HOST           hosts
//! /poplin/v1/e/ENDPOINT       endpoints; the key makes their names unique in the fabric
//! /poplin/v1/b/POOL/BLOCK     blocks: owner and taken addresses; the block 10.77.0.0/26 is written 10.77.0.0-26
//! /poplin/v1/meta/lineage     which fabric the store is of, and which of its histories it tells
//! /poplin/v1/meta/min_writer  from which schema on agents may write (`schema.rs`)
//! /poplin/v1/t/ID             changes on trial
//! /poplin/v1/x/…, s/…         parts of large values, and pieces of large changes (`store/whole`)
//! ```

use ipnet::IpNet;
use poplin_node::name::{
    EndpointName, FloatingName, HostName, NetworkName, PeerName, PoolName, RouteMapName, ServiceName, StaticRouteName,
};
use poplin_node::object::ObjectKey;
use poplin_policy::model::QualifiedName;

/// Everything of ours stands below it.
pub const ROOT: &str = "/poplin/v1/";

/// Stands as long as an import takes more than one transaction.
pub const IMPORTING: &str = "/poplin/v1/meta/importing";

/// The key of an object.
pub fn path_of(key: &ObjectKey) -> String {
    match key {
        ObjectKey::Pool(name) => format!("{ROOT}c/pool/{name}"),
        ObjectKey::Policy(name) => format!("{ROOT}c/policy/{name}"),
        ObjectKey::Tier(name) => format!("{ROOT}c/tier/{name}"),
        ObjectKey::AddressSet(name) => format!("{ROOT}c/addressset/{name}"),
        ObjectKey::Peer(name) => format!("{ROOT}c/peer/{name}"),
        ObjectKey::Fabric => format!("{ROOT}c/fabricconfig/{}", super::host::FABRIC_NAME),
        ObjectKey::Namespace(name) => format!("{ROOT}c/namespace/{name}"),
        ObjectKey::HostEndpoint(name) => format!("{ROOT}c/hostendpoint/{name}"),
        ObjectKey::RouteMap(name) => format!("{ROOT}c/routemap/{name}"),
        ObjectKey::Network(name) => format!("{ROOT}c/network/{name}"),
        ObjectKey::Service(name) => format!("{ROOT}c/service/{name}"),
        ObjectKey::StaticRoute(name) => format!("{ROOT}c/staticroute/{name}"),
        ObjectKey::Profile(name) => format!("{ROOT}c/profile/{name}"),
        ObjectKey::FloatingAddress(name) => format!("{ROOT}c/floatingaddress/{name}"),
        ObjectKey::Host(name) => format!("{ROOT}h/{name}"),
        ObjectKey::Endpoint(name) => format!("{ROOT}e/{name}"),
        ObjectKey::Lineage => format!("{ROOT}meta/lineage"),
        ObjectKey::Block(pool, cidr) => format!("{ROOT}b/{pool}/{}", cidr.to_string().replace('/', "-")),
    }
}

/// The object a key belongs to; nothing for keys this version does not know.
pub fn key_of(path: &str) -> Option<ObjectKey> {
    let parts: Vec<&str> = path.strip_prefix(ROOT)?.split('/').collect();
    match parts.as_slice() {
        ["c", kind, name] => declared(kind, QualifiedName::global(*name)),
        ["c", kind @ ("policy" | "addressset"), namespace, name] => {
            declared(kind, QualifiedName::within(*namespace, *name))
        }
        ["meta", "lineage"] => Some(ObjectKey::Lineage),
        ["h", name] => Some(ObjectKey::Host(HostName::new(*name))),
        ["e", name] => Some(ObjectKey::Endpoint(EndpointName::new(*name))),
        ["b", pool, block] => {
            let cidr: IpNet = block.replace('-', "/").parse().ok()?;
            Some(ObjectKey::Block(PoolName::new(*pool), cidr))
        }
        _ => None,
    }
}

fn declared(kind: &str, qualified: QualifiedName) -> Option<ObjectKey> {
    let name = qualified.name();
    Some(match kind {
        "policy" => ObjectKey::Policy(qualified),
        "addressset" => ObjectKey::AddressSet(qualified),
        "pool" => ObjectKey::Pool(PoolName::new(name)),
        "tier" => ObjectKey::Tier(name.to_owned()),
        "namespace" => ObjectKey::Namespace(name.to_owned()),
        "hostendpoint" => ObjectKey::HostEndpoint(name.to_owned()),
        "routemap" => ObjectKey::RouteMap(RouteMapName::new(name)),
        "network" => ObjectKey::Network(NetworkName::new(name)),
        "service" => ObjectKey::Service(ServiceName::new(name)),
        "staticroute" => ObjectKey::StaticRoute(StaticRouteName::new(name)),
        "profile" => ObjectKey::Profile(name.to_owned()),
        "floatingaddress" => ObjectKey::FloatingAddress(FloatingName::new(name)),
        "peer" => ObjectKey::Peer(PeerName::new(name)),
        "fabricconfig" => ObjectKey::Fabric,
        _ => return None,
    })
}

/// The key of the object a kind and a name stand for.
pub fn path_of_name(kind: &str, name: &str) -> Option<String> {
    Some(kind_prefix(kind)? + name)
}

/// What the keys of a kind begin with.
pub fn kind_prefix(kind: &str) -> Option<String> {
    Some(match kind {
        "Host" => format!("{ROOT}h/"),
        "Endpoint" => format!("{ROOT}e/"),
        "Pool" | "Policy" | "Tier" | "AddressSet" | "Peer" | "FabricConfig" | "Namespace" | "HostEndpoint"
        | "RouteMap" | "Network" | "Service" | "StaticRoute" | "Profile" | "FloatingAddress" => {
            format!("{ROOT}c/{}/", kind.to_ascii_lowercase())
        }
        _ => return None,
    })
}

/// The kind of the wire contract an object is of; blocks, and what a store says of itself, have none.
pub(super) fn kind_of(key: &ObjectKey) -> Option<&'static str> {
    match key {
        ObjectKey::Pool(_) => Some("Pool"),
        ObjectKey::Policy(_) => Some("Policy"),
        ObjectKey::Tier(_) => Some("Tier"),
        ObjectKey::AddressSet(_) => Some("AddressSet"),
        ObjectKey::Peer(_) => Some("Peer"),
        ObjectKey::Fabric => Some("FabricConfig"),
        ObjectKey::Namespace(_) => Some("Namespace"),
        ObjectKey::HostEndpoint(_) => Some("HostEndpoint"),
        ObjectKey::RouteMap(_) => Some("RouteMap"),
        ObjectKey::Network(_) => Some("Network"),
        ObjectKey::Service(_) => Some("Service"),
        ObjectKey::StaticRoute(_) => Some("StaticRoute"),
        ObjectKey::Profile(_) => Some("Profile"),
        ObjectKey::FloatingAddress(_) => Some("FloatingAddress"),
        ObjectKey::Host(_) => Some("Host"),
        ObjectKey::Endpoint(_) => Some("Endpoint"),
        ObjectKey::Block(..) | ObjectKey::Lineage => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_leads_back_to_its_object() {
        let block = ObjectKey::Block(PoolName::new("v6"), "fd00:4::40/122".parse().unwrap());
        let host = ObjectKey::Host(HostName::new("h1.example"));
        let policies = ["db", "shop/db"].map(|name| ObjectKey::Policy(name.into()));
        let host_endpoint = ObjectKey::HostEndpoint("h1-eth0".to_owned());
        let route_map = ObjectKey::RouteMap(RouteMapName::new("from-tor"));
        let network = ObjectKey::Network(NetworkName::new("shop"));
        let service = ObjectKey::Service(ServiceName::new("dns"));
        let floating = ObjectKey::FloatingAddress(FloatingName::new("198.51.100.7"));
        let all =
            [block, host, host_endpoint, route_map, network, service, floating, ObjectKey::Fabric, ObjectKey::Lineage];
        for key in all.into_iter().chain(policies) {
            assert_eq!(key_of(&path_of(&key)), Some(key));
        }
    }

    #[test]
    fn a_key_of_a_later_version_belongs_to_nothing() {
        assert_eq!(key_of("/poplin/v1/c/quota/gold"), None);
        assert_eq!(key_of("/poplin/v2/h/one"), None);
    }
}
