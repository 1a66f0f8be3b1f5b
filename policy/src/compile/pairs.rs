//! Things by the pairs of key and value they have to do with.

use super::name::Hashed;
use super::slab::Id;

/// From key and value to things, in order. Many values stand for one thing alone, and a list of one takes little room.
#[derive(Clone, Debug, Default)]
pub(super) struct Pairs(Hashed<Box<str>, Hashed<Box<str>, Vec<Id>>>);

impl Pairs {
    /// The things of a pair.
    pub(super) fn of(&self, key: &str, value: &str) -> impl Iterator<Item = Id> + '_ {
        self.0.get(key).and_then(|values| values.get(value)).into_iter().flatten().copied()
    }

    pub(super) fn insert(&mut self, key: &str, value: &str, id: Id) {
        let ids = self.ids(key, value);
        if let Err(place) = ids.binary_search(&id) {
            ids.insert(place, id);
        }
    }

    /// The list of a pair, made if there is none. Most are there, and to be found they need no text of their own.
    fn ids(&mut self, key: &str, value: &str) -> &mut Vec<Id> {
        if !self.0.contains_key(key) {
            self.0.insert(key.into(), Hashed::default());
        }
        let values = self.0.get_mut(key).expect("it was just made if it was missing");
        if !values.contains_key(value) {
            values.insert(value.into(), Vec::with_capacity(1));
        }
        values.get_mut(value).expect("it was just made if it was missing")
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
