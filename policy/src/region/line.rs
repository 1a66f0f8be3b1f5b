//! The addresses of one family in a row, cut wherever any prefix begins or ends.
//!
//! Within an interval every prefix holds all addresses or none.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Subnets, Ipv6Subnets};

use super::bits::Bits;
use crate::model::IpVersion;

/// Where the intervals of a family begin, in order; the first at the lowest address.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    version: IpVersion,
    starts: Vec<u128>,
}

impl Line {
    /// Cuts at both ends of each prefix of the family.
    pub(crate) fn cut(version: IpVersion, nets: impl IntoIterator<Item = IpNet>) -> Self {
        let mut starts = vec![0];
        for (low, high) in nets.into_iter().filter_map(|net| bounds(version, &net)) {
            starts.push(low);
            starts.extend(high.checked_add(1).filter(|next| *next <= highest(version)));
        }
        starts.sort_unstable();
        starts.dedup();
        Self { version, starts }
    }

    pub(crate) fn version(&self) -> IpVersion {
        self.version
    }

    /// How many intervals there are, at least one.
    pub(crate) fn len(&self) -> usize {
        self.starts.len()
    }

    /// Which interval holds an address of this family.
    pub(crate) fn interval_of(&self, address: IpAddr) -> usize {
        self.place(number(address))
    }

    /// First and last address of an interval, as numbers.
    pub(crate) fn bounds(&self, interval: usize) -> (u128, u128) {
        let high = self.starts.get(interval + 1).map_or(highest(self.version), |next| next - 1);
        (self.starts[interval], high)
    }

    /// The intervals that any of the prefixes holds.
    pub(crate) fn covered<'n>(&self, nets: impl IntoIterator<Item = &'n IpNet>) -> Bits {
        let mut covered = Bits::none(self.len());
        for (low, high) in nets.into_iter().filter_map(|net| bounds(self.version, net)) {
            (self.place(low)..=self.place(high)).for_each(|interval| covered.insert(interval));
        }
        covered
    }

    fn place(&self, number: u128) -> usize {
        self.starts.partition_point(|start| *start <= number) - 1
    }
}

/// An address as its number in the row of its family.
pub(crate) fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_bits().into(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// The address of a number in the row of a family.
pub(crate) fn address(version: IpVersion, number: u128) -> IpAddr {
    match version {
        IpVersion::V4 => Ipv4Addr::from_bits(u32::try_from(number).unwrap_or(u32::MAX)).into(),
        IpVersion::V6 => Ipv6Addr::from_bits(number).into(),
    }
}

/// The fewest prefixes that hold exactly these addresses, both ends included.
pub(crate) fn prefixes((low, high): (IpAddr, IpAddr)) -> Vec<IpNet> {
    match (low, high) {
        (IpAddr::V4(low), IpAddr::V4(high)) => Ipv4Subnets::new(low, high, 0).map(IpNet::V4).collect(),
        (IpAddr::V6(low), IpAddr::V6(high)) => Ipv6Subnets::new(low, high, 0).map(IpNet::V6).collect(),
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => Vec::new(),
    }
}

fn bounds(version: IpVersion, net: &IpNet) -> Option<(u128, u128)> {
    (IpVersion::of(net.addr()) == version).then(|| (number(net.network()), number(net.broadcast())))
}

fn highest(version: IpVersion) -> u128 {
    match version {
        IpVersion::V4 => u32::MAX.into(),
        IpVersion::V6 => u128::MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_cut_where_prefixes_begin_and_end() {
        let nets: [IpNet; 3] =
            ["10.0.0.0/24", "10.0.0.128/25", "fd00::/64"].map(|text| text.parse().expect("a prefix"));

        let line = Line::cut(IpVersion::V4, nets);

        assert_eq!(line.len(), 4);
        assert_eq!(line.covered(&nets[1..2]).iter().collect::<Vec<_>>(), [2]);
        assert_eq!(line.covered(&nets[..1]).iter().collect::<Vec<_>>(), [1, 2]);
        assert_eq!(line.interval_of(IpAddr::from([10, 0, 1, 0])), 3);
    }

    #[test]
    fn the_ends_of_a_family_are_no_further_cut() {
        let whole: IpNet = "::/0".parse().expect("a prefix");
        assert_eq!(Line::cut(IpVersion::V6, [whole]).len(), 1);
    }
}
