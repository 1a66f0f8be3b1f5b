//! A host's edge, and what it does with packets that leave.

use std::collections::BTreeSet;
use std::net::IpAddr;

use poplin_policy::compile::{Compiler, compile};
use poplin_policy::delta::apply;
use poplin_policy::host::{Host, WorkloadToHost};
use poplin_policy::nat::Edge;
use poplin_policy::packet::Packet;
use poplin_policy::ruleset::{HookPoint, Ruleset, SourceNat};
use poplin_policy::walk::source_nat;
use poplin_policy::world::World;

use crate::fleet::{at, interface_of, one_host, uplink};

/// The rules of a host where nobody is, with this edge.
pub(crate) fn with(edge: &Edge) -> Ruleset {
    compile(&World::default(), &Host { edge: edge.clone(), ..one_host(&World::default(), WorkloadToHost::Drop) })
}

/// The source a packet leaves under, if not its own.
pub(crate) fn leaving(rules: &Ruleset, source: IpAddr, destination: IpAddr) -> Option<SourceNat> {
    let packet = Packet::tcp(source, destination, (40_000, 443));
    source_nat(rules, &at(HookPoint::Postrouting, &interface_of("x"), Some(&uplink()), &packet))
}

/// Tells a compiler of one edge after another.
fn lead(compiler: &mut Compiler, from: &Edge, to: &Edge) {
    let pools: BTreeSet<&String> = from.pools.keys().chain(to.pools.keys()).collect();
    pools.into_iter().for_each(|name| compiler.set_pool(name, to.pools.get(name).cloned()));
    let floating: BTreeSet<&String> = from.floating.keys().chain(to.floating.keys()).collect();
    floating.into_iter().for_each(|name| compiler.set_floating(name, to.floating.get(name).copied()));
    compiler.set_tunnel_ends(to.ends.clone());
    let hosts: BTreeSet<&String> = from.hosts.keys().chain(to.hosts.keys()).collect();
    hosts.into_iter().for_each(|name| compiler.set_fabric_addresses(name, to.hosts.get(name).cloned()));
}

/// The rules follow from an edge, whatever edges came before it.
pub(crate) fn assert_roads_agree(edges: Vec<Edge>) {
    let mut compiler = Compiler::of(&World::default(), &one_host(&World::default(), WorkloadToHost::Drop));
    let mut kernel = Ruleset::default();
    let mut before = Edge::default();
    for edge in edges {
        lead(&mut compiler, &before, &edge);
        apply(&mut kernel, &compiler.take_changes());
        assert_eq!(kernel, with(&edge));
        before = edge;
    }
}
