//! The whole table, a stretch at a time: whoever listens may be slow, and nobody keeps a copy for it.
//!
//! A walk sees each prefix that stands all the while once. What changes behind it has to be told otherwise.

use ipnet::IpNet;

use crate::{Address, wire::Family};

use super::{Offer, Path, Table};

/// Some prefixes in a row.
#[derive(Debug)]
pub(crate) struct Stretch<'a> {
    /// Each with all its paths, and what is in use.
    pub(crate) prefixes: Vec<(IpNet, &'a [Path], Offer)>,
    /// Where to go on; `None` at the end.
    pub(crate) last: Option<IpNet>,
}

impl Table {
    /// The next prefixes behind this one, or the first ones.
    pub(crate) fn stretch(&self, after: Option<IpNet>, prefixes: usize) -> Stretch<'_> {
        let row = self.entries.after(after).take(prefixes);
        let row: Vec<_> = row.map(|(prefix, entry)| (prefix, entry.paths(), self.offer(&prefix))).collect();
        let last = row.last().map(|(prefix, ..)| *prefix).filter(|_| row.len() == prefixes);
        Stretch { prefixes: row, last }
    }

    /// The prefixes in use, those of our own among them.
    pub(crate) fn in_use(&self) -> impl Iterator<Item = IpNet> {
        self.offers().filter(|(_, offer)| *offer != Offer::Nothing).map(|(prefix, _)| prefix)
    }

    /// Every path that import rules let pass, as its neighbour and its family.
    pub(crate) fn admitted(&self) -> impl Iterator<Item = (Address, Family)> {
        self.entries.iter().flat_map(|(prefix, entry)| {
            let family = Family::of_prefix(&prefix);
            let admitted = entry.paths().iter().filter(|path| path.is_admitted);
            admitted.map(move |path| (path.source.neighbour, family))
        })
    }

    /// Our own prefixes.
    pub(crate) fn own_prefixes(&self) -> impl Iterator<Item = IpNet> {
        self.own.prefixes().iter().copied()
    }

    /// What is in use of one prefix.
    pub(crate) fn offer_of(&self, prefix: &IpNet) -> Offer {
        self.offer(prefix)
    }
}
