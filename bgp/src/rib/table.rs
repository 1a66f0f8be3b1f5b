//! All paths to all prefixes, and what of them is in use.
//!
//! In: paths that come and go by neighbour (Adj-RIB-In, RFC 4271 §3.2). Out: the changes to what is in use (Loc-RIB).
//! A path may be stale; that changes when it goes, and nothing else (RFC 4724 §4.2).

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use ipnet::IpNet;

use crate::wire::Family;

use super::{
    Offer, Own, Path,
    decide::{Choice, decide, next_hops},
};

/// What became of one prefix; at least one of the two is a change.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Change {
    pub(crate) prefix: IpNet,
    /// All its next hops now, none if it is gone; `None` if they are as they were.
    pub(crate) next_hops: Option<Vec<IpAddr>>,
    /// What could be told of it before.
    pub(crate) before: Offer,
    /// And now.
    pub(crate) after: Offer,
}

/// All paths to all prefixes.
#[derive(Debug, Default)]
pub(crate) struct Table {
    pub(super) entries: BTreeMap<IpNet, Entry>,
    /// How many paths each neighbour has here.
    counts: BTreeMap<IpAddr, usize>,
    pub(super) own: Own,
}

/// The paths to one prefix, at most one of each neighbour, by the neighbour's address.
#[derive(Debug, Default)]
pub(super) struct Entry {
    pub(super) paths: Vec<Path>,
    pub(super) choice: Option<Choice>,
    /// What was last told; empty if nothing is in use.
    pub(super) next_hops: Vec<IpAddr>,
}

impl Table {
    /// How many prefixes this neighbour offers.
    pub(crate) fn count(&self, neighbour: IpAddr) -> usize {
        self.counts.get(&neighbour).copied().unwrap_or(0)
    }

    /// A neighbour offers a way, in place of what it offered before.
    pub(crate) fn announce(&mut self, prefix: IpNet, path: Path) -> Option<Change> {
        let neighbour = path.source.neighbour;
        let is_own = self.own.contains(&prefix);
        let entry = self.entries.entry(prefix).or_default();
        let before = entry.offer();
        if entry.put(path) {
            *self.counts.entry(neighbour).or_default() += 1;
        }
        entry.settle(prefix, is_own, before)
    }

    /// A neighbour takes back what it offered, if it did.
    pub(crate) fn withdraw(&mut self, prefix: IpNet, neighbour: IpAddr) -> Option<Change> {
        let is_own = self.own.contains(&prefix);
        let entry = self.entries.get_mut(&prefix)?;
        let before = entry.offer();
        if !entry.take(neighbour) {
            return None;
        }
        if let Some(count) = self.counts.get_mut(&neighbour) {
            *count = count.saturating_sub(1);
        }
        let change = entry.settle(prefix, is_own, before);
        if entry.paths.is_empty() {
            self.entries.remove(&prefix);
        }
        change
    }

    /// A neighbour is gone, with all it offered.
    pub(crate) fn forget(&mut self, neighbour: IpAddr) -> Vec<Change> {
        self.retain(neighbour, |_, _| false)
    }

    /// A neighbour may be restarting: what it offered in these families is stale from now on, the rest is gone.
    pub(crate) fn keep(&mut self, neighbour: IpAddr, families: &BTreeSet<Family>) -> Vec<Change> {
        self.retain(neighbour, |prefix, path| {
            path.is_stale = true;
            families.contains(&Family::of_prefix(prefix))
        })
    }

    /// What a neighbour has not offered again in these families is gone.
    pub(crate) fn sweep(&mut self, neighbour: IpAddr, families: &BTreeSet<Family>) -> Vec<Change> {
        self.retain(neighbour, |prefix, path| !(path.is_stale && families.contains(&Family::of_prefix(prefix))))
    }

    /// A neighbour does not forward: what leads over it goes, and what it passed on from others as a reflector stays (RFC 4456 §10).
    pub(crate) fn bypass(&mut self, neighbour: IpAddr) -> Vec<Change> {
        self.retain(neighbour, |_, path| path.heard.originator.is_some() && path.next_hop != neighbour)
    }

