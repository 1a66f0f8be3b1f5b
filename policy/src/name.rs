//! Short names, kept in place: they are copied and compared by the hundred thousand, and none needs memory of its own.
//!
//! In: text. Out: a name of a bounded length, or nothing. Ordered and hashed as the text they stand for.

use std::fmt;
use std::hash::{Hash, Hasher};

/// Text of at most `N` octets, all of them ASCII, none of them NUL. What follows the text is NUL, so that comparing all octets compares the texts.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Short<const N: usize>([u8; N]);

impl<const N: usize> Short<N> {
    /// Takes text that is short enough.
    fn new(text: &str) -> Option<Self> {
        let mut octets = [0; N];
        octets.get_mut(..text.len())?.copy_from_slice(text.as_bytes());
        Some(Self(octets))
    }

    fn octets(&self) -> &[u8] {
        &self.0[..self.0.iter().position(|octet| *octet == 0).unwrap_or(N)]
    }

    fn as_str(&self) -> &str {
        std::str::from_utf8(self.octets()).expect("a short name was text")
    }
}

/// As `str` is hashed.
impl<const N: usize> Hash for Short<N> {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        hasher.write(self.octets());
        hasher.write_u8(0xff);
    }
}

/// Name of a set, map, counter or chain within the table. At most 31 octets, so that every kernel takes it for every kind.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Short<{ Name::MAX_OCTETS }>);

impl Name {
    /// Longest name, in octets: `NFT_NAME_MAXLEN` was 32 with its NUL before Linux 4.14.
    pub const MAX_OCTETS: usize = 31;

    /// Makes a name. Names are composed by the compiler, never by people, so a bad one is a bug of ours.
    pub fn new(text: impl AsRef<str>) -> Self {
        let text = text.as_ref();
        Self::parse(text).unwrap_or_else(|| panic!("{text:?} cannot name a set, map, counter or chain"))
    }

    /// Takes a name, or nothing if nothing of ours is called so.
    pub fn parse(text: &str) -> Option<Self> {
        let is_plain = |octet: u8| octet.is_ascii_alphanumeric() || octet == b'-' || octet == b'_';
        let fits = !text.is_empty() && text.bytes().all(is_plain);
        fits.then(|| Short::new(text).map(Self)).flatten()
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Display for Name {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_tuple("Name").field(&self.as_str()).finish()
    }
}

/// Name of a network interface: 1 to 15 octets (`IFNAMSIZ` less its NUL).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Interface(Short<{ Interface::MAX_OCTETS }>);

impl Interface {
    /// Longest interface name, in octets (linux/if.h, `IFNAMSIZ` − 1).
    pub const MAX_OCTETS: usize = 15;

    /// Takes a name the kernel would take, or nothing.
    pub fn new(text: impl AsRef<str>) -> Option<Self> {
        let text = text.as_ref();
        let fits = !text.is_empty() && text != "." && text != "..";
        let plain = text.bytes().all(|octet| octet.is_ascii_graphic() && octet != b'/' && octet != b':');
        (fits && plain).then(|| Short::new(text).map(Self)).flatten()
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Its octets, and NUL after them.
    pub(crate) fn octets(&self) -> &[u8; Self::MAX_OCTETS] {
        &self.0.0
    }

    /// The name of which these are [`Interface::octets`].
    pub(crate) fn of_octets(octets: [u8; Self::MAX_OCTETS]) -> Self {
        Self(Short(octets))
    }
}

impl fmt::Display for Interface {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

impl fmt::Debug for Interface {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_tuple("Interface").field(&self.as_str()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::hash::BuildHasher;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn names_stand_in_the_order_of_their_texts_and_hash_as_they_do(left in "[a-z0-9_-]{1,31}", right in "[a-z0-9_-]{1,31}") {
            let names = [&left, &right].map(Name::new);
            let hasher = std::hash::RandomState::new();

            prop_assert_eq!(names[0].cmp(&names[1]), left.cmp(&right));
            prop_assert_eq!(hasher.hash_one(&names[0]), hasher.hash_one(&left));
            prop_assert_eq!(names[0].as_str(), left);
        }
    }

    #[test]
    fn names_that_are_too_long_or_of_other_signs_are_refused() {
        assert!(Name::parse(&"n".repeat(31)).is_some());
        assert!(Name::parse(&"n".repeat(32)).is_none());
        assert!(Name::parse("").is_none());
        assert!(Name::parse("a b").is_none());
        assert!(Interface::new("pop0123456789ab").is_some());
        assert!(Interface::new("pop0123456789abc").is_none());
        assert!(Interface::new("..").is_none());
        assert!(Interface::new("eth0/1").is_none());
    }
}
