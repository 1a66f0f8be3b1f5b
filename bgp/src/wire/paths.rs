//! More than one path to one prefix: who says which ones, and in which families.
//!
//! Rules: RFC 7911 §3 (path identifiers), §4 (the capability).

use std::collections::BTreeMap;

use ipnet::IpNet;

use super::{Family, reader::Reader};

/// A prefix as it stands in an UPDATE.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nlri {
    /// Whereto.
    pub prefix: IpNet,
    /// Which of the sender's paths it is; 0 where only one is told.
    pub id: u32,
}

impl From<IpNet> for Nlri {
    fn from(prefix: IpNet) -> Self {
        Self { prefix, id: 0 }
    }
}

/// The families whose prefixes carry a path identifier, in one direction of a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PathFamilies {
    /// IPv4.
    pub ipv4: bool,
    /// IPv6.
    pub ipv6: bool,
}

impl PathFamilies {
    /// Those of which something holds.
    pub fn of(holds: impl Fn(Family) -> bool) -> Self {
        Self { ipv4: holds(Family::Ipv4), ipv6: holds(Family::Ipv6) }
    }

    /// Whether prefixes of this family carry one.
    pub fn contains(self, family: Family) -> bool {
        match family {
            Family::Ipv4 => self.ipv4,
            Family::Ipv6 => self.ipv6,
        }
    }
}

/// In which directions a speaker can do more than one path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AddPaths {
    /// It can hear them.
    pub receive: bool,
    /// It can tell them.
    pub send: bool,
}

const RECEIVE: u8 = 1;
const SEND: u8 = 2;

impl AddPaths {
    /// §4: any other value than these three is to be ignored.
    fn of(octet: u8) -> Option<Self> {
        matches!(octet, 1..=3).then_some(Self { receive: octet & RECEIVE != 0, send: octet & SEND != 0 })
    }

    fn octet(self) -> u8 {
        u8::from(self.receive) * RECEIVE + u8::from(self.send) * SEND
    }

    /// `None` if it has not the form of §4; families that we do not speak are passed over.
    pub(super) fn decode_all(value: &[u8]) -> Option<BTreeMap<Family, Self>> {
        let mut reader = Reader::new(value);
        let mut all = BTreeMap::new();
        while !reader.is_empty() {
            let (family, mode) = (Family::of(reader.u16()?, reader.u8()?), Self::of(reader.u8()?));
            all.extend(family.zip(mode));
        }
        Some(all)
    }

    pub(super) fn encode_all(all: &BTreeMap<Family, Self>) -> Vec<u8> {
        let mut out = Vec::new();
        for (family, mode) in all {
            let (afi, safi) = family.numbers();
            out.extend(afi.to_be_bytes());
            out.extend([safi, mode.octet()]);
        }
        out
    }
}
