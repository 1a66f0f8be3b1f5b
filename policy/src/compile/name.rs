//! Names that stay: made of what a thing is, not of when or where it was made.
//!
//! SipHash with a fixed key, because names must be the same after a restart and on every host.

use std::hash::{Hash, Hasher};

use siphasher::sip::SipHasher13;

use crate::ruleset::Name;

/// `kind-0123456789abcdef`: 64 bits, so that among a million names two alike are a matter of 10⁻⁷.
pub(super) fn name_of(kind: &str, essence: &impl Hash) -> Name {
    let mut hasher = SipHasher13::new();
    essence.hash(&mut hasher);
    Name::new(format!("{kind}-{:016x}", hasher.finish()))
}

/// A number for a name, for ids that are to stay; two names may share one.
pub(super) fn id_of(name: &Name) -> u32 {
    let mut hasher = SipHasher13::new();
    hasher.write(name.as_str().as_bytes());
    u32::try_from(hasher.finish() >> 32).expect("the upper half of 64 bits fits 32")
}
