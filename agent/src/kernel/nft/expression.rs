//! Writes the single expressions a rule is made of; each does one thing with registers.
//!
//! In: what to load, compare or look up. Out: one `NFTA_LIST_ELEM`. Knows nothing of matches and rules.
//! Header: linux/netfilter/nf_tables.h, the attributes of each expression.

use poplin_policy::ruleset::{ConntrackStates, Field, Log, Name, Verdict};

use super::super::wire::Writer;
use super::counter;
use super::data::{self, REGISTER_OCTETS};
use super::number::*;

/// Loads fields side by side from the first register on, each beginning at a register of its own.
pub(super) fn load(out: &mut Writer, fields: &[Field]) {
    load_from(out, fields, NFT_REG32_00);
}

pub(super) fn load_from(out: &mut Writer, fields: &[Field], mut register: u32) {
    for field in fields {
        load_one(out, *field, register);
        let registers = data::octets_of(field.datatype()).div_ceil(REGISTER_OCTETS);
        register += u32::try_from(registers).expect("a field has at most 4 registers");
    }
}

pub(super) fn load_one(out: &mut Writer, field: Field, register: u32) {
    match place(field) {
        Place::Meta(key) => load_meta(out, key, register),
        Place::Payload { base, offset_octets } => {
            let length = u32::try_from(data::octets_of(field.datatype())).expect("a field has at most 16 octets");
            expression(out, "payload", |out| {
                out.put_be32(NFTA_PAYLOAD_DREG, register);
                out.put_be32(NFTA_PAYLOAD_BASE, base);
                out.put_be32(NFTA_PAYLOAD_OFFSET, offset_octets);
                out.put_be32(NFTA_PAYLOAD_LEN, length);
            });
        }
    }
}

fn load_meta(out: &mut Writer, key: u32, register: u32) {
    expression(out, "meta", |out| {
        out.put_be32(NFTA_META_KEY, key);
        out.put_be32(NFTA_META_DREG, register);
    });
}

/// Where a field is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// `enum nft_meta_keys`.
    Meta(u32),
    /// `enum nft_payload_bases`, and octets from there.
    Payload { base: u32, offset_octets: u32 },
}

pub(super) fn place(field: Field) -> Place {
    let network = |offset_octets| Place::Payload { base: 1, offset_octets };
    let transport = |offset_octets| Place::Payload { base: 2, offset_octets };
    match field {
        Field::InterfaceIn => Place::Meta(NFT_META_IIFNAME),
        Field::InterfaceOut => Place::Meta(NFT_META_OIFNAME),
        Field::Family => Place::Meta(NFT_META_NFPROTO),
        Field::Protocol => Place::Meta(NFT_META_L4PROTO),
        Field::Source4 => network(12),
        Field::Destination4 => network(16),
        Field::HopLimit6 => network(7),
        Field::Source6 => network(8),
        Field::Destination6 => network(24),
        Field::SourcePort | Field::IcmpMessage | Field::IcmpType => transport(0),
        Field::IcmpCode => transport(1),
        Field::DestinationPort => transport(2),
        Field::TcpFlags => transport(13),
    }
}

/// Goes on if the first registers hold, or do not hold, this value.
pub(super) fn compare(out: &mut Writer, value: &[u8], negated: bool) {
    expression(out, "cmp", |out| {
        out.put_be32(NFTA_CMP_SREG, NFT_REG32_00);
        out.put_be32(NFTA_CMP_OP, u32::from(negated)); // NFT_CMP_EQ, NFT_CMP_NEQ
        data::put_value(out, NFTA_CMP_DATA, value);
    });
}

/// Goes on if the first registers lie between, or not between, these values.
pub(super) fn range(out: &mut Writer, low: &[u8], high: &[u8], negated: bool) {
    expression(out, "range", |out| {
        out.put_be32(NFTA_RANGE_SREG, NFT_REG32_00);
        out.put_be32(NFTA_RANGE_OP, u32::from(negated)); // NFT_RANGE_EQ, NFT_RANGE_NEQ
        data::put_value(out, NFTA_RANGE_FROM_DATA, low);
        data::put_value(out, NFTA_RANGE_TO_DATA, high);
    });
}

/// Keeps of the first register only the bits of the mask.
pub(super) fn mask(out: &mut Writer, mask: &[u8]) {
    mask_and_flip(out, mask, &[0; REGISTER_OCTETS][..mask.len()]);
}

/// The same, and turns over those of the second value.
fn mask_and_flip(out: &mut Writer, mask: &[u8], flipped: &[u8]) {
    expression(out, "bitwise", |out| {
        out.put_be32(NFTA_BITWISE_SREG, NFT_REG32_00);
        out.put_be32(NFTA_BITWISE_DREG, NFT_REG32_00);
        out.put_be32(NFTA_BITWISE_LEN, u32::try_from(mask.len()).expect("a mask has at most 4 octets"));
        data::put_value(out, NFTA_BITWISE_MASK, mask);
        data::put_value(out, NFTA_BITWISE_XOR, flipped);
    });
}

/// Loads the group of the interface a packet came in by, or leaves by: a number in host order.
pub(super) fn load_group(out: &mut Writer, field: Field) {
    let key = if field == Field::InterfaceIn { NFT_META_IIFGROUP } else { NFT_META_OIFGROUP };
    load_meta(out, key, NFT_REG32_00);
}

