//! Inclusive ranges, merged until none touches another, as interval sets want them.

use std::ops::RangeInclusive;

use ipnet::IpNet;

use super::family::address_atom;
use crate::model::IpVersion;
use crate::ruleset::Element;

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
pub(super) fn address_ranges<'a>(
    nets: impl IntoIterator<Item = &'a IpNet>,
    family: IpVersion,
) -> Vec<RangeInclusive<u128>> {
    let of_family = nets.into_iter().filter_map(|net| match (net, family) {
        (IpNet::V4(net), IpVersion::V4) => Some(u128::from(net.network().to_bits())..=net.broadcast().to_bits().into()),
        (IpNet::V6(net), IpVersion::V6) => Some(net.network().to_bits()..=net.broadcast().to_bits()),
        (IpNet::V4(_), IpVersion::V6) | (IpNet::V6(_), IpVersion::V4) => None,
    });
    merged(of_family.collect())
}

/// Whether merged ranges hold a number.
pub(super) fn holds(ranges: &[RangeInclusive<u128>], number: u128) -> bool {
    let after = ranges.partition_point(|range| *range.start() <= number);
    after.checked_sub(1).is_some_and(|last| ranges[last].contains(&number))
}

/// A range of addresses as an element of a set.
pub(super) fn element(range: &RangeInclusive<u128>, family: IpVersion) -> Element {
    let atom = |bits| address_atom(family.address(bits));
    Element::range(atom(*range.start()), atom(*range.end()))
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

        assert_eq!(address_ranges(&nets, IpVersion::V4), [0x0a00_0000..=0x0a00_00ff]);
    }

    #[test]
    fn merged_ranges_are_searched() {
        let ranges = [1..=3, 5..=12];

        assert_eq!([0, 1, 3, 4, 12, 13].map(|number| holds(&ranges, number)), [false, true, true, false, true, false]);
    }
}
