//! All prefixes, in their order: those of IPv4 first.
//!
//! Each family has a map of its own: a key of IPv4 is one number, which is compared at once, and a key of both would be twice as long.

use std::{collections::BTreeMap, net::Ipv4Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::entry::Entry;

/// All prefixes, with their paths.
#[derive(Debug, Default)]
pub(super) struct Entries {
    v4: BTreeMap<Key, Entry>,
    v6: BTreeMap<Ipv6Net, Entry>,
}

/// The address, then the length in the last octet: in the order of the prefixes themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key(u64);

impl From<Ipv4Net> for Key {
    fn from(prefix: Ipv4Net) -> Self {
        Self(u64::from(prefix.addr().to_bits()) << 8 | u64::from(prefix.prefix_len()))
    }
}

impl Key {
    fn prefix(self) -> IpNet {
        let [_, _, _, address @ .., bits] = self.0.to_be_bytes();
        IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::from(address), bits))
    }
}

impl Entries {
    pub(super) fn get(&self, prefix: &IpNet) -> Option<&Entry> {
        match prefix {
            IpNet::V4(prefix) => self.v4.get(&Key::from(*prefix)),
            IpNet::V6(prefix) => self.v6.get(prefix),
        }
    }

    pub(super) fn get_mut(&mut self, prefix: &IpNet) -> Option<&mut Entry> {
        match prefix {
            IpNet::V4(prefix) => self.v4.get_mut(&Key::from(*prefix)),
            IpNet::V6(prefix) => self.v6.get_mut(prefix),
        }
    }

    /// A new one is empty.
    pub(super) fn get_or_new(&mut self, prefix: IpNet) -> &mut Entry {
        match prefix {
            IpNet::V4(prefix) => self.v4.entry(prefix.into()).or_default(),
            IpNet::V6(prefix) => self.v6.entry(prefix).or_default(),
        }
    }

    pub(super) fn remove(&mut self, prefix: &IpNet) {
        match prefix {
            IpNet::V4(prefix) => drop(self.v4.remove(&Key::from(*prefix))),
            IpNet::V6(prefix) => drop(self.v6.remove(prefix)),
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (IpNet, &Entry)> {
        let v4 = self.v4.iter().map(|(key, entry)| (key.prefix(), entry));
        v4.chain(self.v6.iter().map(|(prefix, entry)| (IpNet::V6(*prefix), entry)))
    }

    /// Those behind a prefix, or all.
    pub(super) fn after(&self, prefix: Option<IpNet>) -> impl Iterator<Item = (IpNet, &Entry)> {
        use std::ops::Bound::{Excluded, Unbounded};
        let (v4, v6) = match prefix {
            None => (Some(Unbounded), Unbounded),
            Some(IpNet::V4(prefix)) => (Some(Excluded(Key::from(prefix))), Unbounded),
            Some(IpNet::V6(prefix)) => (None, Excluded(prefix)),
        };
        let v4 = v4.into_iter().flat_map(|start| self.v4.range((start, Unbounded)));
        let v4 = v4.map(|(key, entry)| (key.prefix(), entry));
        v4.chain(self.v6.range((v6, Unbounded)).map(|(prefix, entry)| (IpNet::V6(*prefix), entry)))
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (IpNet, &mut Entry)> {
        let v4 = self.v4.iter_mut().map(|(key, entry)| (key.prefix(), entry));
        v4.chain(self.v6.iter_mut().map(|(prefix, entry)| (IpNet::V6(*prefix), entry)))
    }

    pub(super) fn retain(&mut self, mut stays: impl FnMut(IpNet, &mut Entry) -> bool) {
        self.v4.retain(|key, entry| stays(key.prefix(), entry));
        self.v6.retain(|prefix, entry| stays(IpNet::V6(*prefix), entry));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_behind_a_prefix_may_be_of_the_other_family() {
        let mut entries = Entries::default();
        let prefixes = ["10.0.0.0/8", "10.0.0.0/26", "2001:db8::/32", "2001:db8::/48"].map(|one| one.parse().unwrap());
        for prefix in prefixes {
            entries.get_or_new(prefix);
        }

        let after = |prefix| entries.after(prefix).map(|(prefix, _)| prefix).collect::<Vec<IpNet>>();

        assert_eq!(after(None), prefixes);
        for (position, prefix) in prefixes.iter().enumerate() {
            assert_eq!(after(Some(*prefix)), prefixes[position + 1..]);
        }
    }

    #[test]
    fn keys_stand_in_the_order_of_their_prefixes() {
        let texts = ["0.0.0.0/0", "10.0.0.0/8", "10.0.0.0/26", "10.0.0.64/26", "192.0.2.0/24", "255.255.255.255/32"];
        let prefixes: Vec<Ipv4Net> = texts.iter().map(|text| text.parse().unwrap()).collect();

        assert!(prefixes.is_sorted());
        assert!(prefixes.iter().map(|prefix| Key::from(*prefix)).is_sorted());
        for prefix in prefixes {
            assert_eq!(Key::from(prefix).prefix(), IpNet::V4(prefix));
        }
    }
}
