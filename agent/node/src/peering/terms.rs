//! What this host exchanges with whom: which route maps hold, who reflects for whom, and whom reflectors make needless.
//!
//! In: the fabric's settings, this host, and one neighbour after the other. Out: an [`Exchange`] each, and what cannot be meant so.
//! Hosts of one AS are joined by a mesh, until somebody labels some of them to be reflectors: then each of the others is joined to
//! these alone. A session that reflectors make needless is not cut but retires, and a host that is a reflector no more goes on
//! reflecting until then: see `retire.rs` in the `bgp` crate. When the mesh returns there is nothing to retire, and it goes on
//! reflecting for a while: `node/route.rs` says how long.

use std::net::Ipv4Addr;

use poplin_bgp::{Asn, Exchange, RouteRules};

use crate::mirror::Mirror;
use crate::name::RouteMapName;
use crate::object::{Fabric, Host, Peer, RouteMaps};

/// How many paths to one prefix another host is told: a reflector knows as many as there are hosts that serve. As many as peers are told.
const PATHS: usize = 8;

pub(super) struct Terms<'a> {
    mirror: &'a Mirror,
    fabric: &'a Fabric,
    asn: Asn,
    cluster: Ipv4Addr,
    is_reflector: bool,
    /// Whether our AS has reflectors.
    are_reflected: bool,
    /// Whether we reflect for whom we did, although we are no reflector any more.
    lingers: bool,
    problems: Vec<String>,
}

impl<'a> Terms<'a> {
    pub(super) fn new(mirror: &'a Mirror, fabric: &'a Fabric, me: &Host, asn: Asn, lingers: bool) -> Self {
        let cluster = fabric.routing.cluster.unwrap_or(me.router_id);
        let is_ours = |host: &Host| host.asn.unwrap_or(fabric.asn) == asn;
        let are_reflected = mirror.hosts().any(|host| is_ours(host) && reflects(fabric, host));
        let is_reflector = reflects(fabric, me);
        Self { mirror, fabric, asn, cluster, is_reflector, are_reflected, lingers, problems: Vec::new() }
    }

    pub(super) fn into_problems(self) -> Vec<String> {
        self.problems
    }

    /// What is exchanged with a peer outside the fabric.
    pub(super) fn with_peer(&mut self, peer: &Peer) -> Exchange {
        let theirs = peer.asn.seen_from(self.asn);
        let is_external = theirs.is_external(self.asn);
        if peer.is_client && is_external {
            let (name, ours) = (&peer.name, self.asn);
            let theirs = theirs.named().map_or_else(|| "another AS".to_owned(), |asn| format!("AS {asn}"));
            self.problems.push(format!("peer {name} is in {theirs}, so nobody in AS {ours} can reflect for it"));
        }
        let unnamed = match is_external && self.fabric.routing.is_closed_outside {
            true => RouteRules::Closed,
            false => RouteRules::Open,
        };
        let who = format!("peer {}", peer.name);
        Exchange {
            client_of: (peer.is_client && !is_external).then_some(self.cluster),
            transit: peer.is_transit,
            paths: peer.paths,
            ..self.ruled(&who, &peer.maps, &unnamed)
        }
    }

    /// What is exchanged with another host, if it is a neighbour, or was one and is still needed; before, it was this.
    pub(super) fn with_host<'b>(
        &mut self,
        host: &Host,
        before: impl FnOnce() -> Option<&'b Exchange>,
    ) -> Option<Exchange> {
        let is_ours = host.asn.unwrap_or(self.fabric.asn) == self.asn;
        let is_other_reflector = reflects(self.fabric, host);
        let is_joined = !(is_ours && self.are_reflected) || self.is_reflector || is_other_reflector;
        let is_client = is_ours && self.is_reflector && !is_other_reflector;
        let client_of = match is_joined {
            true if is_client => Some(self.cluster),
            true if self.lingers => before().and_then(|before| before.client_of),
            true => None,
            false => before()?.client_of,
        };
        let maps = &self.fabric.routing.mesh;
        let ruled = self.ruled("the fabric's configuration", maps, &RouteRules::Open);
        Some(Exchange { client_of, retiring: !is_joined, paths: PATHS, ..ruled })
    }

    fn ruled(&mut self, who: &str, maps: &RouteMaps, unnamed: &RouteRules) -> Exchange {
        let import = self.rules(who, maps.import.as_ref(), unnamed);
        let export = self.rules(who, maps.export.as_ref(), unnamed);
        Exchange { import, export, ..Exchange::default() }
    }

    /// A map that is not there lets nothing pass: what it was to keep out must not come in.
    fn rules(&mut self, who: &str, name: Option<&RouteMapName>, unnamed: &RouteRules) -> RouteRules {
        let Some(name) = name else { return unnamed.clone() };
        match self.mirror.route_map(name) {
            Some(map) => RouteRules::Map(map.rules.clone()),
            None => {
                let problem = format!("{who} names route map {name}, which is not there: no route passes");
                if !self.problems.contains(&problem) {
                    self.problems.push(problem);
                }
                RouteRules::Closed
            }
        }
    }
}

/// Whether this host is one of the fabric's reflectors.
pub fn reflects(fabric: &Fabric, host: &Host) -> bool {
    fabric.routing.reflectors.as_ref().is_some_and(|reflectors| reflectors.admits(&host.labels))
}

#[cfg(test)]
mod tests;
