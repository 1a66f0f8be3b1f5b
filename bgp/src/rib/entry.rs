//! The paths to one prefix, and which of them are in use.
//!
//! A table is a great many of these, nearly all with one path, so that is kept without anything beside it: 24 octets.

use std::{ops::Range, sync::Arc};

use ipnet::IpNet;

use crate::Address;

use super::{
    Multipath, Offer, Path,
    decide::{Choice, decide, next_hops, ranked},
    table::Change,
};

/// What the first path to a prefix is told by; 1 stands for our own prefix.
const FIRST_ID: u32 = 2;

/// The paths to one prefix.
#[derive(Debug, Default)]
pub(super) enum Entry {
    #[default]
    Empty,
    /// It is in use if it is admitted.
    Alone(Path),
    /// Also if there is one, and the prefix is our own.
    Several(Box<Several>),
}

/// Paths by the neighbour's address, then by the identifier it gives them.
#[derive(Debug, Default)]
pub(super) struct Several {
    paths: Vec<Path>,
    choice: Option<Choice>,
    /// Of those in use; `None` if nothing is.
    next_hops: Option<Arc<[Address]>>,
}

/// What was told of a prefix before something changed.
#[derive(Debug)]
pub(super) struct Told {
    offer: Offer,
    next_hops: Option<Arc<[Address]>>,
}

impl Entry {
    pub(super) fn paths(&self) -> &[Path] {
        match self {
            Self::Empty => &[],
            Self::Alone(path) => std::slice::from_ref(path),
            Self::Several(several) => &several.paths,
        }
    }

    fn paths_mut(&mut self) -> &mut [Path] {
        match self {
            Self::Empty => &mut [],
            Self::Alone(path) => std::slice::from_mut(path),
            Self::Several(several) => &mut several.paths,
        }
    }

    /// What was decided; `None` if nothing is in use.
    pub(super) fn choice(&self) -> Option<Choice> {
        match self {
            Self::Empty => None,
            Self::Alone(_) => decide(self.paths(), Multipath::default()), // with nobody to share
            Self::Several(several) => several.choice.clone(),
        }
    }

    /// The next hops in use, sorted; `None` if nothing is.
    pub(super) fn next_hops(&self) -> Option<&Arc<[Address]>> {
        match self {
            Self::Alone(path) => Some(&path.word.ways).filter(|_| path.is_admitted),
            Self::Empty => None,
            Self::Several(several) => several.next_hops.as_ref(),
        }
    }

    /// The same, to be shown; empty if nothing is.
    pub(super) fn used(&self) -> Vec<Address> {
        self.next_hops().map(|next_hops| next_hops.to_vec()).unwrap_or_default()
    }

    fn winner(&self) -> Option<&Path> {
        match self {
            Self::Empty => None,
            Self::Alone(path) => Some(path).filter(|path| path.is_admitted),
            Self::Several(several) => several.choice.as_ref().and_then(|choice| several.paths.get(choice.winner)),
        }
    }

    /// The best that was heard, and the others by their ranks, if anybody may be told of them.
    pub(super) fn offer(&self, with_others: bool) -> Offer {
        let Some(winner) = self.winner() else { return Offer::Nothing };
        let paths = self.paths();
        if !with_others || paths.len() < 2 {
            return Offer::Heard(winner.clone(), Vec::new());
        }
        let others = ranked(paths).into_iter().skip(1).filter_map(|position| paths.get(position).cloned());
        Offer::Heard(winner.clone(), others.collect())
    }

    /// What is told of it as it stands.
    pub(super) fn told(&self, with_others: bool) -> Told {
        Told { offer: self.offer(with_others), next_hops: self.next_hops().cloned() }
    }

