//! Things by the pairs of key and value they have to do with.

use std::collections::BTreeMap;

use super::slab::Id;

/// From key and value to things, in order. Many values stand for one thing alone, and a list of one takes little room.
#[derive(Clone, Debug, Default)]
pub(super) struct Pairs(BTreeMap<String, BTreeMap<Box<str>, Vec<Id>>>);

impl Pairs {
    /// The things of a pair.
    pub(super) fn of(&self, key: &str, value: &str) -> impl Iterator<Item = Id> + '_ {
        self.0.get(key).and_then(|values| values.get(value)).into_iter().flatten().copied()
    }

    pub(super) fn insert(&mut self, key: &str, value: &str, id: Id) {
        let values = self.0.entry(key.to_owned()).or_default();
        let ids = values.entry(value.into()).or_insert_with(|| Vec::with_capacity(1));
        if let Err(place) = ids.binary_search(&id) {
            ids.insert(place, id);
        }
    }

    pub(super) fn remove(&mut self, key: &str, value: &str, id: Id) {
        let Some(values) = self.0.get_mut(key) else { return };
        let Some(ids) = values.get_mut(value) else { return };
        if let Ok(place) = ids.binary_search(&id) {
            ids.remove(place);
        }
        if ids.is_empty() {
            values.remove(value);
        }
        if values.is_empty() {
            self.0.remove(key);
        }
    }
}
