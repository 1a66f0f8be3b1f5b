//! Who carries a label and who asks for it, by its key and value.

use super::ids::Ids;
use super::name::Hashed;

/// What a pair of key and value has to do with.
#[derive(Clone, Debug, Default)]
pub(super) struct Pair {
    /// Who carries it.
    pub(super) carriers: Ids,
    /// The selections that cannot do without it, or without another they name beside it.
    pub(super) askers: Ids,
}

/// All pairs that anybody carries or asks for. Both sides stand together: who changes a label looks for both.
#[derive(Clone, Debug, Default)]
pub(super) struct Pairs(Hashed<Box<str>, Hashed<Box<str>, Pair>>);

impl Pairs {
    /// A pair, if anybody carries it or asks for it.
    pub(super) fn of(&self, key: &str, value: &str) -> Option<&Pair> {
        self.0.get(key)?.get(value)
    }

    /// Changes a pair, which comes with the first that has to do with it and goes with the last.
    pub(super) fn change(&mut self, key: &str, value: &str, change: impl FnOnce(&mut Pair)) {
        let is_left = match self.0.get_mut(key) {
            Some(values) => {
                change_in(values, value, change);
                values.is_empty()
            }
            None => {
                let mut values = Hashed::default();
                change_in(&mut values, value, change);
                self.0.insert(key.into(), values);
                false
            }
        };
        if is_left {
            self.0.remove(key);
        }
    }
}

fn change_in(values: &mut Hashed<Box<str>, Pair>, value: &str, change: impl FnOnce(&mut Pair)) {
    match values.get_mut(value) {
        Some(pair) => {
            change(pair);
            if pair.carriers.is_empty() && pair.askers.is_empty() {
                values.remove(value);
            }
        }
        None => {
            let mut pair = Pair::default();
            change(&mut pair);
            values.insert(value.into(), pair);
        }
    }
}
