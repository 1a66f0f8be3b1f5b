//! Tells machines on a LAN that an address is here from now on, so that those that knew it elsewhere send here at once.
//!
//! In: interfaces and addresses. Out: one frame each, to everybody on the link. Nobody answers, and what cannot be sent is told to the log alone:
//! caches find out by themselves, later. RFC 5227 §2.3 (ARP announcement), RFC 4861 §4.4 and §7.2.6 (unsolicited advertisement).

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddrV6};
use std::os::fd::AsRawFd as _;

use nix::ifaddrs::getifaddrs;
use nix::sys::socket::{AddressFamily, LinkAddr, MsgFlags, SockFlag, SockType, sendto, socket};
use poplin_policy::ruleset::Interface;
use socket2::{Domain, Protocol, Socket, Type};

/// RFC 4291 §2.7.1.
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// What is sent says by its hop limit that it passed no router (RFC 4861 §7.1.2).
const HOPS: u32 = 255;

/// Ethernet header and ARP packet.
const ARP_OCTETS: usize = 14 + 28;

/// ICMPv6 header, target, and one option with a MAC.
const ADVERTISEMENT_OCTETS: usize = 8 + 16 + 8;

/// Tells each interface's LAN of these addresses.
pub fn advertise(neighbours: &BTreeSet<(Interface, IpAddr)>) {
    let links = match links() {
        Ok(links) => links,
        Err(error) => return tracing::warn!("the LAN is not told which addresses have come: {error}"),
    };
    for (uplink, address) in neighbours {
        let Some(link) = links.get(uplink.as_str()) else { continue };
        if let Err(error) = tell(link, *address) {
            tracing::warn!("the LAN on {uplink} is not told that {address} has come: {error}");
        }
    }
}

/// The interfaces that have a MAC, by name.
fn links() -> io::Result<BTreeMap<String, LinkAddr>> {
    let named = |one: nix::ifaddrs::InterfaceAddress| Some((one.interface_name, *one.address?.as_link_addr()?));
    Ok(getifaddrs()?.filter_map(named).collect())
}

fn tell(link: &LinkAddr, address: IpAddr) -> io::Result<()> {
    let Some(mac) = link.addr() else { return Ok(()) };
    match address {
        IpAddr::V4(address) => {
            // Without a protocol it hears nothing; the kernel takes that of the frame (packet(7)).
            let socket = socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, None)?;
            sendto(socket.as_raw_fd(), &announcement(mac, address), link, MsgFlags::empty())?;
        }
        IpAddr::V6(address) => {
            let index = u32::try_from(link.ifindex()).map_err(io::Error::other)?;
            let socket = Socket::new(Domain::IPV6, Type::RAW, Some(Protocol::ICMPV6))?;
            socket.set_multicast_hops_v6(HOPS)?;
            socket.set_multicast_loop_v6(false)?;
            socket.set_multicast_if_v6(index)?;
            socket.send_to(&advertisement(mac, address), &SocketAddrV6::new(ALL_NODES, 0, 0, index).into())?;
        }
    }
    Ok(())
}

/// A frame to all: who asks for an address as its holder tells that he has it.
fn announcement(mac: [u8; 6], address: Ipv4Addr) -> [u8; ARP_OCTETS] {
    const ETHERTYPE_ARP: [u8; 2] = [0x08, 0x06];
    // Ethernet, IPv4, their lengths, and the operation: request (RFC 826).
    const KIND: [u8; 8] = [0, 1, 0x08, 0x00, 6, 4, 0, 1];
    let mut frame = [0; ARP_OCTETS];
    frame[..6].fill(0xff);
    frame[6..12].copy_from_slice(&mac);
    frame[12..14].copy_from_slice(&ETHERTYPE_ARP);
    frame[14..22].copy_from_slice(&KIND);
    frame[22..28].copy_from_slice(&mac);
    frame[28..32].copy_from_slice(&address.octets());
    frame[38..].copy_from_slice(&address.octets());
    frame
}

/// ICMPv6; the kernel adds the checksum (RFC 3542 §3.1). It overrides what caches hold: who had the address before does not answer any more.
fn advertisement(mac: [u8; 6], address: Ipv6Addr) -> [u8; ADVERTISEMENT_OCTETS] {
    const NEIGHBOUR_ADVERTISEMENT: u8 = 136;
    const OVERRIDE: u8 = 0x20;
    /// Kind, and length in units of 8 octets.
    const TARGET_LINK_LAYER_ADDRESS: [u8; 2] = [2, 1];
    let mut message = [0; ADVERTISEMENT_OCTETS];
    message[0] = NEIGHBOUR_ADVERTISEMENT;
    message[4] = OVERRIDE;
    message[8..24].copy_from_slice(&address.octets());
    message[24..26].copy_from_slice(&TARGET_LINK_LAYER_ADDRESS);
    message[26..].copy_from_slice(&mac);
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: [u8; 6] = [2, 0, 0, 0, 0, 7];

    #[test]
    fn an_arp_announcement_asks_for_the_address_in_its_own_name() {
        let frame = announcement(MAC, Ipv4Addr::new(192, 0, 2, 70));

        assert_eq!(frame[..14], [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 7, 8, 6]);
        assert_eq!(frame[20..22], [0, 1], "a request");
        assert_eq!((&frame[22..28], &frame[28..32]), (&MAC[..], &[192, 0, 2, 70][..]), "of whom");
        assert_eq!((&frame[32..38], &frame[38..]), (&[0; 6][..], &[192, 0, 2, 70][..]), "for whom");
    }

    #[test]
    fn an_unsolicited_advertisement_overrides_and_bears_the_mac() {
        let address: Ipv6Addr = "2001:db8::7".parse().unwrap();

        let message = advertisement(MAC, address);

        assert_eq!(message[..8], [136, 0, 0, 0, 0x20, 0, 0, 0]);
        assert_eq!(message[8..24], address.octets());
        assert_eq!(message[24..], [2, 1, 2, 0, 0, 0, 0, 7]);
    }
}
