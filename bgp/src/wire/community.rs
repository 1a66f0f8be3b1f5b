//! Tags that travel with a route, in three widths.
//!
//! Rules: RFC 1997 (four octets), RFC 4360 (eight, with a type), RFC 8092 (twelve). What they read like stands in `text.rs`,
//! the names some of them have in `name.rs`. Knows nothing of what is done because of them.

mod name;
mod text;

pub use text::NotACommunity;

/// A tag of four octets, RFC 1997: by custom an AS number, then what that system means by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Community(pub u32);

impl Community {
    /// The route is about to go, and others are to be preferred: RFC 8326.
    pub const GRACEFUL_SHUTDOWN: Self = Self(0xffff_0000);
    /// Whoever told the route is away for long: the last choice of all (RFC 9494).
    pub const LLGR_STALE: Self = Self(0xffff_0006);
    /// The route is not to outlive its teller for long: RFC 9494.
    pub const NO_LLGR: Self = Self(0xffff_0007);
    /// Whoever agreed on it discards the traffic: RFC 7999. To us a mere value.
    pub const BLACKHOLE: Self = Self(0xffff_029a);
    /// Not to be told outside of our system: RFC 1997.
    pub const NO_EXPORT: Self = Self(0xffff_ff01);
    /// Not to be told to anybody: RFC 1997.
    pub const NO_ADVERTISE: Self = Self(0xffff_ff02);
    /// Not to be told to external neighbours, members of one confederation included: RFC 1997.
    pub const NO_EXPORT_SUBCONFED: Self = Self(0xffff_ff03);

    /// Its two halves, as it is written.
    pub fn halves(self) -> (u16, u16) {
        let [a, b, c, d] = self.0.to_be_bytes();
        (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]))
    }
}

/// A tag of twelve octets, RFC 8092: an AS number of any size, and two numbers that system gives a meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LargeCommunity {
    /// Whose tag it is.
    pub administrator: u32,
    /// By custom what is to be done.
    pub function: u32,
    /// By custom whereto it applies.
    pub parameter: u32,
}

impl LargeCommunity {
    pub(in crate::wire) const OCTETS: usize = 12;

    pub(super) fn octets(self) -> [u8; Self::OCTETS] {
        let mut octets = [0; Self::OCTETS];
        let numbers = [self.administrator, self.function, self.parameter];
        octets.as_chunks_mut::<4>().0.iter_mut().zip(numbers).for_each(|(four, number)| *four = number.to_be_bytes());
        octets
    }

    pub(super) fn of(octets: [u8; Self::OCTETS]) -> Self {
        let [a, b, c, d, e, f, g, h, i, j, k, l] = octets;
        Self {
            administrator: u32::from_be_bytes([a, b, c, d]),
            function: u32::from_be_bytes([e, f, g, h]),
            parameter: u32::from_be_bytes([i, j, k, l]),
        }
    }
}

/// A tag of eight octets, RFC 4360: one or two octets of type, the rest as the type says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExtendedCommunity(pub [u8; 8]);

impl ExtendedCommunity {
    /// Whether it may leave the system it is in: RFC 4360 §2, the T bit says no.
    pub fn is_transitive(self) -> bool {
        const NOT_TRANSITIVE: u8 = 0x40;
        self.0[0] & NOT_TRANSITIVE == 0
    }
}

/// A tag of any width.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AnyCommunity {
    /// RFC 1997.
    Standard(Community),
    /// RFC 4360.
    Extended(ExtendedCommunity),
    /// RFC 8092.
    Large(LargeCommunity),
}
