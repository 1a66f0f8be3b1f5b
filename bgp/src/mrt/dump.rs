//! A speaker's table as records: every path of every neighbour that counts, and what is our own as a path of ourselves.
//!
//! In: a speaker, and the time. Out: one record after the other, made as they are asked for. Paths that import rules turn away are left out
//! and what counts of the others is told, as table dumps of other routers have it.

use std::{
    collections::{BTreeMap, BTreeSet},
    iter,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use ipnet::IpNet;

use crate::{
    Address, Asn, Route, Speaker,
    wire::{AsPath, Attributes, Origin},
};

use super::{Entry, Peer, PeerIndex, Rib};

/// All records of a table; `time` counts from 1970.
pub fn dump(speaker: &Speaker, name: &str, time: Duration) -> impl Iterator<Item = Vec<u8>> {
    let us = speaker.config();
    let ourselves = Peer { address: Ipv4Addr::UNSPECIFIED.into(), asn: us.asn, router_id: us.router_id };
    let peer = |(address, asn, router_id): (Address, Option<Asn>, Option<Ipv4Addr>)| Peer {
        address: address.ip(),
        asn: asn.unwrap_or(Asn(0)),
        router_id: router_id.unwrap_or(Ipv4Addr::UNSPECIFIED),
    };
    let places: BTreeMap<Address, u16> = speaker.identities().map(|(address, ..)| address).zip(1..=u16::MAX).collect();
    let peers = iter::once(ourselves).chain(speaker.identities().map(peer)).collect();
    let index = PeerIndex { router_id: us.router_id, name: name.to_owned(), peers };
    let mut first = Vec::new();
    index.encode(time, &mut first);
    let ribs = numbered(speaker).map(move |(number, prefix, routes)| record(number, prefix, &routes, &places, time));
    iter::once(first).chain(ribs)
}

/// Each prefix with its number and the paths of others to it; no path where it is our own.
fn numbered(speaker: &Speaker) -> impl Iterator<Item = (u32, IpNet, Vec<Route>)> {
    let own = speaker.own().map(|prefix| (prefix, Vec::new()));
    let mut routes = speaker.routes().filter(|route| route.admitted).peekable();
    let heard = iter::from_fn(move || {
        let prefix = routes.peek()?.prefix;
        let mut all = Vec::new();
        while let Some(route) = routes.next_if(|route| route.prefix == prefix) {
            all.push(route);
        }
        Some((prefix, all))
    });
    let ours: BTreeSet<IpNet> = speaker.own().collect();
    let heard = heard.filter(move |(prefix, _)| !ours.contains(prefix));
    (0..).zip(own.chain(heard)).map(|(number, (prefix, routes))| (number, prefix, routes))
}

fn record(number: u32, prefix: IpNet, routes: &[Route], places: &BTreeMap<Address, u16>, time: Duration) -> Vec<u8> {
    let own = Attributes::new(Origin::Igp, AsPath::default());
    let heard = routes.iter().filter_map(|route| {
        let (peer, path_id) = (*places.get(&route.neighbour)?, route.path_id);
        Some(Entry { peer, path_id, next_hop: route.next_hop.ip(), attributes: &route.attributes })
    });
    let ours = Entry { peer: 0, path_id: 0, next_hop: nobody(prefix), attributes: &own };
    let entries = if routes.is_empty() { vec![ours] } else { heard.collect() };
    let mut out = Vec::new();
    Rib { number, prefix, entries }.encode(time, &mut out);
    out
}

fn nobody(prefix: IpNet) -> IpAddr {
    match prefix {
        IpNet::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpNet::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    }
}
