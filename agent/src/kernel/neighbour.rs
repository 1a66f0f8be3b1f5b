//! Tells the kernel where a container's address is on its link, so that nobody has to ask, and for whom to answer on an uplink.
//!
//! In: interface, address, MAC. Out: done, or why not. Header: linux/neighbour.h (`struct ndmsg`, `NDA_*`).

use std::net::IpAddr;

use poplin_node::kernel::{Mac, ROUTE_PROTOCOL};
use poplin_policy::ruleset::Interface;
use rustix::io::Errno;

use super::address::{family, octets};
use super::socket::{Conversation, Refusal};
use super::wire::{NLM_F_CREATE, NLM_F_REPLACE};
use super::{Trouble, link, sysctl};

pub(super) const RTM_NEWNEIGH: u16 = 28;
pub(super) const RTM_DELNEIGH: u16 = 29;
pub(super) const RTM_GETNEIGH: u16 = 30;

pub(super) const NDA_DST: u16 = 1;
pub(super) const NDA_LLADDR: u16 = 2;
/// Who wrote the entry, as with routes; it stays with the entry whatever becomes of it, and so tells ours in notifications.
pub(super) const NDA_PROTOCOL: u16 = 12;

/// Never asked for, never forgotten.
pub(super) const NUD_PERMANENT: u16 = 0x80;

/// An address to answer for, in `ndm_flags`. Such entries are a table of their own.
pub(super) const NTF_PROXY: u8 = 0x08;

/// Octets of `struct ndmsg`: family, pad, index, state, flags, type.
pub(super) const HEAD_OCTETS: usize = 12;

/// Sets a permanent entry, in place of whatever stands for the address.
pub(super) fn set(route: &mut Conversation, interface: &Interface, address: IpAddr, mac: Mac) -> Result<(), Trouble> {
    let explain =
        |refusal: Refusal| Trouble::other(format!("cannot set neighbour {address} at {mac} on {interface}: {refusal}"));
    let index = link::index(route, interface.as_str()).map_err(explain)?;
    let mut head = [0; HEAD_OCTETS];
    head[0] = family(address);
    head[4..8].copy_from_slice(&index.to_ne_bytes());
    head[8..10].copy_from_slice(&NUD_PERMANENT.to_ne_bytes());
    route
        .request(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, &head, |out| {
            out.put(NDA_DST, &octets(address));
            out.put(NDA_LLADDR, &mac.0);
            out.put(NDA_PROTOCOL, &[ROUTE_PROTOCOL]);
        })
        .map_err(explain)
}

/// Removes an entry; one that is gone already is as well.
pub(super) fn remove(route: &mut Conversation, interface: &Interface, address: IpAddr) -> Result<(), Trouble> {
    let removed = link::index(route, interface.as_str()).and_then(|index| {
        let mut head = [0; HEAD_OCTETS];
        head[0] = family(address);
        head[4..8].copy_from_slice(&index.to_ne_bytes());
        route.request(RTM_DELNEIGH, 0, &head, |out| out.put(NDA_DST, &octets(address)))
    });
    match removed {
        Err(refusal) if !matches!(refusal.errno, Errno::NOENT | Errno::NODEV) => {
            Err(Trouble::other(format!("cannot remove neighbour {address} on {interface}: {refusal}")))
        }
        _ => Ok(()),
    }
}

/// Has the kernel answer for an address on an uplink, at once; tells the uplink's index.
pub(super) fn set_proxy(route: &mut Conversation, uplink: &Interface, address: IpAddr) -> Result<u32, Trouble> {
    let explain = |refusal: Refusal| Trouble::other(format!("cannot answer for {address} on {uplink}: {refusal}"));
    let index = link::index(route, uplink.as_str()).map_err(explain)?;
    sysctl::answer_for_others(uplink, address.is_ipv6())?;
    // An entry that is permanent outlasts a moment without carrier (linux net/core/neighbour.c, `pneigh_ifdown`).
    route
        .request(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, &proxy_head(index, address), |out| {
            out.put(NDA_DST, &octets(address));
            out.put(NDA_PROTOCOL, &[ROUTE_PROTOCOL]);
        })
        .map_err(explain)?;
    Ok(index)
}

/// Has it answer no more. An uplink that is gone took its entries along.
pub(super) fn remove_proxy(route: &mut Conversation, uplink: &Interface, address: IpAddr) -> Result<(), Trouble> {
    let index = link::index(route, uplink.as_str());
    let removed = index.and_then(|index| {
        route.request(RTM_DELNEIGH, 0, &proxy_head(index, address), |out| out.put(NDA_DST, &octets(address)))
    });
    match removed {
        Err(refusal) if !matches!(refusal.errno, Errno::NOENT | Errno::NODEV) => {
            Err(Trouble::other(format!("cannot stop answering for {address} on {uplink}: {refusal}")))
        }
        _ => Ok(()),
    }
}

fn proxy_head(index: u32, address: IpAddr) -> [u8; HEAD_OCTETS] {
    let mut head = [0; HEAD_OCTETS];
    head[0] = family(address);
    head[4..8].copy_from_slice(&index.to_ne_bytes());
    head[8..10].copy_from_slice(&NUD_PERMANENT.to_ne_bytes());
    head[10] = NTF_PROXY;
    head
}