/// Loads the packet's mark, a number in host order.
pub(super) fn load_mark(out: &mut Writer) {
    load_meta(out, NFT_META_MARK, NFT_REG32_00);
}

/// Sets or clears one bit of the packet's mark.
pub(super) fn set_mark(out: &mut Writer, bit: u32, is_set: bool) {
    load_mark(out);
    mask_and_flip(out, &(!bit).to_ne_bytes(), &if is_set { bit } else { 0 }.to_ne_bytes());
    expression(out, "meta", |out| {
        out.put_be32(NFTA_META_KEY, NFT_META_MARK);
        out.put_be32(NFTA_META_SREG, NFT_REG32_00);
    });
}

/// Loads the state of the packet's flow, one bit a state.
pub(super) fn load_conntrack_state(out: &mut Writer) {
    expression(out, "ct", |out| {
        out.put_be32(NFTA_CT_DREG, NFT_REG32_00);
        out.put_be32(NFTA_CT_KEY, NFT_CT_STATE);
    });
}

/// `NF_CT_STATE_BIT` of each state (linux/netfilter/nf_conntrack_common.h), a number in host order.
pub(super) fn conntrack_bits(states: ConntrackStates) -> [u8; 4] {
    let ConntrackStates { invalid, established, related, new, untracked } = states;
    let bit = |is_in: bool, bit: u32| if is_in { 1 << bit } else { 0_u32 };
    (bit(invalid, 0) | bit(established, 1) | bit(related, 2) | bit(new, 3) | bit(untracked, 6)).to_ne_bytes()
}

/// Goes on if the first registers are, or are not, a key of the set.
pub(super) fn is_member(out: &mut Writer, set: &Name, negated: bool) {
    lookup(out, set, |out| {
        if negated {
            out.put_be32(NFTA_LOOKUP_FLAGS, NFT_LOOKUP_F_INV);
        }
    });
}

/// Does what the map says for the first registers; goes on if it says nothing.
pub(super) fn look_up_verdict(out: &mut Writer, map: &Name) {
    lookup(out, map, |out| out.put_be32(NFTA_LOOKUP_DREG, NFT_REG_VERDICT));
}

/// Counts packets and octets by a counter of the table's.
pub(super) fn named_counter(out: &mut Writer, name: &Name) {
    expression(out, "objref", |out| {
        out.put_be32(NFTA_OBJREF_IMM_TYPE, counter::KIND);
        out.put_text(NFTA_OBJREF_IMM_NAME, name.as_str());
    });
}

pub(super) fn lookup(out: &mut Writer, set: &Name, further: impl FnOnce(&mut Writer)) {
    lookup_from(out, NFT_REG32_00, set, further);
}

pub(super) fn lookup_from(out: &mut Writer, register: u32, set: &Name, further: impl FnOnce(&mut Writer)) {
    expression(out, "lookup", |out| {
        out.put_text(NFTA_LOOKUP_SET, set.as_str());
        out.put_be32(NFTA_LOOKUP_SREG, register);
        further(out);
    });
}

/// Counts packets and octets by a counter of the rule's own.
pub(super) fn own_counter(out: &mut Writer) {
    expression(out, "counter", |_| {});
}

/// Keeps connection tracking from looking at the packet; it has no attributes (net/netfilter/nft_ct.c, `nft_notrack_type`).
pub(super) fn notrack(out: &mut Writer) {
    expression(out, "notrack", |_| {});
}

/// Goes on for so many packets a second, and as many at once.
pub(super) fn limit(out: &mut Writer, per_second: u32) {
    const SECONDS: u64 = 1;
    expression(out, "limit", |out| {
        out.put_be64(NFTA_LIMIT_RATE, u64::from(per_second));
        out.put_be64(NFTA_LIMIT_UNIT, SECONDS);
        out.put_be32(NFTA_LIMIT_BURST, per_second);
        out.put_be32(NFTA_LIMIT_TYPE, NFT_LIMIT_PKTS);
    });
}

/// Hands a copy of the packet's beginning to the group's listener, and goes on.
pub(super) fn log(out: &mut Writer, log: &Log) {
    expression(out, "log", |out| {
        out.put(NFTA_LOG_GROUP, &log.group.to_be_bytes());
        out.put_text(NFTA_LOG_PREFIX, &log.prefix);
        out.put_be32(NFTA_LOG_SNAPLEN, Log::COPIED_OCTETS);
    });
}

/// Ends the rule with a verdict.
pub(super) fn verdict(out: &mut Writer, verdict: &Verdict) {
    immediate(out, NFT_REG_VERDICT, |out, kind| data::put_verdict(out, kind, verdict));
}

pub(super) fn immediate(out: &mut Writer, register: u32, put_data: impl FnOnce(&mut Writer, u16)) {
    expression(out, "immediate", |out| {
        out.put_be32(NFTA_IMMEDIATE_DREG, register);
        put_data(out, NFTA_IMMEDIATE_DATA);
    });
}

pub(super) fn expression(out: &mut Writer, name: &str, attributes: impl FnOnce(&mut Writer)) {
    out.nest(NFTA_LIST_ELEM, |out| {
        out.put_text(NFTA_EXPR_NAME, name);
        out.nest(NFTA_EXPR_DATA, attributes);
    });
}
