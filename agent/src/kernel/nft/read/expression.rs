//! Reads the single expressions a rule is made of.
//!
//! In: one `NFTA_LIST_ELEM`. Out: what it does with registers, or nothing if none of ours does so. Knows nothing of matches and rules.
//! The kernel's own account differs from what was written in that it calls every fourth register by its old name, and tells of what
//! was not said (net/netfilter/nf_tables_api.c, `nft_dump_register`).

use poplin_policy::ruleset::{Log, Name, Verdict};

use super::data;
use crate::kernel::nft::counter;
use crate::kernel::nft::expression::Place;
use crate::kernel::nft::number::*;
use crate::kernel::wire::{attribute, attributes, be32_at, be64_at, text};

/// What one expression does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Expression {
    Load { place: Place, octets: Option<usize>, register: u32 },
    LoadConntrackState { register: u32 },
    Mask { register: u32, mask: Vec<u8>, flipped: Vec<u8> },
    SetMark { register: u32 },
    Compare { register: u32, value: Vec<u8>, negated: bool },
    Range { register: u32, low: Vec<u8>, high: Vec<u8>, negated: bool },
    LookUp { register: u32, set: Name, into: Option<u32>, negated: bool },
    Set { register: u32, value: Vec<u8> },
    Verdict(Verdict),
    Count,
    CountBy(Name),
    CountByKey { register: u32, counters: Name },
    Limit { per_second: u32 },
    Log(LogEnd),
    Notrack,
    Masquerade,
    SourceNat { register: u32, family: u32 },
    DestinationNat { register: u32, port: u32, family: u32 },
    DestinationAddress { register: u32, family: u32 },
    LoadAddressType { register: u32 },
}

/// A log, without its limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LogEnd {
    pub(super) group: u16,
    pub(super) prefix: String,
}

/// What an element of a rule's list does.
pub(super) fn expression(element: &[u8]) -> Option<Expression> {
    let given = Given(attribute(element, NFTA_EXPR_DATA).unwrap_or_default());
    match text(attribute(element, NFTA_EXPR_NAME)?)? {
        "meta" => meta(given),
        "payload" => payload(given),
        "ct" => conntrack(given),
        "bitwise" => mask(given),
        "cmp" => compare(given),
        "range" => range(given),
        "lookup" => look_up(given),
        "immediate" => immediate(given),
        "counter" => given.has_only(&[NFTA_COUNTER_BYTES, NFTA_COUNTER_PACKETS, NFTA_COUNTER_PAD], Expression::Count),
        "objref" => count(given),
        "limit" => limit(given),
        "log" => log(given),
        "masq" => given.has_only(&[], Expression::Masquerade),
        "nat" => source_nat(given).or_else(|| destination_nat(given)).or_else(|| destination_address(given)),
        "fib" => address_type(given),
        "notrack" => given.has_only(&[], Expression::Notrack),
        _ => None,
    }
}

fn meta(given: Given<'_>) -> Option<Expression> {
    if let Some(register) = given.register(NFTA_META_SREG) {
        given.is(NFTA_META_KEY, NFT_META_MARK)?;
        return given.has_only(&[NFTA_META_SREG, NFTA_META_KEY], Expression::SetMark { register });
    }
    let place = Place::Meta(given.number(NFTA_META_KEY)?);
    let load = Expression::Load { place, octets: None, register: given.register(NFTA_META_DREG)? };
    given.has_only(&[NFTA_META_DREG, NFTA_META_KEY], load)
}

fn payload(given: Given<'_>) -> Option<Expression> {
    let base = given.number(NFTA_PAYLOAD_BASE)?;
    let place = Place::Payload { base, offset_octets: given.number(NFTA_PAYLOAD_OFFSET)? };
    let octets = Some(usize::try_from(given.number(NFTA_PAYLOAD_LEN)?).ok()?);
    let load = Expression::Load { place, octets, register: given.register(NFTA_PAYLOAD_DREG)? };
    given.has_only(&[NFTA_PAYLOAD_DREG, NFTA_PAYLOAD_BASE, NFTA_PAYLOAD_OFFSET, NFTA_PAYLOAD_LEN], load)
}

fn conntrack(given: Given<'_>) -> Option<Expression> {
    given.is(NFTA_CT_KEY, NFT_CT_STATE)?;
    let load = Expression::LoadConntrackState { register: given.register(NFTA_CT_DREG)? };
    given.has_only(&[NFTA_CT_DREG, NFTA_CT_KEY], load)
}

fn mask(given: Given<'_>) -> Option<Expression> {
    const NFT_BITWISE_MASK_XOR: u32 = 0;
    let register = given.register(NFTA_BITWISE_SREG)?;
    let (mask, flipped) = (given.value(NFTA_BITWISE_MASK)?, given.value(NFTA_BITWISE_XOR)?);
    let is_mask = register == given.register(NFTA_BITWISE_DREG)?
        && mask.len() == usize::try_from(given.number(NFTA_BITWISE_LEN)?).ok()?
        && flipped.len() == mask.len();
    given.is_or_absent(NFTA_BITWISE_OP, NFT_BITWISE_MASK_XOR)?;
    let all =
        [NFTA_BITWISE_SREG, NFTA_BITWISE_DREG, NFTA_BITWISE_LEN, NFTA_BITWISE_MASK, NFTA_BITWISE_XOR, NFTA_BITWISE_OP];
    given.has_only(&all, Expression::Mask { register, mask, flipped }).filter(|_| is_mask)
}

