//! Which of the paths that only the tie-breaks tell apart share the traffic.
//!
//! In: those paths, and what the operator says of sharing. Out: the winner's companions. RFC 4271 knows one best path and nothing of this;
//! the words are those of FRR: `maximum-paths`, `bgp bestpath as-path multipath-relax`.

use std::{collections::BTreeSet, fmt, num::NonZeroUsize};

use crate::Address;

use super::{decide::ranked_among, route::Path};

/// How many ways to one prefix share its traffic, and how alike they must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Multipath {
    /// How many next hops are used at once at most: with 1 the best path's alone; absent = all that are as good.
    pub maximum: Option<NonZeroUsize>,
    /// Whether paths through different systems share, if they are equally long. Else only those with the winner's AS path do.
    pub is_relaxed: bool,
}

impl Default for Multipath {
    fn default() -> Self {
        Self { maximum: None, is_relaxed: true }
    }
}

/// Why a path as good as the winner does not share the traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Apart {
    /// Its AS path is another than the winner's.
    OtherPath,
    /// As many next hops as may be are used already.
    Enough(NonZeroUsize),
}

impl fmt::Display for Apart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherPath => f.write_str("its AS path is another (multipathRelax is off)"),
            Self::Enough(maximum) => write!(f, "maximumPaths is {maximum}"),
        }
    }
}

impl Multipath {
    /// Those that share the traffic with the winner, and itself, in the order given.
    pub(super) fn shared(self, tied: &[(usize, &Path)], winner: &Path) -> Vec<usize> {
        let alike: Vec<_> = tied.iter().copied().filter(|(_, path)| self.is_alike(path, winner)).collect();
        let position = |&(position, _): &(usize, &Path)| position;
        match self.maximum {
            None => alike.iter().map(position).collect(),
            Some(maximum) => {
                let ways = ways(&alike, maximum.get());
                alike.iter().filter(|(_, path)| ways.contains(&path.next_hop)).map(position).collect()
            }
        }
    }

    fn is_alike(self, path: &Path, winner: &Path) -> bool {
        self.is_relaxed || path.attributes.path == winner.attributes.path
    }

    /// Why a path as good as the winner is not among those [`shared`](Self::shared).
    pub(super) fn apart(self, path: &Path, winner: &Path) -> Option<Apart> {
        match self.maximum {
            _ if !self.is_alike(path, winner) => Some(Apart::OtherPath),
            maximum => maximum.map(Apart::Enough),
        }
    }
}

/// The next hops of the best, so many. Reflectors tell of one way more than once: it counts once.
fn ways(alike: &[(usize, &Path)], maximum: usize) -> BTreeSet<Address> {
    let next_hop = |position: usize| alike.iter().find(|(one, _)| *one == position).map(|(_, path)| path.next_hop);
    let mut ways = BTreeSet::new();
    for way in ranked_among(alike.to_vec()).into_iter().filter_map(next_hop) {
        if ways.len() < maximum {
            ways.insert(way);
        }
    }
    ways
}
