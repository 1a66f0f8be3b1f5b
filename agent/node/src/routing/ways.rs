//! Each set of next hops that prefixes share, and the gateways it comes down to.
//!
//! In: who holds and releases a set, and what has changed. Out: its gateways, found once for all prefixes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use poplin_bgp::Address;

use crate::kernel::{Gateway, KernelState};
use crate::tunnel::{Encapsulation, Tunnels};
use crate::underlay::{Learned, NextHops, resolve};

use super::Gateways;

/// The ways that prefixes hold.
#[derive(Debug, Default)]
pub(super) struct Ways {
    ways: BTreeMap<NextHops, Way>,
    /// Ways that came since the last resolving.
    newcomers: BTreeSet<NextHops>,
    /// Every address a route was looked up for, and perhaps some more.
    asked: BTreeSet<IpAddr>,
    /// Whether any may be wrong by now.
    is_in_doubt: bool,
}

#[derive(Debug, Default)]
struct Way {
    holders: usize,
    /// For each [`Encapsulation`]; nothing if no next hop is reachable, or none was looked for yet.
    gateways: [Option<Gateways>; Encapsulation::ALL.len()],
}

impl Ways {
    /// One more prefix is led to these next hops.
    pub(super) fn hold(&mut self, next_hops: &[Address]) -> NextHops {
        let known = self.ways.get_key_value(next_hops).map(|(next_hops, _)| next_hops.clone());
        let next_hops = known.unwrap_or_else(|| {
            let next_hops = NextHops::from(next_hops);
            self.newcomers.insert(next_hops.clone());
            next_hops
        });
        self.ways.entry(next_hops.clone()).or_default().holders += 1;
        next_hops
    }

    /// One prefix less is.
    pub(super) fn release(&mut self, next_hops: &NextHops) {
        if let Some(way) = self.ways.get_mut(next_hops) {
            way.holders -= 1;
            if way.holders == 0 {
                self.ways.remove(next_hops);
                self.newcomers.remove(next_hops);
            }
        }
    }

    /// A learned route has changed: next hops behind it may be reached by others now.
    pub(super) fn doubt_behind(&mut self, prefix: IpNet) {
        self.is_in_doubt |= self.asked.range(prefix.network()..=prefix.broadcast()).next().is_some();
    }

    /// The kernel's own routes have changed.
    pub(super) fn doubt_all(&mut self) {
        self.is_in_doubt = true;
    }

    /// The gateways of next hops that somebody holds, for prefixes that are wrapped so.
    pub(super) fn gateways(&self, next_hops: &NextHops, encapsulation: Encapsulation) -> Option<&Gateways> {
        self.ways.get(next_hops)?.gateways[encapsulation as usize].as_ref()
    }

    /// Finds the gateways of what came or is in doubt. Tells which next hops of those known before lead to others now.
    pub(super) fn resolve(&mut self, kernel: &KernelState, learned: &Learned, tunnels: &Tunnels) -> BTreeSet<NextHops> {
        let ground = Ground { kernel, learned, tunnels };
        let newcomers = std::mem::take(&mut self.newcomers);
        let mut moved = BTreeSet::new();
        if std::mem::take(&mut self.is_in_doubt) {
            self.asked.clear();
            for (next_hops, way) in &mut self.ways {
                if way.find(&ground, next_hops, &mut self.asked) && !newcomers.contains(next_hops) {
                    moved.insert(next_hops.clone());
                }
            }
            return moved;
        }
        for next_hops in newcomers {
            if let Some(way) = self.ways.get_mut(&next_hops) {
                way.find(&ground, &next_hops, &mut self.asked);
            }
        }
        moved
    }
}

/// What ways are found by.
struct Ground<'g> {
    kernel: &'g KernelState,
    learned: &'g Learned,
    tunnels: &'g Tunnels,
}

impl Way {
    /// Whether the gateways are others than before.
    fn find(&mut self, ground: &Ground<'_>, next_hops: &NextHops, asked: &mut BTreeSet<IpAddr>) -> bool {
        let plain: Vec<(Address, BTreeSet<Gateway>)> = next_hops
            .iter()
            .map(|next_hop| {
                let resolved = resolve(ground.kernel, ground.learned, &[*next_hop]);
                asked.extend(resolved.asked);
                (*next_hop, resolved.gateways)
            })
            .collect();
        let found = Encapsulation::ALL.map(|encapsulation| {
            plain.iter().flat_map(|(next_hop, plain)| ground.wrapped(*next_hop, plain, encapsulation)).collect()
        });
        let mut is_other = false;
        for (known, found) in self.gateways.iter_mut().zip(found) {
            if known.as_deref().unwrap_or(&BTreeSet::new()) != &found {
                *known = Some(found).filter(|gateways| !gateways.is_empty()).map(Arc::new);
                is_other = true;
            }
        }
        is_other
    }
}

impl Ground<'_> {
    /// Where a next hop leads that is reached by these gateways, if it is reached: there, or through the tunnel.
    fn wrapped(&self, next_hop: Address, plain: &BTreeSet<Gateway>, encapsulation: Encapsulation) -> BTreeSet<Gateway> {
        let is_wrapped = encapsulation.wraps(next_hop.ip(), self.kernel);
        let tunnel = self.tunnels.gateway(next_hop.ip()).filter(|_| is_wrapped && !plain.is_empty());
        tunnel.map_or_else(|| plain.clone(), |gateway| BTreeSet::from([gateway]))
    }
}
