//! The octets of a probe, complete and with every checksum right: connection tracking calls anything less invalid.
//!
//! In: a packet as policy sees it, and a number. Out: octets that begin with the IP header and end with the number.
//! Layouts: RFC 791, 8200, 9293, 768, 3828, 9260, 792, 4443, 2784, 4303.

use std::net::IpAddr;

use poplin_policy::packet::{ICMP, ICMP6, Packet, TCP, Transport, UDP, UDP_LITE};

const SCTP: u8 = 132;
const GRE: u8 = 47;

/// What every probe of ours ends with, before its number.
const MARK: [u8; 4] = *b"plin";

/// Sequence number of every SYN, so that one sent twice is the same flow.
const SEQUENCE: u32 = 1000;

const SYN: u8 = 0x02;
const SYN_ACK: u8 = 0x12;

/// How a probe stands to the flow it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// The first of a flow, or what fits none.
    First,
    /// The answer to a first one; source and destination are those of the answer.
    Answer,
}

/// Whether connection tracking takes the packet for the beginning of a flow. Of ICMP only requests are (`valid_new` in
/// net/netfilter/nf_conntrack_proto_icmp.c and its sibling), and only in their own family.
pub(crate) fn begins_a_flow(packet: &Packet) -> bool {
    match (packet.source.is_ipv4(), packet.transport) {
        (_, Transport::Ports { .. } | Transport::Other(_)) => true,
        (true, Transport::Icmp { protocol, kind, .. }) => (protocol, kind) == (ICMP, 8),
        (false, Transport::Icmp { protocol, kind, .. }) => (protocol, kind) == (ICMP6, 128),
    }
}

/// The answer somebody might give, if we know how to write it.
pub(crate) fn answer_to(packet: &Packet) -> Option<Packet> {
    let transport = match packet.transport {
        Transport::Ports { protocol: SCTP, .. } => return None, // answers carry a tag from within the first
        Transport::Ports { protocol: UDP_LITE, .. } => return None, // the kernel tracks none of it: an answer is as good as a first
        Transport::Ports { protocol, source, destination } => {
            Transport::Ports { protocol, source: destination, destination: source }
        }
        Transport::Icmp { protocol: ICMP, kind: 8, code } => Transport::Icmp { protocol: ICMP, kind: 0, code },
        Transport::Icmp { protocol: ICMP6, kind: 128, code } => Transport::Icmp { protocol: ICMP6, kind: 129, code },
        Transport::Icmp { .. } => return None,
        Transport::Other(protocol) => Transport::Other(protocol),
    };
    Some(Packet { source: packet.destination, destination: packet.source, transport })
}

/// Whether connection tracking could take the one for an answer to the other. ICMP has a number of its own for each.
pub(crate) fn answers(packet: &Packet, earlier: &Packet) -> bool {
    let is_reverse = packet.source == earlier.destination && packet.destination == earlier.source;
    let is_icmp = matches!(packet.transport, Transport::Icmp { .. });
    is_reverse && !is_icmp && answer_to_ports(packet) == earlier.transport
}

fn answer_to_ports(packet: &Packet) -> Transport {
    match packet.transport {
        Transport::Ports { protocol, source, destination } => {
            Transport::Ports { protocol, source: destination, destination: source }
        }
        other => other,
    }
}

/// The number of a probe that arrived, if it is one.
pub(crate) fn number_of(octets: &[u8]) -> Option<u32> {
    let (rest, number) = octets.split_last_chunk::<4>()?;
    rest.ends_with(&MARK).then(|| u32::from_be_bytes(*number))
}

/// Writes a probe. `flow` is what an ICMP request and its reply have in common; others have their ports.
pub(crate) fn write(packet: &Packet, standing: Standing, flow: u16, number: u32) -> Vec<u8> {
    let mut payload = transport(packet, standing, flow);
    payload.extend(MARK);
    payload.extend(number.to_be_bytes());
    finish(packet, &mut payload);
    let mut octets = head(packet, payload.len());
    octets.extend(payload);
    octets
}

fn head(packet: &Packet, payload: usize) -> Vec<u8> {
    let length = |octets: usize| u16::try_from(octets).expect("probes are short").to_be_bytes();
    match (packet.source, packet.destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let mut head = vec![0x45, 0];
            head.extend(length(20 + payload));
            head.extend([0, 0, 0, 0, 64, packet.protocol(), 0, 0]); // the kernel adds identification and checksum
            head.extend(source.octets());
            head.extend(destination.octets());
            head
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let mut head = vec![0x60, 0, 0, 0];
            head.extend(length(payload));
            head.extend([packet.protocol(), 64]);
            head.extend(source.octets());
            head.extend(destination.octets());
            head
        }
        _ => unreachable!("both ends are of one family"),
    }
}

