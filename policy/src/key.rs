//! Keys of sets and maps, packed: they are kept, copied and compared by the hundred thousand.
//!
//! In: values of fields, in order. Out: a key, ordered as its values are, and the values again. Each value is an octet that says what it is, and then
//! as many octets as its kind has, so that comparing octets compares values.

use std::fmt;
use std::hash::{Hash, Hasher};

use smallvec::SmallVec;

use crate::name::Interface;
use crate::ruleset::{Atom, Datatype};

/// Octets of a key that need no memory of their own: an id and an IPv6 address, or protocol, port and two ids, and a few more, for which there is room anyway.
const IN_PLACE: usize = 31;

/// The values of a key, in order.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key(SmallVec<[u8; IN_PLACE]>);

impl Key {
    /// The values.
    pub fn atoms(&self) -> impl Iterator<Item = Atom> + '_ {
        let mut rest = self.0.as_slice();
        std::iter::from_fn(move || {
            let (kind, behind) = rest.split_first()?;
            let datatype = KINDS[usize::from(*kind)];
            let (octets, behind) = behind.split_at(octets_of(datatype));
            rest = behind;
            Some(unpacked(datatype, octets))
        })
    }
}

/// What the first octet of a value stands for, in the order of [`Atom`].
const KINDS: [Datatype; 6] =
    [Datatype::Interface, Datatype::Octet, Datatype::Port, Datatype::Address4, Datatype::Address6, Datatype::Id];

const fn octets_of(datatype: Datatype) -> usize {
    match datatype {
        Datatype::Interface => Interface::MAX_OCTETS,
        Datatype::Octet => size_of::<u8>(),
        Datatype::Port => size_of::<u16>(),
        Datatype::Address4 => size_of::<u32>(),
        Datatype::Address6 => size_of::<u128>(),
        Datatype::Id => size_of::<u64>(),
    }
}

fn unpacked(datatype: Datatype, octets: &[u8]) -> Atom {
    match datatype {
        Datatype::Interface => Atom::Interface(Interface::of_octets(array(octets))),
        Datatype::Octet => Atom::Octet(u8::from_be_bytes(array(octets))),
        Datatype::Port => Atom::Port(u16::from_be_bytes(array(octets))),
        Datatype::Address4 => Atom::Address4(array::<4>(octets).into()),
        Datatype::Address6 => Atom::Address6(array::<16>(octets).into()),
        Datatype::Id => Atom::Id(u64::from_be_bytes(array(octets))),
    }
}

fn array<const N: usize>(octets: &[u8]) -> [u8; N] {
    octets.try_into().expect("a value has as many octets as its kind")
}

impl Extend<Atom> for Key {
    fn extend<I: IntoIterator<Item = Atom>>(&mut self, atoms: I) {
        for atom in atoms {
            let mut put = |kind: u8, octets: &[u8]| {
                self.0.push(kind);
                self.0.extend_from_slice(octets);
            };
            match atom {
                Atom::Interface(interface) => put(0, interface.octets()),
                Atom::Octet(octet) => put(1, &[octet]),
                Atom::Port(port) => put(2, &port.to_be_bytes()),
                Atom::Address4(address) => put(3, &address.octets()),
                Atom::Address6(address) => put(4, &address.octets()),
                Atom::Id(id) => put(5, &id.to_be_bytes()),
            }
        }
    }
}

impl FromIterator<Atom> for Key {
    fn from_iter<I: IntoIterator<Item = Atom>>(atoms: I) -> Self {
        let mut key = Self(SmallVec::new());
        key.extend(atoms);
        key
    }
}

/// As a list of its values is hashed: names of chains are made of it, and those outlive a release.
impl Hash for Key {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.atoms().collect::<SmallVec<[Atom; 4]>>().hash(hasher);
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_list().entries(self.atoms()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::hash::BuildHasher;
    use std::net::{Ipv4Addr, Ipv6Addr};

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn atom() -> impl Strategy<Value = Atom> {
        prop_oneof![
            "[a-c]{1,15}".prop_map(|name| Atom::Interface(Interface::new(name).unwrap())),
            any::<u8>().prop_map(Atom::Octet),
            any::<u16>().prop_map(Atom::Port),
            any::<Ipv4Addr>().prop_map(Atom::Address4),
            any::<Ipv6Addr>().prop_map(Atom::Address6),
            any::<u64>().prop_map(Atom::Id),
        ]
    }

    proptest! {
        #[test]
        fn keys_stand_in_the_order_of_their_values_and_hash_as_they_do(left in vec(atom(), 0..5), right in vec(atom(), 0..5)) {
            let keys = [&left, &right].map(|atoms| Key::from_iter(atoms.iter().cloned()));
            let hasher = std::hash::RandomState::new();

            prop_assert_eq!(keys[0].cmp(&keys[1]), left.cmp(&right));
            prop_assert_eq!(hasher.hash_one(&keys[0]), hasher.hash_one(&left));
            prop_assert!(keys[0].atoms().eq(left));
        }
    }

    #[test]
    fn keys_of_ours_need_no_memory_of_their_own() {
        let id = || Atom::Id(u64::MAX);
        let at_port = [Atom::Octet(6), Atom::Port(80), id(), id()];
        for atoms in [&at_port[..], &[id(), Atom::Address6(Ipv6Addr::LOCALHOST)]] {
            assert!(!Key::from_iter(atoms.iter().cloned()).0.spilled());
        }
    }
}
