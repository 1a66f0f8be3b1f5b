//! Where somebody is: an address, and the link on which it means something if it is link-local.
//!
//! In and out: values and their text. Every link has its own `fe80::1`, and switches like to be it on all their ports: so a link-local address
//! without its zone names nobody. Knows nothing of interface indexes. Rules: RFC 4007 §6 (zones) and §11 (text), RFC 4291 §2.5.6.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

/// A link, by the name of our interface on it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Zone([u8; Zone::OCTETS_MAX]);

impl Zone {
    /// `IFNAMSIZ` of linux/if.h, less the zero at the end.
    pub const OCTETS_MAX: usize = 15;

    /// `None` for what Linux takes for no interface's name (`dev_valid_name` in net/core/dev.c).
    pub fn new(name: &str) -> Option<Self> {
        let is_odd = |letter: char| letter == '/' || letter == ':' || letter == '\0' || letter.is_whitespace();
        if name.is_empty() || name == "." || name == ".." || name.contains(is_odd) {
            return None;
        }
        let mut octets = [0; Self::OCTETS_MAX];
        octets.get_mut(..name.len())?.copy_from_slice(name.as_bytes());
        Some(Self(octets))
    }

    /// The interface's name.
    pub fn as_str(&self) -> &str {
        let length = self.0.iter().position(|&octet| octet == 0).unwrap_or(Self::OCTETS_MAX);
        std::str::from_utf8(&self.0[..length]).unwrap_or_default()
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An address of a neighbour or a router; a link-local one of IPv6 may say on which link. Written as `fe80::1%eth0`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    ip: IpAddr,
    zone: Option<Zone>,
}

impl Address {
    /// The zone counts for link-local addresses of IPv6 and for no other.
    pub fn new(ip: IpAddr, zone: Option<Zone>) -> Self {
        let ip = ip.to_canonical();
        Self { ip, zone: zone.filter(|_| is_link_local(ip)) }
    }

    /// This one on that link.
    pub fn on(ip: Ipv6Addr, zone: Zone) -> Self {
        Self::new(ip.into(), Some(zone))
    }

    /// The address alone.
    pub fn ip(self) -> IpAddr {
        self.ip
    }

    /// The link it means something on; `None` where it means the same everywhere.
    pub fn zone(self) -> Option<Zone> {
        self.zone
    }

    /// Whether it is one of IPv4.
    pub fn is_ipv4(self) -> bool {
        self.ip.is_ipv4()
    }

    /// Whether it is one of IPv6.
    pub fn is_ipv6(self) -> bool {
        self.ip.is_ipv6()
    }

    /// Whether it means something on one link only, told or not.
    pub fn is_link_local(self) -> bool {
        is_link_local(self.ip)
    }

    /// One of IPv4 that is written as one of IPv6 is one of IPv4.
    pub fn to_canonical(self) -> Self {
        Self::new(self.ip, self.zone)
    }
}

fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(_) => false,
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}

impl From<IpAddr> for Address {
    fn from(ip: IpAddr) -> Self {
        Self { ip, zone: None }
    }
}

impl From<Ipv4Addr> for Address {
    fn from(ip: Ipv4Addr) -> Self {
        IpAddr::from(ip).into()
    }
}

impl From<Ipv6Addr> for Address {
    fn from(ip: Ipv6Addr) -> Self {
        IpAddr::from(ip).into()
    }
}

impl From<[u8; 4]> for Address {
    fn from(octets: [u8; 4]) -> Self {
        IpAddr::from(octets).into()
    }
}

impl From<[u8; 16]> for Address {
    fn from(octets: [u8; 16]) -> Self {
        IpAddr::from(octets).into()
    }
}

impl PartialEq<IpAddr> for Address {
    fn eq(&self, other: &IpAddr) -> bool {
        *self == Self::from(*other)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.zone {
            Some(zone) => f.pad(&format!("{}%{zone}", self.ip)),
            None => fmt::Display::fmt(&self.ip, f),
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why a text is no address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadAddress {
    /// It has not the form of one.
    #[error("{0:?} is no IP address")]
    Form(String),
    /// No interface can have that name.
    #[error("{0:?} is no name of an interface: it has 1 to 15 characters, and no slash, colon or space")]
    Zone(String),
    /// It means the same on every link.
    #[error("{0} is not link-local, so it is on no particular link")]
    Needless(IpAddr),
}

impl FromStr for Address {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<Self, BadAddress> {
        let parsed = |ip: &str| ip.parse::<IpAddr>().map_err(|_| BadAddress::Form(text.to_owned()));
        match text.split_once('%') {
            None => Ok(parsed(text)?.into()),
            Some((ip, zone)) => {
                let ip = parsed(ip)?;
                let zone = Zone::new(zone).ok_or_else(|| BadAddress::Zone(zone.to_owned()))?;
                if is_link_local(ip) { Ok(Self::new(ip, Some(zone))) } else { Err(BadAddress::Needless(ip)) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_local_address_is_another_one_on_another_link() {
        let parsed = |text: &str| text.parse::<Address>().unwrap();

        assert_eq!(parsed("fe80::1%eth0").to_string(), "fe80::1%eth0");
        assert_eq!(parsed("192.0.2.1").to_string(), "192.0.2.1");
        assert_ne!(parsed("fe80::1%eth0"), parsed("fe80::1%eth1"));
        assert_ne!(parsed("fe80::1%eth0"), parsed("fe80::1"));
        assert_eq!(Address::new("2001:db8::1".parse().unwrap(), Zone::new("eth0")), parsed("2001:db8::1"));
    }

    #[test]
    fn what_no_interface_can_be_called_and_a_link_nobody_needs_are_refused() {
        let refused = |text: &str| text.parse::<Address>().unwrap_err();

        assert_eq!(refused("fe80::1%"), BadAddress::Zone(String::new()));
        assert_eq!(refused("fe80::1%sixteen-letters-"), BadAddress::Zone("sixteen-letters-".to_owned()));
        assert_eq!(refused("fe80::1%a b"), BadAddress::Zone("a b".to_owned()));
        assert_eq!(refused("192.0.2.1%eth0"), BadAddress::Needless([192, 0, 2, 1].into()));
        assert_eq!(refused("eth0"), BadAddress::Form("eth0".to_owned()));
    }

    #[test]
    fn the_longest_name_of_an_interface_fits() {
        assert_eq!(Zone::new("fifteen-letters").unwrap().as_str(), "fifteen-letters");
        assert_eq!(Zone::new("sixteen-letters-"), None);
    }
}
