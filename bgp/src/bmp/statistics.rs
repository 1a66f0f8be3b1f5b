//! How many of what.
//!
//! Rules: RFC 7854 §4.8: counters take four octets and start anew with the speaker, gauges eight.

use crate::wire::Family;

use super::tlv;

/// How many of one thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Statistic {
    /// Prefixes that import rules turned away.
    RejectedByRules(u64),
    /// Prefixes whose path already contained our AS.
    Looped(u64),
    /// Prefixes that we originated ourselves, by a reflector's word.
    Reflected(u64),
    /// What a neighbour offers.
    AdjRibIn(u64),
    /// What it offers of one family.
    AdjRibInOf(Family, u64),
    /// What is in use.
    LocRib(u64),
    /// What is in use of one family.
    LocRibOf(Family, u64),
}

impl Statistic {
    pub(super) fn encode(self, out: &mut Vec<u8>) {
        match self {
            Self::RejectedByRules(count) => counter(0, count, out),
            Self::Looped(count) => counter(4, count, out),
            Self::Reflected(count) => counter(5, count, out),
            Self::AdjRibIn(count) => tlv(7, &count.to_be_bytes(), out),
            Self::LocRib(count) => tlv(8, &count.to_be_bytes(), out),
            Self::AdjRibInOf(family, count) => tlv(9, &of_family(family, count), out),
            Self::LocRibOf(family, count) => tlv(10, &of_family(family, count), out),
        }
    }
}

/// A counter begins again at zero when its four octets are full.
fn counter(kind: u16, count: u64, out: &mut Vec<u8>) {
    let [_, _, _, _, low @ ..] = count.to_be_bytes();
    tlv(kind, &low, out);
}

fn of_family(family: Family, count: u64) -> Vec<u8> {
    let (afi, safi) = family.numbers();
    let [high, low] = afi.to_be_bytes();
    [[high, low, safi].as_slice(), &count.to_be_bytes()].concat()
}
