//! Makes, changes and removes next hop objects.
//!
//! In: a number and what it stands for. Out: done, or why not. Knows nothing of the routes that point at them.
//! Header: linux/nexthop.h (`struct nhmsg`, `struct nexthop_grp`, `NHA_*`); Linux 5.3 and later.

use std::net::IpAddr;

use poplin_node::kernel::{Gateway, NextHop, NextHopId, ROUTE_PROTOCOL};
use rustix::io::Errno;

use super::Trouble;
use super::address::{family, octets, parse};
use super::route::{RTNH_F_ONLINK, is_in_tunnel};
use super::socket::{Conversation, Refusal};
use super::wire::{NLM_F_CREATE, NLM_F_REPLACE, attributes, u32_at};

pub(super) const RTM_NEWNEXTHOP: u16 = 104;
pub(super) const RTM_DELNEXTHOP: u16 = 105;
const RTM_GETNEXTHOP: u16 = 106;

const NHA_ID: u16 = 1;
/// Members, each a `struct nexthop_grp`.
const NHA_GROUP: u16 = 2;
const NHA_OIF: u16 = 5;
const NHA_GATEWAY: u16 = 6;

const AF_UNSPEC: u8 = 0;

/// Octets of `struct nhmsg`: family, scope, protocol, reserved, flags.
pub(super) const HEAD_OCTETS: usize = 8;
/// Octets of `struct nexthop_grp`: number, weight less one, and room for later.
const MEMBER_OCTETS: usize = 8;

/// Makes the object, or puts it in the place of the one with its number.
/// `tunnel` is the index of the device of our tunnels.
pub(super) fn set(
    route: &mut Conversation,
    id: NextHopId,
    next_hop: &NextHop,
    tunnel: Option<u32>,
) -> Result<(), Trouble> {
    let family = match next_hop {
        NextHop::Single(gateway) => family(gateway.address),
        NextHop::Group(_) => AF_UNSPEC,
    };
    let mut head = head(family, ROUTE_PROTOCOL);
    if let NextHop::Single(gateway) = next_hop
        && is_in_tunnel(gateway, tunnel)
    {
        head[HEAD_OCTETS - 4..].copy_from_slice(&u32::from(RTNH_F_ONLINK).to_ne_bytes());
    }
    let outcome = route.request(RTM_NEWNEXTHOP, NLM_F_CREATE | NLM_F_REPLACE, &head, |out| {
        out.put_u32(NHA_ID, id.number());
        match next_hop {
            NextHop::Single(gateway) => {
                out.put(NHA_GATEWAY, &octets(gateway.address));
                gateway.interface.into_iter().for_each(|index| out.put_u32(NHA_OIF, index));
            }
            NextHop::Group(members) => {
                let members: Vec<u8> = members.iter().flat_map(member).collect();
                out.put(NHA_GROUP, &members);
            }
        }
    });
    outcome.map_err(|refusal| match next_hop {
        NextHop::Single(gateway) => Trouble::other(format!("cannot set next hop {id} by {gateway}: {refusal}")),
        NextHop::Group(members) => {
            Trouble::other(format!("cannot set group {id} of {} next hops: {refusal}", members.len()))
        }
    })
}

/// Removes the object; one that is gone already is as well.
pub(super) fn remove(route: &mut Conversation, id: NextHopId) -> Result<(), Trouble> {
    match route.request(RTM_DELNEXTHOP, 0, &head(AF_UNSPEC, 0), |out| out.put_u32(NHA_ID, id.number())) {
        Err(refusal) if refusal.errno != Errno::NOENT => {
            Err(Trouble::other(format!("cannot remove next hop {id}: {refusal}")))
        }
        _ => Ok(()),
    }
}

/// An object under a number among ours.
pub(super) enum Found {
    Ours(NextHopId, NextHop),
    /// Another program made it.
    Foreign(NextHopId),
}

/// All objects under numbers among ours; nothing if this kernel knows no such thing.
pub(super) fn read(route: &mut Conversation) -> Result<Option<Vec<Found>>, Refusal> {
    let head = head(AF_UNSPEC, 0);
    let found =
        route.dump(RTM_GETNEXTHOP, &head, |_| {}, |found: &mut Vec<_>, payload| found.extend(parse_one(payload)));
    match found {
        // A kernel refuses what lies beyond the messages it knows (net/core/rtnetlink.c, `rtnetlink_rcv_msg`).
        Err(refusal) if refusal.errno == Errno::OPNOTSUPP => Ok(None),
        found => found.map(Some),
    }
}

fn parse_one(payload: &[u8]) -> Option<Found> {
    let (mut id, mut group, mut gateway, mut interface) = (None, None, None, None);
    for (kind, value) in attributes(payload.get(HEAD_OCTETS..)?) {
        match kind {
            NHA_ID => id = NextHopId::new(u32_at(value, 0)?),
            NHA_GROUP => group = Some(value),
            NHA_GATEWAY => gateway = parse(value),
            NHA_OIF => interface = u32_at(value, 0),
            _ => {}
        }
    }
    let id = id?;
    if payload.get(2) != Some(&ROUTE_PROTOCOL) {
        return Some(Found::Foreign(id));
    }
    let next_hop = match group {
        Some(members) => {
            // What is none of ours, or weighs more than one, makes another group than any we write: one without members.
            let plain = |member: &[u8]| NextHopId::new(u32_at(member, 0)?).filter(|_| member.get(4) == Some(&0));
            NextHop::Group(members.chunks_exact(MEMBER_OCTETS).map(plain).collect::<Option<_>>().unwrap_or_default())
        }
        None => NextHop::Single(Gateway { address: gateway.unwrap_or(NOWHERE), interface }),
    };
    Some(Found::Ours(id, next_hop))
}

/// The gateway of an object that has none, which is never one we write.
const NOWHERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED);

fn head(family: u8, protocol: u8) -> [u8; HEAD_OCTETS] {
    [family, 0, protocol, 0, 0, 0, 0, 0]
}

fn member(id: &NextHopId) -> [u8; MEMBER_OCTETS] {
    let [a, b, c, d] = id.number().to_ne_bytes();
    [a, b, c, d, 0, 0, 0, 0]
}