    /// Decides anew, and tells what changed; one of our own prefixes has no next hops.
    pub(super) fn settle(
        &mut self,
        prefix: IpNet,
        is_own: bool,
        before: Told,
        with_others: bool,
        multipath: Multipath,
    ) -> Option<Change> {
        self.decide(is_own, multipath);
        let is_moved = before.next_hops.as_ref() != self.next_hops();
        let after = self.offer(with_others);
        (is_moved || before.offer != after).then(|| {
            let moved = is_moved.then(|| self.next_hops().cloned());
            Change { prefix, moved, before: before.offer, after }
        })
    }

    fn decide(&mut self, is_own: bool, multipath: Multipath) {
        if is_own {
            self.several().choice = None;
            self.several().next_hops = None;
            return;
        }
        let Self::Several(several) = self else { return };
        if several.paths.len() < 2 {
            *self = several.paths.pop().map_or(Self::Empty, Self::Alone);
            return;
        }
        several.choice = decide(&several.paths, multipath);
        several.next_hops = several.choice.as_ref().map(|choice| next_hops(&several.paths, choice).into());
    }
}

/// Its paths come and go.
impl Entry {
    /// The same, with room for more.
    fn several(&mut self) -> &mut Several {
        if let Self::Empty | Self::Alone(_) = self {
            let paths = match std::mem::take(self) {
                Self::Alone(path) => vec![path],
                Self::Empty | Self::Several(_) => Vec::new(),
            };
            *self = Self::Several(Box::new(Several { paths, ..Several::default() }));
        }
        match self {
            Self::Several(several) => several,
            Self::Empty | Self::Alone(_) => unreachable!("it has just become that"),
        }
    }

    fn position(&self, neighbour: Address, id: u32) -> Result<usize, usize> {
        self.paths().binary_search_by_key(&(neighbour, id), |path| (path.source.neighbour, path.id))
    }

    /// Where the paths of one neighbour stand.
    fn range(&self, neighbour: Address) -> Range<usize> {
        let paths = self.paths();
        let start = paths.partition_point(|path| path.source.neighbour < neighbour);
        let count = paths[start..].partition_point(|path| path.source.neighbour == neighbour);
        start..start + count
    }

    pub(super) fn of(&self, neighbour: Address) -> &[Path] {
        &self.paths()[self.range(neighbour)]
    }

    pub(super) fn of_mut(&mut self, neighbour: Address) -> &mut [Path] {
        let range = self.range(neighbour);
        &mut self.paths_mut()[range]
    }

    /// The least identifier that no path here is told by.
    fn free_id(&self) -> u32 {
        (FIRST_ID..).find(|id| self.paths().iter().all(|path| path.told_id != *id)).unwrap_or(u32::MAX)
    }

    /// Whether the neighbour had none of this identifier before.
    pub(super) fn put(&mut self, path: Path) -> bool {
        if let Self::Empty = self {
            *self = Self::Alone(Path { told_id: FIRST_ID, ..path });
            return true;
        }
        match self.position(path.source.neighbour, path.id) {
            Ok(position) => {
                let known = &mut self.paths_mut()[position];
                *known = Path { told_id: known.told_id, ..path };
                false
            }
            Err(position) => {
                let path = Path { told_id: self.free_id(), ..path };
                self.several().paths.insert(position, path);
                true
            }
        }
    }

    /// Whether the neighbour had one.
    pub(super) fn take(&mut self, neighbour: Address, id: u32) -> bool {
        let Ok(position) = self.position(neighbour, id) else { return false };
        match self {
            Self::Empty | Self::Alone(_) => *self = Self::Empty,
            Self::Several(several) => drop(several.paths.remove(position)),
        }
        true
    }

    /// Looks at all its paths, and takes those that do not stay.
    pub(super) fn retain(&mut self, mut stays: impl FnMut(&mut Path) -> bool) {
        match self {
            Self::Empty => {}
            Self::Alone(path) => {
                if !stays(path) {
                    *self = Self::Empty;
                }
            }
            Self::Several(several) => several.paths.retain_mut(stays),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_with_one_path_takes_no_room_beside_it() {
        assert_eq!(size_of::<Entry>(), size_of::<Path>());
    }
}