fn compare(given: Given<'_>) -> Option<Expression> {
    let (register, value) = (given.register(NFTA_CMP_SREG)?, given.value(NFTA_CMP_DATA)?);
    let compare = Expression::Compare { register, value, negated: given.flag(NFTA_CMP_OP)? };
    given.has_only(&[NFTA_CMP_SREG, NFTA_CMP_OP, NFTA_CMP_DATA], compare)
}

fn range(given: Given<'_>) -> Option<Expression> {
    let (low, high) = (given.value(NFTA_RANGE_FROM_DATA)?, given.value(NFTA_RANGE_TO_DATA)?);
    let (register, negated) = (given.register(NFTA_RANGE_SREG)?, given.flag(NFTA_RANGE_OP)?);
    let all = [NFTA_RANGE_SREG, NFTA_RANGE_OP, NFTA_RANGE_FROM_DATA, NFTA_RANGE_TO_DATA];
    given.has_only(&all, Expression::Range { register, low, high, negated })
}

fn look_up(given: Given<'_>) -> Option<Expression> {
    let negated = match given.number(NFTA_LOOKUP_FLAGS) {
        None | Some(0) => false,
        Some(NFT_LOOKUP_F_INV) => true,
        Some(_) => return None,
    };
    let (register, set) = (given.register(NFTA_LOOKUP_SREG)?, given.name(NFTA_LOOKUP_SET)?);
    let look_up = Expression::LookUp { register, set, into: given.register(NFTA_LOOKUP_DREG), negated };
    given.has_only(&[NFTA_LOOKUP_SET, NFTA_LOOKUP_SREG, NFTA_LOOKUP_DREG, NFTA_LOOKUP_FLAGS], look_up)
}

fn immediate(given: Given<'_>) -> Option<Expression> {
    let immediate = match given.register(NFTA_IMMEDIATE_DREG)? {
        NFT_REG_VERDICT => Expression::Verdict(data::verdict(given.attribute(NFTA_IMMEDIATE_DATA)?)?),
        register => Expression::Set { register, value: given.value(NFTA_IMMEDIATE_DATA)? },
    };
    given.has_only(&[NFTA_IMMEDIATE_DREG, NFTA_IMMEDIATE_DATA], immediate)
}

fn count(given: Given<'_>) -> Option<Expression> {
    if let Some(register) = given.register(NFTA_OBJREF_SET_SREG) {
        let by_key = Expression::CountByKey { register, counters: given.name(NFTA_OBJREF_SET_NAME)? };
        return given.has_only(&[NFTA_OBJREF_SET_SREG, NFTA_OBJREF_SET_NAME], by_key);
    }
    given.is(NFTA_OBJREF_IMM_TYPE, counter::KIND)?;
    let count = Expression::CountBy(given.name(NFTA_OBJREF_IMM_NAME)?);
    given.has_only(&[NFTA_OBJREF_IMM_TYPE, NFTA_OBJREF_IMM_NAME], count)
}

/// So many a second, and as many at once.
fn limit(given: Given<'_>) -> Option<Expression> {
    const SECONDS: u64 = 1;
    let per_second = given.number(NFTA_LIMIT_BURST)?;
    let long = |kind| given.attribute(kind).and_then(|value| be64_at(value, 0));
    let is_even = long(NFTA_LIMIT_RATE)? == u64::from(per_second) && long(NFTA_LIMIT_UNIT)? == SECONDS;
    given.is(NFTA_LIMIT_TYPE, NFT_LIMIT_PKTS)?;
    given.is_or_absent(NFTA_LIMIT_FLAGS, 0)?;
    let all = [NFTA_LIMIT_RATE, NFTA_LIMIT_UNIT, NFTA_LIMIT_BURST, NFTA_LIMIT_TYPE, NFTA_LIMIT_FLAGS, NFTA_LIMIT_PAD];
    given.has_only(&all, Expression::Limit { per_second }).filter(|_| is_even)
}

fn log(given: Given<'_>) -> Option<Expression> {
    let group = u16::from_be_bytes(given.attribute(NFTA_LOG_GROUP)?.try_into().ok()?);
    let prefix = given.attribute(NFTA_LOG_PREFIX).and_then(text)?;
    given.is(NFTA_LOG_SNAPLEN, Log::COPIED_OCTETS)?;
    let log = Expression::Log(LogEnd { group, prefix: prefix.to_owned() });
    let is_ours = prefix.len() <= Log::MAX_PREFIX_OCTETS;
    given.has_only(&[NFTA_LOG_GROUP, NFTA_LOG_PREFIX, NFTA_LOG_SNAPLEN], log).filter(|_| is_ours)
}

