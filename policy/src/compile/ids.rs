//! A few numbers, each once.

use smallvec::SmallVec;

use super::slab::Id;

/// Numbers in order, side by side: most sets of them are small and are read more often than they change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ids(SmallVec<[Id; 4]>);

impl Ids {
    pub(super) fn insert(&mut self, id: Id) {
        if let Err(place) = self.0.binary_search(&id) {
            self.0.insert(place, id);
        }
    }

    pub(super) fn remove(&mut self, id: Id) {
        if let Ok(place) = self.0.binary_search(&id) {
            self.0.remove(place);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn contains(&self, id: Id) -> bool {
        self.0.binary_search(&id).is_ok()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Id> + '_ {
        self.0.iter().copied()
    }

    /// Those that are in one of both, in order.
    pub(super) fn apart<'i>(&'i self, other: &'i Self) -> impl Iterator<Item = Id> + 'i {
        let (mut left, mut right) = (self.iter().peekable(), other.iter().peekable());
        std::iter::from_fn(move || {
            loop {
                match (left.peek(), right.peek()) {
                    (Some(one), Some(two)) if one == two => {
                        left.next();
                        right.next();
                    }
                    (Some(one), Some(two)) if one > two => return right.next(),
                    (Some(_), _) => return left.next(),
                    (None, _) => return right.next(),
                }
            }
        })
    }
}

impl FromIterator<Id> for Ids {
    fn from_iter<I: IntoIterator<Item = Id>>(ids: I) -> Self {
        let mut all: SmallVec<[Id; 4]> = ids.into_iter().collect();
        all.sort_unstable();
        all.dedup();
        Self(all)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::compile::slab::Slab;

    proptest! {
        #[test]
        fn it_is_what_a_plain_set_is(steps in proptest::collection::vec((0..12_usize, any::<bool>()), 0..40), other in proptest::collection::btree_set(0..12_usize, 0..12)) {
            let mut slab = Slab::default();
            let numbered: Vec<Id> = (0..12).map(|_| slab.insert(())).collect();
            let id = |number: usize| numbered[number];
            let (mut ids, mut plain) = (Ids::default(), BTreeSet::new());
            for (number, comes) in steps {
                if comes {
                    ids.insert(id(number));
                    plain.insert(id(number));
                } else {
                    ids.remove(id(number));
                    plain.remove(&id(number));
                }
            }
            let other: BTreeSet<Id> = other.into_iter().map(id).collect();

            prop_assert!(ids.iter().eq(plain.iter().copied()));
            prop_assert!((0..12).all(|number| ids.contains(id(number)) == plain.contains(&id(number))));
            prop_assert!(ids.apart(&other.iter().copied().collect()).eq(plain.symmetric_difference(&other).copied()));
        }
    }
}
