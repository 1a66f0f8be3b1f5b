//! Chance for waits and choices that must differ between hosts; nothing that needs secrecy.

use std::hash::{BuildHasher, RandomState};

/// A number from 0 up to 1. The standard library seeds its hash maps by chance, which is chance enough here.
pub(super) fn chance() -> f64 {
    let octets = RandomState::new().hash_one(());
    f64::from(u32::try_from(octets >> 32).unwrap_or(0)) / (f64::from(u32::MAX) + 1.0)
}

/// Any number: what is made of it is another on each host and in each life.
pub(crate) fn seed() -> u64 {
    RandomState::new().hash_one(())
}

/// A number from 0 up to `bound`; 0 if there is no room.
pub(super) fn chance_below(bound: usize) -> usize {
    let octets = RandomState::new().hash_one(());
    usize::try_from(octets >> 32).unwrap_or(0).checked_rem(bound).unwrap_or(0)
}
