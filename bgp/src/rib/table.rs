//! All paths to all prefixes, and what of them is in use.
//!
//! In: paths that come and go by neighbour (Adj-RIB-In, RFC 4271 §3.2). Out: the changes to the next hops in use (Loc-RIB).
//! A path may be stale; that changes when it goes, and nothing else (RFC 4724 §4.2).

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use ipnet::IpNet;

use crate::wire::{Attributes, Family};

use super::{
    Own, Source,
    decide::{Choice, decide, next_hops},
    route::Path,
};

/// What became of the next hops of one prefix: all of them now, none if it is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) prefix: IpNet,
    pub(crate) next_hops: Vec<IpAddr>,
}

/// All paths to all prefixes.
#[derive(Debug, Default)]
pub(crate) struct Table {
    pub(super) entries: BTreeMap<IpNet, Entry>,
    /// How many paths each neighbour has here, by family.
    counts: BTreeMap<(IpAddr, Family), usize>,
    own: Own,
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
    pub(crate) fn own(&self) -> &Own {
        &self.own
    }

    /// How many prefixes of this family this neighbour offers.
    pub(crate) fn count(&self, neighbour: IpAddr, family: Family) -> usize {
        self.counts.get(&(neighbour, family)).copied().unwrap_or(0)
    }

    /// A neighbour offers a way, in place of what it offered before.
    pub(crate) fn announce(
        &mut self,
        prefix: IpNet,
        source: &Arc<Source>,
        attributes: &Arc<Attributes>,
        next_hop: IpAddr,
    ) -> Option<Change> {
        let path = Path { source: Arc::clone(source), attributes: Arc::clone(attributes), next_hop, is_stale: false };
        let is_own = self.own.contains(&prefix);
        let entry = self.entries.entry(prefix).or_default();
        if entry.put(path) {
            *self.counts.entry((source.neighbour, Family::of_prefix(&prefix))).or_default() += 1;
        }
        entry.settle(prefix, is_own)
    }

    /// A neighbour takes back what it offered, if it did.
    pub(crate) fn withdraw(&mut self, prefix: IpNet, neighbour: IpAddr) -> Option<Change> {
        let is_own = self.own.contains(&prefix);
        let entry = self.entries.get_mut(&prefix)?;
        if !entry.take(neighbour) {
            return None;
        }
        if let Some(count) = self.counts.get_mut(&(neighbour, Family::of_prefix(&prefix))) {
            *count = count.saturating_sub(1);
        }
        let change = entry.settle(prefix, is_own);
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

    /// Looks at all the paths of one neighbour, and takes those that do not stay.
    fn retain(&mut self, neighbour: IpAddr, mut stays: impl FnMut(&IpNet, &mut Path) -> bool) -> Vec<Change> {
        if Family::ALL.iter().all(|&family| self.count(neighbour, family) == 0) {
            return Vec::new(); // the whole table need not be looked through
        }
        let mut changes = Vec::new();
        self.entries.retain(|prefix, entry| {
            let Ok(position) = entry.position(neighbour) else { return true };
            if stays(prefix, &mut entry.paths[position]) {
                return true;
            }
            entry.paths.remove(position);
            if let Some(count) = self.counts.get_mut(&(neighbour, Family::of_prefix(prefix))) {
                *count = count.saturating_sub(1);
            }
            changes.extend(entry.settle(*prefix, self.own.contains(prefix)));
            !entry.paths.is_empty()
        });
        self.counts.retain(|_, count| *count > 0);
        changes
    }

    /// Our own prefixes are these from now on; what others say about them falls out of use or comes into it.
    pub(crate) fn originate(&mut self, own: Own) -> Vec<Change> {
        let changed: Vec<_> = self.own.prefixes().symmetric_difference(own.prefixes()).copied().collect();
        self.own = own;
        changed.into_iter().filter_map(|prefix| self.reconsider(prefix)).collect()
    }

    fn reconsider(&mut self, prefix: IpNet) -> Option<Change> {
        let is_own = self.own.contains(&prefix);
        self.entries.get_mut(&prefix)?.settle(prefix, is_own)
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

    /// Decides anew, and tells if the next hops changed; one of our own prefixes has none.
    fn settle(&mut self, prefix: IpNet, is_own: bool) -> Option<Change> {
        self.choice = if is_own { None } else { decide(&self.paths) };
        let next_hops = self.choice.as_ref().map(|choice| next_hops(&self.paths, choice)).unwrap_or_default();
        if next_hops == self.next_hops {
            return None;
        }
        self.next_hops.clone_from(&next_hops);
        Some(Change { prefix, next_hops })
    }
}
