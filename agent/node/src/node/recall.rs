//! A life that begins while the store is away: what an earlier one wrote down may lag behind the kernel, so what stands there stays as it is.
//!
//! Nothing recalled is loaded over rules that stand, no link but that of who leaves is touched, and only what the kernel holds is announced. The
//! kernel is of the same boot: without that nothing is recalled. Once the store is read all goes its usual way.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;
use poplin_policy::ruleset::Interface;

use crate::kernel::{Gateway, KernelState, Target};
use crate::lan::Lan;
use crate::mirror::Mirror;
use crate::name::AttachmentId;
use crate::object::{Object, ObjectKey, Versioned};
use crate::plan::Desired;
use crate::policing::Load;

use super::Node;

impl Node {
    /// What an earlier life knew. Whoever has read the store knows better.
    pub(super) fn store_recalled(
        &mut self,
        revision: i64,
        objects: Vec<Versioned<Object>>,
        shared: i64,
        rules_stand: bool,
    ) {
        if self.mirror.is_some() {
            return;
        }
        let objects = self.recall_history(objects, shared);
        let mirror = Mirror::recalled(revision, objects);
        // An earlier life may have died before it had told all.
        self.reassertion.is_to_be_told |= mirror.lapsed().next().is_some();
        self.mirror = Some(mirror);
        self.is_recalled = true;
        self.keeps_rules = rules_stand;
        self.policing.touch();
    }

    /// What the kernel should hold as long as all that is known is recalled: what it holds, without who leaves.
    pub(super) fn desired_by_recall(&mut self) -> Option<(Desired, Option<Load>)> {
        self.follow_tunnels();
        let departing = self.departing();
        let mirror = self.mirror.as_ref()?;
        let local = || Self::local(mirror, &self.identity.host, &departing);
        let due = match self.keeps_rules {
            true => {
                self.policing.look(mirror, local());
                None
            }
            false => self.policing.due(mirror, local()),
        };
        // Of whom an earlier life let go no link stands any more: one of that name came later.
        let leaving_now = self.jobs.departing();
        let leaving = mirror.endpoints_on(&self.identity.host).filter(|one| leaving_now.contains(&one.attachment));
        let only_leaving: BTreeSet<Interface> = leaving.map(|one| one.interface.clone()).collect();
        let desired = Desired {
            rules: due.as_ref().map(|load| load.changes.clone()).unwrap_or_default(),
            only_leaving: Some(only_leaving),
            routes: self.routes_that_stay(mirror, &departing),
            forwarding: self.needs_forwarding(),
            gateways: Self::gateways(mirror, local()),
            links: BTreeMap::new(),
            proxied: BTreeSet::new(),
            closed: BTreeSet::new(),
            sandboxes: Vec::new(),
            tunnel: self.tunnelling.tunnel(),
            keeps_tunnel: true,
            tunnel_rests: self.tunnel_after.is_some(),
        };
        Some((desired, due))
    }

    /// Routes as they stand, and those to services that were found to be served since.
    fn routes_that_stay(&self, mirror: &Mirror, departing: &BTreeSet<AttachmentId>) -> BTreeMap<IpNet, Target> {
        let mut routes = self.serving.routes.clone();
        let standing = self.kernel.iter().flat_map(|kernel| &kernel.routes);
        for (prefix, target) in standing {
            match target {
                Target::Blackhole => drop(routes.insert(*prefix, target.clone())),
                Target::Endpoints(gateways) => {
                    let stay = |gateway: &&Gateway| self.goes_on_serving(mirror, departing, prefix, gateway);
                    let gateways: BTreeSet<Gateway> = gateways.iter().filter(stay).copied().collect();
                    match gateways.is_empty() {
                        true => drop(routes.remove(prefix)),
                        false => drop(routes.insert(*prefix, Target::Endpoints(gateways))),
                    }
                }
                Target::Link(_) | Target::Gateways(_) | Target::Group(_) => {}
            }
        }
        routes
    }

    /// Whether one to whom a service's address leads stays: a stranger does, and of those known who neither leaves nor is found to be unwell.
    fn goes_on_serving(
        &self,
        mirror: &Mirror,
        departing: &BTreeSet<AttachmentId>,
        prefix: &IpNet,
        gateway: &Gateway,
    ) -> bool {
        let mut known = mirror.endpoints_on(&self.identity.host);
        let is_served = || mirror.services().any(|service| service.addresses.contains(&prefix.addr()));
        let is_wanted =
            || matches!(self.serving.routes.get(prefix), Some(Target::Endpoints(all)) if all.contains(gateway));
        known
            .find(|one| one.addresses.contains(&gateway.address))
            .is_none_or(|one| !departing.contains(&one.attachment) && (is_wanted() || !is_served()))
    }

    /// Whether a link here may be that of an endpoint that cannot be read, or is still to be imported.
    pub(super) fn has_strangers(&self, mirror: &Mirror) -> bool {
        self.is_importing || mirror.unknown().any(|key| matches!(key, ObjectKey::Endpoint(_) | ObjectKey::Block(..)))
    }
}

/// What this host announces while it does not know better: own blocks that the void holds, and addresses that lead to a link beside them.
/// Only an agent that held a block wrote such a route, and the store has not told it otherwise since.
/// Of a LAN nothing is.
pub(super) fn announced(mirror: &Mirror, kernel: &KernelState) -> BTreeSet<IpNet> {
    let lan = Lan::of(mirror);
    let held = kernel.routes.iter().filter(|(_, target)| **target == Target::Blackhole).map(|(prefix, _)| *prefix);
    let blocks: BTreeSet<IpNet> = held.collect();
    let linked =
        kernel.routes.iter().filter(|(_, target)| matches!(target, Target::Link(_))).map(|(prefix, _)| *prefix);
    let linked = linked.filter(|prefix| !lan.has(prefix.addr()));
    let strays = linked.filter(|prefix| !blocks.iter().any(|block| block.contains(prefix)));
    let strays: BTreeSet<IpNet> = strays.collect();
    &blocks | &strays
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_is_announced_whatever_was_written_down() {
        let link = |number| Target::Link(Interface::new(format!("pop{number}")).unwrap());
        let routes = [("10.9.0.0/26", Target::Blackhole), ("10.9.0.3/32", link(0)), ("10.9.7.1/32", link(1))];
        let routes = routes.into_iter().map(|(prefix, target)| (prefix.parse().unwrap(), target)).collect();

        let announced = announced(&Mirror::default(), &KernelState { routes, ..KernelState::default() });

        let wanted: [IpNet; 2] = ["10.9.0.0/26".parse().unwrap(), "10.9.7.1/32".parse().unwrap()];
        assert_eq!(announced, BTreeSet::from(wanted));
    }
}
