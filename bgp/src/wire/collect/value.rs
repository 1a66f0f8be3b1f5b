//! Reads the value of one attribute, and decides what a broken one costs.
//!
//! Rules: RFC 7606 §7, one paragraph for each attribute, in the order given there; RFC 8092 §5 for large communities, RFC 9234 §5 for OTC.

use std::net::Ipv4Addr;

use crate::Asn;

use super::{
    super::reader::Reader, Aggregator, AsPath, Collected, Community, Dialect, ExtendedCommunity, Fault, Flaw,
    LargeCommunity, Notification, Origin, Raw, Unknown, code, flag,
};

impl Collected {
    pub(super) fn take_value(&mut self, raw: Raw<'_>, dialect: Dialect) -> Result<(), Notification> {
        self.note_partial(raw);
        match raw.code {
            code::ORIGIN | code::AS_PATH | code::NEXT_HOP => self.take_mandatory(raw, dialect),
            code::MED | code::LOCAL_PREF => self.take_preference(raw, dialect),
            code::ATOMIC_AGGREGATE | code::AGGREGATOR => self.take_aggregation(raw, dialect),
            code::COMMUNITIES => self.take_communities(raw),
            code::EXTENDED_COMMUNITIES | code::LARGE_COMMUNITIES => self.take_long_communities(raw),
            code::ORIGINATOR_ID | code::CLUSTER_LIST => self.take_reflection(raw, dialect),
            code::AS4_PATH | code::AS4_AGGREGATOR => self.take_four_octets(raw, dialect),
            code::ONLY_TO_CUSTOMER => self.only_to_customer = self.or_withdraw(raw, number(raw.value).map(Asn)),
            _ => return self.take_unknown(raw),
        }
        Ok(())
    }

    /// §7.1 to §7.3.
    fn take_mandatory(&mut self, raw: Raw<'_>, dialect: Dialect) {
        match raw.code {
            code::ORIGIN => self.origin = self.or_withdraw(raw, origin(raw.value)),
            code::AS_PATH => self.path = self.or_withdraw(raw, AsPath::decode(raw.value, dialect.four_octets)),
            _ => self.next_hop = self.or_withdraw(raw, address(raw.value)),
        }
    }

    /// §7.4 and §7.5: another system's LOCAL_PREF is none of our business.
    fn take_preference(&mut self, raw: Raw<'_>, dialect: Dialect) {
        match raw.code {
            code::MED => self.med = self.or_withdraw(raw, number(raw.value)),
            _ if dialect.external => self.flaws.push(Flaw::discard(raw.code, "from another system")),
            _ => self.local_pref = self.or_withdraw(raw, number(raw.value)),
        }
    }

    /// §7.6 and §7.7.
    fn take_aggregation(&mut self, raw: Raw<'_>, dialect: Dialect) {
        match raw.code {
            code::ATOMIC_AGGREGATE => {
                let empty = raw.value.is_empty().then_some(());
                self.atomic_aggregate = self.or_discard(raw, empty).is_some();
            }
            _ => self.aggregator = self.or_discard(raw, aggregator(raw.value, dialect.four_octets)),
        }
    }

    /// §7.8.
    fn take_communities(&mut self, raw: Raw<'_>) {
        let communities = items(raw.value).map(|items| items.map(u32::from_be_bytes).map(Community).collect());
        self.communities = self.or_withdraw(raw, communities).unwrap_or_default();
    }

    /// §7.14, and RFC 8092 §5, which has doubles removed in silence (§3 there).
    fn take_long_communities(&mut self, raw: Raw<'_>) {
        if raw.code == code::EXTENDED_COMMUNITIES {
            let extended = items(raw.value).map(|items| items.map(ExtendedCommunity).collect());
            self.extended = self.or_withdraw(raw, extended).unwrap_or_default();
        } else {
            let large = items(raw.value).map(|items| once_each(items.map(LargeCommunity::of)));
            self.large = self.or_withdraw(raw, large).unwrap_or_default();
        }
    }

    /// §7.9 and §7.10.
    fn take_reflection(&mut self, raw: Raw<'_>, dialect: Dialect) {
        match raw.code {
            _ if dialect.external => self.flaws.push(Flaw::discard(raw.code, "from another system")),
            code::ORIGINATOR_ID => self.originator = self.or_withdraw(raw, address(raw.value)),
            _ => {
                let clusters = items(raw.value).map(|items| items.map(<Ipv4Addr as From<[u8; 4]>>::from).collect());
                self.clusters = self.or_withdraw(raw, clusters).unwrap_or_default();
            }
        }
    }

