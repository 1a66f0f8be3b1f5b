//! The number of an autonomous system.
//!
//! Rules: RFC 6793 (four octets), RFC 7607 (zero is nobody).

use std::fmt;

/// The number of an autonomous system, four octets wide; zero is nobody's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Asn(pub u32);

impl Asn {
    /// What stands in a two-octet field for a number that does not fit: AS_TRANS, RFC 6793 §9.
    pub const TRANS: Asn = Asn(23456);

    /// The two-octet form: the number itself where it fits, else [`Asn::TRANS`].
    pub fn two_octets(self) -> u16 {
        u16::try_from(self.0).unwrap_or(23456)
    }

    /// Whether two octets hold this number.
    pub fn fits_two_octets(self) -> bool {
        u16::try_from(self.0).is_ok()
    }
}

impl fmt::Display for Asn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
