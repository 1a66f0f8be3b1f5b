//! All paths to all prefixes, and what of them is in use.
//!
//! In: paths that come and go by neighbour (Adj-RIB-In, RFC 4271 §3.2). Out: the changes to what is in use (Loc-RIB).
//! A path may be stale; that changes when it goes, and nothing else (RFC 4724 §4.2).

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    ops::Range,
};

use ipnet::IpNet;

use crate::wire::Family;

use super::{
    Offer, Own, Path,
    decide::{Choice, decide, next_hops, ranked},
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
    /// How many paths each neighbour has here, by family.
    counts: BTreeMap<(IpAddr, Family), usize>,
    pub(super) own: Own,
    /// Whether anybody may be told more than the best path.
    pub(super) tells_several: bool,
}

/// The paths to one prefix, by the neighbour's address, then by the identifier it gives them.
#[derive(Debug, Default)]
pub(super) struct Entry {
    pub(super) paths: Vec<Path>,
    pub(super) choice: Option<Choice>,
    /// What was last told; empty if nothing is in use.
    pub(super) next_hops: Vec<IpAddr>,
}

impl Table {
    /// How many prefixes of a family this neighbour offers.
    pub(crate) fn count(&self, neighbour: IpAddr, family: Family) -> usize {
        self.counts.get(&(neighbour, family)).copied().unwrap_or(0)
    }

    pub(crate) fn has_any(&self, neighbour: IpAddr) -> bool {
        Family::ALL.into_iter().any(|family| self.count(neighbour, family) > 0)
    }

    /// Whether anybody may be told more than the best path: offers then carry the others too.
    pub(crate) fn tell_several(&mut self, tells_several: bool) {
        self.tells_several = tells_several;
    }

    /// A neighbour offers a way, in place of what it offered before under the same identifier.
    pub(crate) fn announce(&mut self, prefix: IpNet, path: Path) -> Option<Change> {
        let neighbour = path.source.neighbour;
        let is_own = self.own.contains(&prefix);
        let entry = self.entries.entry(prefix).or_default();
        let before = entry.offer(self.tells_several);
        if entry.put(path) {
            *self.counts.entry((neighbour, Family::of_prefix(&prefix))).or_default() += 1;
        }
        entry.settle(prefix, is_own, before, self.tells_several)
    }

    /// A neighbour takes back what it offered, if it did.
    pub(crate) fn withdraw(&mut self, prefix: IpNet, neighbour: IpAddr, id: u32) -> Option<Change> {
        let is_own = self.own.contains(&prefix);
        let entry = self.entries.get_mut(&prefix)?;
        let before = entry.offer(self.tells_several);
        if !entry.take(neighbour, id) {
            return None;
        }
        less(&mut self.counts, neighbour, &prefix);
        let change = entry.settle(prefix, is_own, before, self.tells_several);
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
        if !self.has_any(neighbour) {
            return Vec::new();
        }
        let mut changes = Vec::new();
        self.entries.retain(|prefix, entry| {
            if entry.of(neighbour).is_empty() {
                return true;
            }
            let before = entry.offer(self.tells_several);
            let had = entry.paths.len();
            entry.paths.retain_mut(|path| path.source.neighbour != neighbour || stays(prefix, path));
            if entry.paths.len() == had {
                return true;
            }
            (entry.paths.len()..had).for_each(|_| less(&mut self.counts, neighbour, prefix));
            changes.extend(entry.settle(*prefix, self.own.contains(prefix), before, self.tells_several));
            !entry.paths.is_empty()
        });
        changes
    }

    /// Import rules have changed: judges all the paths of one neighbour anew.
    pub(crate) fn judge(&mut self, neighbour: IpAddr, mut judge: impl FnMut(&IpNet, &mut Path)) -> Vec<Change> {
        let mut changes = Vec::new();
        for (prefix, entry) in &mut self.entries {
            if entry.of(neighbour).is_empty() {
                continue;
            }
            let before = entry.offer(self.tells_several);
            entry.of_mut(neighbour).iter_mut().for_each(|path| judge(prefix, path));
            changes.extend(entry.settle(*prefix, self.own.contains(prefix), before, self.tells_several));
        }
        changes
    }