/// To one address and one port, as registers say.
fn destination_nat(given: Given<'_>) -> Option<Expression> {
    let (register, port) = (given.register(NFTA_NAT_REG_ADDR_MIN)?, given.register(NFTA_NAT_REG_PROTO_MIN)?);
    let is_one = given.register(NFTA_NAT_REG_ADDR_MAX).is_none_or(|last| last == register)
        && given.register(NFTA_NAT_REG_PROTO_MAX).is_none_or(|last| last == port);
    given.is(NFTA_NAT_TYPE, NFT_NAT_DNAT)?;
    given.is_or_absent(NFTA_NAT_FLAGS, NF_NAT_RANGE_MAP_IPS | NF_NAT_RANGE_PROTO_SPECIFIED)?;
    let all = [
        NFTA_NAT_TYPE,
        NFTA_NAT_FAMILY,
        NFTA_NAT_REG_ADDR_MIN,
        NFTA_NAT_REG_ADDR_MAX,
        NFTA_NAT_REG_PROTO_MIN,
        NFTA_NAT_REG_PROTO_MAX,
        NFTA_NAT_FLAGS,
    ];
    let destination = Expression::DestinationNat { register, port, family: given.number(NFTA_NAT_FAMILY)? };
    given.has_only(&all, destination).filter(|_| is_one)
}

/// To one address, and to the ports there are.
fn destination_address(given: Given<'_>) -> Option<Expression> {
    let (register, family) = address_only(given, NFT_NAT_DNAT)?;
    given.has_only(&ADDRESS_ONLY, Expression::DestinationAddress { register, family })
}

/// Of the destination.
fn address_type(given: Given<'_>) -> Option<Expression> {
    given.is(NFTA_FIB_RESULT, NFT_FIB_RESULT_ADDRTYPE)?;
    given.is(NFTA_FIB_FLAGS, NFTA_FIB_F_DADDR)?;
    let load = Expression::LoadAddressType { register: given.register(NFTA_FIB_DREG)? };
    given.has_only(&[NFTA_FIB_DREG, NFTA_FIB_RESULT, NFTA_FIB_FLAGS], load)
}

/// The same of the source.
fn source_nat(given: Given<'_>) -> Option<Expression> {
    let (register, family) = address_only(given, NFT_NAT_SNAT)?;
    given.has_only(&ADDRESS_ONLY, Expression::SourceNat { register, family })
}

const ADDRESS_ONLY: [u16; 5] =
    [NFTA_NAT_TYPE, NFTA_NAT_FAMILY, NFTA_NAT_REG_ADDR_MIN, NFTA_NAT_REG_ADDR_MAX, NFTA_NAT_FLAGS];

/// The register of the one address, and the family.
fn address_only(given: Given<'_>, kind: u32) -> Option<(u32, u32)> {
    let register = given.register(NFTA_NAT_REG_ADDR_MIN)?;
    let is_one = given.register(NFTA_NAT_REG_ADDR_MAX).is_none_or(|last| last == register);
    given.is(NFTA_NAT_TYPE, kind)?;
    given.is_or_absent(NFTA_NAT_FLAGS, NF_NAT_RANGE_MAP_IPS)?;
    Some((register, given.number(NFTA_NAT_FAMILY)?)).filter(|_| is_one)
}

/// The attributes of one expression.
#[derive(Clone, Copy)]
struct Given<'a>(&'a [u8]);

impl<'a> Given<'a> {
    fn attribute(self, kind: u16) -> Option<&'a [u8]> {
        attribute(self.0, kind)
    }

    fn number(self, kind: u16) -> Option<u32> {
        be32_at(self.attribute(kind)?, 0)
    }

    /// A register by the name we use: of the four old ones of 16 octets, the first quarter.
    fn register(self, kind: u16) -> Option<u32> {
        match self.number(kind)? {
            old @ 1..=4 => Some(NFT_REG32_00 + (old - 1) * 4),
            register => Some(register),
        }
    }

    fn name(self, kind: u16) -> Option<Name> {
        Name::parse(text(self.attribute(kind)?)?)
    }

    fn value(self, kind: u16) -> Option<Vec<u8>> {
        data::value(self.attribute(kind)?).map(<[u8]>::to_vec)
    }

    fn flag(self, kind: u16) -> Option<bool> {
        match self.number(kind)? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    fn is(self, kind: u16, value: u32) -> Option<()> {
        (self.number(kind)? == value).then_some(())
    }

    fn is_or_absent(self, kind: u16, value: u32) -> Option<()> {
        self.attribute(kind).map_or(Some(()), |_| self.is(kind, value))
    }

    /// This expression, if no attribute says more.
    fn has_only(self, known: &[u16], expression: Expression) -> Option<Expression> {
        attributes(self.0).all(|(kind, _)| known.contains(&kind)).then_some(expression)
    }
}
