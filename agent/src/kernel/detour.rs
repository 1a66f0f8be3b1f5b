//! The way of containers to hosts through the tunnel: a rule for their ranges, and a table of routes.
//!
//! In: ranges, hosts, gateways. Out: done, or why not; and what stands. Decides nothing. A table more than the main one, as what the host itself sends to
//! another goes as it always did, that which is wrapped included.
//! Header: linux/fib_rules.h (`struct fib_rule_hdr`, `FRA_*`).

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;
use poplin_node::kernel::{Encapsulation, Gateway, ROUTE_PROTOCOL};
use rustix::io::Errno;

use super::address::{AF_INET, AF_INET6, family, octets, parse};
use super::route::{self, RTA_GATEWAY, RTA_OIF, RTA_TABLE, RTN_UNICAST, RTNH_F_ONLINK};
use super::socket::{Conversation, Refusal};
use super::wire::{NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, attribute, u32_at};
use super::{Trouble, read};

pub(super) const RTM_NEWRULE: u16 = 32;
pub(super) const RTM_DELRULE: u16 = 33;
const RTM_GETRULE: u16 = 34;

const FRA_SRC: u16 = 2;
const FRA_PRIORITY: u16 = 6;
/// The same number as that of routes.
const FRA_TABLE: u16 = RTA_TABLE;
const FRA_PROTOCOL: u16 = 21;
const FR_ACT_TO_TBL: u8 = 1;

/// After the local table (0), before the main one (32,766).
const PRIORITY: u32 = 14_300;

/// Octets of `struct fib_rule_hdr`: family, prefix lengths, tos, table, two reserved, action, flags.
pub(super) const HEAD_OCTETS: usize = 12;

/// Tables of our own; above those of one octet, which people give out by hand.
const TABLES: [(Encapsulation, u32); 2] = [(Encapsulation::Always, 14_300), (Encapsulation::CrossSubnet, 14_301)];

fn table_of(encapsulation: Encapsulation) -> u32 {
    let found = TABLES.iter().find(|(one, _)| *one == encapsulation);
    found.map_or(TABLES[0].1, |(_, table)| *table)
}

/// Whether a rule or a route is about one of these; `head_octets` are before its attributes.
pub(super) fn is_about_ours(payload: &[u8], head_octets: usize) -> bool {
    let table = payload.get(head_octets..).and_then(|octets| attribute(octets, RTA_TABLE));
    table.and_then(|value| u32_at(value, 0)).is_some_and(|table| TABLES.iter().any(|(_, one)| *one == table))
}

/// Sets a rule; one that stands is as well.
pub(super) fn set_rule(route: &mut Conversation, encapsulation: Encapsulation, from: IpNet) -> Result<(), Trouble> {
    match change_rule(route, RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, encapsulation, from) {
        Err(refusal) if refusal.errno != Errno::EXIST => {
            Err(Trouble::other(format!("cannot set a rule for {from}: {refusal}")))
        }
        _ => Ok(()),
    }
}

/// Removes a rule; one that is gone is as well.
pub(super) fn remove_rule(route: &mut Conversation, encapsulation: Encapsulation, from: IpNet) -> Result<(), Trouble> {
    match change_rule(route, RTM_DELRULE, 0, encapsulation, from) {
        Err(refusal) if refusal.errno != Errno::NOENT => {
            Err(Trouble::other(format!("cannot remove the rule for {from}: {refusal}")))
        }
        _ => Ok(()),
    }
}

fn change_rule(
    route: &mut Conversation,
    kind: u16,
    flags: u16,
    encapsulation: Encapsulation,
    from: IpNet,
) -> Result<(), Refusal> {
    let mut head = [0; HEAD_OCTETS];
    (head[0], head[2]) = (family(from.addr()), from.prefix_len());
    head[7] = FR_ACT_TO_TBL;
    route.request(kind, flags, &head, |out| {
        out.put(FRA_SRC, &octets(from.network()));
        out.put_u32(FRA_PRIORITY, PRIORITY);
        out.put_u32(FRA_TABLE, table_of(encapsulation));
        out.put(FRA_PROTOCOL, &[ROUTE_PROTOCOL]);
    })
}

