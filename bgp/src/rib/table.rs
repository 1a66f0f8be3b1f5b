//! All paths to all prefixes, and what of them is in use.
//!
//! In: paths that come and go by neighbour (Adj-RIB-In, RFC 4271 §3.2). Out: the changes to what is in use (Loc-RIB).
//! A path may be stale; that changes when it goes, and nothing else (RFC 4724 §4.2).

use std::{collections::BTreeSet, sync::Arc};

use ipnet::IpNet;

use crate::{Address, wire::Family};

use super::{Multipath, Offer, Own, Path, counts::Counts, entries::Entries, entry::Entry, touched::Touched};

/// What became of one prefix; at least one of the two is a change.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Change {
    pub(crate) prefix: IpNet,
    /// All its next hops now, if they are others; `None` if it is gone.
    pub(crate) moved: Option<Option<Arc<[Address]>>>,
    /// What could be told of it before.
    pub(crate) before: Offer,
    /// And now.
    pub(crate) after: Offer,
}

/// All paths to all prefixes.
#[derive(Debug, Default)]
pub(crate) struct Table {
    pub(super) entries: Entries,
    counts: Counts,
    pub(super) own: Own,
    /// Whether anybody may be told more than the best path.
    pub(super) tells_several: bool,
    pub(super) multipath: Multipath,
    /// The paths that came, went or were judged anew, if somebody wants to know.
    pub(super) touched: Touched,
}

impl Table {
    /// How many prefixes of a family this neighbour offers.
    pub(crate) fn count(&self, neighbour: Address, family: Family) -> usize {
        self.counts.get(neighbour, family)
    }

    pub(crate) fn has_any(&self, neighbour: Address) -> bool {
        Family::ALL.into_iter().any(|family| self.count(neighbour, family) > 0)
    }

    /// Whether anybody may be told more than the best path: offers then carry the others too.
    pub(crate) fn tell_several(&mut self, tells_several: bool) {
        self.tells_several = tells_several;
    }

    /// The ways to each prefix share its traffic like this from now on.
    pub(crate) fn share(&mut self, multipath: Multipath) -> Vec<Change> {
        if std::mem::replace(&mut self.multipath, multipath) == multipath {
            return Vec::new();
        }
        let anew = |(prefix, entry): (IpNet, &mut Entry)| {
            let before = entry.told(self.tells_several);
            entry.settle(prefix, self.own.contains(&prefix), before, self.tells_several, multipath)
        };
        self.entries.iter_mut().filter_map(anew).collect()
    }

    /// A neighbour offers a way, in place of what it offered before under the same identifier.
    pub(crate) fn announce(&mut self, prefix: IpNet, path: Path) -> Option<Change> {
        let neighbour = path.source.neighbour;
        let is_own = self.own.contains(&prefix);
        let entry = self.entries.get_or_new(prefix);
        let before = entry.told(self.tells_several);
        self.touched.add(neighbour, prefix, path.id);
        if entry.put(path) {
            self.counts.more(neighbour, Family::of_prefix(&prefix));
        }
        entry.settle(prefix, is_own, before, self.tells_several, self.multipath)
    }

    /// A neighbour takes back what it offered, if it did.
    pub(crate) fn withdraw(&mut self, prefix: IpNet, neighbour: Address, id: u32) -> Option<Change> {
        let is_own = self.own.contains(&prefix);
        let entry = self.entries.get_mut(&prefix)?;
        let before = entry.told(self.tells_several);
        if !entry.take(neighbour, id) {
            return None;
        }
        self.touched.add(neighbour, prefix, id);
        self.counts.less(neighbour, Family::of_prefix(&prefix));
        let change = entry.settle(prefix, is_own, before, self.tells_several, self.multipath);
        if entry.paths().is_empty() {
            self.entries.remove(&prefix);
        }
        change
    }

    /// A neighbour is gone, with all it offered.
    pub(crate) fn forget(&mut self, neighbour: Address) -> Vec<Change> {
        self.retain(neighbour, |_, _| false)
    }

