//! The addresses of one endpoint: one, or one of each family.
//!
//! An agent holds those of everybody, several times over, so one takes no memory beside its place; a set of the standard library begins with room for eleven.

use std::net::IpAddr;
use std::ops::Deref;

use smallvec::SmallVec;

/// Addresses, each once, in order. Read as a slice.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Addresses(SmallVec<[IpAddr; 1]>);

impl Deref for Addresses {
    type Target = [IpAddr];

    fn deref(&self) -> &[IpAddr] {
        &self.0
    }
}

impl FromIterator<IpAddr> for Addresses {
    fn from_iter<I: IntoIterator<Item = IpAddr>>(addresses: I) -> Self {
        let mut all: SmallVec<[IpAddr; 1]> = addresses.into_iter().collect();
        all.sort_unstable();
        all.dedup();
        Self(all)
    }
}

impl<const N: usize> From<[IpAddr; N]> for Addresses {
    fn from(addresses: [IpAddr; N]) -> Self {
        addresses.into_iter().collect()
    }
}

impl<'a> IntoIterator for &'a Addresses {
    type Item = &'a IpAddr;
    type IntoIter = std::slice::Iter<'a, IpAddr>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_stands_once_and_in_order() {
        let [four, six] = ["10.0.0.9", "fd00::9"].map(|text| text.parse::<IpAddr>().unwrap());

        let addresses = Addresses::from([six, four, six]);

        assert_eq!(*addresses, [four, six]);
        assert_eq!(addresses, Addresses::from([four, six]));
    }
}
