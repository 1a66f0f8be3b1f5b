//! Inclusive ranges, merged until none touches another, as interval sets want them.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;

use ipnet::IpNet;

use super::family::Family;
use crate::ruleset::{Atom, Element};

/// Sorts and merges; ranges that overlap or are next to each other become one.
pub(super) fn merged(mut ranges: Vec<RangeInclusive<u128>>) -> Vec<RangeInclusive<u128>> {
    ranges.sort_by_key(|range| (*range.start(), *range.end()));
    let mut merged: Vec<RangeInclusive<u128>> = Vec::new();
    for range in ranges {
        match merged.last_mut() {
            Some(last) if *range.start() <= last.end().saturating_add(1) => {
                *last = *last.start()..=(*last.end()).max(*range.end());
            }
            _ => merged.push(range),
        }
    }
    merged
}

/// The addresses of one family that prefixes hold.
pub(super) fn address_ranges<'a>(nets: impl IntoIterator<Item = &'a IpNet>, family: Family) -> Vec<Element> {
    let of_family = nets.into_iter().filter_map(|net| match (net, family) {
        (IpNet::V4(net), Family::V4) => Some(u128::from(net.network().to_bits())..=net.broadcast().to_bits().into()),
        (IpNet::V6(net), Family::V6) => Some(net.network().to_bits()..=net.broadcast().to_bits()),
        (IpNet::V4(_), Family::V6) | (IpNet::V6(_), Family::V4) => None,
    });
    let ranges = merged(of_family.collect()).into_iter();
    ranges.map(|range| Element::range(address(*range.start(), family), address(*range.end(), family))).collect()
}

fn address(bits: u128, family: Family) -> Atom {
    match family {
        Family::V4 => {
            let bits = u32::try_from(bits).expect("ranges of IPv4 end within 32 bits");
            Atom::Address4(Ipv4Addr::from_bits(bits))
        }
        Family::V6 => Atom::Address6(Ipv6Addr::from_bits(bits)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_overlaps_or_touches_becomes_one() {
        assert_eq!(merged(vec![5..=9, 1..=2, 3..=3, 7..=12, 14..=14]), [1..=3, 5..=12, 14..=14]);
        assert_eq!(merged(vec![0..=u128::MAX, 4..=5]), [0..=u128::MAX]);
    }

    #[test]
    fn prefixes_of_the_other_family_are_left_out() {
        let nets: Vec<IpNet> = ["10.0.0.0/25", "10.0.0.128/25", "fd00::/8"].map(|net| net.parse().unwrap()).into();

        let ranges = address_ranges(&nets, Family::V4);

        let (low, high) = ("10.0.0.0".parse().unwrap(), "10.0.0.255".parse().unwrap());
        assert_eq!(ranges, [Element::range(Atom::Address4(low), Atom::Address4(high))]);
    }
}
