//! Writes attributes.
//!
//! Rules: RFC 4271 §4.3 and §5, RFC 6793 §4.2.2 (what is said to two-octet neighbours).

use std::net::{IpAddr, Ipv4Addr};

use super::{
    super::{Dialect, reader::length_u16},
    Aggregator, Attributes, code, flag,
};

impl Attributes {
    /// Writes all attributes in the order of their numbers, RFC 4271 §5.
    pub(in crate::wire) fn encode(&self, dialect: Dialect, out: &mut Vec<u8>) {
        self.encode_mandatory(dialect, out);
        self.encode_preferences(out);
        self.encode_aggregation(dialect, out);
        self.encode_communities(out);
        self.encode_reflection(out);
        self.encode_extended(out);
        self.encode_four_octets(dialect, out);
        self.encode_large(out);
        if let Some(asn) = self.only_to_customer {
            self.transitive(code::ONLY_TO_CUSTOMER, &asn.0.to_be_bytes(), out);
        }
        for unknown in &self.unknown {
            attribute(flag::OPTIONAL_TRANSITIVE | flag::PARTIAL, unknown.code, &unknown.value, out);
        }
    }

    /// All of them with the next hop, as they stand in a table that was written down (RFC 6396 §4.3.4): AS numbers take four octets, and an
    /// MP_REACH_NLRI has nothing but the next hop.
    pub(crate) fn for_table(&self, next_hop: IpAddr) -> Vec<u8> {
        let dialect = Dialect { four_octets: true, ..Dialect::PLAIN };
        let mut out = Vec::new();
        match next_hop {
            IpAddr::V4(next_hop) => {
                Self { next_hop: Some(next_hop), ..self.clone() }.encode(dialect, &mut out);
            }
            IpAddr::V6(next_hop) => {
                Self { next_hop: None, ..self.clone() }.encode(dialect, &mut out);
                let value: Vec<u8> = [16].into_iter().chain(next_hop.octets()).collect();
                attribute(flag::OPTIONAL, code::MP_REACH, &value, &mut out);
            }
        }
        out
    }

    fn encode_mandatory(&self, dialect: Dialect, out: &mut Vec<u8>) {
        attribute(flag::WELL_KNOWN, code::ORIGIN, &[self.origin as u8], out);
        let mut path = Vec::new();
        self.path.encode(dialect.four_octets, &mut path);
        attribute(flag::WELL_KNOWN, code::AS_PATH, &path, out);
        if let Some(next_hop) = self.next_hop {
            attribute(flag::WELL_KNOWN, code::NEXT_HOP, &next_hop.octets(), out);
        }
    }

    fn encode_preferences(&self, out: &mut Vec<u8>) {
        if let Some(med) = self.med {
            attribute(flag::OPTIONAL, code::MED, &med.to_be_bytes(), out);
        }
        if let Some(preference) = self.local_pref {
            attribute(flag::WELL_KNOWN, code::LOCAL_PREF, &preference.to_be_bytes(), out);
        }
    }

    fn encode_aggregation(&self, dialect: Dialect, out: &mut Vec<u8>) {
        if self.atomic_aggregate {
            attribute(flag::WELL_KNOWN, code::ATOMIC_AGGREGATE, &[], out);
        }
        if let Some(aggregator) = self.aggregator {
            let value = aggregator.octets(dialect.four_octets);
            self.transitive(code::AGGREGATOR, &value, out);
        }
    }

    fn encode_communities(&self, out: &mut Vec<u8>) {
        if !self.communities.is_empty() {
            let value: Vec<u8> = self.communities.iter().flat_map(|community| community.0.to_be_bytes()).collect();
            self.transitive(code::COMMUNITIES, &value, out);
        }
    }

    fn encode_extended(&self, out: &mut Vec<u8>) {
        if !self.extended.is_empty() {
            let value: Vec<u8> = self.extended.iter().flat_map(|community| community.0).collect();
            self.transitive(code::EXTENDED_COMMUNITIES, &value, out);
        }
    }

    fn encode_large(&self, out: &mut Vec<u8>) {
        if !self.large.is_empty() {
            let value: Vec<u8> = self.large.iter().flat_map(|community| community.octets()).collect();
            self.transitive(code::LARGE_COMMUNITIES, &value, out);
        }
    }

    /// Writes an optional transitive one; whether somebody did not know it is passed on, RFC 4271 §4.3.
    fn transitive(&self, code: u8, value: &[u8], out: &mut Vec<u8>) {
        let partial = if self.partial.contains(&code) { flag::PARTIAL } else { 0 };
        attribute(flag::OPTIONAL_TRANSITIVE | partial, code, value, out);
    }

    fn encode_reflection(&self, out: &mut Vec<u8>) {
        if let Some(originator) = self.originator {
            attribute(flag::OPTIONAL, code::ORIGINATOR_ID, &originator.octets(), out);
        }
        if !self.clusters.is_empty() {
            let value: Vec<u8> = self.clusters.iter().flat_map(Ipv4Addr::octets).collect();
            attribute(flag::OPTIONAL, code::CLUSTER_LIST, &value, out);
        }
    }

    /// What a two-octet neighbour passes on without understanding it, RFC 6793 §4.2.2.
    fn encode_four_octets(&self, dialect: Dialect, out: &mut Vec<u8>) {
        if dialect.four_octets {
            return;
        }
        if !self.path.fits_two_octets() {
            let mut path = Vec::new();
            self.path.encode(true, &mut path);
            attribute(flag::OPTIONAL_TRANSITIVE, code::AS4_PATH, &path, out);
        }
        if let Some(aggregator) = self.aggregator.filter(|aggregator| !aggregator.asn.fits_two_octets()) {
            attribute(flag::OPTIONAL_TRANSITIVE, code::AS4_AGGREGATOR, &aggregator.octets(true), out);
        }
    }
}

impl Aggregator {
    fn octets(self, four_octets: bool) -> Vec<u8> {
        let mut octets = Vec::with_capacity(8);
        if four_octets {
            octets.extend(self.asn.0.to_be_bytes());
        } else {
            octets.extend(self.asn.two_octets().to_be_bytes());
        }
        octets.extend(self.address.octets());
        octets
    }
}

/// Writes one attribute; past 255 octets its length takes two.
pub(in crate::wire) fn attribute(flags: u8, code: u8, value: &[u8], out: &mut Vec<u8>) {
    match u8::try_from(value.len()) {
        Ok(length) => out.extend([flags, code, length]),
        Err(_) => {
            out.extend([flags | flag::EXTENDED_LENGTH, code]);
            out.extend(length_u16(value));
        }
    }
    out.extend(value);
}
