//! Which gateways each learned prefix is led to, recomputed where something changed and nowhere else.
//!
//! In: what BGP teaches, what an earlier life left in the kernel, and the kernel's own routes. Out: gateways by prefix, and which prefixes
//! were touched. Prefixes with the same next hops share one answer. Knows nothing of next hop objects, nor of what stands in the kernel.

mod ways;

#[cfg(test)]
mod tests;

use poplin_bgp::{Address, Zone};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ipnet::IpNet;

use crate::kernel::{Gateway, KernelState, UnderlayRoute};
use crate::tunnel::{Encapsulation, Tunnels};
use crate::underlay::Learned;

use ways::Ways;

/// Gateways of equal cost, at least one. Many prefixes share them.
pub type Gateways = Arc<BTreeSet<Gateway>>;

/// The learned prefixes and their gateways.
#[derive(Debug, Default)]
pub struct Routing {
    learned: Learned,
    ways: Ways,
    /// What people wrote: it comes before what BGP teaches, as long as it leads anywhere.
    statics: Learned,
    /// Routes of an earlier life that no neighbour has spoken of since.
    adopted: BTreeMap<IpNet, Gateways>,
    /// The device of tunnels that some of them lead to.
    adopted_tunnel: Option<u32>,
    touched: BTreeSet<IpNet>,
    /// What the ways were found by.
    underlay: Underlay,
    tunnels: Tunnels,
}

/// The part of the kernel that gateways depend on.
#[derive(Debug, Default, PartialEq, Eq)]
struct Underlay {
    routes: BTreeMap<IpNet, UnderlayRoute>,
    dark: BTreeSet<u32>,
    live: BTreeMap<Zone, u32>,
}

impl Underlay {
    fn of(kernel: &KernelState) -> Self {
        Self { routes: kernel.underlay.clone(), dark: kernel.dark.clone(), live: kernel.live.clone() }
    }

    fn is_of(&self, kernel: &KernelState) -> bool {
        (&self.routes, &self.dark, &self.live) == (&kernel.underlay, &kernel.dark, &kernel.live)
    }
}

impl Routing {
    /// BGP leads this prefix to these next hops, sorted.
    pub fn install(&mut self, prefix: IpNet, next_hops: &[Address]) {
        let next_hops = self.ways.hold(next_hops);
        match self.learned.insert(prefix, next_hops.clone()) {
            Some(before) if Arc::ptr_eq(&before, &next_hops) => return self.ways.release(&before),
            Some(before) => self.ways.release(&before),
            None => {}
        }
        self.moved(prefix);
    }

    /// BGP knows no way to this prefix any more.
    pub fn remove(&mut self, prefix: IpNet) {
        if let Some(before) = self.learned.remove(&prefix) {
            self.ways.release(&before);
        }
        self.moved(prefix);
    }

    /// These are all the routes people wrote, with their next hops, sorted.
    pub fn install_statics(&mut self, wanted: &BTreeMap<IpNet, Vec<Address>>) {
        let gone: Vec<IpNet> = self.statics.keys().filter(|prefix| !wanted.contains_key(prefix)).copied().collect();
        for prefix in gone {
            self.set_static(prefix, None);
        }
        for (prefix, next_hops) in wanted {
            if self.statics.get(prefix).is_none_or(|known| **known != **next_hops) {
                self.set_static(*prefix, Some(next_hops));
            }
        }
    }

    fn set_static(&mut self, prefix: IpNet, next_hops: Option<&[Address]>) {
        let held = next_hops.map(|next_hops| self.ways.hold(next_hops));
        let before = match held {
            Some(next_hops) => self.statics.insert(prefix, next_hops),
            None => self.statics.remove(&prefix),
        };
        before.into_iter().for_each(|before| self.ways.release(&before));
        self.adopted.remove(&prefix);
        self.touched.insert(prefix);
    }

    /// A neighbour has spoken of this prefix: from now on it is as learned.
    fn moved(&mut self, prefix: IpNet) {
        self.adopted.remove(&prefix);
        self.touched.insert(prefix);
        self.ways.doubt_behind(prefix);
    }

    /// Takes over routes of an earlier life, until a neighbour speaks of them.
    pub fn adopt(&mut self, adopted: BTreeMap<IpNet, Gateways>) {
        self.touched.extend(adopted.keys());
        self.adopted = adopted;
    }

    /// Some of them lead to the device of tunnels with this index: with it, they go.
    pub fn adopt_tunnel(&mut self, index: Option<u32>) {
        self.adopted_tunnel = index;
    }

    fn forget_adopted_of_another_tunnel(&mut self, kernel: &KernelState) {
        let standing = kernel.tunnel.as_ref().map(|standing| standing.index);
        let Some(gone) = self.adopted_tunnel.take_if(|index| standing != Some(*index)) else { return };
        let leads_there = |_: &IpNet, gateways: &mut Gateways| gateways.iter().any(|one| one.interface == Some(gone));
        self.touched.extend(self.adopted.extract_if(.., leads_there).map(|(prefix, _)| prefix));
    }

    /// Routes of an earlier life have had their time.
    pub fn end_adoption(&mut self) {
        self.touched.extend(std::mem::take(&mut self.adopted).into_keys());
    }

    /// Whether routes of an earlier life are still kept.
    pub fn has_adopted(&self) -> bool {
        !self.adopted.is_empty()
    }

    /// How many prefixes BGP knows a way to.
    pub fn count(&self) -> usize {
        self.learned.len()
    }

    /// Finds the gateways anew where the kernel's own routes, tunnels, or learned routes to next hops have changed.
    pub fn follow(&mut self, kernel: &KernelState, tunnels: &Tunnels) {
        self.forget_adopted_of_another_tunnel(kernel);
        if self.tunnels != *tunnels {
            let are_others = !self.tunnels.is_for_the_same(tunnels);
            self.touched.extend(self.learned.keys().filter(|_| are_others));
            self.tunnels = tunnels.clone();
            self.ways.doubt_all();
        }
        if !self.underlay.is_of(kernel) {
            self.underlay = Underlay::of(kernel);
            self.ways.doubt_all();
        }
        let moved = self.ways.resolve(kernel, &self.learned, &self.tunnels);
        if !moved.is_empty() {
            let touched = self.learned.iter().chain(&self.statics).filter(|(_, next_hops)| moved.contains(*next_hops));
            self.touched.extend(touched.map(|(prefix, _)| *prefix));
        }
    }

    /// Whether any of them was learned, written or forgotten since they were last taken.
    pub fn has_news(&self) -> bool {
        !self.touched.is_empty()
    }

    /// The prefixes whose gateways may be others since this was last asked. [`follow`](Self::follow) comes first.
    pub fn take_touched(&mut self) -> BTreeSet<IpNet> {
        std::mem::take(&mut self.touched)
    }

    /// Where a prefix leads: nothing if nobody knows, or no next hop is reachable.
    pub fn gateways(&self, prefix: &IpNet) -> Option<&Gateways> {
        let written =
            self.statics.get(prefix).and_then(|next_hops| self.ways.gateways(next_hops, Encapsulation::Never));
        if written.is_some() {
            return written;
        }
        match self.learned.get(prefix) {
            Some(next_hops) => self.ways.gateways(next_hops, self.tunnels.encapsulation_of(prefix)),
            None => self.adopted.get(prefix),
        }
    }
}
