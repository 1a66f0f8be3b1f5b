//! Makes and ends sets and maps; for the kernel a map is a set whose elements hold data.
//!
//! In: a set's or map's name and shape. Out: messages. Knows nothing of elements.
//! Header: linux/netfilter/nf_tables.h, `enum nft_set_attributes`. Types are those of nft(8), so that `nft list table` can read them.

use poplin_policy::ruleset::{Datatype, Form, Map, MapElements, Name, Set};

use super::super::wire::{NLM_F_CREATE, NLM_F_EXCL, Writer};
use super::batch::Batch;
use super::counter;
use super::data::{self, REGISTER_OCTETS};

const NFT_MSG_NEWSET: u8 = 9;
const NFT_MSG_DELSET: u8 = 11;

pub(super) const NFTA_SET_NAME: u16 = 2;
pub(super) const NFTA_SET_FLAGS: u16 = 3;
pub(super) const NFTA_SET_KEY_TYPE: u16 = 4;
pub(super) const NFTA_SET_KEY_LEN: u16 = 5;
pub(super) const NFTA_SET_DATA_TYPE: u16 = 6;
pub(super) const NFTA_SET_DATA_LEN: u16 = 7;
const NFTA_SET_ID: u16 = 10;
const NFTA_SET_USERDATA: u16 = 13;
pub(super) const NFTA_SET_OBJ_TYPE: u16 = 15;

pub(super) const NFT_SET_INTERVAL: u32 = 0x4;
pub(super) const NFT_SET_MAP: u32 = 0x8;
pub(super) const NFT_SET_OBJECT: u32 = 0x40;

/// `NFT_DATA_VERDICT`.
pub(super) const DATA_VERDICT: u32 = 0xffff_ff00;

/// Types as nft numbers them (nftables include/datatype.h, `enum datatypes`). The kernel only keeps them for whoever lists the table.
const TYPE_IPADDR: u32 = 7;
const TYPE_IP6ADDR: u32 = 8;
const TYPE_INET_PROTOCOL: u32 = 12;
const TYPE_INET_SERVICE: u32 = 13;
const TYPE_MARK: u32 = 19;
const TYPE_IFNAME: u32 = 41;
/// A joined type has so many bits for each part (`TYPE_BITS`).
const TYPE_BITS: u32 = 6;

/// Octet order of keys and data, for whoever lists the table (libnftnl include/udata.h, `enum nftnl_udata_set_types`).
const UDATA_SET_KEYBYTEORDER: u8 = 0;
const UDATA_SET_DATABYTEORDER: u8 = 1;
/// nftables include/datatype.h, `enum byteorder`.
const HOST_ENDIAN: u32 = 1;
const BIG_ENDIAN: u32 = 2;

/// An id as data, and as a key, is numbers side by side.
pub(super) const TYPE_ID: u32 = joined(&[TYPE_MARK; data::ID_OCTETS / REGISTER_OCTETS]);
const TYPE_ID_KEY: u32 = joined(&[TYPE_MARK; data::ID_KEY_OCTETS / REGISTER_OCTETS]);

/// Makes a set without elements.
pub(super) fn add(batch: &mut Batch, name: &Name, set: &Set) {
    add_any(batch, name, &set.key, flags(set.form), |_| {}, &[]);
}

fn flags(form: Form) -> u32 {
    match form {
        Form::Hash => 0,
        Form::Interval => NFT_SET_INTERVAL,
    }
}

/// Makes a map without elements.
pub(super) fn add_map(batch: &mut Batch, name: &Name, map: &Map) {
    match &map.elements {
        MapElements::Ids(_) => add_any(
            batch,
            name,
            &map.key,
            NFT_SET_MAP | flags(map.form),
            |out| {
                out.put_be32(NFTA_SET_DATA_TYPE, TYPE_ID);
                out.put_be32(NFTA_SET_DATA_LEN, attribute_number(data::ID_OCTETS));
            },
            &user_number(UDATA_SET_DATABYTEORDER, HOST_ENDIAN),
        ),
        MapElements::Sockets4(_) => add_leading(batch, name, map, &[Datatype::Address4, Datatype::Port]),
        MapElements::Sockets6(_) => add_leading(batch, name, map, &[Datatype::Address6, Datatype::Port]),
        MapElements::Addresses4(_) => add_leading(batch, name, map, &[Datatype::Address4]),
        MapElements::Addresses6(_) => add_leading(batch, name, map, &[Datatype::Address6]),
        MapElements::Verdicts(_) => {
            let flags = NFT_SET_MAP | flags(map.form);
            add_any(batch, name, &map.key, flags, |out| out.put_be32(NFTA_SET_DATA_TYPE, DATA_VERDICT), &[]);
        }
        MapElements::Counters(_) => {
            let flags = NFT_SET_OBJECT | flags(map.form);
            add_any(batch, name, &map.key, flags, |out| out.put_be32(NFTA_SET_OBJ_TYPE, counter::KIND), &[]);
        }
    }
}

