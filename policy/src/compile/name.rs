//! Names that stay: made of what a thing is, not of when or where it was made.
//!
//! SipHash with a fixed key, because names must be the same after a restart, an upgrade and on every host.

use std::hash::Hasher;

use siphasher::sip::SipHasher13;

use crate::ruleset::Name;

/// What a name is made of, piece by piece; the pieces' borders count.
pub(super) struct Essence(SipHasher13);

impl Essence {
    pub(super) fn new() -> Self {
        Self(SipHasher13::new())
    }

    pub(super) fn with(mut self, piece: &str) -> Self {
        self.0.write(&(piece.len() as u64).to_be_bytes());
        self.0.write(piece.as_bytes());
        self
    }

    /// `kind-0123456789abcdef`: 64 bits, so that among a million names two alike are a matter of 10⁻⁷.
    pub(super) fn name(&self, kind: &str) -> Name {
        Name::new(format!("{kind}-{:016x}", self.0.finish()))
    }
}

/// A number for a name, for ids that are to stay; two names may share one.
pub(super) fn id_of(name: &Name) -> u32 {
    let mut hasher = SipHasher13::new();
    hasher.write(name.as_str().as_bytes());
    u32::try_from(hasher.finish() >> 32).expect("the upper half of 64 bits fits 32")
}