    /// A neighbour may be restarting: what it offered in these families is stale from now on, the rest is gone.
    pub(crate) fn keep(&mut self, neighbour: Address, families: &BTreeSet<Family>) -> Vec<Change> {
        self.retain(neighbour, |prefix, path| {
            path.is_stale = true;
            families.contains(&Family::of_prefix(prefix))
        })
    }

    /// A neighbour begins to offer all of a family again: what it has offered is stale until then, and stays as it is.
    pub(crate) fn doubt(&mut self, neighbour: Address, family: Family) {
        self.retain(neighbour, |prefix, path| {
            path.is_stale |= Family::of_prefix(prefix) == family;
            true
        });
    }

    /// What a neighbour has not offered again in these families is gone.
    pub(crate) fn sweep(&mut self, neighbour: Address, families: &BTreeSet<Family>) -> Vec<Change> {
        self.retain(neighbour, |prefix, path| !(path.is_stale && families.contains(&Family::of_prefix(prefix))))
    }

    /// A neighbour does not forward: what leads over it goes, and what it passed on from others as a reflector stays (RFC 4456 §10).
    pub(crate) fn bypass(&mut self, neighbour: Address) -> Vec<Change> {
        self.retain(neighbour, |_, path| path.heard.originator.is_some() && path.next_hop != neighbour)
    }

    /// Looks at all the paths of one neighbour, and takes those that do not stay.
    pub(crate) fn retain(
        &mut self,
        neighbour: Address,
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
            let before = entry.told(self.tells_several);
            let had = entry.paths().len();
            entry.retain(|path| {
                let stays = path.source.neighbour != neighbour || stays(&prefix, path);
                if !stays {
                    self.touched.add(neighbour, prefix, path.id);
                }
                stays
            });
            if entry.paths().len() == had {
                return true;
            }
            (entry.paths().len()..had).for_each(|_| self.counts.less(neighbour, Family::of_prefix(&prefix)));
            let is_own = self.own.contains(&prefix);
            changes.extend(entry.settle(prefix, is_own, before, self.tells_several, self.multipath));
            !entry.paths().is_empty()
        });
        changes
    }

    /// Import rules have changed: judges all the paths of one neighbour anew.
    pub(crate) fn judge(&mut self, neighbour: Address, mut judge: impl FnMut(&IpNet, &mut Path)) -> Vec<Change> {
        let mut changes = Vec::new();
        for (prefix, entry) in self.entries.iter_mut() {
            if entry.of(neighbour).is_empty() {
                continue;
            }
            let before = entry.told(self.tells_several);
            for path in entry.of_mut(neighbour) {
                judge(&prefix, path);
                self.touched.add(neighbour, prefix, path.id);
            }
            let is_own = self.own.contains(&prefix);
            changes.extend(entry.settle(prefix, is_own, before, self.tells_several, self.multipath));
        }
        changes
    }

    /// Whether all this neighbour offers is offered by somebody who stays, too.
    pub(crate) fn is_covered(&self, neighbour: Address, stays: impl Fn(Address) -> bool) -> bool {
        let counts = |path: &&Path| path.is_admitted && path.source.neighbour != neighbour;
        let offered = |entry: &&Entry| entry.of(neighbour).iter().any(|path| path.is_admitted);
        !self.has_any(neighbour)
            || self.entries.iter().map(|(_, entry)| entry).filter(offered).all(|entry| {
                entry.paths().iter().filter(counts).any(|path| !path.is_stale && stays(path.source.neighbour))
            })
    }

    /// Whether we originate it.
    pub(crate) fn is_own(&self, prefix: &IpNet) -> bool {
        self.own.contains(prefix)
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
        let change = entry.and_then(|entry| {
            let told = entry.told(self.tells_several);
            entry.settle(prefix, is_own, told, self.tells_several, self.multipath)
        });
        let moved = change.and_then(|change| change.moved);
        Change { prefix, moved, before, after: self.offer(&prefix) }
    }
}
