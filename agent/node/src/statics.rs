//! Routes that people wrote: which of them this host has, and which of their next hops are to be used.
//!
//! In: the store as last heard, what BFD tells of ways. Out: next hops by prefix, ways to be watched. A next hop is used until BFD has seen
//! the way to it fall, and again once it is up; a strict one waits for that from the first. Rules: RFC 5882 §4.
//! Knows nothing of how next hops are reached, nor of what BGP teaches.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;
use poplin_bgp::Address;
use poplin_bgp::bfd::{Cause, Path, Settings, State, View};
use poplin_policy::selector::Selector;

use crate::kernel::KernelState;
use crate::mirror::Mirror;
use crate::name::StaticRouteName;
use crate::object::{Bfd, Host};
use crate::peering::watched;
use crate::underlay::on_link;

/// Prefixes that hosts reach by routers somebody named.
#[derive(Clone, Debug, PartialEq)]
pub struct StaticRoute {
    /// Its name.
    pub name: StaticRouteName,
    /// Where packets go.
    pub prefixes: BTreeSet<IpNet>,
    /// By whom; several are shared by flow.
    pub next_hops: BTreeSet<Address>,
    /// Hosts that have it.
    pub hosts: Selector,
    /// How the ways to the next hops are watched, if they are.
    pub bfd: Option<Bfd>,
}

/// The routes of this host, and what BFD told of their next hops.
#[derive(Debug, Default)]
pub struct Statics {
    views: BTreeMap<Address, View>,
    /// How the ways are watched, and whether each must be seen up first.
    watched: BTreeMap<Address, (Settings, bool)>,
    routes: BTreeMap<IpNet, BTreeSet<Address>>,
    /// Each next hop, with the object it comes from.
    named: BTreeSet<(StaticRouteName, Address)>,
}

/// A next hop somebody named.
#[derive(Clone, Debug, PartialEq)]
pub struct StaticNextHop {
    /// By which object.
    pub route: StaticRouteName,
    /// Its address.
    pub address: Address,
    /// Whether packets may go there.
    pub is_used: bool,
    /// What BFD tells of the way, if it is asked.
    pub view: Option<View>,
}

impl Statics {
    /// Takes over what is wanted of this host. A way on a link of ours that has gone down stays one on a link.
    pub fn want(&mut self, mirror: &Mirror, me: &Host, kernel: &KernelState) {
        let before = std::mem::take(&mut self.watched);
        self.routes.clear();
        self.named.clear();
        for route in mirror.static_routes().filter(|route| route.hosts.admits(&me.labels)) {
            for next_hop in &route.next_hops {
                self.named.insert((route.name.clone(), *next_hop));
                let bfd = route.bfd.map(|bfd| (settings(&bfd, *next_hop, kernel, before.get(next_hop)), bfd.is_strict));
                self.watched.extend(bfd.map(|bfd| (*next_hop, bfd)));
            }
            for prefix in &route.prefixes {
                self.routes.entry(*prefix).or_default().extend(&route.next_hops);
            }
        }
    }

    /// The ways to be watched.
    pub fn ways(&self) -> BTreeMap<Address, Settings> {
        self.watched.iter().map(|(next_hop, (settings, _))| (*next_hop, *settings)).collect()
    }

    /// BFD tells of a way. One that somebody else had watched may be ours a moment later, and nothing is told again.
    pub fn saw(&mut self, view: &View) {
        self.views.insert(view.neighbour, view.clone());
    }

    /// Nothing is known any more of ways that nobody watches.
    pub fn keep_views(&mut self, watched: &BTreeMap<Address, Settings>) {
        self.views.retain(|way, _| watched.contains_key(way));
    }

    /// Each prefix, and its next hops that are to be used, if any.
    pub fn routes(&self) -> BTreeMap<IpNet, Vec<Address>> {
        let used = |next_hops: &BTreeSet<Address>| next_hops.iter().copied().filter(|one| self.is_used(one)).collect();
        let routes = self.routes.iter().map(|(prefix, next_hops)| (*prefix, used(next_hops)));
        routes.filter(|(_, next_hops): &(IpNet, Vec<Address>)| !next_hops.is_empty()).collect()
    }

    /// Every next hop, by the object that names it.
    pub fn next_hops(&self) -> impl Iterator<Item = StaticNextHop> {
        self.named.iter().map(|(route, address)| StaticNextHop {
            route: route.clone(),
            address: *address,
            is_used: self.is_used(address),
            view: self.views.get(address).cloned(),
        })
    }

    fn is_used(&self, next_hop: &Address) -> bool {
        let Some((_, is_strict)) = self.watched.get(next_hop) else { return true };
        match self.views.get(next_hop) {
            Some(view) if view.state == State::Up => true,
            Some(view) => !is_strict && !view.fall.is_some_and(|fall| is_failure(fall.cause)),
            None => !is_strict,
        }
    }
}

/// Whether a fall says that nothing gets through. Somebody who switches BFD off, or begins anew, says nothing of the kind.
fn is_failure(cause: Cause) -> bool {
    match cause {
        Cause::Silence | Cause::Signalled => true,
        Cause::Restarted | Cause::Administrative => false,
    }
}

fn settings(bfd: &Bfd, next_hop: Address, kernel: &KernelState, before: Option<&(Settings, bool)>) -> Settings {
    let was_direct = before.is_some_and(|(settings, _)| settings.path == Path::Direct);
    let is_direct = was_direct || next_hop.zone().is_some() || on_link(kernel, next_hop.ip()).is_some();
    watched(bfd, bfd.is_multihop.unwrap_or(!is_direct)).settings
}