    /// Whether all this neighbour offers is offered by somebody who stays, too.
    pub(crate) fn is_covered(&self, neighbour: IpAddr, stays: impl Fn(IpAddr) -> bool) -> bool {
        let counts = |path: &&Path| path.is_admitted && path.source.neighbour != neighbour;
        let offered = |entry: &&Entry| entry.of(neighbour).iter().any(|path| path.is_admitted);
        !self.has_any(neighbour)
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
        let change = entry.and_then(|entry| entry.settle(prefix, is_own, Offer::Nothing, self.tells_several));
        let next_hops = change.and_then(|change| change.next_hops);
        Change { prefix, next_hops, before, after: self.offer(&prefix) }
    }
}

/// One path less; a neighbour without any is not counted.
fn less(counts: &mut BTreeMap<(IpAddr, Family), usize>, neighbour: IpAddr, prefix: &IpNet) {
    let key = (neighbour, Family::of_prefix(prefix));
    if let Some(count) = counts.get_mut(&key) {
        *count = count.saturating_sub(1);
        if *count == 0 {
            counts.remove(&key);
        }
    }
}

impl Entry {
    fn position(&self, neighbour: IpAddr, id: u32) -> Result<usize, usize> {
        self.paths.binary_search_by_key(&(neighbour, id), |path| (path.source.neighbour, path.id))
    }

    /// Where the paths of one neighbour stand.
    fn range(&self, neighbour: IpAddr) -> Range<usize> {
        let start = self.paths.partition_point(|path| path.source.neighbour < neighbour);
        let count = self.paths[start..].partition_point(|path| path.source.neighbour == neighbour);
        start..start + count
    }

    fn of(&self, neighbour: IpAddr) -> &[Path] {
        &self.paths[self.range(neighbour)]
    }

    fn of_mut(&mut self, neighbour: IpAddr) -> &mut [Path] {
        let range = self.range(neighbour);
        &mut self.paths[range]
    }

    /// The least identifier that no path here is told by; 1 stands for our own prefix.
    fn free_id(&self) -> u32 {
        (2..).find(|id| self.paths.iter().all(|path| path.told_id != *id)).unwrap_or(u32::MAX)
    }

    /// Whether the neighbour had none of this identifier before.
    fn put(&mut self, path: Path) -> bool {
        match self.position(path.source.neighbour, path.id) {
            Ok(position) => {
                let told_id = self.paths[position].told_id;
                self.paths[position] = Path { told_id, ..path };
                false
            }
            Err(position) => {
                let told_id = self.free_id();
                self.paths.insert(position, Path { told_id, ..path });
                true
            }
        }
    }

    /// Whether the neighbour had one.
    fn take(&mut self, neighbour: IpAddr, id: u32) -> bool {
        let position = self.position(neighbour, id);
        position.map(|position| self.paths.remove(position)).is_ok()
    }

    /// The best that was heard, and the others by their ranks, if anybody may be told of them.
    pub(super) fn offer(&self, with_others: bool) -> Offer {
        let winner = self.choice.as_ref().and_then(|choice| self.paths.get(choice.winner));
        let Some(winner) = winner else { return Offer::Nothing };
        let others = if with_others && self.paths.len() > 1 { ranked(&self.paths) } else { Vec::new() };
        let others = others.into_iter().skip(1).filter_map(|position| self.paths.get(position).cloned());
        Offer::Heard(winner.clone(), others.collect())
    }

    /// Decides anew, and tells what changed; one of our own prefixes has no next hops.
    fn settle(&mut self, prefix: IpNet, is_own: bool, before: Offer, with_others: bool) -> Option<Change> {
        self.choice = if is_own { None } else { decide(&self.paths) };
        let next_hops = self.choice.as_ref().map(|choice| next_hops(&self.paths, choice)).unwrap_or_default();
        let is_moved = next_hops != self.next_hops;
        self.next_hops.clone_from(&next_hops);
        let after = self.offer(with_others);
        let change = Change { prefix, next_hops: is_moved.then_some(next_hops), before, after };
        (is_moved || change.before != change.after).then_some(change)
    }
}
