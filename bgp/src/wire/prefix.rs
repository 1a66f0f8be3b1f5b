//! Prefixes as they stand in messages: a length in bits, then only the octets that matter.
//!
//! Rules: RFC 4271 §4.3, RFC 4760 §5, RFC 7911 §3 (where identifiers lead).

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::{Family, Nlri, PathFamilies, reader::Reader};

/// What most prefixes of a container fabric take in a message; those of IPv6 take more.
const USUAL_OCTETS: usize = 5;

/// All prefixes of a field; `None` if a length is impossible or the field ends within a prefix.
/// Bits past the prefix length are of no meaning to RFC 4271, and are cleared.
pub(super) fn decode(octets: &[u8], family: Family, with_ids: PathFamilies) -> Option<Vec<Nlri>> {
    let has_ids = with_ids.contains(family);
    let mut reader = Reader::new(octets);
    let mut prefixes = Vec::with_capacity(octets.len() / USUAL_OCTETS);
    while !reader.is_empty() {
        let id = if has_ids { reader.u32()? } else { 0 };
        prefixes.push(Nlri { prefix: one(&mut reader, family)?, id });
    }
    Some(prefixes)
}

fn one(reader: &mut Reader<'_>, family: Family) -> Option<IpNet> {
    let bits = reader.u8()?;
    let octets = reader.take(usize::from(bits).div_ceil(8))?;
    match family {
        Family::Ipv4 => {
            let net = Ipv4Net::new(Ipv4Addr::from(padded::<4>(octets)?), bits).ok()?;
            Some(IpNet::V4(net.trunc()))
        }
        Family::Ipv6 => {
            let net = Ipv6Net::new(Ipv6Addr::from(padded::<16>(octets)?), bits).ok()?;
            Some(IpNet::V6(net.trunc()))
        }
    }
}

fn padded<const N: usize>(octets: &[u8]) -> Option<[u8; N]> {
    let mut address = [0; N];
    address.get_mut(..octets.len())?.copy_from_slice(octets);
    Some(address)
}

/// How many octets [`encode`] writes.
pub(super) fn size_octets(one: &Nlri, with_ids: PathFamilies) -> usize {
    let id = if with_ids.contains(Family::of_prefix(&one.prefix)) { size_of::<u32>() } else { 0 };
    id + 1 + usize::from(one.prefix.prefix_len()).div_ceil(8)
}

/// Writes one, without an identifier.
pub(crate) fn encode(prefix: &IpNet, out: &mut Vec<u8>) {
    let octets = usize::from(prefix.prefix_len()).div_ceil(8);
    out.push(prefix.prefix_len());
    match prefix.trunc() {
        IpNet::V4(net) => out.extend(&net.addr().octets()[..octets]),
        IpNet::V6(net) => out.extend(&net.addr().octets()[..octets]),
    }
}

/// Writes them one after the other.
pub(super) fn encode_all<'a>(prefixes: impl IntoIterator<Item = &'a Nlri>, with_ids: PathFamilies, out: &mut Vec<u8>) {
    for Nlri { prefix, id } in prefixes {
        if with_ids.contains(Family::of_prefix(prefix)) {
            out.extend(id.to_be_bytes());
        }
        encode(prefix, out);
    }
}
