//! Reads the ends of a packet from its first octets.
//!
//! In: octets from the network header on, as many as were copied. Out: a packet as policy sees it, or nothing. Knows nothing of who
//! sent the octets; whatever they are, it ends. Layouts: RFC 791 §3.1, RFC 8200 §3 and §4.

use std::net::{Ipv4Addr, Ipv6Addr};

use poplin_policy::packet::{ICMP, ICMP6, Packet, TCP, Transport, UDP};

const SCTP: u8 = 132;
const UDP_LITE: u8 = 136;

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const DESTINATION_OPTIONS: u8 = 60;
const MOBILITY: u8 = 135;

const IPV6_OCTETS: usize = 40;

/// The packet, if the octets begin like one. What was cut off, and later fragments, have no ports.
pub(super) fn read(octets: &[u8]) -> Option<Packet> {
    match octets.first()? >> 4 {
        4 => read_4(octets),
        6 => read_6(octets),
        _ => None,
    }
}

fn read_4(octets: &[u8]) -> Option<Packet> {
    let source = Ipv4Addr::from(<[u8; 4]>::try_from(octets.get(12..16)?).ok()?);
    let destination = Ipv4Addr::from(<[u8; 4]>::try_from(octets.get(16..20)?).ok()?);
    let header_octets = usize::from(octets[0] & 0xf) * 4;
    let is_first = u16::from_be_bytes([octets[6], octets[7]]) & 0x1fff == 0;
    let rest = octets.get(header_octets..).filter(|_| is_first).unwrap_or_default();
    Some(Packet { source: source.into(), destination: destination.into(), transport: transport(octets[9], rest) })
}

fn read_6(octets: &[u8]) -> Option<Packet> {
    let source = Ipv6Addr::from(<[u8; 16]>::try_from(octets.get(8..24)?).ok()?);
    let destination = Ipv6Addr::from(<[u8; 16]>::try_from(octets.get(24..40)?).ok()?);
    let (protocol, rest) = after_extensions(octets[6], octets.get(IPV6_OCTETS..).unwrap_or_default());
    Some(Packet { source: source.into(), destination: destination.into(), transport: transport(protocol, rest) })
}

/// The transport protocol, and what is there of its header. Each extension is at least eight octets long, so this ends.
fn after_extensions(mut protocol: u8, mut rest: &[u8]) -> (u8, &[u8]) {
    while let &[next, length, ..] = rest {
        let octets = match protocol {
            HOP_BY_HOP | ROUTING | DESTINATION_OPTIONS | MOBILITY => (usize::from(length) + 1) * 8,
            AUTHENTICATION => (usize::from(length) + 2) * 4,
            FRAGMENT => 8,
            _ => return (protocol, rest),
        };
        let is_later_fragment =
            protocol == FRAGMENT && rest.get(2..4).is_some_and(|at| u16::from_be_bytes([at[0], at[1]]) >> 3 != 0);
        rest = rest.get(octets..).filter(|_| !is_later_fragment).unwrap_or_default();
        protocol = next;
    }
    (protocol, rest)
}

fn transport(protocol: u8, header: &[u8]) -> Transport {
    match (protocol, header) {
        (TCP | UDP | SCTP | UDP_LITE, &[a, b, c, d, ..]) => {
            Transport::Ports { protocol, source: u16::from_be_bytes([a, b]), destination: u16::from_be_bytes([c, d]) }
        }
        (ICMP | ICMP6, &[kind, code, ..]) => Transport::Icmp { protocol, kind, code },
        _ => Transport::Other(protocol),
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use proptest::prelude::*;

    use super::*;

    const PORTS: [u8; 4] = [0x9c, 0x40, 0x15, 0x38]; // 40000 to 5432

    fn ipv4(protocol: u8, options: &[u8], fragment: u16, rest: &[u8]) -> Vec<u8> {
        let header_words = u8::try_from(5 + options.len() / 4).unwrap();
        let mut octets = vec![0x40 | header_words, 0, 0, 0, 0, 0];
        octets.extend(fragment.to_be_bytes());
        octets.extend([64, protocol, 0, 0, 10, 77, 0, 1, 10, 77, 0, 2]);
        octets.extend(options);
        octets.extend(rest);
        octets
    }

    fn ipv6(next: u8, rest: &[u8]) -> Vec<u8> {
        let mut octets = vec![0x60, 0, 0, 0, 0, 0, next, 64];
        octets.extend(Ipv6Addr::from_bits((0xfd77 << 112) | 1).octets());
        octets.extend(Ipv6Addr::from_bits((0xfd77 << 112) | 2).octets());
        octets.extend(rest);
        octets
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn ports_stand_after_options_and_extensions() {
        let four = Packet::tcp(address("10.77.0.1"), address("10.77.0.2"), (40000, 5432));
        let six = Packet::udp(address("fd77::1"), address("fd77::2"), (40000, 5432));

        assert_eq!(read(&ipv4(TCP, &[], 0, &PORTS)), Some(four));
        assert_eq!(read(&ipv4(TCP, &[1; 8], 0x2000, &PORTS)), Some(four), "the first of several fragments");
        assert_eq!(read(&ipv6(UDP, &PORTS)), Some(six));
        let extensions = [&[DESTINATION_OPTIONS, 0, 0, 0, 0, 0, 0, 0, FRAGMENT, 1][..], &[0; 14], &[UDP, 0], &[0; 6]];
        assert_eq!(read(&ipv6(HOP_BY_HOP, &[&extensions.concat()[..], &PORTS].concat())), Some(six));
        let authenticated = [&[UDP, 4, 0, 0][..], &[0; 20], &PORTS].concat();
        assert_eq!(read(&ipv6(AUTHENTICATION, &authenticated)), Some(six));
    }

    #[test]
    fn icmp_has_a_type_and_a_code() {
        let echo = Packet::icmp(address("10.77.0.1"), address("10.77.0.2"), 8, 0);
        let too_big = Packet::icmp(address("fd77::1"), address("fd77::2"), 2, 0);

        assert_eq!(read(&ipv4(ICMP, &[], 0, &[8, 0, 1, 2])), Some(echo));
        assert_eq!(read(&ipv6(ICMP6, &[2, 0])), Some(too_big));
    }

    #[test]
    fn later_fragments_and_what_is_cut_off_have_no_ports() {
        let other = |octets: &[u8]| read(octets).unwrap().transport;

        assert_eq!(other(&ipv4(TCP, &[], 0x2001, &PORTS)), Transport::Other(TCP));
        assert_eq!(other(&ipv4(TCP, &[], 0, &PORTS[..3])), Transport::Other(TCP));
        assert_eq!(other(&ipv6(FRAGMENT, &[UDP, 0, 0, 8, 0, 0, 0, 0, 1, 2, 3, 4])), Transport::Other(UDP));
        assert_eq!(other(&ipv6(HOP_BY_HOP, &[UDP, 9])), Transport::Other(UDP));
        assert_eq!(other(&ipv4(47, &[], 0, &PORTS)), Transport::Other(47));
        assert_eq!(read(&[0x45; 19]), None);
        assert_eq!(read(&[0x60; 39]), None);
        assert_eq!(read(&[0x50; 64]), None);
    }

    proptest! {
        #[test]
        fn no_octets_bring_it_down(mut octets in prop::collection::vec(any::<u8>(), 0..200), version in 0..3_u8) {
            if let Some(first) = octets.first_mut().filter(|_| version > 0) {
                *first = (0x20 * (version + 1)) | (*first & 0xf); // 4 or 6
            }
            let _ = read(&octets);
        }
    }
}
