//! Peers whose address the configuration does not tell: whoever calls from a prefix, or shows himself on a link.
//!
//! In: the store as last heard, this host's own record, and who has called. Out: which peer each caller is. A caller that hangs up and
//! leaves no route is forgotten, so a prefix costs nothing as long as nobody calls: see `node/call.rs`.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;
use poplin_bgp::{Address, NeighbourConfig, Protection, Zone};

use crate::mirror::Mirror;
use crate::object::{Host, Peer, Place};

/// The peers of this host that have an address, each with it.
pub(super) fn at_one_address<'a>(mirror: &'a Mirror, me: &'a Host) -> impl Iterator<Item = (&'a Peer, Address)> {
    peers(mirror, me).filter_map(|peer| match peer.place {
        Place::At(address) => Some((peer, address)),
        Place::On(_) | Place::Within(..) => None,
    })
}

/// The peers of this host that have a link to themselves, each with it.
pub(super) fn on_a_link<'a>(mirror: &'a Mirror, me: &'a Host) -> impl Iterator<Item = (&'a Peer, Zone)> {
    peers(mirror, me).filter_map(|peer| match peer.place {
        Place::On(zone) => Some((peer, zone)),
        Place::At(_) | Place::Within(..) => None,
    })
}

/// The links of this host on which a peer is to be found.
pub(crate) fn links(mirror: &Mirror, me: &Host) -> BTreeSet<Zone> {
    on_a_link(mirror, me).map(|(_, zone)| zone).collect()
}

/// What each of these callers is, as far as there may be so many of it.
pub(super) fn called_from_a_range<'a>(
    mirror: &'a Mirror,
    me: &'a Host,
    callers: &'a BTreeSet<Address>,
) -> impl Iterator<Item = (&'a Peer, Address)> {
    peers(mirror, me).flat_map(move |peer| {
        let most = match peer.place {
            Place::At(_) | Place::On(_) => 0,
            Place::Within(_, most) => most,
        };
        let its = callers.iter().filter(move |&&caller| is(mirror, me, peer, caller));
        its.take(most).map(move |&caller| (peer, caller))
    })
}

/// Which peer a caller from this address is, if it is one, and whether there may be another of it beside these callers.
pub(crate) fn peer_of<'a>(
    mirror: &'a Mirror,
    me: &'a Host,
    callers: &BTreeSet<Address>,
    address: Address,
) -> Option<(&'a Peer, bool)> {
    let (peer, _, most) = ranges(mirror, me, address).max_by_key(|(_, bits, _)| *bits)?;
    let known = callers.iter().filter(|&&caller| is(mirror, me, peer, caller)).count();
    Some((peer, known < most))
}

/// How those are protected who call from a prefix, before anybody knows who they are.
pub(super) fn protected(mirror: &Mirror, me: &Host) -> BTreeMap<IpNet, Protection> {
    let protected = peers(mirror, me).filter_map(|peer| match peer.place {
        Place::Within(range, _) => Some((range.trunc(), peer.protection.clone())),
        Place::At(_) | Place::On(_) => None,
    });
    protected.filter(|(_, protection)| *protection != Protection::default()).collect()
}

/// Neighbours with an address of their own and no password, within a prefix whose callers sign by one: the kernel knows no exception, one
/// sentence each.
pub(super) fn shut_out(
    neighbours: &[NeighbourConfig],
    names: &BTreeMap<Address, String>,
    protected: &BTreeMap<IpNet, Protection>,
) -> Vec<String> {
    let signed = |address: Address| {
        let around = protected.iter().filter(|(range, _)| range.contains(&address.ip()));
        around.max_by_key(|(range, _)| range.prefix_len()).filter(|(_, protection)| protection.password_file.is_some())
    };
    let open = neighbours.iter().filter(|neighbour| neighbour.protection.password_file.is_none());
    let shut_out = open.filter_map(|neighbour| Some((names.get(&neighbour.address)?, signed(neighbour.address)?.0)));
    let sentence = |(name, range): (&String, &IpNet)| {
        format!(
            "{name} cannot call: {range}, which it is in, signs by a password, and it has none. Give it a passwordFile of its own"
        )
    };
    shut_out.map(sentence).collect()
}

/// Whether anybody may call that is not known by an address.
pub(super) fn may_call(mirror: &Mirror, me: &Host) -> bool {
    peers(mirror, me).any(|peer| matches!(peer.place, Place::Within(..)))
}

/// How people know a caller.
pub(super) fn name(peer: &Peer, address: Address) -> String {
    format!("{}@{address}", peer.name)
}

fn is(mirror: &Mirror, me: &Host, peer: &Peer, caller: Address) -> bool {
    ranges(mirror, me, caller).max_by_key(|(_, bits, _)| *bits).is_some_and(|(its, ..)| its.name == peer.name)
}

/// The peers whose prefixes hold this address, each with its length and how many there may be; the longest is meant.
fn ranges<'a>(mirror: &'a Mirror, me: &'a Host, address: Address) -> impl Iterator<Item = (&'a Peer, u8, usize)> {
    peers(mirror, me).filter_map(move |peer| match peer.place {
        Place::Within(range, most) => range.contains(&address.ip()).then_some((peer, range.prefix_len(), most)),
        Place::At(_) | Place::On(_) => None,
    })
}

/// Whether anybody is declared for this host, whoever it is.
pub(super) fn are_any(mirror: &Mirror, me: &Host) -> bool {
    peers(mirror, me).next().is_some()
}

fn peers<'a>(mirror: &'a Mirror, me: &'a Host) -> impl Iterator<Item = &'a Peer> {
    mirror.peers().filter(|peer| peer.hosts.admits(&me.labels))
}
