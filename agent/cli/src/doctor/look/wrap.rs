//! Wraps a frame as a host does: VXLAN (RFC 7348 §5) in UDP in a packet of IPv4 that must not be cut on its way.

use std::net::Ipv4Addr;

const IPV4: usize = 20;
const UDP: usize = 8;
const VXLAN: usize = 8;

/// What a frame has before its packet.
pub(super) const ETHERNET: usize = 14;

/// linux/in.h, `IPPROTO_UDP`.
const UDP_NUMBER: u8 = 17;

/// Where datagrams come from: hosts take any port (RFC 7348 §5 recommends this range).
const SOURCE_PORT: u16 = 49_152;

/// Both ends of a tunnel.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ends {
    /// What this host is known by.
    pub(super) own: Ipv4Addr,
    pub(super) own_mac: [u8; 6],
    /// The other's.
    pub(super) mac: [u8; 6],
    pub(super) vni: u32,
    pub(super) port: u16,
}

/// The whole packet; the kernel fills in the checksum of the header. UDP may do without one over IPv4.
pub(super) fn wrapped(to: Ipv4Addr, ends: &Ends, frame: &[u8]) -> Vec<u8> {
    let udp_octets = UDP + VXLAN + frame.len();
    let mut packet = vec![0x45, 0];
    packet.extend(length(IPV4 + udp_octets));
    packet.extend([0, 0, 0x40, 0]); // do not fragment
    packet.extend([64, UDP_NUMBER, 0, 0]);
    packet.extend(ends.own.octets());
    packet.extend(to.octets());
    packet.extend(SOURCE_PORT.to_be_bytes());
    packet.extend(ends.port.to_be_bytes());
    packet.extend(length(udp_octets));
    packet.extend([0, 0]);
    packet.extend([0x08, 0, 0, 0]); // what follows is a network identifier
    packet.extend((ends.vni << 8).to_be_bytes());
    packet.extend(frame);
    packet
}

fn length(octets: usize) -> [u8; 2] {
    u16::try_from(octets).unwrap_or(u16::MAX).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_grows_by_fifty_octets() {
        let own = Ipv4Addr::new(192, 0, 2, 1);
        let ends = Ends { own, own_mac: [2; 6], mac: [4; 6], vni: 143, port: 4789 };

        let packet = wrapped(Ipv4Addr::new(192, 0, 2, 2), &ends, &[7; ETHERNET + 1450]);

        assert_eq!(packet.len(), 1500);
        assert_eq!(packet[2..4], [0x05, 0xdc]);
        assert_eq!(packet[22..26], [0x12, 0xb5, 0x05, 0xc8], "port and length");
        assert_eq!(packet[28..36], [8, 0, 0, 0, 0, 0, 143, 0]);
        assert_eq!(packet[36], 7);
    }
}
