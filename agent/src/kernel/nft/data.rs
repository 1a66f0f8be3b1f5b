//! Writes values as the kernel keeps them: keys, ids and verdicts.
//!
//! In: values of the ruleset algebra. Out: octets, or `nft_data` attributes. Knows nothing of where they are used.
//! Header: linux/netfilter/nf_tables.h, `enum nft_data_attributes`, `enum nft_verdict_attributes`.

use std::net::{IpAddr, SocketAddr};

use poplin_policy::ruleset::{Atom, Datatype, Interface, Verdict};

use super::super::wire::Writer;

pub(super) const NFTA_DATA_VALUE: u16 = 1;
pub(super) const NFTA_DATA_VERDICT: u16 = 2;
pub(super) const NFTA_VERDICT_CODE: u16 = 1;
pub(super) const NFTA_VERDICT_CHAIN: u16 = 2;

/// A name as the kernel compares it: 16 octets, NUL padded (linux/if.h, `IFNAMSIZ`).
const INTERFACE_OCTETS: usize = 16;

/// A register holds 4 octets, and each part of a joined key begins at one (`NFT_REG32_SIZE`).
pub(super) const REGISTER_OCTETS: usize = 4;

/// Most registers of a key (`NFT_DATA_VALUE_MAXLEN`).
const REGISTERS: usize = 16;

/// A key's octets: at most [`REGISTERS`].
pub(super) type Key = Vec<u8>;

/// How many octets a value has.
pub(super) fn octets_of(datatype: Datatype) -> usize {
    match datatype {
        Datatype::Interface => INTERFACE_OCTETS,
        Datatype::Octet => 1,
        Datatype::Port => 2,
        Datatype::Address4 => 4,
        Datatype::Address6 => 16,
        Datatype::Id => ID_KEY_OCTETS,
    }
}

/// One value, bare.
pub(super) fn atom(atom: &Atom) -> Key {
    let mut octets = Vec::with_capacity(INTERFACE_OCTETS);
    append(&mut octets, atom);
    octets
}

/// A key: one value bare, several joined, each padded to whole registers.
pub(super) fn key(atoms: impl IntoIterator<Item = Atom>) -> Key {
    let mut atoms = atoms.into_iter().peekable();
    let mut octets = Vec::with_capacity(REGISTERS * REGISTER_OCTETS);
    while let Some(atom) = atoms.next() {
        let is_alone = octets.is_empty() && atoms.peek().is_none();
        append(&mut octets, &atom);
        if !is_alone {
            octets.resize(octets.len().next_multiple_of(REGISTER_OCTETS), 0);
        }
    }
    octets
}

fn append(octets: &mut Key, atom: &Atom) {
    match atom {
        Atom::Interface(interface) => octets.extend(interface_octets(interface)),
        Atom::Octet(octet) => octets.push(*octet),
        Atom::Port(port) => octets.extend(port.to_be_bytes()),
        Atom::Address4(address) => octets.extend(address.octets()),
        Atom::Address6(address) => octets.extend(address.octets()),
        Atom::Id(id) => octets.extend(id_key(*id)),
    }
}

fn interface_octets(interface: &Interface) -> [u8; INTERFACE_OCTETS] {
    let mut octets = [0; INTERFACE_OCTETS];
    octets[..interface.as_str().len()].copy_from_slice(interface.as_str().as_bytes());
    octets
}

/// Octets of an id as data.
pub(super) const ID_OCTETS: usize = 3 * REGISTER_OCTETS;

/// Octets of an id as a key.
pub(super) const ID_KEY_OCTETS: usize = 4 * REGISTER_OCTETS;

/// An id as data: two numbers in host order, as packet marks are, and nought.
pub(super) fn id(id: u64) -> [u8; ID_OCTETS] {
    let mut octets = [0; ID_OCTETS];
    for (register, shift) in octets.chunks_exact_mut(REGISTER_OCTETS).zip([32, 0]) {
        let half = u32::try_from(id >> shift & u64::from(u32::MAX)).expect("half of 64 bits is 32");
        register.copy_from_slice(&half.to_ne_bytes());
    }
    octets
}

/// An address and port as data: like a key of both.
pub(super) fn socket(socket: SocketAddr) -> Key {
    let address = match socket.ip() {
        IpAddr::V4(address) => Atom::Address4(address),
        IpAddr::V6(address) => Atom::Address6(address),
    };
    key([address, Atom::Port(socket.port())])
}

/// An id as a key: nought comes first, for the reason told in [`super::steps`].
fn id_key(id: u64) -> [u8; ID_KEY_OCTETS] {
    let mut key = [0; ID_KEY_OCTETS];
    key[REGISTER_OCTETS..].copy_from_slice(&self::id(id));
    key
}

/// The key after this one in network order, or nothing after the greatest. A range ends, for the kernel, before its end.
pub(super) fn successor(key: &[u8]) -> Option<Key> {
    let mut next = key.to_vec();
    for octet in next.iter_mut().rev() {
        let (sum, has_wrapped) = octet.overflowing_add(1);
        *octet = sum;
        if !has_wrapped {
            return Some(next);
        }
    }
    None
}

/// A value within `kind`.
pub(super) fn put_value(out: &mut Writer, kind: u16, value: &[u8]) {
    out.nest(kind, |out| out.put(NFTA_DATA_VALUE, value));
}

/// A verdict within `kind`.
pub(super) fn put_verdict(out: &mut Writer, kind: u16, verdict: &Verdict) {
    out.nest(kind, |out| {
        out.nest(NFTA_DATA_VERDICT, |out| {
            out.put_be32(NFTA_VERDICT_CODE, verdict_code(verdict).cast_unsigned());
            if let Verdict::Jump(chain) | Verdict::Goto(chain) = verdict {
                out.put_text(NFTA_VERDICT_CHAIN, chain.as_str());
            }
        });
    });
}

/// `NF_DROP`, `NF_ACCEPT` and `enum nft_verdicts`.
pub(super) fn verdict_code(verdict: &Verdict) -> i32 {
    match verdict {
        Verdict::Drop => 0,
        Verdict::Accept => 1,
        Verdict::Jump(_) => -3,
        Verdict::Goto(_) => -4,
        Verdict::Return => -5,
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    #[test]
    fn a_joined_key_begins_each_part_at_a_register() {
        let parts = [Atom::Address4(Ipv4Addr::new(10, 0, 0, 1)), Atom::Octet(6), Atom::Port(443)];

        assert_eq!(key(parts), [10, 0, 0, 1, 6, 0, 0, 0, 1, 187, 0, 0]);
        assert_eq!(key([Atom::Octet(6)]), [6], "a single part stands bare");
    }

    #[test]
    fn an_id_fills_four_registers_of_a_key() {
        let words = |octets: &[u8]| {
            octets.chunks_exact(4).map(|word| u32::from_ne_bytes(word.try_into().unwrap())).collect::<Vec<_>>()
        };

        assert_eq!(words(&key([Atom::Id(0x0123_4567_89ab_cdef)])), [0, 0x0123_4567, 0x89ab_cdef, 0]);
        assert_eq!(words(&id(0x0123_4567_89ab_cdef)), [0x0123_4567, 0x89ab_cdef, 0]);
    }

    #[test]
    fn the_greatest_key_has_no_successor() {
        assert_eq!(successor(&[10, 0, 0, 255]), Some(vec![10, 0, 1, 0]));
        assert_eq!(successor(&[255; 4]), None);
        assert_eq!(successor(&Ipv6Addr::from(u128::MAX).octets()), None);
        assert_eq!(successor(&[255, 254]), Some(vec![255, 255]));
    }
}
