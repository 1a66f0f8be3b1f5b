//! Names that stay: made of what a thing is, not of when or where it was made.
//!
//! SipHash with a fixed key, because names must be the same after a restart and on every host.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash, Hasher};

use siphasher::sip::SipHasher13;

use crate::ruleset::{Atom, Element, Name};

/// A map whose order is of no account, without randomness.
pub(super) type Hashed<K, V> = HashMap<K, V, BuildHasherDefault<SipHasher13>>;

/// `kind-0123456789abcdef`: 64 bits, so that among a million names two alike are a matter of 10⁻⁷.
pub(super) fn name_of(kind: &str, essence: &impl Hash) -> Name {
    Name::new(format!("{kind}-{:016x}", hash_of(essence)))
}

/// The number that stands for something.
pub(super) fn hash_of(essence: &impl Hash) -> u64 {
    let mut hasher = SipHasher13::new();
    essence.hash(&mut hasher);
    hasher.finish()
}

/// The id that stands for what is called so.
pub(super) fn id_of(name: &Name) -> u64 {
    let mut hasher = SipHasher13::new();
    hasher.write(name.as_str().as_bytes());
    hasher.finish()
}

/// An id as a key.
pub(super) fn id_key(id: u64) -> Element {
    Element::exactly([Atom::Id(id)])
}
