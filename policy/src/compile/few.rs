//! Maps of which there are many, and most of few entries.
//!
//! In and out: keys and values, in the order of the keys. A `BTreeMap` makes room for eleven entries with the first, and there are ten thousands of
//! them with one; here a few entries stand side by side and take what they take, and many are kept as usual.

use std::collections::BTreeMap;
use std::mem;

/// So many entries stand side by side: as many as a `BTreeMap` has room for in one node.
const FEW: usize = 11;

/// Entries, each key once.
#[derive(Clone, Debug)]
pub(super) enum Few<K, V> {
    /// In the order of their keys.
    Few(Vec<(K, V)>),
    Many(BTreeMap<K, V>),
}

impl<K, V> Default for Few<K, V> {
    fn default() -> Self {
        Self::Few(Vec::new())
    }
}

impl<K: Ord, V: PartialEq> PartialEq for Few<K, V> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl<K: Ord, V: Eq> Eq for Few<K, V> {}

impl<K: Ord, V> Few<K, V> {
    /// The value of a key.
    pub(super) fn get(&self, key: &K) -> Option<&V> {
        match self {
            Self::Few(few) => place(few, key).ok().map(|place| &few[place].1),
            Self::Many(many) => many.get(key),
        }
    }

    /// Gives a key a value; tells which it had.
    pub(super) fn insert(&mut self, key: K, value: V) -> Option<V> {
        let few = match self {
            Self::Few(few) => few,
            Self::Many(many) => return many.insert(key, value),
        };
        match place(few, &key) {
            Ok(place) => return Some(mem::replace(&mut few[place].1, value)),
            Err(place) if few.len() < FEW => {
                few.reserve_exact(1);
                few.insert(place, (key, value));
            }
            Err(_) => *self = Self::Many(mem::take(few).into_iter().chain([(key, value)]).collect()),
        }
        None
    }

    /// Takes a key's value away.
    pub(super) fn remove(&mut self, key: &K) -> Option<V> {
        match self {
            Self::Few(few) => place(few, key).ok().map(|place| few.remove(place).1),
            Self::Many(many) => many.remove(key),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    /// All of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        let (few, many) = match self {
            Self::Few(few) => (few.as_slice(), None),
            Self::Many(many) => (&[][..], Some(many)),
        };
        few.iter().map(|(key, value)| (key, value)).chain(many.into_iter().flatten())
    }

    /// The keys of all of them.
    pub(super) fn keys(&self) -> impl Iterator<Item = &K> {
        self.iter().map(|(key, _)| key)
    }
}

/// Where a key is, or would be.
fn place<K: Ord, V>(few: &[(K, V)], key: &K) -> Result<usize, usize> {
    few.binary_search_by(|(other, _)| other.cmp(key))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_holds_what_a_usual_map_holds(steps in proptest::collection::vec((0..30u8, any::<u16>(), proptest::bool::weighted(0.7)), 0..60)) {
            let (mut few, mut usual) = (Few::default(), BTreeMap::new());
            for (key, value, comes) in steps {
                match comes {
                    true => prop_assert_eq!(few.insert(key, value), usual.insert(key, value)),
                    false => prop_assert_eq!(few.remove(&key), usual.remove(&key)),
                }
            }

            prop_assert!(few.iter().eq(&usual));
            prop_assert!((0..30).all(|key| few.get(&key) == usual.get(&key)));
            prop_assert_eq!(few.is_empty(), usual.is_empty());
            prop_assert_eq!(&few, &Few::Many(usual));
        }
    }

    #[test]
    fn few_take_no_more_room_than_they_need() {
        let mut few = Few::default();
        for number in (0..FEW).rev() {
            few.insert(number, ());
            assert!(matches!(&few, Few::Few(few) if few.capacity() == few.len()));
        }
    }
}
