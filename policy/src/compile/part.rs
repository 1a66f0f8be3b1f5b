//! A part of the table that is small, and made anew as a whole whenever something of it changes.
//!
//! In: what should stand. Out: edits; what stood before and is not wanted any more leaves. What is equal is not touched.

use std::collections::{BTreeMap, BTreeSet};

use crate::edit::Edited;
use crate::ruleset::{Chain, Map, Name, Set};

/// What should stand.
#[derive(Default)]
pub(super) struct Part {
    pub(super) chains: BTreeMap<Name, Chain>,
    pub(super) maps: BTreeMap<Name, Map>,
    pub(super) sets: BTreeMap<Name, Set>,
}

/// The names of what stands.
#[derive(Clone, Debug, Default)]
pub(super) struct Standing {
    chains: BTreeSet<Name>,
    maps: BTreeSet<Name>,
    sets: BTreeSet<Name>,
}

impl Standing {
    /// Makes this, and nothing else of what stood, stand.
    pub(super) fn put(&mut self, wanted: Part, edited: &mut Edited) {
        for name in leaving(&mut self.chains, &wanted.chains) {
            edited.set_chain(&name, None);
        }
        for name in leaving(&mut self.maps, &wanted.maps) {
            edited.set_map(&name, None);
        }
        for name in leaving(&mut self.sets, &wanted.sets) {
            edited.set_set(&name, None);
        }
        wanted.sets.into_iter().for_each(|(name, set)| edited.set_set(&name, Some(set)));
        wanted.maps.into_iter().for_each(|(name, map)| edited.set_map(&name, Some(map)));
        wanted.chains.into_iter().for_each(|(name, chain)| edited.set_chain(&name, Some(chain)));
    }
}

fn leaving<T>(standing: &mut BTreeSet<Name>, wanted: &BTreeMap<Name, T>) -> Vec<Name> {
    let former = std::mem::replace(standing, wanted.keys().cloned().collect());
    former.into_iter().filter(|name| !wanted.contains_key(name)).collect()
}
