//! Translates between the wire contract and the head's own words, and checks everything on the way in.
//!
//! In: messages of `poplin.v1`, or values of the store. Out: [`Object`]s that cannot be wrong, or what is wrong and where.
//! Knows nothing of gRPC or of the store's connection. This is the border: within it nobody checks again.

mod bfd;
mod block;
mod endpoint;
mod floating;
mod forward;
mod host;
mod key;
mod limits;
mod lineage;
mod mac;
mod macvlan;
mod monitoring;
mod naming;
mod nat;
mod network;
mod peer;
mod pool;
mod protection;
mod readiness;
mod route_map;
mod service;
mod static_route;
mod stored;
mod timers;

pub use key::{IMPORTING, ROOT, key_of, kind_prefix, path_of, path_of_name};
pub use stored::{StoredError, decode, decode_resource, encode};

use poplin_manifest::field::{Invalid, Invalids};
use poplin_manifest::{
    check_address_set, check_host_endpoint, check_metadata, check_namespace, check_policy, check_profile, check_tier,
};
use poplin_node::object::Object;
use poplin_proto::v1::{self, resource};

/// Checks one message and turns it into an object.
pub fn check(resource: &v1::Resource) -> Result<Object, Invalids> {
    check_metadata(resource)?;
    let Some(object) = &resource.object else {
        return Err(Invalid::new("", "EMPTY", "the resource has no object in it").into());
    };
    match object {
        resource::Object::Pool(pool) => pool::check(pool).map(Object::Pool),
        resource::Object::Host(host) => host::check(host).map(Object::Host),
        resource::Object::Endpoint(endpoint) => endpoint::check(endpoint).map(Object::Endpoint),
        resource::Object::Policy(policy) => check_policy(policy).map(Object::Policy),
        resource::Object::Tier(tier) => check_tier(tier).map(Object::Tier),
        resource::Object::AddressSet(set) => check_address_set(set).map(Object::AddressSet),
        resource::Object::Peer(peer) => peer::check(peer).map(Object::Peer),
        resource::Object::FabricConfig(config) => host::check_fabric(config).map(Object::Fabric),
        resource::Object::Namespace(namespace) => check_namespace(namespace).map(Object::Namespace),
        resource::Object::HostEndpoint(one) => check_host_endpoint(one).map(Object::HostEndpoint),
        resource::Object::RouteMap(map) => route_map::check(map).map(Object::RouteMap),
        resource::Object::Service(service) => service::check(service).map(Object::Service),
        resource::Object::StaticRoute(route) => static_route::check(route).map(Object::StaticRoute),
        resource::Object::Profile(profile) => check_profile(profile).map(Object::Profile),
        resource::Object::FloatingAddress(one) => floating::check(one).map(Object::FloatingAddress),
        resource::Object::Network(network) => network::check(network).map(Object::Network),
    }
}

pub use endpoint::show as show_endpoint;
pub use floating::show as show_floating;
pub use mac::mac;
pub(crate) use naming::aliases;
pub(crate) use peer::communication;
