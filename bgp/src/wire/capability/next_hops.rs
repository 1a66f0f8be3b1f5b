//! Of which families prefixes may be told over a router of IPv6.
//!
//! Rules: RFC 8950 §4: triples of the prefixes' AFI and SAFI and of the next hop's AFI, each of two octets.

use std::collections::BTreeSet;

use super::{super::reader::Reader, Family};

/// `None` if it has not that form; what we do not speak is passed over.
pub(super) fn decode_all(value: &[u8]) -> Option<BTreeSet<Family>> {
    let (v6, _) = Family::Ipv6.numbers();
    let mut reader = Reader::new(value);
    let mut all = BTreeSet::new();
    while !reader.is_empty() {
        let (afi, safi, next_hop) = (reader.u16()?, reader.u16()?, reader.u16()?);
        let family = u8::try_from(safi).ok().and_then(|safi| Family::of(afi, safi));
        all.extend(family.filter(|_| next_hop == v6));
    }
    Some(all)
}

pub(super) fn encode_all(all: &BTreeSet<Family>) -> Vec<u8> {
    let (v6, _) = Family::Ipv6.numbers();
    let mut out = Vec::new();
    for family in all {
        let (afi, safi) = family.numbers();
        out.extend([afi, safi.into(), v6].into_iter().flat_map(u16::to_be_bytes));
    }
    out
}