/// A map whose elements lead to what could be a key.
fn add_leading(batch: &mut Batch, name: &Name, map: &Map, parts: &[Datatype]) {
    let put_data = |out: &mut Writer| {
        out.put_be32(NFTA_SET_DATA_TYPE, key_type(parts));
        out.put_be32(NFTA_SET_DATA_LEN, attribute_number(key_octets(parts)));
    };
    let order = user_number(UDATA_SET_DATABYTEORDER, BIG_ENDIAN);
    add_any(batch, name, &map.key, NFT_SET_MAP | flags(map.form), put_data, &order);
}

/// Ends a set or map with its elements.
pub(super) fn remove(batch: &mut Batch, name: &Name) {
    batch.add(NFT_MSG_DELSET, 0, |out| {
        out.put_text(NFTA_SET_NAME, name.as_str());
    });
}

fn add_any(
    batch: &mut Batch,
    name: &Name,
    parts: &[Datatype],
    flags: u32,
    put_data: impl FnOnce(&mut Writer),
    data_order: &[u8],
) {
    let identity = batch.unique();
    batch.add(NFT_MSG_NEWSET, NLM_F_CREATE | NLM_F_EXCL, |out| {
        out.put_text(NFTA_SET_NAME, name.as_str());
        out.put_be32(NFTA_SET_FLAGS, flags);
        out.put_be32(NFTA_SET_KEY_TYPE, key_type(parts));
        out.put_be32(NFTA_SET_KEY_LEN, attribute_number(key_octets(parts)));
        put_data(out);
        out.put_be32(NFTA_SET_ID, identity);
        out.put(NFTA_SET_USERDATA, &[&user_number(UDATA_SET_KEYBYTEORDER, key_order(parts)), data_order].concat());
    });
}

/// What is more than the type has room for is shown by nft with addresses in the place of ids, which have as many octets.
pub(super) fn key_type(parts: &[Datatype]) -> u32 {
    let has_room = parts.iter().map(|part| part_bits(*part)).sum::<u32>() <= u32::BITS;
    let shown = |part: &Datatype| if *part == Datatype::Id && !has_room { Datatype::Address6 } else { *part };
    parts.iter().map(shown).fold(0, |joined, part| joined << part_bits(part) | part_type(part))
}

const fn joined(types: &[u32]) -> u32 {
    match types {
        [] => 0,
        [first @ .., last] => joined(first) << TYPE_BITS | *last,
    }
}

pub(super) fn part_bits(part: Datatype) -> u32 {
    match part {
        Datatype::Interface | Datatype::Octet | Datatype::Port | Datatype::Address4 | Datatype::Address6 => TYPE_BITS,
        Datatype::Id => attribute_number(data::ID_KEY_OCTETS / REGISTER_OCTETS) * TYPE_BITS,
    }
}

pub(super) fn part_type(part: Datatype) -> u32 {
    match part {
        Datatype::Interface => TYPE_IFNAME,
        Datatype::Octet => TYPE_INET_PROTOCOL,
        Datatype::Port => TYPE_INET_SERVICE,
        Datatype::Address4 => TYPE_IPADDR,
        Datatype::Address6 => TYPE_IP6ADDR,
        Datatype::Id => TYPE_ID_KEY,
    }
}

/// A single part has its own length; joined parts fill whole registers.
pub(super) fn key_octets(parts: &[Datatype]) -> usize {
    match parts {
        [single] => data::octets_of(*single),
        joined => joined.iter().map(|part| data::octets_of(*part).next_multiple_of(REGISTER_OCTETS)).sum(),
    }
}

fn key_order(parts: &[Datatype]) -> u32 {
    match parts {
        [Datatype::Id | Datatype::Interface] => HOST_ENDIAN,
        _ => BIG_ENDIAN,
    }
}

/// One entry of user data: type, length, number.
fn user_number(kind: u8, value: u32) -> Vec<u8> {
    let mut entry = vec![kind, 4];
    entry.extend(value.to_ne_bytes());
    entry
}

fn attribute_number(octets: usize) -> u32 {
    u32::try_from(octets).expect("a key has at most 64 octets")
}
