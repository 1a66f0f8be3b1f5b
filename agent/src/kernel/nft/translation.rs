//! Writes the expressions that say under which addresses a flow goes on.
//!
//! In: an address, or the map to look one up in. Out: `NFTA_LIST_ELEM`s. Knows nothing of matches and rules.
//! Header: linux/netfilter/nf_tables.h, `enum nft_nat_attributes`, `enum nft_fib_attributes`.

use std::net::IpAddr;

use poplin_policy::ruleset::{Atom, Datatype, Field, Name};

use super::super::wire::Writer;
use super::data::{self, REGISTER_OCTETS};
use super::expression::{compare, expression, immediate, lookup};
use super::number::*;

/// Lets the flow go on under this source. The family is that of the address; packets of the other go on.
pub(super) fn source_nat(out: &mut Writer, address: IpAddr) {
    let octets = data::atom(&atom(address));
    immediate(out, NFT_REG32_00, |out, kind| data::put_value(out, kind, &octets));
    expression(out, "nat", |out| {
        out.put_be32(NFTA_NAT_TYPE, NFT_NAT_SNAT);
        out.put_be32(NFTA_NAT_FAMILY, family_number(address.is_ipv6()));
        out.put_be32(NFTA_NAT_REG_ADDR_MIN, NFT_REG32_00);
    });
}

fn atom(address: IpAddr) -> Atom {
    match address {
        IpAddr::V4(address) => Atom::Address4(address),
        IpAddr::V6(address) => Atom::Address6(address),
    }
}

/// `NFPROTO_IPV4`, `NFPROTO_IPV6` (linux/netfilter.h).
pub(super) fn family_number(is_v6: bool) -> u32 {
    if is_v6 { 10 } else { 2 }
}

/// Lets the flow go on to the address and port that the first registers lead to; goes on if they lead nowhere.
pub(super) fn destination_nat(out: &mut Writer, map: &Name, is_v6: bool) {
    lookup(out, map, |out| out.put_be32(NFTA_LOOKUP_DREG, NFT_REG32_00));
    let address_registers = data::octets_of(address_type(is_v6)) / REGISTER_OCTETS;
    expression(out, "nat", |out| {
        out.put_be32(NFTA_NAT_TYPE, NFT_NAT_DNAT);
        out.put_be32(NFTA_NAT_FAMILY, family_number(is_v6));
        out.put_be32(NFTA_NAT_REG_ADDR_MIN, NFT_REG32_00);
        let port = NFT_REG32_00 + u32::try_from(address_registers).expect("an address has at most 4 registers");
        out.put_be32(NFTA_NAT_REG_PROTO_MIN, port);
    });
}

/// Lets the flow go on with the address that the one in the first registers leads to; goes on if it leads nowhere.
pub(super) fn exchange(out: &mut Writer, field: Field, map: &Name) {
    lookup(out, map, |out| out.put_be32(NFTA_LOOKUP_DREG, NFT_REG32_00));
    let kind = match field {
        Field::Source4 | Field::Source6 => NFT_NAT_SNAT,
        _ => NFT_NAT_DNAT,
    };
    expression(out, "nat", |out| {
        out.put_be32(NFTA_NAT_TYPE, kind);
        out.put_be32(NFTA_NAT_FAMILY, family_number(field.datatype() == Datatype::Address6));
        out.put_be32(NFTA_NAT_REG_ADDR_MIN, NFT_REG32_00);
    });
}

fn address_type(is_v6: bool) -> Datatype {
    if is_v6 { Datatype::Address6 } else { Datatype::Address4 }
}

/// Goes on if the destination is an address of this host, or is none.
pub(super) fn to_host(out: &mut Writer, negated: bool) {
    expression(out, "fib", |out| {
        out.put_be32(NFTA_FIB_DREG, NFT_REG32_00);
        out.put_be32(NFTA_FIB_RESULT, NFT_FIB_RESULT_ADDRTYPE);
        out.put_be32(NFTA_FIB_FLAGS, NFTA_FIB_F_DADDR);
    });
    compare(out, &RTN_LOCAL, negated);
}

/// `RTN_LOCAL` (linux/rtnetlink.h), a number in host order.
pub(super) const RTN_LOCAL: [u8; REGISTER_OCTETS] = 2_u32.to_ne_bytes();

/// Lets the flow go on under an address of this host; it has no attributes as we use it.
pub(super) fn masquerade(out: &mut Writer) {
    expression(out, "masq", |_| {});
}
