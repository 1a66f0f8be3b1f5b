//! Whole messages on their way to one neighbour or to many, held once.

use std::{ops::Deref, sync::Arc};

/// Whole messages as they go over the wire, in order. A clone is the same memory: what is told to fifty neighbours is held once, until
/// the last of them has taken it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Octets(Arc<Vec<u8>>); // a vector and no slice, which would be a copy of what was just put together

impl Octets {
    /// Whether both are the same memory.
    pub fn is_shared_with(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl From<Vec<u8>> for Octets {
    fn from(octets: Vec<u8>) -> Self {
        Self(Arc::new(octets))
    }
}

impl Deref for Octets {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}
