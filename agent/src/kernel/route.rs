//! Adds, replaces and removes our routes in the main table.
//!
//! In: destination and target. Out: done, or why not. Knows nothing of other people's routes, and cannot harm them: see [`ROUTE_METRIC`].
//! Header: linux/rtnetlink.h (`struct rtmsg`, `struct rtnexthop`, `RTA_*`).

use std::net::IpAddr;

use ipnet::IpNet;
use poplin_bgp::Address;
use poplin_node::kernel::{ROUTE_PROTOCOL, Target};
use rustix::io::Errno;

use super::address::{AF_INET6, family, octets};
use super::socket::{Conversation, Refusal};
use super::wire::{NLM_F_CREATE, NLM_F_REPLACE, Writer};
use super::{Trouble, link};

/// Metric of every route of ours. The kernel replaces by destination and metric, whoever wrote the route (net/ipv4/fib_trie.c,
/// `fib_table_insert`); a metric nobody else uses keeps our replacing away from connected (0 and 256), hand-made (0 and 1024) and
/// router-advertised (1024) routes. To the same destination, the IPv4 kernel prefers the others' 0, so whoever insists wins.
pub const ROUTE_METRIC: u32 = 143;

pub(super) const RTM_NEWROUTE: u16 = 24;
pub(super) const RTM_DELROUTE: u16 = 25;
pub(super) const RTM_GETROUTE: u16 = 26;

pub(super) const RTA_DST: u16 = 1;
pub(super) const RTA_OIF: u16 = 4;
pub(super) const RTA_GATEWAY: u16 = 5;
pub(super) const RTA_PRIORITY: u16 = 6;
pub(super) const RTA_MULTIPATH: u16 = 9;
pub(super) const RTA_TABLE: u16 = 15;
/// A gateway of another family than the destination.
pub(super) const RTA_VIA: u16 = 18;

pub(super) const RTN_UNICAST: u8 = 1;
pub(super) const RTN_BLACKHOLE: u8 = 6;
const RTN_UNSPEC: u8 = 0;

/// Ordinary routes.
pub(super) const RT_TABLE_MAIN: u8 = 254;

const RT_SCOPE_UNIVERSE: u8 = 0;
const RT_SCOPE_LINK: u8 = 253;
/// In a removal: of whatever scope.
const RT_SCOPE_NOWHERE: u8 = 255;

/// Octets of `struct rtmsg`: family, prefix lengths, tos, table, protocol, scope, type, flags.
pub(super) const HEAD_OCTETS: usize = 12;
/// Octets of `struct rtnexthop`: length, flags, weight, index.
pub(super) const NEXT_HOP_OCTETS: usize = 8;

/// Adds the route, or puts it in the place of the one of ours to the same destination.
pub(super) fn set(route: &mut Conversation, destination: IpNet, target: &Target) -> Result<(), Trouble> {
    let destination = destination.trunc();
    let explain = |refusal: Refusal| Trouble::other(format!("cannot set route to {destination}: {refusal}"));
    let write = |route: &mut Conversation, kind, scope, put_target: &dyn Fn(&mut Writer)| {
        route.request(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, &head(destination, kind, scope), |out| {
            put_destination(out, destination);
            out.put_u32(RTA_PRIORITY, ROUTE_METRIC);
            put_target(out);
        })
    };
    match target {
        Target::Link(interface) => {
            let index = link::index(route, interface.as_str()).map_err(explain)?;
            write(route, RTN_UNICAST, RT_SCOPE_LINK, &|out| out.put_u32(RTA_OIF, index))
        }
        Target::Gateways(gateways) => {
            let hops = gateways.iter().map(|gateway| hop(route, *gateway)).collect::<Result<Vec<_>, _>>();
            let hops = hops.map_err(explain)?;
            write(route, RTN_UNICAST, RT_SCOPE_UNIVERSE, &|out| put_hops(out, destination, &hops))
        }
        Target::Blackhole => write(route, RTN_BLACKHOLE, RT_SCOPE_UNIVERSE, &|_| {}),
    }
    .map_err(explain)
}

/// Removes our route to the destination, with all its next hops; none is as well. Ours is what has our protocol, of whatever metric.
pub(super) fn remove(route: &mut Conversation, destination: IpNet) -> Result<(), Trouble> {
    let destination = destination.trunc();
    match route.request(RTM_DELROUTE, 0, &head(destination, RTN_UNSPEC, RT_SCOPE_NOWHERE), |out| {
        put_destination(out, destination);
    }) {
        Err(refusal) if !matches!(refusal.errno, Errno::SRCH | Errno::NOENT) => {
            Err(Trouble::other(format!("cannot remove route to {destination}: {refusal}")))
        }
        _ => Ok(()),
    }
}

fn head(destination: IpNet, kind: u8, scope: u8) -> [u8; HEAD_OCTETS] {
    let family = family(destination.addr());
    [family, destination.prefix_len(), 0, 0, RT_TABLE_MAIN, ROUTE_PROTOCOL, scope, kind, 0, 0, 0, 0]
}

fn put_destination(out: &mut Writer, destination: IpNet) {
    out.put(RTA_DST, &octets(destination.addr()));
}

/// A gateway, and the index of its link if it is known by that; else 0, and the kernel looks for it.
fn hop(route: &mut Conversation, gateway: Address) -> Result<(IpAddr, u32), Refusal> {
    let index = gateway.zone().map(|zone| link::index(route, zone.as_str())).transpose()?;
    Ok((gateway.ip(), index.unwrap_or(0)))
}

fn put_hops(out: &mut Writer, destination: IpNet, hops: &[(IpAddr, u32)]) {
    if let [(gateway, index)] = *hops {
        if index != 0 {
            out.put_u32(RTA_OIF, index);
        }
        return put_gateway(out, destination, gateway);
    }
    out.nest(RTA_MULTIPATH, |out| {
        for (gateway, index) in hops {
            let mut next_hop = Writer::default();
            put_gateway(&mut next_hop, destination, *gateway);
            let length = u16::try_from(NEXT_HOP_OCTETS + next_hop.octets().len()).expect("a next hop has 28 octets");
            let mut head = [0; NEXT_HOP_OCTETS];
            head[..2].copy_from_slice(&length.to_ne_bytes());
            head[4..].copy_from_slice(&index.to_ne_bytes());
            out.raw(&head);
            out.raw(next_hop.octets());
        }
    });
}

/// An IPv4 destination may have an IPv6 gateway (RFC 8950), but not the reverse.
fn put_gateway(out: &mut Writer, destination: IpNet, gateway: IpAddr) {
    match (destination, gateway) {
        (IpNet::V4(_), IpAddr::V6(via)) => {
            let mut value = u16::from(AF_INET6).to_ne_bytes().to_vec();
            value.extend(via.octets());
            out.put(RTA_VIA, &value);
        }
        _ => out.put(RTA_GATEWAY, &octets(gateway)),
    }
}
