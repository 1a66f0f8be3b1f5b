//! A whole table: first its neighbours, then each prefix with the paths to it.
//!
//! Rules: RFC 6396 §2 (what leads a record) and §4.3 (TABLE_DUMP_V2), RFC 8050 §4 (path identifiers). AS numbers take four octets, whatever
//! the neighbour speaks; an IPv6 next hop stands in an MP_REACH_NLRI that has nothing else (§4.3.4).

use std::{
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use ipnet::IpNet;

use crate::{
    Asn,
    wire::{Attributes, Family, encode_prefix, length_u16},
};

const TABLE_DUMP_V2: u16 = 13;
const PEER_INDEX_TABLE: u16 = 1;

/// A neighbour, or for what is our own: ourselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its address.
    pub address: IpAddr,
    /// Its autonomous system.
    pub asn: Asn,
    /// Its BGP identifier; 0.0.0.0 where it is not known.
    pub router_id: Ipv4Addr,
}

/// All neighbours of a table, in the order by which paths name them (§4.3.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerIndex {
    /// Whose table it is.
    pub router_id: Ipv4Addr,
    /// The table's name, for people.
    pub name: String,
    /// Of more than 65535 the rest is left out.
    pub peers: Vec<Peer>,
}

/// One path to a prefix (§4.3.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Which of the neighbours tells it, by its place in the index.
    pub peer: u16,
    /// Which of the neighbour's paths it is.
    pub path_id: u32,
    /// Over whom.
    pub next_hop: IpAddr,
    /// What is said about it.
    pub attributes: &'a Attributes,
}

/// One prefix with its paths (§4.3.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rib<'a> {
    /// Counts from 0 within a table.
    pub number: u32,
    /// Whereto.
    pub prefix: IpNet,
    /// The paths; of more than 65535 the rest is left out.
    pub entries: Vec<Entry<'a>>,
}

impl PeerIndex {
    /// Writes the record; `time` counts from 1970.
    pub fn encode(&self, time: Duration, out: &mut Vec<u8>) {
        record(time, PEER_INDEX_TABLE, out, |out| {
            out.extend(self.router_id.octets());
            let name = &self.name.as_bytes()[..self.name.floor_char_boundary(usize::from(u16::MAX))];
            out.extend(length_u16(name));
            out.extend(name);
            counted(&self.peers, out, Peer::encode);
        });
    }
}

impl Peer {
    fn encode(&self, out: &mut Vec<u8>) {
        const IPV6: u8 = 1;
        const FOUR_OCTETS: u8 = 2;
        out.push(FOUR_OCTETS | if self.address.is_ipv6() { IPV6 } else { 0 });
        out.extend(self.router_id.octets());
        match self.address {
            IpAddr::V4(address) => out.extend(address.octets()),
            IpAddr::V6(address) => out.extend(address.octets()),
        }
        out.extend(self.asn.0.to_be_bytes());
    }
}

impl Rib<'_> {
    /// Writes the record, with identifiers if any path has one; `time` counts from 1970, and stands for when each path came, too.
    pub fn encode(&self, time: Duration, out: &mut Vec<u8>) {
        let has_ids = self.entries.iter().any(|entry| entry.path_id != 0);
        record(time, self.subtype(has_ids), out, |out| {
            out.extend(self.number.to_be_bytes());
            encode_prefix(&self.prefix, out);
            counted(&self.entries, out, |entry, out| entry.encode(time, has_ids, out));
        });
    }

    fn subtype(&self, has_ids: bool) -> u16 {
        match (Family::of_prefix(&self.prefix), has_ids) {
            (Family::Ipv4, false) => 2,
            (Family::Ipv6, false) => 4,
            (Family::Ipv4, true) => 8,
            (Family::Ipv6, true) => 10,
        }
    }
}

impl Entry<'_> {
    fn encode(&self, time: Duration, has_ids: bool, out: &mut Vec<u8>) {
        out.extend(self.peer.to_be_bytes());
        out.extend(seconds(time));
        if has_ids {
            out.extend(self.path_id.to_be_bytes());
        }
        let attributes = self.attributes.for_table(self.next_hop);
        out.extend(length_u16(&attributes));
        out.extend(attributes);
    }
}

fn seconds(time: Duration) -> [u8; 4] {
    u32::try_from(time.as_secs()).unwrap_or(u32::MAX).to_be_bytes()
}

/// How many there are, in two octets, then each.
fn counted<T>(all: &[T], out: &mut Vec<u8>, encode: impl Fn(&T, &mut Vec<u8>)) {
    let count = u16::try_from(all.len()).unwrap_or(u16::MAX);
    out.extend(count.to_be_bytes());
    all.iter().take(count.into()).for_each(|one| encode(one, out));
}

/// Writes one record, of which `body` writes what follows the header.
fn record(time: Duration, subtype: u16, out: &mut Vec<u8>, body: impl FnOnce(&mut Vec<u8>)) {
    let mut content = Vec::new();
    body(&mut content);
    out.extend(seconds(time));
    out.extend(TABLE_DUMP_V2.to_be_bytes());
    out.extend(subtype.to_be_bytes());
    out.extend(u32::try_from(content.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend(content);
}