    /// RFC 6793 §6: broken ones are ignored, and so are those of a neighbour that has no need of them (§4.1).
    fn take_four_octets(&mut self, raw: Raw<'_>, dialect: Dialect) {
        match raw.code {
            _ if dialect.four_octets => self.flaws.push(Flaw::discard(raw.code, "from a four-octet speaker")),
            code::AS4_PATH => self.take_path_of_four(raw),
            _ => self.aggregator_of_four = self.or_discard(raw, aggregator(raw.value, true)),
        }
    }

    /// RFC 6793 §3: what it says of confederations is left out, and the rest counts.
    fn take_path_of_four(&mut self, raw: Raw<'_>) {
        let Some((path, has_passed)) = self.or_discard(raw, AsPath::decode_of_four(raw.value)) else { return };
        if has_passed {
            self.flaws.push(Flaw::discard(raw.code, "segments of a confederation"));
        }
        self.path_of_four = Some(path);
    }

    /// RFC 4271 §6.3 and §9: a well-known one we must know; an optional one is kept if it is transitive.
    fn take_unknown(&mut self, raw: Raw<'_>) -> Result<(), Notification> {
        if raw.flags & flag::OPTIONAL == 0 {
            return Err(Fault::UNRECOGNIZED_WELL_KNOWN.with(whole(raw)));
        }
        if raw.flags & flag::TRANSITIVE != 0 {
            self.unknown.push(Unknown { code: raw.code, value: raw.value.to_vec() });
        }
        Ok(())
    }

    /// RFC 4271 §4.3: somebody on the way did not know what we know, and nobody may hide that.
    fn note_partial(&mut self, raw: Raw<'_>) {
        const PARTIAL: u8 = flag::OPTIONAL_TRANSITIVE | flag::PARTIAL;
        let is_known = matches!(
            raw.code,
            code::AGGREGATOR
                | code::COMMUNITIES
                | code::EXTENDED_COMMUNITIES
                | code::LARGE_COMMUNITIES
                | code::ONLY_TO_CUSTOMER
        );
        if is_known && raw.flags & PARTIAL == PARTIAL {
            self.partial.push(raw.code);
        }
    }

    fn or_withdraw<T>(&mut self, raw: Raw<'_>, value: Option<T>) -> Option<T> {
        if value.is_none() {
            self.flaws.push(Flaw::withdraw(raw.code, "malformed"));
        }
        value
    }

    fn or_discard<T>(&mut self, raw: Raw<'_>, value: Option<T>) -> Option<T> {
        if value.is_none() {
            self.flaws.push(Flaw::discard(raw.code, "malformed"));
        }
        value
    }
}

fn origin(value: &[u8]) -> Option<Origin> {
    match value {
        [0] => Some(Origin::Igp),
        [1] => Some(Origin::Egp),
        [2] => Some(Origin::Incomplete),
        _ => None,
    }
}

fn address(value: &[u8]) -> Option<Ipv4Addr> {
    <[u8; 4]>::try_from(value).ok().map(Ipv4Addr::from)
}

fn number(value: &[u8]) -> Option<u32> {
    value.try_into().ok().map(u32::from_be_bytes)
}

/// The value as items of so many octets, at least one.
fn items<const OCTETS: usize>(value: &[u8]) -> Option<impl Iterator<Item = [u8; OCTETS]>> {
    let (items, rest) = value.as_chunks::<OCTETS>();
    (rest.is_empty() && !items.is_empty()).then(|| items.iter().copied())
}

fn once_each<T: PartialEq>(items: impl Iterator<Item = T>) -> Vec<T> {
    let mut kept = Vec::new();
    items.for_each(|item| {
        if !kept.contains(&item) {
            kept.push(item)
        }
    });
    kept
}

fn aggregator(value: &[u8], four_octets: bool) -> Option<Aggregator> {
    let mut reader = Reader::new(value);
    let asn = if four_octets { reader.u32()? } else { reader.u16()?.into() };
    let address = reader.ipv4()?;
    (asn != 0 && reader.is_empty()).then_some(Aggregator { asn: Asn(asn), address })
}

/// The attribute as it came, for the data of a NOTIFICATION.
fn whole(raw: Raw<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    super::super::attribute::attribute(raw.flags & !flag::EXTENDED_LENGTH, raw.code, raw.value, &mut out);
    out
}