/// The transport header with its checksum still zero.
fn transport(packet: &Packet, standing: Standing, flow: u16) -> Vec<u8> {
    let mut octets = Vec::new();
    match packet.transport {
        Transport::Ports { protocol, source, destination } => {
            octets.extend(source.to_be_bytes());
            octets.extend(destination.to_be_bytes());
            octets.extend(behind_ports(protocol, standing));
        }
        Transport::Icmp { kind, code, .. } => {
            octets.extend([kind, code, 0, 0]);
            octets.extend(flow.to_be_bytes());
            octets.extend([0, 1]);
        }
        Transport::Other(GRE) => octets.extend([0, 0, 0x08, 0]),
        Transport::Other(_) => octets.extend([0, 0, 0, 1, 0, 0, 0, 1]),
    }
    octets
}

fn behind_ports(protocol: u8, standing: Standing) -> Vec<u8> {
    match protocol {
        TCP => {
            let (acknowledged, flags) = match standing {
                Standing::First => (0, SYN),
                Standing::Answer => (SEQUENCE + 1, SYN_ACK),
            };
            let mut rest = SEQUENCE.to_be_bytes().to_vec();
            rest.extend(u32::to_be_bytes(acknowledged));
            rest.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
            rest
        }
        UDP => vec![0, 16, 0, 0],
        UDP_LITE => vec![0, 0, 0, 0],
        // A zero tag and one INIT chunk of 28 octets, the last eight of which are ours.
        _ => {
            let mut rest = vec![0; 8];
            rest.extend([1, 0, 0, 28]);
            rest.extend([0, 0, 0, 7, 0, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 9]);
            rest
        }
    }
}

/// Puts the checksum in its place.
fn finish(packet: &Packet, payload: &mut [u8]) {
    let (place, sum) = match (packet.protocol(), packet.source.is_ipv4()) {
        (TCP, _) => (16, ones_complement(&[&pseudo_header(packet, payload.len()), payload])),
        (UDP, _) => (6, ones_complement(&[&pseudo_header(packet, payload.len()), payload])),
        (UDP_LITE, _) => (6, checksum_in_part(packet, payload)),
        (ICMP, true) => (2, ones_complement(&[payload])),
        (ICMP6, false) => (2, ones_complement(&[&pseudo_header(packet, payload.len()), payload])),
        (SCTP, _) => {
            let sum = crc32c(payload);
            payload[8..12].copy_from_slice(&sum.to_le_bytes());
            return;
        }
        _ => return,
    };
    let sum = if sum == 0 { 0xffff } else { sum };
    payload[place..place + 2].copy_from_slice(&sum.to_be_bytes());
}

/// RFC 3828 §3.1: of the whole, where the coverage is 0, or, for odd source ports, of the header alone.
fn checksum_in_part(packet: &Packet, payload: &mut [u8]) -> u16 {
    let is_odd = payload[1] % 2 == 1;
    let covered = if is_odd { 8 } else { payload.len() };
    payload[5] = if is_odd { 8 } else { 0 };
    ones_complement(&[&pseudo_header(packet, payload.len()), &payload[..covered]])
}

fn pseudo_header(packet: &Packet, length: usize) -> Vec<u8> {
    let mut head = Vec::new();
    for address in [packet.source, packet.destination] {
        match address {
            IpAddr::V4(address) => head.extend(address.octets()),
            IpAddr::V6(address) => head.extend(address.octets()),
        }
    }
    head.extend([0, packet.protocol()]);
    head.extend(u16::try_from(length).expect("probes are short").to_be_bytes());
    head
}

/// RFC 1071.
fn ones_complement(parts: &[&[u8]]) -> u16 {
    let mut sum = 0_u32;
    for part in parts {
        for pair in part.chunks(2) {
            sum += u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0));
        }
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).expect("folded to sixteen bits")
}

/// RFC 9260, appendix A, bit by bit.
fn crc32c(octets: &[u8]) -> u32 {
    !octets.iter().fold(!0, |crc, octet| {
        (0..8).fold(crc ^ u32::from(*octet), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 })
    })
}
