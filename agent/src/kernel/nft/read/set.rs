//! Reads what a set or map is: its name, the parts of its key, its form, and what its elements lead to.
//!
//! In: the attributes of one set. Out: its shape, that it belongs to a rule, or nothing if none of ours is so. Knows nothing of elements.

use poplin_policy::ruleset::{Datatype, Form, Name};

use crate::kernel::nft::data::{self, REGISTER_OCTETS};
use crate::kernel::nft::set::{
    DATA_VERDICT, NFT_SET_INTERVAL, NFT_SET_MAP, NFT_SET_OBJECT, NFTA_SET_DATA_LEN, NFTA_SET_DATA_TYPE, NFTA_SET_FLAGS,
    NFTA_SET_KEY_LEN, NFTA_SET_KEY_TYPE, NFTA_SET_NAME, NFTA_SET_OBJ_TYPE, TYPE_ID, key_octets, key_type, part_bits,
    part_type,
};
use crate::kernel::nft::{counter, data::ID_OCTETS};
use crate::kernel::wire::{attribute, be32_at, text};

const NFTA_SET_TIMEOUT: u16 = 11;
const NFTA_SET_GC_INTERVAL: u16 = 12;
const NFTA_SET_EXPR: u16 = 17;
const NFTA_SET_EXPRESSIONS: u16 = 18;
/// How many elements there are; Linux 6.16 tells.
const NFTA_SET_COUNT: u16 = 20;
/// The set is a rule's own, and comes and goes with it.
const NFT_SET_ANONYMOUS: u32 = 0x1;

/// What a set or map is, without its elements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) name: Name,
    pub(super) key: Vec<Datatype>,
    pub(super) form: Form,
    pub(super) leads: Leads,
    /// How many elements the kernel counts, where it says so.
    pub(super) count: Option<usize>,
}

/// Whereto the elements lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leads {
    Nowhere,
    ToIds,
    ToVerdicts,
    ToCounters,
    ToSockets4,
    ToSockets6,
    ToAddresses4,
    ToAddresses6,
}

/// Whether the set is not the table's but one rule's.
pub(super) fn is_anonymous(attributes: &[u8]) -> bool {
    number(attributes, NFTA_SET_FLAGS).unwrap_or(0) & NFT_SET_ANONYMOUS != 0
}

/// Its name, whatever it is.
pub(super) fn name(attributes: &[u8]) -> &str {
    attribute(attributes, NFTA_SET_NAME).and_then(text).unwrap_or_default()
}

/// What a set of ours is.
pub(super) fn shape(attributes: &[u8]) -> Option<Shape> {
    let is_given = |kind| attribute(attributes, kind).is_some();
    if [NFTA_SET_TIMEOUT, NFTA_SET_GC_INTERVAL, NFTA_SET_EXPR, NFTA_SET_EXPRESSIONS].into_iter().any(is_given) {
        return None;
    }
    let flags = number(attributes, NFTA_SET_FLAGS).unwrap_or(0);
    let key_octets = number(attributes, NFTA_SET_KEY_LEN).and_then(|length| usize::try_from(length).ok())?;
    Some(Shape {
        name: Name::parse(name(attributes))?,
        key: parts(number(attributes, NFTA_SET_KEY_TYPE)?, key_octets)?,
        form: if flags & NFT_SET_INTERVAL == 0 { Form::Hash } else { Form::Interval },
        leads: leads(attributes, flags & !NFT_SET_INTERVAL)?,
        count: number(attributes, NFTA_SET_COUNT).and_then(|count| usize::try_from(count).ok()),
    })
}

