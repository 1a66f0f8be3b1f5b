//! Puts the gateway addresses containers see where they belong.
//!
//! In: an address or a link. Out: done, or why not. Knows nothing of the host's own addresses, which are not ours.
//! Header: linux/if_addr.h (`struct ifaddrmsg`, `IFA_*`).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use poplin_policy::ruleset::Interface;
use rustix::io::Errno;

use super::socket::{Conversation, Refusal};
use super::wire::{NLM_F_CREATE, NLM_F_REPLACE, attribute, u32_at};
use super::{Trouble, link};

pub(super) const RTM_NEWADDR: u16 = 20;
pub(super) const RTM_DELADDR: u16 = 21;
pub(super) const RTM_GETADDR: u16 = 22;

pub(super) const IFA_ADDRESS: u16 = 1;
pub(super) const IFA_LOCAL: u16 = 2;
pub(super) const IFA_FLAGS: u16 = 8;

/// Usable at once, without asking the link whether it is taken.
const IFA_F_NODAD: u32 = 0x02;
/// Found to be taken by somebody else.
pub(super) const IFA_F_DADFAILED: u32 = 0x08;
/// Not yet known to be free.
pub(super) const IFA_F_TENTATIVE: u32 = 0x40;

/// Octets of `struct ifaddrmsg`: family, prefix length, flags, scope, index.
pub(super) const HEAD_OCTETS: usize = 8;

/// Address families (linux/socket.h).
pub(super) const AF_INET: u8 = 2;
/// The same for IPv6.
pub(super) const AF_INET6: u8 = 10;

/// Not to be used off the link: the kernel never chooses such an address as the source towards another interface
/// (net/ipv4/devinet.c, `inet_select_addr`). With global scope it would be what the host speaks to its containers from.
const RT_SCOPE_LINK: u8 = 253;

/// The gateway of IPv6 containers, the same on every link of ours.
pub(super) const LINK_GATEWAY: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
/// Alone, without its /64. Neighbour discovery answers by the link, not by a route, so nothing is missing; and while
/// IPv6 is forwarded, removing a link that holds a /64 took the kernel 10 to 20 ms longer (bench attach, DEL).
const LINK_GATEWAY_PREFIX_BITS: u8 = 128;

/// Puts a gateway on `lo`, raised if it was not: there the kernel answers for it on every link.
pub(super) fn add_gateway(route: &mut Conversation, gateway: IpAddr) -> Result<(), Trouble> {
    let explain = |refusal: Refusal| Trouble::other(format!("cannot put gateway {gateway} on lo: {refusal}"));
    let index = link::index(route, "lo").map_err(explain)?;
    add(route, gateway, prefix_bits(gateway), index).map_err(explain)?;
    link::raise(route, "lo")
}

/// Takes all link-local addresses of IPv4 from `lo`, in a namespace where only ours stand there.
pub(super) fn remove_gateways(route: &mut Conversation) -> Result<(), Refusal> {
    let index = link::index(route, "lo")?;
    for address in on_link(route, index)?.into_iter().filter(Ipv4Addr::is_link_local) {
        let mut head = [AF_INET, 32, 0, RT_SCOPE_LINK, 0, 0, 0, 0];
        head[4..].copy_from_slice(&index.to_ne_bytes());
        route.request(RTM_DELADDR, 0, &head, |out| out.put(IFA_LOCAL, &address.octets()))?;
    }
    Ok(())
}

fn on_link(route: &mut Conversation, index: u32) -> Result<Vec<Ipv4Addr>, Refusal> {
    let collect = |found: &mut Vec<Ipv4Addr>, payload: &[u8]| {
        let local = attribute(payload.get(HEAD_OCTETS..).unwrap_or_default(), IFA_LOCAL).and_then(parse);
        if let (Some(on), Some(IpAddr::V4(address))) = (u32_at(payload, 4), local) {
            found.extend((on == index).then_some(address));
        }
    };
    route.dump(RTM_GETADDR, &[AF_INET, 0, 0, 0, 0, 0, 0, 0], |_| {}, collect)
}

/// Puts an IPv6 gateway on a link of ours. A host or link without IPv6 does without.
pub(super) fn add_link_gateway(
    route: &mut Conversation,
    interface: &Interface,
    gateway: Ipv6Addr,
) -> Result<(), Trouble> {
    let explain = |refusal: Refusal| Trouble::other(format!("cannot put gateway {gateway} on {interface}: {refusal}"));
    let index = link::index(route, interface.as_str()).map_err(explain)?;
    match add(route, gateway.into(), LINK_GATEWAY_PREFIX_BITS, index) {
        Err(refusal) if !matches!(refusal.errno, Errno::ACCESS | Errno::OPNOTSUPP | Errno::AFNOSUPPORT) => {
            Err(explain(refusal))
        }
        _ => Ok(()),
    }
}

fn add(route: &mut Conversation, address: IpAddr, prefix_bits: u8, index: u32) -> Result<(), Refusal> {
    let mut head = [family(address), prefix_bits, 0, RT_SCOPE_LINK, 0, 0, 0, 0];
    head[4..].copy_from_slice(&index.to_ne_bytes());
    route.request(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, &head, |out| {
        out.put(IFA_LOCAL, &octets(address));
        out.put(IFA_ADDRESS, &octets(address));
        out.put_u32(IFA_FLAGS, IFA_F_NODAD);
    })
}

/// `AF_INET` or `AF_INET6`.
pub(super) fn family(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => AF_INET,
        IpAddr::V6(_) => AF_INET6,
    }
}

/// Length of the prefix that is one address.
fn prefix_bits(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

/// An address in network order.
pub(super) fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

/// An address from 4 or 16 octets.
pub(super) fn parse(octets: &[u8]) -> Option<IpAddr> {
    <[u8; 4]>::try_from(octets).map(IpAddr::from).or_else(|_| <[u8; 16]>::try_from(octets).map(IpAddr::from)).ok()
}
