//! The rules of one direction of a policy, in order.
//!
//! Values. A policy is held by who heard of it, by who compiles it and by whom it is shown to: its rules are most of it, and stand in memory once.

use std::ops::{Deref, DerefMut};
use std::slice;
use std::sync::Arc;

use super::Rule;

/// Rules in the order they are asked. Clones share them until one is changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules(Arc<[Rule]>);

impl From<Vec<Rule>> for Rules {
    fn from(rules: Vec<Rule>) -> Self {
        Self(rules.into())
    }
}

impl FromIterator<Rule> for Rules {
    fn from_iter<I: IntoIterator<Item = Rule>>(rules: I) -> Self {
        Self(rules.into_iter().collect())
    }
}

impl Deref for Rules {
    type Target = [Rule];

    fn deref(&self) -> &[Rule] {
        &self.0
    }
}

impl DerefMut for Rules {
    fn deref_mut(&mut self) -> &mut [Rule] {
        Arc::make_mut(&mut self.0)
    }
}

impl<'r> IntoIterator for &'r Rules {
    type Item = &'r Rule;
    type IntoIter = slice::Iter<'r, Rule>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<'r> IntoIterator for &'r mut Rules {
    type Item = &'r mut Rule;
    type IntoIter = slice::IterMut<'r, Rule>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::super::Action;
    use super::*;

    #[test]
    fn clones_stand_in_memory_once_until_one_is_changed() {
        let rules = Rules::from(vec![Rule::any("1", Action::Allow), Rule::any("2", Action::Deny)]);
        let mut other = rules.clone();
        assert!(std::ptr::eq(&rules[..], &other[..]));

        other[1].log = true;

        assert!(!rules[1].log);
        assert_eq!((rules != other, &rules[0]), (true, &other[0]));
    }
}
