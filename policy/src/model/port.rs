//! Port matches: which protocol, ports or messages a rule speaks of.

use std::fmt;
use std::net::IpAddr;
use std::ops::RangeInclusive;

use super::NamedPort;
use crate::packet::{Packet, Transport};

/// One entry of a rule's `ports` or `source_ports`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PortMatch {
    /// Ports of one protocol; `0..=65535` is every port.
    Ports {
        /// A protocol that has ports.
        protocol: PortProtocol,
        /// Inclusive, not reversed.
        range: RangeInclusive<u16>,
    },
    /// Ports that the endpoint, or the host endpoint, at that end calls so; nothing where there is none.
    Named {
        /// A protocol that has ports.
        protocol: PortProtocol,
        /// The name.
        name: String,
    },
    /// Messages of ICMP over IPv4, or of ICMPv6 over IPv6.
    Icmp {
        /// Which of the two.
        version: IcmpVersion,
        /// Which messages.
        message: IcmpMatch,
    },
    /// A protocol by its number, over either family.
    Protocol(u8),
}

/// A protocol whose first four octets are its ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PortProtocol {
    /// RFC 9293.
    Tcp,
    /// RFC 768.
    Udp,
    /// RFC 3828. The kernel tracks it only while `nf_conntrack_checksum` is 0; else each packet is judged by itself.
    UdpLite,
    /// RFC 9260.
    Sctp,
}

/// Which ICMP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IcmpVersion {
    /// ICMP, over IPv4.
    V4,
    /// ICMPv6, over IPv6.
    V6,
}

/// Which ICMP messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IcmpMatch {
    /// All.
    Any,
    /// All of one type.
    Type(u8),
    /// Of one type and code.
    TypeAndCode(u8, u8),
}

/// Which of a packet's two ports is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PortSide {
    /// The one it comes from.
    Source,
    /// The one it goes to.
    Destination,
}

/// An address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IpVersion {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl PortMatch {
    /// The protocol's number.
    pub fn protocol(&self) -> u8 {
        match self {
            PortMatch::Ports { protocol, .. } | PortMatch::Named { protocol, .. } => protocol.number(),
            PortMatch::Icmp { version, .. } => version.protocol(),
            PortMatch::Protocol(number) => *number,
        }
    }

    /// Whether a packet is of this protocol, port or message; `names` are those of ports at that end.
    pub(crate) fn admits(&self, side: PortSide, packet: &Packet, names: &[NamedPort]) -> bool {
        if packet.protocol() != self.protocol() {
            return false;
        }
        match (self, packet.transport) {
            (PortMatch::Ports { range, .. }, Transport::Ports { source, destination, .. }) => {
                range.contains(&side.of(source, destination))
            }
            (PortMatch::Named { protocol, name }, Transport::Ports { source, destination, .. }) => {
                names.iter().any(|one| one.means(name, *protocol, side.of(source, destination)))
            }
            (PortMatch::Icmp { version, message }, Transport::Icmp { kind, code, .. }) => {
                version.is_over(packet) && message.admits(kind, code)
            }
            (PortMatch::Protocol(_), _) => true,
            (PortMatch::Ports { .. } | PortMatch::Named { .. } | PortMatch::Icmp { .. }, _) => false,
        }
    }
}

impl PortSide {
    fn of(self, source: u16, destination: u16) -> u16 {
        match self {
            PortSide::Source => source,
            PortSide::Destination => destination,
        }
    }
}

impl IpVersion {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::V4, Self::V6];

    /// The family of an address.
    pub fn of(address: IpAddr) -> Self {
        if address.is_ipv4() { Self::V4 } else { Self::V6 }
    }
}

impl PortProtocol {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Tcp, Self::Udp, Self::UdpLite, Self::Sctp];

    /// The number IANA gave it.
    pub fn number(self) -> u8 {
        match self {
            PortProtocol::Tcp => 6,
            PortProtocol::Udp => 17,
            PortProtocol::UdpLite => 136,
            PortProtocol::Sctp => 132,
        }
    }

    /// The protocol of a number, if it is one of these.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|protocol| protocol.number() == number)
    }
}

impl IcmpVersion {
    /// The number IANA gave it.
    pub fn protocol(self) -> u8 {
        match self {
            IcmpVersion::V4 => 1,
            IcmpVersion::V6 => 58,
        }
    }

    /// The family its messages are carried over.
    pub fn ip_version(self) -> IpVersion {
        match self {
            IcmpVersion::V4 => IpVersion::V4,
            IcmpVersion::V6 => IpVersion::V6,
        }
    }

    fn is_over(self, packet: &Packet) -> bool {
        IpVersion::of(packet.source) == self.ip_version()
    }
}

impl fmt::Display for IpVersion {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            IpVersion::V4 => "IPv4",
            IpVersion::V6 => "IPv6",
        })
    }
}

impl IcmpMatch {
    fn admits(self, kind: u8, code: u8) -> bool {
        match self {
            IcmpMatch::Any => true,
            IcmpMatch::Type(wanted) => wanted == kind,
            IcmpMatch::TypeAndCode(wanted_kind, wanted_code) => (wanted_kind, wanted_code) == (kind, code),
        }
    }
}
