//! Chooses which of several paths to one prefix is used, and says why it won.
//!
//! In: the paths the neighbours offer, already admitted by the guards; those import rules reject take no part. Out: the winner, the deciding step, and the paths
//! that share the traffic with it. Rules: RFC 9494 §4.3, then RFC 4271 §9.1.2.2, in the order given there, by elimination: MED compares only paths through
//! one system, so it orders no pairs, and only elimination gives one answer whatever the order of arrival.

use std::fmt;

use crate::Address;

use super::{Multipath, route::Path};

/// The comparison after which one path was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// There was no other path.
    Only,
    /// Told by somebody who is not away for long (RFC 9494 §4.3).
    Fresh,
    /// The highest LOCAL_PREF, 100 where none is given.
    LocalPref,
    /// The shortest path.
    PathLength,
    /// The best origin.
    Origin,
    /// The lowest MED among paths through the same system.
    Med,
    /// External before internal.
    External,
    /// The lowest BGP identifier.
    RouterId,
    /// The fewest reflectors passed.
    ClusterLength,
    /// The lowest neighbour address.
    Address,
    /// The lowest identifier among the paths of one neighbour.
    PathId,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Only => "it is the only path",
            Self::Fresh => "its teller is not away for long",
            Self::LocalPref => "it has the highest local preference",
            Self::PathLength => "it has the shortest AS path",
            Self::Origin => "it has the best origin",
            Self::Med => "it has the lowest MED",
            Self::External => "it comes from an external neighbour",
            Self::RouterId => "it comes from the lowest BGP identifier",
            Self::ClusterLength => "it passed the fewest reflectors",
            Self::Address => "it comes from the lowest neighbour address",
            Self::PathId => "it has the lowest path identifier of that neighbour",
        })
    }
}

impl Step {
    /// Whether paths that only this comparison tells apart are as good as each other.
    pub(super) fn is_tie_break(self) -> bool {
        match self {
            Self::RouterId | Self::ClusterLength | Self::Address | Self::PathId => true,
            Self::Only | Self::Fresh | Self::LocalPref | Self::PathLength | Self::Origin => false,
            Self::Med | Self::External => false,
        }
    }

    /// What is said of a path that fell in this comparison.
    pub(super) fn loss(self) -> &'static str {
        match self {
            Self::Only => "another path is used",
            Self::Fresh => "its teller is away for long",
            Self::LocalPref => "its local preference is lower",
            Self::PathLength => "its AS path is longer",
            Self::Origin => "its origin is worse",
            Self::Med => "its MED is higher than another's through the same AS",
            Self::External => "it comes from an internal neighbour, another from an external one",
            Self::RouterId => "it comes from a higher BGP identifier",
            Self::ClusterLength => "it passed more reflectors",
            Self::Address => "it comes from a higher neighbour address",
            Self::PathId => "it has a higher path identifier of the same neighbour",
        }
    }
}

/// What was chosen, as positions among the paths given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) winner: usize,
    pub(super) step: Step,
    /// The winner and all that share the traffic with it, in the order given: they differ only by the tie-breaks.
    pub(super) equal: Vec<usize>,
}

/// What LOCAL_PREF counts where an external neighbour sent none.
const LOCAL_PREF: u32 = 100;

/// `None` if there is no path.
pub(super) fn decide(paths: &[Path], multipath: Multipath) -> Option<Choice> {
    if let [path] = paths
        && path.is_admitted
    {
        // By far the most prefixes of a fabric are offered once.
        return Some(Choice { winner: 0, step: Step::Only, equal: vec![0] });
    }
    run(entrants(paths), multipath).0
}

/// Where each path that took part and did not win fell, by its position.
pub(super) fn losses(paths: &[Path]) -> Vec<(usize, Step)> {
    run(entrants(paths), Multipath::default()).1
}

/// All that take part, the best first: each is the best of those that are left.
pub(super) fn ranked(paths: &[Path]) -> Vec<usize> {
    ranked_among(entrants(paths))
}

/// The same among these alone.
pub(super) fn ranked_among(mut left: Vec<(usize, &Path)>) -> Vec<usize> {
    let mut ranks = Vec::with_capacity(left.len());
    while let (Some(choice), _) = run(left.clone(), Multipath::default()) {
        ranks.push(choice.winner);
        left.retain(|(position, _)| *position != choice.winner);
    }
    ranks
}

fn entrants(paths: &[Path]) -> Vec<(usize, &Path)> {
    paths.iter().enumerate().filter(|(_, path)| path.is_admitted).collect()
}

fn run(left: Vec<(usize, &Path)>, multipath: Multipath) -> (Option<Choice>, Vec<(usize, Step)>) {
    let mut race = Race { left, step: Step::Only, lost: Vec::new() };
    race.keep_least(Step::Fresh, |path| path.attributes.is_long_lived_stale());
    race.keep_least(Step::LocalPref, |path| u32::MAX - path.attributes.local_pref.unwrap_or(LOCAL_PREF));
    race.keep_least(Step::PathLength, |path| path.attributes.path.length());
    race.keep_least(Step::Origin, |path| path.attributes.origin);
    race.keep_least_med();
    race.keep_least(Step::External, |path| !path.source.external);
    let tied = race.left.clone();
    race.keep_least(Step::RouterId, |path| path.originator());
    race.keep_least(Step::ClusterLength, |path| path.attributes.clusters.len());
    race.keep_least(Step::Address, |path| path.source.neighbour);
    race.keep_least(Step::PathId, |path| path.id);
    let choice = race.left.first().map(|&(winner, path)| {
        let equal = multipath.shared(&tied, path);
        Choice { winner, step: race.step, equal }
    });
    (choice, race.lost)
}

/// The paths still in the race, the latest step that threw one out, and those thrown out.
struct Race<'a> {
    left: Vec<(usize, &'a Path)>,
    step: Step,
    lost: Vec<(usize, Step)>,
}

impl Race<'_> {
    fn keep_least<K: Ord>(&mut self, step: Step, key: impl Fn(&Path) -> K) {
        let Some(least) = self.left.iter().map(|(_, path)| key(path)).min() else { return };
        self.keep(step, |_, path| key(path) == least);
    }

    /// §9.1.2.2 c): a path falls to a lower MED only if both came through the same system.
    fn keep_least_med(&mut self) {
        let med = |path: &Path| path.attributes.med.unwrap_or(0);
        self.keep(Step::Med, |all, path| {
            !all.iter().any(|(_, rival)| rival.entry_asn() == path.entry_asn() && med(rival) < med(path))
        });
    }

    fn keep(&mut self, step: Step, stays: impl Fn(&[(usize, &Path)], &Path) -> bool) {
        if self.left.len() < 2 {
            return;
        }
        let (kept, fallen): (Vec<_>, Vec<_>) = self.left.iter().copied().partition(|(_, path)| stays(&self.left, path));
        if !fallen.is_empty() {
            self.step = step;
        }
        self.lost.extend(fallen.into_iter().map(|(position, _)| (position, step)));
        self.left = kept;
    }
}

/// The next hops of the chosen paths, sorted, without doubles.
pub(super) fn next_hops(paths: &[Path], choice: &Choice) -> Vec<Address> {
    let mut next_hops: Vec<_> = choice.equal.iter().map(|&position| paths[position].next_hop).collect();
    next_hops.sort_unstable();
    next_hops.dedup();
    next_hops
}

#[cfg(test)]
mod tests;
