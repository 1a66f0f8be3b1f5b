//! Which addresses were given back so lately that they go to nobody else.
//!
//! In: blocks as they are heard of, each with what was freed of it, and the time. Out: what rests at a moment. The store holds no time: an address
//! rests from when this node first heard that it is free. So no clock needs to be right or to agree with another, and an agent that starts
//! again lets everything that stands as freed rest once more.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ipnet::IpNet;

use crate::object::Block;
use crate::prefix::{address_at, size_of};

/// Since when addresses are known to be freed.
#[derive(Clone, Debug, Default)]
pub struct Cooling(Arc<BTreeMap<IpAddr, Instant>>);

impl Cooling {
    /// A block is so now, or is nobody's any more.
    pub fn note(&mut self, now: Instant, cidr: IpNet, block: Option<&Block>) {
        let is_its = |ordinal: &&u32| **ordinal < size_of(cidr);
        let freed =
            |block: &Block| block.freed.iter().filter(is_its).map(|ordinal| address_at(cidr, *ordinal)).collect();
        let freed: BTreeSet<IpAddr> = block.map(freed).unwrap_or_default();
        let known = self.0.range(cidr.network()..=cidr.broadcast()).map(|(address, _)| *address);
        let known: BTreeSet<IpAddr> = known.collect();
        if freed == known {
            return;
        }
        let since = Arc::make_mut(&mut self.0);
        for address in known.difference(&freed) {
            since.remove(address);
        }
        since.extend(freed.difference(&known).map(|address| (*address, now)));
    }

    /// What rests now, if each rests for so long.
    pub fn at(&self, now: Instant, period: Duration) -> Resting {
        Resting { since: self.0.clone(), now: Some(now), period, fresh: BTreeSet::new() }
    }
}

/// What rests at one moment. Without a moment nothing does.
#[derive(Clone, Debug, Default)]
pub struct Resting {
    since: Arc<BTreeMap<IpAddr, Instant>>,
    now: Option<Instant>,
    period: Duration,
    /// What was freed at this very moment.
    fresh: BTreeSet<IpAddr>,
}

impl Resting {
    /// Until when an address rests, if it does.
    pub fn until(&self, address: IpAddr) -> Option<Instant> {
        let now = self.now.filter(|_| !self.period.is_zero())?;
        let since = if self.fresh.contains(&address) { now } else { *self.since.get(&address)? };
        Some(since + self.period).filter(|until| *until > now)
    }

    /// An address is freed now.
    pub fn begin(&mut self, address: IpAddr) {
        self.fresh.insert(address);
    }

    /// The addresses that rest.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.since.keys().copied().filter(|address| self.until(*address).is_some())
    }
}