    /// Looks at all the paths of one neighbour, and takes those that do not stay.
    pub(crate) fn retain(
        &mut self,
        neighbour: IpAddr,
        mut stays: impl FnMut(&IpNet, &mut Path) -> bool,
    ) -> Vec<Change> {
        let Some(count) = self.counts.get_mut(&neighbour) else { return Vec::new() };
        let mut changes = Vec::new();
        self.entries.retain(|prefix, entry| {
            let Ok(position) = entry.position(neighbour) else { return true };
            let before = entry.offer();
            if stays(prefix, &mut entry.paths[position]) {
                return true;
            }
            entry.paths.remove(position);
            *count = count.saturating_sub(1);
            changes.extend(entry.settle(*prefix, self.own.contains(prefix), before));
            !entry.paths.is_empty()
        });
        if *count == 0 {
            self.counts.remove(&neighbour);
        }
        changes
    }

    /// Import rules have changed: judges all the paths of one neighbour anew.
    pub(crate) fn judge(&mut self, neighbour: IpAddr, mut judge: impl FnMut(&IpNet, &mut Path)) -> Vec<Change> {
        let mut changes = Vec::new();
        for (prefix, entry) in &mut self.entries {
            let Ok(position) = entry.position(neighbour) else { continue };
            let before = entry.offer();
            judge(prefix, &mut entry.paths[position]);
            changes.extend(entry.settle(*prefix, self.own.contains(prefix), before));
        }
        changes
    }

    /// Whether all this neighbour offers is offered by somebody who stays, too.
    pub(crate) fn is_covered(&self, neighbour: IpAddr, stays: impl Fn(IpAddr) -> bool) -> bool {
        let counts = |path: &&Path| path.is_admitted && path.source.neighbour != neighbour;
        let offered =
            |entry: &&Entry| entry.position(neighbour).is_ok_and(|position| entry.paths[position].is_admitted);
        self.count(neighbour) == 0
            || self.entries.values().filter(offered).all(|entry| {
                entry.paths.iter().filter(counts).any(|path| !path.is_stale && stays(path.source.neighbour))
            })
    }

    /// Our own prefixes are these from now on; what others say about them falls out of use or comes into it.
    pub(crate) fn originate(&mut self, own: Own) -> Vec<Change> {
        let changed = self.own.prefixes().symmetric_difference(own.prefixes());
        let changed: Vec<_> = changed.map(|prefix| (*prefix, self.offer(prefix))).collect();
        self.own = own;
        changed.into_iter().map(|(prefix, before)| self.reconsider(prefix, before)).collect()
    }

    /// It is ours from now on, or is not any more.
    fn reconsider(&mut self, prefix: IpNet, before: Offer) -> Change {
        let is_own = self.own.contains(&prefix);
        let entry = self.entries.get_mut(&prefix);
        let change = entry.and_then(|entry| entry.settle(prefix, is_own, Offer::Nothing));
        let next_hops = change.and_then(|change| change.next_hops);
        Change { prefix, next_hops, before, after: self.offer(&prefix) }
    }
}

impl Entry {
    fn position(&self, neighbour: IpAddr) -> Result<usize, usize> {
        self.paths.binary_search_by_key(&neighbour, |path| path.source.neighbour)
    }

    /// Whether the neighbour had none before.
    fn put(&mut self, path: Path) -> bool {
        match self.position(path.source.neighbour) {
            Ok(position) => {
                self.paths[position] = path;
                false
            }
            Err(position) => {
                self.paths.insert(position, path);
                true
            }
        }
    }

    /// Whether the neighbour had one.
    fn take(&mut self, neighbour: IpAddr) -> bool {
        let position = self.position(neighbour);
        position.map(|position| self.paths.remove(position)).is_ok()
    }

    /// The best that was heard.
    pub(super) fn offer(&self) -> Offer {
        let winner = self.choice.as_ref().and_then(|choice| self.paths.get(choice.winner));
        winner.map_or(Offer::Nothing, |winner| Offer::Heard(winner.clone()))
    }

    /// Decides anew, and tells what changed; one of our own prefixes has no next hops.
    fn settle(&mut self, prefix: IpNet, is_own: bool, before: Offer) -> Option<Change> {
        self.choice = if is_own { None } else { decide(&self.paths) };
        let next_hops = self.choice.as_ref().map(|choice| next_hops(&self.paths, choice)).unwrap_or_default();
        let is_moved = next_hops != self.next_hops;
        self.next_hops.clone_from(&next_hops);
        let after = self.offer();
        let change = Change { prefix, next_hops: is_moved.then_some(next_hops), before, after };
        (is_moved || change.before != change.after).then_some(change)
    }
}
