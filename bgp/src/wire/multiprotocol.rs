//! Prefixes of any family, with their next hop: MP_REACH_NLRI and MP_UNREACH_NLRI.
//!
//! Rules: RFC 4760 §3 to §5, RFC 2545 §3 (IPv6 next hops), RFC 7606 §5.3 and §7.11 (what cannot be survived).

use std::net::{IpAddr, Ipv6Addr};

use super::{Family, Fault, Nlri, Notification, PathFamilies, prefix, reader::Reader};

/// Prefixes that came, and over which router.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reach {
    /// The router; its kind of address is that of the prefixes.
    pub next_hop: IpAddr,
    /// The router's address on a shared link, if it gave one beside its global one.
    pub link_local: Option<Ipv6Addr>,
    /// What it reaches.
    pub prefixes: Vec<Nlri>,
}

/// Prefixes that went; none at all marks the end of the initial table (RFC 4724 §2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreach {
    /// Of which family.
    pub family: Family,
    /// What is not reached any more.
    pub prefixes: Vec<Nlri>,
}

impl Reach {
    /// The family of the prefixes.
    pub fn family(&self) -> Family {
        match self.next_hop {
            IpAddr::V4(_) => Family::Ipv4,
            IpAddr::V6(_) => Family::Ipv6,
        }
    }

    /// `Ok(None)` is a family that we do not speak.
    pub(super) fn decode(value: &[u8], with_ids: PathFamilies) -> Result<Option<Self>, Notification> {
        let mut reader = Reader::new(value);
        let (Some(afi), Some(safi)) = (reader.u16(), reader.u8()) else { return Err(broken(value)) };
        let Some(family) = Family::of(afi, safi) else { return Ok(None) };
        let next_hop = reader.counted_u8().and_then(|octets| next_hops(family, octets));
        let (Some((next_hop, link_local)), Some(_reserved)) = (next_hop, reader.u8()) else {
            return Err(broken(value));
        };
        let prefixes = prefix::decode(reader.rest(), family, with_ids).ok_or_else(|| broken(value))?;
        Ok(Some(Self { next_hop, link_local, prefixes }))
    }

    pub(super) fn encode(&self, with_ids: PathFamilies) -> Vec<u8> {
        let mut next_hop = match self.next_hop {
            IpAddr::V4(address) => address.octets().to_vec(),
            IpAddr::V6(address) => address.octets().to_vec(),
        };
        next_hop.extend(self.link_local.iter().flat_map(Ipv6Addr::octets));
        let mut out = leading(self.family());
        out.push(u8::try_from(next_hop.len()).unwrap_or(u8::MAX));
        out.extend(next_hop);
        out.push(0);
        prefix::encode_all(&self.prefixes, with_ids, &mut out);
        out
    }
}

impl Unreach {
    /// `Ok(None)` is a family that we do not speak.
    pub(super) fn decode(value: &[u8], with_ids: PathFamilies) -> Result<Option<Self>, Notification> {
        let mut reader = Reader::new(value);
        let (Some(afi), Some(safi)) = (reader.u16(), reader.u8()) else { return Err(broken(value)) };
        let Some(family) = Family::of(afi, safi) else { return Ok(None) };
        let prefixes = prefix::decode(reader.rest(), family, with_ids).ok_or_else(|| broken(value))?;
        Ok(Some(Self { family, prefixes }))
    }

    pub(super) fn encode(&self, with_ids: PathFamilies) -> Vec<u8> {
        let mut out = leading(self.family);
        prefix::encode_all(&self.prefixes, with_ids, &mut out);
        out
    }
}

/// Prefixes that cannot be read cannot be withdrawn either: only a new session mends that.
fn broken(value: &[u8]) -> Notification {
    Fault::OPTIONAL_ATTRIBUTE.with(value)
}

fn leading(family: Family) -> Vec<u8> {
    let (afi, safi) = family.numbers();
    let [high, low] = afi.to_be_bytes();
    vec![high, low, safi]
}

fn next_hops(family: Family, octets: &[u8]) -> Option<(IpAddr, Option<Ipv6Addr>)> {
    let mut reader = Reader::new(octets);
    let mut v6 = || reader.array::<16>().map(Ipv6Addr::from);
    match (family, octets.len()) {
        (Family::Ipv4, 4) => Some((Reader::new(octets).ipv4()?.into(), None)),
        (Family::Ipv6, 16) => Some((v6()?.into(), None)),
        (Family::Ipv6, 32) => Some((v6()?.into(), v6())),
        (Family::Ipv4 | Family::Ipv6, _) => None,
    }
}
