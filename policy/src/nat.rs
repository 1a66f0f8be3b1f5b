//! Whose packets leave the fabric under another address.
//!
//! In: nothing, these are values. Out: nothing; the compiler makes rules of them, [`Edge::outgoing`] says what they mean, the slow and plain way.
//! Policy is asked first, and sees containers' own addresses.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;

use crate::ruleset::SourceNat;

/// A pool, as translation sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Its range. Pools never overlap.
    pub cidr: IpNet,
    /// What becomes of packets that leave the fabric from its addresses; absent = they leave as they are.
    pub outgoing: Option<Outgoing>,
}

/// How packets leave the fabric.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Outgoing {
    /// Under which source.
    pub source: SourceNat,
    /// Where to they leave as they are: destinations of the pool's family that know the way back.
    pub exclude: Vec<IpNet>,
}

/// What is inside of the fabric; all else is outside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edge {
    /// All pools, by name.
    pub pools: BTreeMap<String, Pool>,
    /// The addresses hosts of the fabric are reached by, by their names.
    pub hosts: BTreeMap<String, BTreeSet<IpAddr>>,
}

impl Edge {
    /// Under which source a packet leaves the host of whoever sends it; absent if under its own.
    pub fn outgoing(&self, source: IpAddr, destination: IpAddr) -> Option<SourceNat> {
        let is_inside = self.pools.values().any(|pool| pool.cidr.contains(&destination));
        if is_inside || self.hosts.values().flatten().any(|host| *host == destination) {
            return None;
        }
        let outgoing = self.pools.values().find(|pool| pool.cidr.contains(&source))?.outgoing.as_ref()?;
        let is_excluded = outgoing.exclude.iter().any(|net| net.contains(&destination));
        (!is_excluded).then_some(outgoing.source)
    }
}
