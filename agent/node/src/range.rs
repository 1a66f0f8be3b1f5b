//! Ranges of addresses that nobody gets, and what they leave over.
//!
//! In: ranges as people write them. Out: whether an address is in one, and the gaps between them: of a block in ordinals, of a pool in blocks.
//! Whoever looks for a free place goes through the gaps, so that a range costs one comparison however long it is.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::str::FromStr;

use ipnet::IpNet;

use crate::prefix::{address_count, block_count, number, size_of};

/// Addresses of one family from one to another, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Range {
    first: IpAddr,
    last: IpAddr,
}

impl Range {
    /// Whether all of it lies in a prefix.
    pub fn is_within(&self, prefix: IpNet) -> bool {
        prefix.contains(&self.first) && prefix.contains(&self.last)
    }

    fn numbers(self) -> RangeInclusive<u128> {
        number(self.first)..=number(self.last)
    }
}

impl From<IpNet> for Range {
    fn from(net: IpNet) -> Self {
        Self { first: net.network(), last: net.broadcast() }
    }
}

/// Why a text is no range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RangeError {
    /// Neither form fits.
    #[error("it is neither a prefix nor two addresses with a dash between them")]
    NoRange,
    /// A prefix says more than its length allows.
    #[error("it has host bits: the prefix is {0}")]
    HostBits(IpNet),
    /// The ends cannot be compared.
    #[error("its ends are of two families")]
    TwoFamilies,
    /// The ends are the wrong way round.
    #[error("it ends before it begins")]
    Backwards,
}

impl FromStr for Range {
    type Err = RangeError;

    fn from_str(text: &str) -> Result<Self, RangeError> {
        if let Ok(net) = text.parse::<IpNet>() {
            return if net.trunc() == net { Ok(net.into()) } else { Err(RangeError::HostBits(net.trunc())) };
        }
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let end = |text: &str| text.trim().parse::<IpAddr>().map_err(|_| RangeError::NoRange);
        let (first, last) = (end(first)?, end(last)?);
        match () {
            () if first.is_ipv4() != last.is_ipv4() => Err(RangeError::TwoFamilies),
            () if last < first => Err(RangeError::Backwards),
            () => Ok(Self { first, last }),
        }
    }
}

impl fmt::Display for Range {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.first == self.last {
            true => write!(out, "{}", self.first),
            false => write!(out, "{}-{}", self.first, self.last),
        }
    }
}

/// Any number of ranges; in order, and none touches another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ranges(Vec<Range>);

impl FromIterator<Range> for Ranges {
    fn from_iter<T: IntoIterator<Item = Range>>(ranges: T) -> Self {
        let mut merged: Vec<Range> = Vec::new();
        for range in ranges.into_iter().collect::<BTreeSet<_>>() {
            match merged.last_mut() {
                Some(before) if touches(before, &range) => before.last = before.last.max(range.last),
                _ => merged.push(range),
            }
        }
        Self(merged)
    }
}

/// Whether a range begins where one before it has not ended, or just has.
fn touches(before: &Range, range: &Range) -> bool {
    before.first.is_ipv4() == range.first.is_ipv4() && number(range.first) <= number(before.last).saturating_add(1)
}

impl Ranges {
    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &Range> {
        self.0.iter()
    }

    /// Whether an address is in one of them.
    pub fn contains(&self, address: IpAddr) -> bool {
        let after = self.0.partition_point(|range| range.first <= address);
        after.checked_sub(1).is_some_and(|place| address <= self.0[place].last)
    }

    /// How many addresses of a prefix are in them.
    pub fn count_in(&self, prefix: IpNet) -> u128 {
        let whole = Range::from(prefix).numbers();
        let held = |hole: &RangeInclusive<u128>| {
            (*hole.end()).min(*whole.end()) - (*hole.start()).max(*whole.start()) + 1 // both ends were seen to lie in it
        };
        self.holes_in(prefix).map(|hole| held(&hole)).sum()
    }

    /// The ordinals of a block that are in none of them.
    pub fn gaps_in(&self, block: IpNet) -> impl DoubleEndedIterator<Item = RangeInclusive<u32>> {
        let base = number(block.network());
        let last = u128::from(size_of(block)) - 1;
        let holes = self.holes_in(block).map(|hole| hole.start().saturating_sub(base)..=*hole.end() - base);
        let small = |ordinal: u128| u32::try_from(ordinal).expect("it is at most the last ordinal of a block");
        gaps(last, holes).into_iter().map(move |gap| small(*gap.start())..=small(*gap.end()))
    }

    /// The numbers of a prefix's blocks that do not lie in them wholly, from block number `start` on and then from the first.
    pub fn blocks_from(&self, prefix: IpNet, block_bits: u8, start: u128) -> impl Iterator<Item = u128> {
        let base = number(prefix.network());
        let size = 1_u128 << (prefix.max_prefix_len() - block_bits);
        let wholly = |hole: RangeInclusive<u128>| {
            let first = hole.start().saturating_sub(base).div_ceil(size);
            let after = (*hole.end() - base + 1) / size; // a prefix that is all addresses is no pool's
            (first < after).then(|| first..=after - 1)
        };
        let gaps = gaps(block_count(prefix, block_bits) - 1, self.holes_in(prefix).filter_map(wholly));
        let from = gaps.clone().into_iter().flat_map(move |gap| start.max(*gap.start())..=*gap.end());
        let before = gaps.into_iter().flat_map(move |gap| *gap.start()..(gap.end() + 1).min(start));
        from.chain(before)
    }

