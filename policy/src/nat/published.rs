//! A port of a host that leads to one of a container, and its textual form: `8080:80`, `192.0.2.1:8000-8010:9000-9010/udp`.
//!
//! In: text, as people and runtimes know it from Docker. Out: a [`Published`], or what is wrong with which value.
//! An IPv6 address stands in brackets; without a protocol it is TCP, without an address all addresses of the host.

use std::fmt;
use std::net::{AddrParseError, IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;
use std::str::FromStr;

use thiserror::Error;

use crate::model::PortProtocol;

/// One or several ports of a host that lead to as many of a container.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Published {
    protocol: PortProtocol,
    /// Absent = every address of the host, of both families; unspecified = every one of its family.
    host_address: Option<IpAddr>,
    host_ports: (u16, u16),
    container_port: u16,
}

/// Why a text publishes no port.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PublishedError {
    /// It has too few or too many parts.
    #[error("{text:?} is not [HOSTIP:]HOSTPORT[-END]:CONTAINERPORT[-END][/PROTOCOL]")]
    Parts {
        /// What was written.
        text: String,
    },
    /// There are no other protocols with ports that are translated.
    #[error("{name:?} is not tcp, udp or sctp")]
    Protocol {
        /// What was written.
        name: String,
    },
    /// The first part of three is no address.
    #[error("{text:?} is no address of a host: {source}")]
    Address {
        /// What was written.
        text: String,
        /// Why not.
        source: AddrParseError,
    },
    /// Not a number from 1 to 65535.
    #[error("{text:?} is not a port from 1 to 65535")]
    Port {
        /// What was written.
        text: String,
    },
    /// A range that ends before it begins.
    #[error("range {first}-{last} is reversed")]
    Reversed {
        /// Its first port, as written.
        first: u16,
        /// Its last port, as written.
        last: u16,
    },
    /// So many here do not lead to so many there.
    #[error("{host} ports of the host cannot lead to {container} of the container")]
    Uneven {
        /// Ports of the host.
        host: usize,
        /// Ports of the container.
        container: usize,
    },
}

impl Published {
    /// The protocol both ports are of.
    pub fn protocol(&self) -> PortProtocol {
        self.protocol
    }

    /// The one address of the host it is published at; absent = at all of the families it [concerns](Self::concerns).
    pub fn host_address(&self) -> Option<IpAddr> {
        self.host_address.filter(|address| !address.is_unspecified())
    }

    /// Whether it is published for clients of this family.
    pub fn concerns(&self, is_v6: bool) -> bool {
        self.host_address.is_none_or(|address| address.is_ipv6() == is_v6)
    }

    /// The ports of the host.
    pub fn host_ports(&self) -> RangeInclusive<u16> {
        self.host_ports.0..=self.host_ports.1
    }

    /// Each port of the host and where it leads.
    pub fn pairs(&self) -> impl Iterator<Item = (u16, u16)> {
        self.host_ports().zip(self.container_port..=u16::MAX)
    }

    /// Whether some packet could be meant for both.
    pub fn overlaps(&self, other: &Self) -> bool {
        let meets = |is_v6| {
            let both = [self.host_address(), other.host_address()];
            self.concerns(is_v6) && other.concerns(is_v6) && (both[0] == both[1] || both.contains(&None))
        };
        let (first, last) = self.host_ports;
        let ports_meet = first <= other.host_ports.1 && other.host_ports.0 <= last;
        self.protocol == other.protocol && ports_meet && (meets(false) || meets(true))
    }
}

impl FromStr for Published {
    type Err = PublishedError;

    fn from_str(text: &str) -> Result<Self, PublishedError> {
        let (rest, protocol) = text.rsplit_once('/').unwrap_or((text, "tcp"));
        let bad_parts = || PublishedError::Parts { text: text.to_owned() };
        let (address, ports) = split_address(rest).ok_or_else(bad_parts)?;
        let (host, container) = ports.split_once(':').ok_or_else(bad_parts)?;
        let protocol = parse_protocol(protocol)?;
        let host_address = address.map(parse_address).transpose()?;
        let (host_ports, container_ports) = (parse_range(host)?, parse_range(container)?);
        let [on_host, in_container] =
            [&host_ports, &container_ports].map(|(first, last)| usize::from(last - first) + 1);
        if on_host != in_container {
            return Err(PublishedError::Uneven { host: on_host, container: in_container });
        }
        Ok(Self { protocol, host_address, host_ports, container_port: container_ports.0 })
    }
}

/// What stands before the ports, if something does; nothing at all if the text has too many parts.
fn split_address(text: &str) -> Option<(Option<&str>, &str)> {
    if let Some(rest) = text.strip_prefix('[') {
        let (address, ports) = rest.split_once("]:")?;
        return Some((Some(address), ports));
    }
    match text.split(':').count() {
        2 => Some((None, text)),
        3 => text.split_once(':').map(|(address, ports)| (Some(address), ports)),
        _ => None,
    }
}

