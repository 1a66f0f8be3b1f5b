//! A packet, as far as policy looks at it.

use std::fmt;
use std::net::IpAddr;

/// One packet after defragmentation and address translation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Packet {
    /// Whence.
    pub source: IpAddr,
    /// Whither; of the same family as `source`.
    pub destination: IpAddr,
    /// What is in it.
    pub transport: Transport,
}

/// The transport header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// TCP, UDP, UDP-Lite, SCTP.
    Ports {
        /// The protocol's number.
        protocol: u8,
        /// Port it comes from.
        source: u16,
        /// Port it goes to.
        destination: u16,
    },
    /// ICMP or ICMPv6.
    Icmp {
        /// 1 or 58.
        protocol: u8,
        /// The message's type.
        kind: u8,
        /// The message's code.
        code: u8,
    },
    /// Any other protocol, by its number.
    Other(u8),
}

/// ICMP (RFC 792).
pub const ICMP: u8 = 1;
/// TCP (RFC 9293).
pub const TCP: u8 = 6;
/// UDP (RFC 768).
pub const UDP: u8 = 17;
/// ICMPv6 (RFC 4443).
pub const ICMP6: u8 = 58;
/// UDP-Lite (RFC 3828).
pub const UDP_LITE: u8 = 136;

impl Packet {
    /// A TCP packet.
    pub fn tcp(source: IpAddr, destination: IpAddr, ports: (u16, u16)) -> Self {
        Self {
            source,
            destination,
            transport: Transport::Ports { protocol: TCP, source: ports.0, destination: ports.1 },
        }
    }

    /// A UDP packet.
    pub fn udp(source: IpAddr, destination: IpAddr, ports: (u16, u16)) -> Self {
        Self {
            source,
            destination,
            transport: Transport::Ports { protocol: UDP, source: ports.0, destination: ports.1 },
        }
    }

    /// An ICMP packet of the family of `source`.
    pub fn icmp(source: IpAddr, destination: IpAddr, kind: u8, code: u8) -> Self {
        let protocol = if source.is_ipv4() { ICMP } else { ICMP6 };
        Self { source, destination, transport: Transport::Icmp { protocol, kind, code } }
    }

    /// The transport protocol's number.
    pub fn protocol(&self) -> u8 {
        match self.transport {
            Transport::Ports { protocol, .. } | Transport::Icmp { protocol, .. } | Transport::Other(protocol) => {
                protocol
            }
        }
    }
}

impl Transport {
    /// Whether connection tracking lets it begin a flow, or does not track it. Of ICMP, questions begin one; answers and errors pass with the flow they
    /// belong to, and what IPv6 neighbours and routers say to each other is not tracked. Measured, and found so in `valid_new` of
    /// `nf_conntrack_proto_icmp.c`, and `valid_new` and `noct_valid_new` of `nf_conntrack_proto_icmpv6.c` (net/netfilter).
    pub fn may_begin_a_flow(&self) -> bool {
        match self {
            Transport::Icmp { protocol: ICMP6, kind, .. } => matches!(kind, 128 | 130..=136 | 139 | 143),
            Transport::Icmp { kind, .. } => matches!(kind, 8 | 13 | 15 | 17),
            Transport::Ports { .. } | Transport::Other(_) => true,
        }
    }
}

impl fmt::Display for Packet {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { source, destination, transport } = self;
        match transport {
            Transport::Ports { protocol, source: from, destination: to } => {
                write!(out, "{source} → {destination} {} {from} → {to}", protocol_name(*protocol))
            }
            Transport::Icmp { protocol, kind, code } => {
                write!(out, "{source} → {destination} {} type {kind} code {code}", protocol_name(*protocol))
            }
            Transport::Other(protocol) => write!(out, "{source} → {destination} {}", protocol_name(*protocol)),
        }
    }
}

/// A protocol as port matches spell it: `tcp`, `icmp6`, `proto/47`.
pub fn protocol_name(number: u8) -> String {
    match number {
        ICMP => "icmp".to_owned(),
        TCP => "tcp".to_owned(),
        UDP => "udp".to_owned(),
        ICMP6 => "icmp6".to_owned(),
        132 => "sctp".to_owned(),
        UDP_LITE => "udplite".to_owned(),
        other => format!("proto/{other}"),
    }
}
