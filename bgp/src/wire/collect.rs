//! Reads the attributes of an UPDATE, and decides what becomes of broken ones.
//!
//! In: the attribute field. Out: the attributes, with flaws that the session survives, or the NOTIFICATION for those that
//! it does not. Rules: RFC 7606 §3 to §7, which revises RFC 4271 §6.3.

mod finish;
mod flaw;
mod value;

use std::{collections::BTreeSet, net::Ipv4Addr};

use crate::Asn;

use super::{
    Aggregator, AsPath, Attributes, Community, Dialect, ExtendedCommunity, Fault, LargeCommunity, Notification, Origin,
    Reach, Unknown, Unreach, Update,
    attribute::{code, flag},
    reader::Reader,
};

pub use flaw::{Flaw, FlawKind};

/// The attributes found so far.
#[derive(Debug, Default)]
pub(super) struct Collected {
    seen: BTreeSet<u8>,
    flaws: Vec<Flaw>,
    origin: Option<Origin>,
    path: Option<AsPath>,
    path_of_four: Option<AsPath>,
    next_hop: Option<Ipv4Addr>,
    med: Option<u32>,
    local_pref: Option<u32>,
    atomic_aggregate: bool,
    aggregator: Option<Aggregator>,
    aggregator_of_four: Option<Aggregator>,
    communities: Vec<Community>,
    extended: Vec<ExtendedCommunity>,
    large: Vec<LargeCommunity>,
    originator: Option<Ipv4Addr>,
    clusters: Vec<Ipv4Addr>,
    only_to_customer: Option<Asn>,
    unknown: Vec<Unknown>,
    partial: Vec<u8>,
    reach: Option<Reach>,
    unreach: Option<Unreach>,
}

/// One attribute before its value is understood.
#[derive(Clone, Copy)]
struct Raw<'a> {
    flags: u8,
    code: u8,
    value: &'a [u8],
}

impl<'a> Raw<'a> {
    fn read(reader: &mut Reader<'a>) -> Option<Self> {
        let flags = reader.u8()?;
        let code = reader.u8()?;
        let extended = flags & flag::EXTENDED_LENGTH != 0;
        let value = if extended { reader.counted_u16() } else { reader.counted_u8() }?;
        Some(Self { flags, code, value })
    }

    /// Whether the flags say what the attribute's definition says; RFC 7606 §3 c) looks at these two bits only.
    fn has_proper_flags(self) -> bool {
        const CLASS: u8 = flag::OPTIONAL | flag::TRANSITIVE;
        let class = self.flags & CLASS;
        match self.code {
            code::ORIGIN | code::AS_PATH | code::NEXT_HOP | code::LOCAL_PREF | code::ATOMIC_AGGREGATE => {
                class == flag::WELL_KNOWN
            }
            code::MED | code::ORIGINATOR_ID | code::CLUSTER_LIST | code::MP_REACH | code::MP_UNREACH => {
                class == flag::OPTIONAL
            }
            code::AGGREGATOR
            | code::COMMUNITIES
            | code::EXTENDED_COMMUNITIES
            | code::LARGE_COMMUNITIES
            | code::ONLY_TO_CUSTOMER
            | code::AS4_PATH
            | code::AS4_AGGREGATOR => class == flag::OPTIONAL_TRANSITIVE,
            _ => true,
        }
    }

    fn is_multiprotocol(self) -> bool {
        matches!(self.code, code::MP_REACH | code::MP_UNREACH)
    }
}

impl Collected {
    pub(super) fn read(octets: &[u8], dialect: Dialect) -> Result<Self, Notification> {
        let mut collected = Self::default();
        let mut reader = Reader::new(octets);
        while !reader.is_empty() {
            let Some(raw) = Raw::read(&mut reader) else {
                // RFC 7606 §4: the attribute field ends by its own length, so what follows it is still readable.
                collected.flaws.push(Flaw::withdraw(0, "the last attribute passes the end"));
                break;
            };
            collected.take(raw, dialect)?;
        }
        Ok(collected)
    }

    fn take(&mut self, raw: Raw<'_>, dialect: Dialect) -> Result<(), Notification> {
        if !self.seen.insert(raw.code) {
            return self.take_again(raw);
        }
        if !raw.has_proper_flags() {
            self.flaws.push(Flaw::withdraw(raw.code, "wrong flags"));
            if !raw.is_multiprotocol() {
                return Ok(());
            }
        }
        match raw.code {
            code::MP_REACH => self.reach = self.known_family(raw, Reach::decode(raw.value, dialect)?),
            code::MP_UNREACH => self.unreach = self.known_family(raw, Unreach::decode(raw.value, dialect.ids_in)?),
            _ => self.take_value(raw, dialect)?,
        }
        Ok(())
    }

    /// RFC 7606 §3 g): the first counts, except that nobody knows which prefixes a second MP attribute was to replace.
    fn take_again(&mut self, raw: Raw<'_>) -> Result<(), Notification> {
        if raw.is_multiprotocol() {
            return Err(Fault::ATTRIBUTE_LIST.bare());
        }
        self.flaws.push(Flaw::discard(raw.code, "given twice"));
        Ok(())
    }

    fn known_family<T>(&mut self, raw: Raw<'_>, value: Option<T>) -> Option<T> {
        if value.is_none() {
            self.flaws.push(Flaw::discard(raw.code, "unknown family"));
        }
        value
    }
}