fn parse_protocol(name: &str) -> Result<PortProtocol, PublishedError> {
    match name {
        "tcp" => Ok(PortProtocol::Tcp),
        "udp" => Ok(PortProtocol::Udp),
        "sctp" => Ok(PortProtocol::Sctp),
        _ => Err(PublishedError::Protocol { name: name.to_owned() }),
    }
}

fn parse_address(text: &str) -> Result<IpAddr, PublishedError> {
    text.parse().map_err(|source| PublishedError::Address { text: text.to_owned(), source })
}

fn parse_range(text: &str) -> Result<(u16, u16), PublishedError> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (parse_port(first)?, parse_port(last)?);
    if last < first {
        return Err(PublishedError::Reversed { first, last });
    }
    Ok((first, last))
}

fn parse_port(text: &str) -> Result<u16, PublishedError> {
    text.parse().ok().filter(|port| *port > 0).ok_or_else(|| PublishedError::Port { text: text.to_owned() })
}

/// As it is written; the protocol is always said.
impl fmt::Display for Published {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host_address {
            Some(IpAddr::V4(address)) => write!(out, "{address}:")?,
            Some(IpAddr::V6(address)) => write!(out, "[{address}]:")?,
            None => {}
        }
        let (first, last) = self.host_ports;
        match last - first {
            0 => write!(out, "{first}:{}", self.container_port)?,
            more => write!(out, "{first}-{last}:{}-{}", self.container_port, self.container_port + more)?,
        }
        write!(out, "/{}", self.protocol)
    }
}

/// 127.0.0.0/8 (RFC 1122 §3.2.1.3), first and last.
pub const LOOPBACK_4: (Ipv4Addr, Ipv4Addr) = (Ipv4Addr::new(127, 0, 0, 0), Ipv4Addr::new(127, 255, 255, 255));

#[cfg(test)]
mod tests {
    use super::*;

    fn published(text: &str) -> Published {
        text.parse().unwrap()
    }

    #[test]
    fn what_is_written_is_read_and_written_again() {
        for text in ["8080:80/tcp", "53:5353/udp", "0.0.0.0:80:80/tcp", "[::1]:80:80/sctp", "[::]:8000-8010:1-11/udp"] {
            assert_eq!(published(text).to_string(), text);
        }
        assert_eq!(published("8080:80"), published("8080:80/tcp"));
        assert_eq!(published("80-82:90-92").pairs().collect::<Vec<_>>(), [(80, 90), (81, 91), (82, 92)]);
        assert_eq!(published("65534-65535:65534-65535").pairs().count(), 2);
    }

    #[test]
    fn an_error_names_what_is_wrong() {
        let told = |text: &str| text.parse::<Published>().unwrap_err().to_string();

        assert_eq!(told("80"), "\"80\" is not [HOSTIP:]HOSTPORT[-END]:CONTAINERPORT[-END][/PROTOCOL]");
        assert_eq!(told("::1:80:80"), "\"::1:80:80\" is not [HOSTIP:]HOSTPORT[-END]:CONTAINERPORT[-END][/PROTOCOL]");
        assert_eq!(told("80:80/icmp"), "\"icmp\" is not tcp, udp or sctp");
        assert_eq!(told("localhost:80:80"), "\"localhost\" is no address of a host: invalid IP address syntax");
        assert_eq!(told("0:80"), "\"0\" is not a port from 1 to 65535");
        assert_eq!(told("80:65536"), "\"65536\" is not a port from 1 to 65535");
        assert_eq!(told("90-80:80-90"), "range 90-80 is reversed");
        assert_eq!(told("80-81:80"), "2 ports of the host cannot lead to 1 of the container");
    }

    #[test]
    fn two_overlap_if_a_packet_could_be_meant_for_both() {
        let overlap = |one: &str, other: &str| {
            let (one, other) = (published(one), published(other));
            assert_eq!(one.overlaps(&other), other.overlaps(&one));
            one.overlaps(&other)
        };

        assert!(overlap("80:80", "80:81"));
        assert!(overlap("80:80", "192.0.2.1:80:81"));
        assert!(overlap("0.0.0.0:80:80", "192.0.2.1:80:81"));
        assert!(overlap("80-90:80-90", "90-99:90-99"));
        assert!(!overlap("80:80", "80:80/udp"));
        assert!(!overlap("80:80", "81:80"));
        assert!(!overlap("192.0.2.1:80:80", "192.0.2.2:80:80"));
        assert!(!overlap("0.0.0.0:80:80", "[::]:80:80"));
        assert!(!overlap("[::]:80:80", "192.0.2.1:80:80"));
    }
}
