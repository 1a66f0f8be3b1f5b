//! What the kernel lacks of groups and routes, a piece at a time.
//!
//! In: the kernel as last seen. Out: what should be changed, in three parts that come in this order: objects that routes are to point at,
//! routes, objects that nothing points at any more. So no route ever points at nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;

use crate::kernel::{Gateway, KernelState, NextHop, NextHopId, Step, Target};

use super::Groups;

/// A piece of what is due.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Due {
    /// Objects to be made or changed.
    pub objects: Vec<Step>,
    /// Learned routes the kernel may hold otherwise, and where they should lead; nothing = nowhere.
    pub routes: BTreeMap<IpNet, Option<Lead>>,
    /// Objects nothing points at once these routes are changed.
    pub unused: Vec<Step>,
    /// Whether nothing more is due after it.
    pub is_last: bool,
}

/// What a learned route should be.
#[derive(Clone, Debug, PartialEq)]
pub struct Lead {
    /// Through what it leads.
    pub target: Target,
    /// Under which address this host itself speaks by it; absent = the kernel chooses.
    pub source: Option<IpAddr>,
}

impl Lead {
    /// Whether the route to this prefix is so already.
    pub fn stands(&self, prefix: &IpNet, seen: &KernelState) -> bool {
        seen.learned.get(prefix) == Some(&self.target) && seen.sources.get(prefix) == self.source.as_ref()
    }
}

impl Groups {
    /// The next piece: all objects, and at most so many routes. It counts as done until the kernel is [doubted](Groups::doubt).
    pub fn take_due(&mut self, seen: &KernelState, most: usize) -> Due {
        if std::mem::take(&mut self.is_all_due) {
            self.avoid_occupied(seen);
            self.due = self.differences(seen);
        }
        let wanted = self.objects();
        let later = self.due.iter().nth(most).copied();
        let rest = later.map(|later| self.due.split_off(&later)).unwrap_or_default();
        let now = std::mem::replace(&mut self.due, rest);
        // A route that ends on this host hides a learned one to the same destination, until it goes.
        let hidden = seen.routes.keys().filter(|prefix| self.routes.contains_key(prefix)).copied();
        let route = |prefix: IpNet| (prefix, self.lead(&prefix, seen));
        let routes = now.into_iter().chain(hidden).map(route).collect();
        let is_last = self.due.is_empty();
        let unused = if is_last { unused(&wanted, seen) } else { Vec::new() };
        Due { objects: missing(wanted, seen), routes, unused, is_last }
    }

    /// Where the kernel, as far as seen, holds something else.
    fn differences(&self, seen: &KernelState) -> BTreeSet<IpNet> {
        let stands = |prefix: &IpNet| self.lead(prefix, seen).is_some_and(|lead| lead.stands(prefix, seen));
        let lacking = self.routes.keys().filter(|prefix| !stands(prefix));
        let lost = seen.learned.keys().filter(|prefix| !self.routes.contains_key(prefix));
        lacking.chain(lost).copied().collect()
    }

    /// Where a prefix should lead. While nobody knows what the others know this host by, routes keep the address they have.
    fn lead(&self, prefix: &IpNet, seen: &KernelState) -> Option<Lead> {
        let target = self.routes.get(prefix)?.clone();
        let source = match &self.sources {
            Some(sources) => self.led(&target).and_then(|gateways| sources.of(prefix, gateways)),
            None => seen.sources.get(prefix).copied(),
        };
        Some(Lead { target, source })
    }

    fn led<'a>(&'a self, target: &'a Target) -> Option<&'a BTreeSet<Gateway>> {
        match target {
            Target::Group(id) => self.groups.get(id).map(|group| &*group.gateways),
            Target::Gateways(gateways) => Some(gateways),
            Target::Link(_) | Target::Endpoints(_) | Target::Blackhole => None,
        }
    }

    /// All objects that should be.
    fn objects(&mut self) -> BTreeMap<NextHopId, NextHop> {
        let gateways: BTreeSet<Gateway> =
            self.groups.values().flat_map(|group| group.gateways.iter().copied()).collect();
        self.numbers.keep(&gateways);
        let mut objects: BTreeMap<_, _> =
            gateways.into_iter().map(|gateway| (self.numbers.single(gateway), NextHop::Single(gateway))).collect();
        for (id, group) in &self.groups {
            let members = group.gateways.iter().map(|gateway| self.numbers.single(*gateway)).collect();
            objects.insert(*id, NextHop::Group(members));
        }
        objects
    }

    /// Another hand may have put an object of another kind under a number of ours, and the kernel changes no kind in its place; or one of its
    /// own, which is left alone.
    fn avoid_occupied(&mut self, seen: &KernelState) {
        self.numbers.avoid(&seen.foreign_next_hops);
        for id in &seen.foreign_next_hops {
            let gateway = self.numbers.gateway_of(*id);
            gateway.into_iter().for_each(|gateway| self.numbers.renumber(gateway));
            self.renumber(*id);
        }
        for (id, found) in &seen.next_hops {
            match found {
                NextHop::Group(_) => {
                    let gateway = self.numbers.gateway_of(*id);
                    gateway.into_iter().for_each(|gateway| self.numbers.renumber(gateway));
                }
                NextHop::Single(_) => self.renumber(*id),
            }
        }
    }

    fn renumber(&mut self, id: NextHopId) {
        let Some(group) = self.groups.remove(&id) else { return };
        let new = self.numbers.take();
        self.by_gateways.insert((group.is_v6, group.gateways.clone()), new);
        self.groups.insert(new, group);
        let pointing = self.routes.values_mut().filter(|target| **target == Target::Group(id));
        pointing.for_each(|target| *target = Target::Group(new));
    }
}

/// Objects that do not stand as they should, singles before the groups that take them in.
fn missing(wanted: BTreeMap<NextHopId, NextHop>, seen: &KernelState) -> Vec<Step> {
    let missing = wanted.into_iter().filter(|(id, next_hop)| seen.next_hops.get(id) != Some(next_hop));
    let (groups, singles): (Vec<_>, Vec<_>) = missing.partition(|(_, next_hop)| is_group(next_hop));
    singles.into_iter().chain(groups).map(|(id, next_hop)| Step::SetNextHop { id, next_hop }).collect()
}

/// Objects nobody wants, groups before their members.
fn unused(wanted: &BTreeMap<NextHopId, NextHop>, seen: &KernelState) -> Vec<Step> {
    let unused = seen.next_hops.iter().filter(|(id, _)| !wanted.contains_key(id));
    let (groups, singles): (Vec<_>, Vec<_>) = unused.partition(|(_, next_hop)| is_group(next_hop));
    groups.into_iter().chain(singles).map(|(id, _)| Step::RemoveNextHop(*id)).collect()
}

fn is_group(next_hop: &NextHop) -> bool {
    match next_hop {
        NextHop::Group(_) => true,
        NextHop::Single(_) => false,
    }
}
