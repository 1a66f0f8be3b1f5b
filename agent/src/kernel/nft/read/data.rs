//! Reads values as the kernel keeps them: keys, ids and verdicts.
//!
//! In: octets, or `nft_data` attributes. Out: values of the ruleset algebra, or nothing where no value of ours is written so.
//! Knows nothing of where they are used. What is read is written again to see that it is the same: the writer has the only rules.

use std::net::{IpAddr, SocketAddr};

use poplin_policy::ruleset::{Atom, Datatype, Interface, Name, Verdict};

use crate::kernel::nft::data::{
    self, Key, NFTA_DATA_VALUE, NFTA_DATA_VERDICT, NFTA_VERDICT_CHAIN, NFTA_VERDICT_CODE, REGISTER_OCTETS,
};
use crate::kernel::wire::{attribute, be32_at, text, u32_at};

/// One value, bare.
pub(super) fn atom(datatype: Datatype, octets: &[u8]) -> Option<Atom> {
    let atom = match datatype {
        Datatype::Interface => Atom::Interface(Interface::new(text(octets)?)?),
        Datatype::Octet => Atom::Octet(*octets.first()?),
        Datatype::Port => Atom::Port(u16::from_be_bytes(octets.try_into().ok()?)),
        Datatype::Address4 => Atom::Address4(<[u8; 4]>::try_from(octets).ok()?.into()),
        Datatype::Address6 => Atom::Address6(<[u8; 16]>::try_from(octets).ok()?.into()),
        Datatype::Id => Atom::Id(id(octets.get(REGISTER_OCTETS..)?)?),
    };
    (data::atom(&atom) == octets).then_some(atom)
}

/// A key of these parts: one value bare, several joined, each padded to whole registers.
pub(super) fn key(parts: &[Datatype], octets: &[u8]) -> Option<Vec<Atom>> {
    let mut rest = octets;
    let mut take = |part: &Datatype| {
        let (value, after) = rest.split_at_checked(data::octets_of(*part))?;
        let padding = value.len().next_multiple_of(REGISTER_OCTETS) - value.len();
        rest = after.get(padding..).unwrap_or_default();
        atom(*part, value)
    };
    let atoms = parts.iter().map(&mut take).collect::<Option<Vec<_>>>()?;
    (data::key(atoms.iter().cloned()) == octets).then_some(atoms)
}

/// An id as data.
pub(super) fn id(octets: &[u8]) -> Option<u64> {
    let half = |place| u32_at(octets, place).map(u64::from);
    let id = half(0)? << 32 | half(REGISTER_OCTETS)?;
    (data::id(id) == octets).then_some(id)
}

/// An address, whose family its length tells.
pub(super) fn address(octets: &[u8]) -> Option<IpAddr> {
    let four = <[u8; 4]>::try_from(octets).map(IpAddr::from);
    four.or_else(|_| <[u8; 16]>::try_from(octets).map(IpAddr::from)).ok()
}

/// An address and port as data.
pub(super) fn socket(octets: &[u8]) -> Option<SocketAddr> {
    let (address, rest) = octets.split_at_checked(octets.len().checked_sub(REGISTER_OCTETS)?)?;
    let [high, low, ..] = rest else { return None };
    let socket = SocketAddr::new(self::address(address)?, u16::from_be_bytes([*high, *low]));
    (data::socket(socket) == octets).then_some(socket)
}

/// The octets in an attribute that holds a value.
pub(super) fn value(attributes: &[u8]) -> Option<&[u8]> {
    attribute(attributes, NFTA_DATA_VALUE)
}

/// The verdict in an attribute that holds one.
pub(super) fn verdict(attributes: &[u8]) -> Option<Verdict> {
    let attributes = attribute(attributes, NFTA_DATA_VERDICT)?;
    let code = be32_at(attribute(attributes, NFTA_VERDICT_CODE)?, 0)?.cast_signed();
    let chain = attribute(attributes, NFTA_VERDICT_CHAIN).and_then(text).and_then(Name::parse);
    let with_chain = chain.into_iter().flat_map(|chain| [Verdict::Jump(chain.clone()), Verdict::Goto(chain)]);
    let all = [Verdict::Drop, Verdict::Accept, Verdict::Return].into_iter().chain(with_chain);
    all.into_iter().find(|verdict| data::verdict_code(verdict) == code)
}

/// The key before this one in network order, or nothing before the least.
pub(super) fn predecessor(key: &[u8]) -> Option<Key> {
    let mut before = key.to_vec();
    for octet in before.iter_mut().rev() {
        let (difference, has_wrapped) = octet.overflowing_sub(1);
        *octet = difference;
        if !has_wrapped {
            return Some(before);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_joined_key_is_read_as_it_was_written() {
        let parts = [Datatype::Octet, Datatype::Port, Datatype::Id];
        let atoms = vec![Atom::Octet(6), Atom::Port(443), Atom::Id(0x0123_4567_89ab_cdef)];

        assert_eq!(key(&parts, &data::key(atoms.clone())), Some(atoms));
    }

    #[test]
    fn octets_of_another_length_or_with_something_between_are_no_key() {
        let parts = [Datatype::Octet, Datatype::Port];

        assert_eq!(key(&parts, &[6, 0, 0, 0, 1, 187, 0]), None);
        assert_eq!(key(&parts, &[6, 0, 0, 0, 1, 187, 0, 0, 0]), None);
        assert_eq!(key(&parts, &[6, 1, 0, 0, 1, 187, 0, 0]), None);
        assert_eq!(atom(Datatype::Interface, b"eth0\0\0\0\0\0\0\0\0\0\0\0!"), None);
    }

    #[test]
    fn the_least_key_has_no_predecessor() {
        assert_eq!(predecessor(&[10, 0, 1, 0]), Some(vec![10, 0, 0, 255]));
        assert_eq!(predecessor(&[0; 4]), None);
    }
}
