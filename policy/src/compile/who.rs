//! Who must be at the other end, for one family.

use std::hash::{Hash, Hasher};
use std::ops::RangeInclusive;
use std::sync::Arc;

use super::range::address_ranges;
use crate::model::{IpVersion, NamedPort, Peers, QualifiedName, Selection};

/// What a clause asks of the other end. All that is given must hold; the default holds for everybody.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Who {
    pub(super) select: Option<Selection>,
    pub(super) not_select: Option<Selection>,
    /// Merged; absent = no such demand.
    pub(super) nets: Option<Vec<(u128, u128)>>,
    /// Merged.
    pub(super) not_nets: Vec<(u128, u128)>,
    /// Sorted; empty = no such demand.
    pub(super) sets: Vec<QualifiedName>,
    pub(super) outside: bool,
    /// Named ports the endpoint must have, or must not have; sorted.
    pub(super) ports: Vec<(NamedPort, bool)>,
}

/// Who must be at both ends.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ends {
    /// At the other end.
    pub(super) peer: Arc<Who>,
    /// At the governed end, where that was not answered beforehand.
    pub(super) own: Arc<Who>,
}

/// Workloads' lists are named as if the governed end were not there, so that their names are those they always had.
impl Hash for Ends {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.peer.hash(hasher);
        if !self.own.is_anybody() {
            self.own.hash(hasher);
        }
    }
}

impl Ends {
    /// Whether everybody fits.
    pub(super) fn is_anybody(&self) -> bool {
        self.peer.is_anybody() && self.own.is_anybody()
    }
}

impl Who {
    /// What peers ask of addresses of a family; nothing if none can fit.
    pub(super) fn of(peers: &Peers, family: IpVersion) -> Option<Self> {
        let nets = (!peers.nets.is_empty()).then(|| bounds(&address_ranges(&peers.nets, family)));
        if nets.as_ref().is_some_and(Vec::is_empty) {
            return None;
        }
        let whole = (0, family.greatest());
        let not_nets = bounds(&address_ranges(&peers.not_nets, family));
        if not_nets == [whole] {
            return None;
        }
        let mut sets = peers.sets.clone();
        sets.sort();
        sets.dedup();
        Some(Self {
            select: peers.select.clone(),
            not_select: peers.not_select.clone(),
            nets: nets.filter(|nets| *nets != [whole]),
            not_nets,
            sets,
            outside: peers.outside,
            ports: Vec::new(),
        })
    }

    /// Whether everybody fits.
    pub(super) fn is_anybody(&self) -> bool {
        *self == Self::default()
    }

    /// Whether somebody fits of whom nothing is known: no endpoint, in no prefix that is named.
    pub(super) fn fits_strangers(&self) -> bool {
        self.select.is_none()
            && self.nets.is_none()
            && self.sets.is_empty()
            && self.ports.iter().all(|(_, wanted)| !wanted)
    }

    /// The same, and these ports too.
    pub(super) fn with_ports(self: &Arc<Self>, ports: &[(NamedPort, bool)]) -> Arc<Self> {
        if ports.is_empty() {
            return self.clone();
        }
        let mut who = Self::clone(self);
        who.ports.extend(ports.iter().cloned());
        who.ports.sort();
        who.ports.dedup();
        Arc::new(who)
    }
}

fn bounds(ranges: &[RangeInclusive<u128>]) -> Vec<(u128, u128)> {
    ranges.iter().map(|range| (*range.start(), *range.end())).collect()
}
