//! Hashes that stay the same over releases of the compiler, of Poplin and of the host: names in the kernel rest on them.

use std::hash::Hasher;

use siphasher::sip::SipHasher13;

/// A stable hash of several texts. `["a", "b"]` and `["ab"]` differ.
pub fn hash64(parts: &[&str]) -> u64 {
    let mut hasher = SipHasher13::new();
    for part in parts {
        hasher.write(part.as_bytes());
        hasher.write(&[0]);
    }
    hasher.finish()
}
