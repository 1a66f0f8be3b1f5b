//! Which address sets a selection selects, without asking each of them.
//!
//! In: address sets as they come, change and go. Out: those a selection could select by the labels it cannot do without. Knows nothing of
//! endpoints.

use std::collections::BTreeMap;

use super::pairs::Pairs;
use super::slab::{Id, Slab};
use crate::label::Labels;
use crate::model::{AddressSet, QualifiedName, Selection};
use crate::world::World;

/// Address sets by their labels.
#[derive(Clone, Debug, Default)]
pub(super) struct Places {
    names: Slab<QualifiedName>,
    ids: BTreeMap<QualifiedName, Id>,
    by_label: Pairs,
}

impl Places {
    /// An address set comes, changes or goes.
    pub(super) fn set(&mut self, name: &QualifiedName, before: Option<&Labels>, after: Option<&Labels>) {
        if let Some(labels) = before {
            let id = self.ids.remove(name).expect("an address set that stood is known");
            labels.iter().for_each(|(key, value)| self.by_label.change(key, value, |pair| pair.carriers.remove(id)));
            self.names.remove(id);
        }
        if let Some(labels) = after {
            let id = self.names.insert(name.clone());
            labels.iter().for_each(|(key, value)| self.by_label.change(key, value, |pair| pair.carriers.insert(id)));
            self.ids.insert(name.clone(), id);
        }
    }

    /// The address sets that are selected.
    pub(super) fn selected<'w>(&self, world: &'w World, selection: &Selection) -> Vec<&'w AddressSet> {
        let is_selected = |set: &&AddressSet| world.selects_set(selection, set);
        match selection.labels.required() {
            None => world.sets.values().filter(is_selected).collect(),
            Some(pairs) => {
                let carried = pairs.into_iter().filter_map(|(key, value)| self.by_label.of(key, value));
                let ids = carried.flat_map(|pair| pair.carriers.iter());
                let mut names: Vec<&QualifiedName> = ids.map(|id| &self.names[id]).collect();
                names.sort_unstable();
                names.dedup();
                names.into_iter().filter_map(|name| world.sets.get(name)).filter(is_selected).collect()
            }
        }
    }
}
