//! A value that is mostly the usual one, and then takes no memory of its own.
//!
//! Of ten demands that a rule may make most rules make two: a hundred thousand of them are to fit into an agent beside all else.

use std::fmt;
use std::ops::{Deref, DerefMut};

use super::{Peers, PortMatch};

/// A value that is read like any other; eight octets as long as it is the usual one.
#[derive(Clone)]
pub struct Rare<T>(Option<Box<T>>);

/// What a value is where nobody says anything.
pub trait Usual: Default + PartialEq + 'static {
    /// That value.
    const USUAL: &'static Self;
}

impl Usual for Peers {
    const USUAL: &'static Self = &Peers::ANYBODY;
}

impl Usual for Vec<PortMatch> {
    const USUAL: &'static Self = &Vec::new();
}

impl<T> Default for Rare<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T: Usual> From<T> for Rare<T> {
    fn from(value: T) -> Self {
        Self((value != *T::USUAL).then(|| Box::new(value)))
    }
}

impl<T: Usual> Deref for Rare<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_deref().unwrap_or(T::USUAL)
    }
}

impl<T: Usual> DerefMut for Rare<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.get_or_insert_default()
    }
}

impl<T: Usual> PartialEq for Rare<T> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<T: Usual + Eq> Eq for Rare<T> {}

impl<T: Usual + fmt::Debug> fmt::Debug for Rare<T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Rule;

    #[test]
    fn a_rule_is_small_as_long_as_it_asks_for_little() {
        assert!(size_of::<Rule>() <= 96, "{} octets", size_of::<Rule>());
    }

    #[test]
    fn the_usual_value_takes_no_memory_however_it_came_about() {
        let mut cleared: Rare<Vec<PortMatch>> = vec!["tcp/80".parse::<PortMatch>().unwrap()].into();
        assert!(cleared.0.is_some());
        cleared.clear();

        assert_eq!(cleared, Rare::default());
        assert!(Rare::from(cleared.to_vec()).0.is_none());
    }
}
