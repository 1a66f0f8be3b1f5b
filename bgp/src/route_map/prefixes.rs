//! Sets of prefixes, with the lengths that may stand in them: `10.77.0.0/16 ge 26 le 32`.
//!
//! A set is asked once for each route. A small one is looked through; a large one is kept by prefix: as many look-ups as there are lengths
//! among its entries, however many entries there are.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    ops::RangeInclusive,
    str::FromStr,
};

use ipnet::IpNet;

/// A prefix, and how long the prefixes within it may be that are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PrefixRange {
    net: IpNet,
    least_bits: u8,
    most_bits: u8,
}

/// A text that is no prefix with lengths.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPrefixRange {
    /// It does not read like one.
    #[error("{text:?} is not a prefix with lengths")]
    Form {
        /// What was written.
        text: String,
    },
    /// It asks for lengths that no prefix within it has.
    #[error("lengths {least} to {most} do not lie between {bits} and {max}, those within {net}", bits = net.prefix_len(), max = net.max_prefix_len())]
    Lengths {
        /// The prefix.
        net: IpNet,
        /// The smallest length asked for.
        least: u8,
        /// The largest.
        most: u8,
    },
}

impl BadPrefixRange {
    /// What to try.
    pub const ADVICE: &'static str = "write 10.77.0.0/16 for just that, 10.77.0.0/16 le 32 for it and all within, 10.77.0.0/16 ge 26 le 26 for its blocks";
}

impl PrefixRange {
    /// `None` unless `net`'s length ≤ `least` ≤ `most` ≤ the family's length.
    pub fn new(net: IpNet, least: u8, most: u8) -> Option<Self> {
        let is_sound = net.prefix_len() <= least && least <= most && most <= net.max_prefix_len();
        is_sound.then(|| Self { net: net.trunc(), least_bits: least, most_bits: most })
    }

    fn lengths(&self) -> RangeInclusive<u8> {
        self.least_bits..=self.most_bits
    }

    pub(super) fn admits(&self, prefix: IpNet) -> bool {
        self.net.contains(&prefix) && self.lengths().contains(&prefix.prefix_len())
    }
}

impl FromStr for PrefixRange {
    type Err = BadPrefixRange;

    fn from_str(text: &str) -> Result<Self, BadPrefixRange> {
        let form = || BadPrefixRange::Form { text: text.to_owned() };
        let words: Vec<&str> = text.split_whitespace().collect();
        let (net, lengths) = words.split_first().ok_or_else(form)?;
        let net: IpNet = net.parse().map_err(|_| form())?;
        let number = |word: &str| word.parse::<u8>().map_err(|_| form());
        let (bits, max) = (net.prefix_len(), net.max_prefix_len());
        let (least, most) = match lengths {
            [] => (bits, bits),
            ["le", most] => (bits, number(most)?),
            ["ge", least] => (number(least)?, max),
            ["ge", least, "le", most] => (number(least)?, number(most)?),
            _ => return Err(form()),
        };
        Self::new(net, least, most).ok_or(BadPrefixRange::Lengths { net, least, most })
    }
}

impl fmt::Display for PrefixRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (bits, max) = (self.net.prefix_len(), self.net.max_prefix_len());
        write!(f, "{}", self.net)?;
        match (self.least_bits, self.most_bits) {
            (least, most) if least == bits && most == bits => Ok(()),
            (least, most) if least == bits => write!(f, " le {most}"),
            (least, most) if most == max => write!(f, " ge {least}"),
            (least, most) => write!(f, " ge {least} le {most}"),
        }
    }
}

/// So many are looked through faster than one look-up takes.
const FEW: usize = 8;

/// Prefixes with lengths, made for asking.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prefixes {
    /// Up to one more than a few of them.
    first: Vec<PrefixRange>,
    ranges: BTreeMap<IpNet, Vec<RangeInclusive<u8>>>,
    /// The lengths of the prefixes in `ranges`.
    bits: BTreeSet<u8>,
}

impl Prefixes {
    /// Whether there is none, which admits nothing.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    pub(super) fn admit(&self, prefix: IpNet) -> bool {
        match self.first.len() {
            ..=FEW => self.first.iter().any(|range| range.admits(prefix)),
            _ => self.find(prefix),
        }
    }

    pub(super) fn find(&self, prefix: IpNet) -> bool {
        let shorter = self.bits.range(..=prefix.prefix_len());
        shorter.filter_map(|&bits| IpNet::new(prefix.addr(), bits).ok()).any(|net| {
            let ranges = self.ranges.get(&net.trunc());
            ranges.is_some_and(|ranges| ranges.iter().any(|lengths| lengths.contains(&prefix.prefix_len())))
        })
    }
}

impl FromIterator<PrefixRange> for Prefixes {
    fn from_iter<I: IntoIterator<Item = PrefixRange>>(ranges: I) -> Self {
        let mut prefixes = Self::default();
        for range in ranges {
            if prefixes.first.len() <= FEW {
                prefixes.first.push(range);
            }
            prefixes.bits.insert(range.net.prefix_len());
            prefixes.ranges.entry(range.net).or_default().push(range.lengths());
        }
        prefixes
    }
}
