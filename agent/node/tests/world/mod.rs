//! What a node in virtual time is surrounded by: who it is, pools, and who wants to join. How store and kernel behave is each test's own.

#![allow(dead_code)] // no test wants all of it

use std::collections::BTreeSet;

use poplin_bgp::wire::Family;
use poplin_node::lineage::Id;
use poplin_node::name::{AttachmentId, EndpointName, HostName, PeerName, PoolName};
use poplin_node::object::{Object, Peer, PeerAs, Place, Pool, RouteMaps};
use poplin_node::request::Attach;
use poplin_node::{Identity, Node};
use poplin_policy::label::Labels;
use poplin_policy::selector::Selector;

/// Host `h1` at 172.31.0.1, which knows nothing of the world yet.
pub(crate) fn node() -> Node {
    named("h1", None)
}

/// A host at 172.31.0.1 on that machine, which knows nothing of the world yet.
pub(crate) fn named(host: &str, machine: Option<Id>) -> Node {
    Node::new(Identity {
        host: HostName::new(host),
        labels: Labels::default(),
        addresses: BTreeSet::from(["172.31.0.1".parse().unwrap()]),
        asn: None,
        router_id: None,
        machine,
        release: None,
    })
}

/// A pool that any host may use.
pub(crate) fn pool(name: &str, cidr: &str, block_bits: u8) -> Object {
    Object::Pool(Pool::open(PoolName::new(name), cidr.parse().unwrap(), block_bits))
}

/// The first interface of a container.
pub(crate) fn id(container: &str) -> AttachmentId {
    AttachmentId { container: container.to_owned(), interface: "eth0".to_owned() }
}

/// A container that takes any address, under a name or none.
pub(crate) fn wish(container: &str, name: Option<&str>) -> Attach {
    Attach {
        attachment: id(container),
        name: name.map(EndpointName::new),
        labels: Labels::default(),
        namespace: None,
        ports: Vec::new(),
        published: Vec::new(),
        netns: format!("/run/netns/{container}").into(),
        addresses: BTreeSet::new(),
        preferred: Vec::new(),
        has_all_addresses: false,
        mac: None,
        network: None,
        pools: BTreeSet::new(),
        is_sticky: false,
        profiles: Vec::new(),
        at: None,
        aliases: BTreeSet::new(),
    }
}

/// A BGP neighbour of every host, of whom nothing else is said.
pub(crate) fn peer(name: &str, place: Place, asn: PeerAs) -> Peer {
    Peer {
        name: PeerName::new(name),
        place,
        port: 179,
        asn,
        hosts: Selector::all(),
        timers: Default::default(),
        bfd: None,
        maps: RouteMaps::default(),
        is_client: false,
        is_transit: false,
        add_paths: Default::default(),
        paths: 8,
        protection: Default::default(),
        limits: Default::default(),
        shutdown: None,
        is_passive: false,
        families: Family::ALL.into(),
        long_lived: None,
        is_gentle: false,
        extended_messages: true,
        extended_next_hop: None,
        role: None,
    }
}