fn leads(attributes: &[u8], flags: u32) -> Option<Leads> {
    let is = |kind, value| number(attributes, kind) == Some(value);
    let id_octets = u32::try_from(ID_OCTETS).ok()?;
    let leads_to = |parts: &[Datatype]| {
        is(NFTA_SET_DATA_TYPE, key_type(parts))
            && u32::try_from(key_octets(parts)).is_ok_and(|octets| is(NFTA_SET_DATA_LEN, octets))
    };
    match flags {
        0 => Some(Leads::Nowhere),
        NFT_SET_MAP if is(NFTA_SET_DATA_TYPE, DATA_VERDICT) => Some(Leads::ToVerdicts),
        NFT_SET_MAP if is(NFTA_SET_DATA_TYPE, TYPE_ID) && is(NFTA_SET_DATA_LEN, id_octets) => Some(Leads::ToIds),
        NFT_SET_MAP if leads_to(&[Datatype::Address4, Datatype::Port]) => Some(Leads::ToSockets4),
        NFT_SET_MAP if leads_to(&[Datatype::Address6, Datatype::Port]) => Some(Leads::ToSockets6),
        NFT_SET_MAP if leads_to(&[Datatype::Address4]) => Some(Leads::ToAddresses4),
        NFT_SET_MAP if leads_to(&[Datatype::Address6]) => Some(Leads::ToAddresses6),
        NFT_SET_OBJECT if is(NFTA_SET_OBJ_TYPE, counter::KIND) => Some(Leads::ToCounters),
        _ => None,
    }
}

const DATATYPES: [Datatype; 6] =
    [Datatype::Interface, Datatype::Octet, Datatype::Port, Datatype::Address4, Datatype::Address6, Datatype::Id];

/// No key has more octets (`NFT_DATA_VALUE_MAXLEN`).
const KEY_OCTETS: usize = 64;

/// The parts of a key of this type and length.
fn parts(kind: u32, octets: usize) -> Option<Vec<Datatype>> {
    if octets > KEY_OCTETS {
        return None;
    }
    let is_it = |parts: &[Datatype]| key_type(parts) == kind && key_octets(parts) == octets;
    let are_registers = octets.is_multiple_of(REGISTER_OCTETS);
    let single = DATATYPES.into_iter().find(|part| is_it(&[*part])).map(|part| vec![part]);
    let joined = || are_registers.then(|| joined(kind, octets)).flatten().map(ids_for_addresses);
    single.or_else(|| joined().filter(|parts| is_it(parts)))
}

/// What stands after protocol and port as an address is an id, see [`key_type`]; no key of ours has an address there.
fn ids_for_addresses(parts: Vec<Datatype>) -> Vec<Datatype> {
    let are_ids = parts.starts_with(&[Datatype::Octet, Datatype::Port]);
    let read = |part| if are_ids && part == Datatype::Address6 { Datatype::Id } else { part };
    parts.into_iter().map(read).collect()
}

/// The parts of a joined key, from the last on.
fn joined(kind: u32, octets: usize) -> Option<Vec<Datatype>> {
    if octets == 0 {
        return (kind == 0).then(Vec::new);
    }
    let ends_so = |last: &Datatype| (kind ^ part_type(*last)).trailing_zeros() >= part_bits(*last);
    DATATYPES.into_iter().filter(ends_so).find_map(|last| {
        let before = octets.checked_sub(data::octets_of(last).next_multiple_of(REGISTER_OCTETS))?;
        let mut parts = joined(kind.checked_shr(part_bits(last)).unwrap_or(0), before)?;
        parts.push(last);
        Some(parts)
    })
}

fn number(attributes: &[u8], kind: u16) -> Option<u32> {
    attribute(attributes, kind).and_then(|value| be32_at(value, 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_a_key_are_told_by_type_and_length() {
        use Datatype::{Address4, Address6, Id, Interface, Octet, Port};
        let keys: [&[Datatype]; 13] = [
            &[Interface],
            &[Octet],
            &[Port],
            &[Address4],
            &[Address6],
            &[Id],
            &[Address4, Octet, Port],
            &[Id, Address4],
            &[Id, Address6],
            &[Octet, Port, Id],
            &[Octet, Id],
            &[Octet, Port, Id, Id],
            &[Address6, Octet, Port],
        ];

        for key in keys {
            assert_eq!(parts(key_type(key), key_octets(key)).as_deref(), Some(key));
        }
        assert_eq!(parts(5, 6), None, "an address of Ethernet is no key of ours");
        assert_eq!(parts(u32::MAX, KEY_OCTETS), None);
    }
}