    /// Those that share an address with a prefix, as numbers.
    fn holes_in(&self, prefix: IpNet) -> impl Iterator<Item = RangeInclusive<u128>> {
        let (first, last) = (prefix.network(), prefix.broadcast());
        let start = self.0.partition_point(|range| range.last < first);
        self.0[start..].iter().take_while(move |range| range.first <= last).map(|range| range.numbers())
    }

    /// All of these and some more.
    #[must_use]
    pub fn and(&self, more: impl Iterator<Item = Range>) -> Self {
        self.iter().copied().chain(more).collect()
    }
}

/// What holes leave of the numbers from 0 to `last`. They come in order, and may reach beyond it.
fn gaps(last: u128, holes: impl Iterator<Item = RangeInclusive<u128>>) -> Vec<RangeInclusive<u128>> {
    let mut gaps = Vec::new();
    let mut next = 0;
    for hole in holes.take_while(|hole| *hole.start() <= last) {
        if next < *hole.start() {
            gaps.push(next..=hole.start() - 1);
        }
        next = hole.end().saturating_add(1);
    }
    gaps.extend((next <= last).then_some(next..=last));
    gaps
}

/// How many addresses of a pool somebody could get.
pub fn room_in(prefix: IpNet, reserved: &Ranges) -> u128 {
    address_count(prefix) - reserved.count_in(prefix)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::prefix::{address_at, block_at};

    fn ranges(texts: &[&str]) -> Ranges {
        texts.iter().map(|text| text.parse::<Range>().unwrap()).collect()
    }

    #[test]
    fn a_range_is_a_prefix_an_address_or_two_addresses() {
        let written = |text: &str| text.parse::<Range>().map(|range| range.to_string());

        assert_eq!(written("10.0.0.0/30").unwrap(), "10.0.0.0-10.0.0.3");
        assert_eq!(written("10.0.0.7").unwrap(), "10.0.0.7");
        assert_eq!(written("fd77::1 - fd77::ff").unwrap(), "fd77::1-fd77::ff");
        assert_eq!(written("10.0.0.9-10.0.0.8"), Err(RangeError::Backwards));
        assert_eq!(written("10.0.0.9-fd77::1"), Err(RangeError::TwoFamilies));
        assert_eq!(written("10.0.0.9/24"), Err(RangeError::HostBits("10.0.0.0/24".parse().unwrap())));
        assert_eq!(written("gateway"), Err(RangeError::NoRange));
    }

    #[test]
    fn ranges_that_touch_become_one() {
        let merged = ranges(&["10.0.0.4/30", "10.0.0.0/30", "10.0.0.6-10.0.0.9", "fd77::/127"]);

        assert_eq!(merged, ranges(&["10.0.0.0-10.0.0.9", "fd77::-fd77::1"]));
    }

    #[test]
    fn half_of_a_large_pool_is_stepped_over_at_once() {
        let pool: IpNet = "fd77::/64".parse().unwrap();
        let reserved = ranges(&["fd77::/65"]);

        let first = reserved.blocks_from(pool, 122, 0).next().unwrap();

        assert_eq!(block_at(pool, 122, first), "fd77::8000:0:0:0/122".parse().unwrap());
        assert_eq!(room_in(pool, &reserved), 1 << 63);
    }

    proptest! {
        /// The plain way: each address is asked.
        #[test]
        fn gaps_are_what_is_not_reserved(
            ends in prop::collection::vec((0u8..=255, 0u8..=40), 0..6), start in 0u128..64, block_bits in 26u8..=32,
        ) {
            let pool: IpNet = "10.0.0.0/24".parse().unwrap();
            let range = |(first, length): &(u8, u8)| Range {
                first: IpAddr::from([10, 0, 0, *first]),
                last: IpAddr::from([10, 0, 0, first.saturating_add(*length)]),
            };
            let plain: Vec<Range> = ends.iter().map(range).collect();
            let reserved: Ranges = plain.iter().copied().collect();
            let is_open = |address: &IpAddr| !plain.iter().any(|one| one.first <= *address && *address <= one.last);

            let count = block_count(pool, block_bits);
            let start = start % count;
            let blocks: Vec<IpNet> = (0..count).map(|index| block_at(pool, block_bits, (start + index) % count)).collect();
            let addresses = |block: IpNet| (0..size_of(block)).map(move |ordinal| address_at(block, ordinal));
            for block in &blocks {
                let found: Vec<IpAddr> = reserved.gaps_in(*block).flatten().map(|ordinal| address_at(*block, ordinal)).collect();
                prop_assert_eq!(found, addresses(*block).filter(is_open).collect::<Vec<_>>());
                prop_assert!(addresses(*block).all(|address| reserved.contains(address) != is_open(&address)));
            }
            let left: Vec<IpNet> = blocks.into_iter().filter(|block| addresses(*block).any(|one| is_open(&one))).collect();
            let found: Vec<IpNet> =
                reserved.blocks_from(pool, block_bits, start).map(|index| block_at(pool, block_bits, index)).collect();
            prop_assert_eq!(found, left);
            let open = addresses(pool).filter(is_open).count();
            prop_assert_eq!(room_in(pool, &reserved), open as u128);
        }
    }
}