/// Sets the route to a host, in place of any other.
pub(super) fn set_host(
    route: &mut Conversation,
    encapsulation: Encapsulation,
    address: IpAddr,
    gateway: Gateway,
) -> Result<(), Trouble> {
    let mut head = head(address);
    if gateway.address.is_ipv4() {
        head[route::HEAD_OCTETS - 4..].copy_from_slice(&u32::from(RTNH_F_ONLINK).to_ne_bytes());
    }
    let set = route.request(route::RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, &head, |out| {
        out.put(route::RTA_DST, &octets(address));
        out.put_u32(RTA_TABLE, table_of(encapsulation));
        out.put(RTA_GATEWAY, &octets(gateway.address));
        gateway.interface.into_iter().for_each(|index| out.put_u32(RTA_OIF, index));
    });
    set.map_err(|refusal| Trouble::other(format!("cannot lead containers to host {address} by {gateway}: {refusal}")))
}

/// Removes the route to a host; one that is gone is as well.
pub(super) fn remove_host(
    route: &mut Conversation,
    encapsulation: Encapsulation,
    address: IpAddr,
) -> Result<(), Trouble> {
    let removed = route.request(route::RTM_DELROUTE, 0, &head(address), |out| {
        out.put(route::RTA_DST, &octets(address));
        out.put_u32(RTA_TABLE, table_of(encapsulation));
    });
    match removed {
        Err(refusal) if refusal.errno != Errno::SRCH => {
            Err(Trouble::other(format!("cannot remove the route of containers to host {address}: {refusal}")))
        }
        _ => Ok(()),
    }
}

fn head(address: IpAddr) -> [u8; route::HEAD_OCTETS] {
    let bits = if address.is_ipv4() { 32 } else { 128 };
    [family(address), bits, 0, 0, 0, ROUTE_PROTOCOL, 0, RTN_UNICAST, 0, 0, 0, 0]
}

/// Our rules.
pub(super) fn read_rules(conversation: &mut Conversation) -> Result<BTreeSet<(Encapsulation, IpNet)>, Refusal> {
    let mut rules = BTreeSet::new();
    for family in [AF_INET, AF_INET6] {
        let mut head = [0; HEAD_OCTETS];
        head[0] = family;
        let collect = |found: &mut BTreeSet<_>, payload: &[u8]| found.extend(parse_rule(payload));
        match conversation.dump(RTM_GETRULE, &head, |_| {}, collect) {
            // A kernel without policy routing, or without IPv6.
            Err(refusal) if matches!(refusal.errno, Errno::AFNOSUPPORT | Errno::OPNOTSUPP) => {}
            found => rules.extend(found?),
        }
    }
    Ok(rules)
}

fn parse_rule(payload: &[u8]) -> Option<(Encapsulation, IpNet)> {
    let attributes = payload.get(HEAD_OCTETS..)?;
    let table = attribute(attributes, FRA_TABLE).and_then(|value| u32_at(value, 0))?;
    let (encapsulation, _) = TABLES.into_iter().find(|(_, one)| *one == table)?;
    let is_ours = attribute(attributes, FRA_PROTOCOL) == Some(&[ROUTE_PROTOCOL])
        && attribute(attributes, FRA_PRIORITY).and_then(|value| u32_at(value, 0)) == Some(PRIORITY);
    let from = attribute(attributes, FRA_SRC).filter(|_| is_ours).and_then(parse)?;
    Some((encapsulation, IpNet::new(from, *payload.get(2)?).ok()?))
}

/// Our routes in the tables.
pub(super) fn read_hosts(
    conversation: &mut Conversation,
) -> Result<BTreeMap<(Encapsulation, IpAddr), Gateway>, Refusal> {
    let mut hosts = BTreeMap::new();
    for (encapsulation, table) in TABLES {
        for family in [AF_INET, AF_INET6] {
            let routes = read::read_table(conversation, family, table)?.into_iter();
            let ours = routes.filter(|found| found.protocol == ROUTE_PROTOCOL);
            hosts.extend(
                ours.filter_map(|found| Some(((encapsulation, found.destination.addr()), *found.gateways.first()?))),
            );
        }
    }
    Ok(hosts)
}
