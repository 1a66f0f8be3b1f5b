//! The next hop of some prefixes, as it stands in a message.
//!
//! Rules: RFC 4271 §5.1.3, RFC 2545 §3 (the second address, of a shared link), RFC 8950 §3 (either family's prefixes over an IPv6 router).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::Address;

use super::Family;

/// A router, by what a message says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hop {
    /// Its address. Speakers without a global one give the one of the link here, or `::`.
    pub address: IpAddr,
    /// Its address on a link that the two ends share, if it gave one beside its global one.
    pub link_local: Option<Ipv6Addr>,
}

impl Hop {
    /// Its address as far as it means something beyond one link.
    pub fn global(self) -> Option<IpAddr> {
        Some(self.address).filter(|address| !is_link_local(*address) && !address.is_unspecified())
    }

    /// Its address on a link.
    pub fn on_link(self) -> Option<Ipv6Addr> {
        self.link_local.or(match self.address {
            IpAddr::V6(address) if address.is_unicast_link_local() => Some(address),
            IpAddr::V4(_) | IpAddr::V6(_) => None,
        })
    }

    /// `None` unless so many octets are a next hop for prefixes of this family; one of IPv6 for IPv4 only where that was agreed on.
    pub(super) fn decode(family: Family, octets: &[u8], are_mixed: bool) -> Option<Self> {
        let v6 = |octets: &[u8]| octets.try_into().map(|octets: [u8; 16]| Ipv6Addr::from(octets)).ok();
        match (family, octets) {
            (Family::Ipv4, &[a, b, c, d]) => Some(Ipv4Addr::new(a, b, c, d).into()),
            (Family::Ipv4, _) if !are_mixed => None,
            (Family::Ipv4 | Family::Ipv6, _) if octets.len() == 16 => Some(v6(octets)?.into()),
            (Family::Ipv4 | Family::Ipv6, _) if octets.len() == 32 => {
                let (address, link_local) = octets.split_at(16);
                Some(Self { address: v6(address)?.into(), link_local: v6(link_local) })
            }
            (Family::Ipv4 | Family::Ipv6, _) => None,
        }
    }

    pub(super) fn octets(self) -> Vec<u8> {
        let mut octets = match self.address {
            IpAddr::V4(address) => address.octets().to_vec(),
            IpAddr::V6(address) => address.octets().to_vec(),
        };
        octets.extend(self.link_local.iter().flat_map(Ipv6Addr::octets));
        octets
    }
}

fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(_) => false,
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

impl From<IpAddr> for Hop {
    fn from(address: IpAddr) -> Self {
        Self { address, link_local: None }
    }
}

/// On which of our links it is concerns nobody else.
impl From<Address> for Hop {
    fn from(address: Address) -> Self {
        address.ip().into()
    }
}

impl From<Ipv4Addr> for Hop {
    fn from(address: Ipv4Addr) -> Self {
        IpAddr::from(address).into()
    }
}

impl From<Ipv6Addr> for Hop {
    fn from(address: Ipv6Addr) -> Self {
        IpAddr::from(address).into()
    }
}
