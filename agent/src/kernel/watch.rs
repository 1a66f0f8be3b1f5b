//! Watches the kernel, and says when it must be read again.
//!
//! In: the kernel's notifications. Out: a word in a channel, never more than one waiting. Knows nothing of what changed; whoever
//! gets the word reads everything, so a lost notification costs no more than one reading.
//! Routes and next hops that we change ourselves are no news. What else we change is told as well; a reading that finds what it wants
//! ends that.

use std::future;
use std::io;
use std::time::Duration;

use netlink_sys::constants::{NETLINK_NETFILTER, NETLINK_ROUTE};
use netlink_sys::{AsyncSocket, SocketAddr, TokioSocket};
use poplin_node::kernel::ROUTE_PROTOCOL;
use rustix::io::Errno;
use socket2::{SockFilter, SockRef};
use tokio::sync::mpsc;

use super::nft::{Listener, Ownership, Rules};
use super::socket::widen_inbox;
use super::wire::{self, Message, attribute, u16_at, u32_at};
use super::{address, detour, link, neighbour, next_hop, read, route};

/// What may be different.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Changed {
    /// Links, addresses, neighbours or routes.
    State,
    /// Our table, by another hand. Never told while the kernel keeps others away from it ([`Ownership::Owned`]).
    Rules,
}

/// Notifications wait here while nobody reads them: about 60,000 of a route each. One that finds no room is not lost silently (`ENOBUFS`).
const RECEIVE_OCTETS: usize = 32 << 20;

/// How long to wait for more of the same before telling. A link that goes takes dozens of notifications along, within microseconds.
const GATHERING: Duration = Duration::from_millis(2);

/// Room for one datagram of notifications.
const DATAGRAM_OCTETS: usize = 64 << 10;
/// Under a storm the word goes out after so many, and the rest makes the next one.
const WAITING_TAKEN_AT_ONCE: usize = 10_000;

/// Groups of rtnetlink (linux/rtnetlink.h, `enum rtnetlink_groups`).
const ROUTE_GROUPS: [u32; 11] = [
    1,  // RTNLGRP_LINK
    3,  // RTNLGRP_NEIGH
    5,  // RTNLGRP_IPV4_IFADDR
    7,  // RTNLGRP_IPV4_ROUTE
    8,  // RTNLGRP_IPV4_RULE
    9,  // RTNLGRP_IPV6_IFADDR
    11, // RTNLGRP_IPV6_ROUTE
    19, // RTNLGRP_IPV6_RULE
    24, // RTNLGRP_IPV4_NETCONF
    25, // RTNLGRP_IPV6_NETCONF
    32, // RTNLGRP_NEXTHOP
];
/// A switch of a link was set, forwarding or the source check among them (linux/rtnetlink.h).
const RTM_NEWNETCONF: u16 = 80;
/// linux/netfilter/nfnetlink.h.
const NFNLGRP_NFTABLES: u32 = 7;

/// Listens to everything that matters, from now on. `own_port` is the socket over which we change routes.
pub(super) fn watch(rules: Option<&Rules>, own_port: u32) -> io::Result<mpsc::Receiver<Changed>> {
    let (sender, receiver) = mpsc::channel(1);
    let state = subscribe(NETLINK_ROUTE, &ROUTE_GROUPS)?;
    SockRef::from(state.socket_ref()).attach_filter(&without_own(own_port))?;
    tokio::spawn(tell(state, sender.clone(), Changed::State, Ear::State));
    if let Some(rules) = rules.filter(|rules| rules.ownership() != Ownership::Owned) {
        let transactions = subscribe(NETLINK_NETFILTER, &[NFNLGRP_NFTABLES])?;
        tokio::spawn(tell(transactions, sender, Changed::Rules, Ear::Rules(rules.listener())));
    }
    Ok(receiver)
}

/// A filter that lets pass what is not about a route or a next hop, and what is not ours (linux/filter.h): with a table of 100,000 routes
/// most notifications are echoes. The kernel puts one message into a notification; its header has the kind at octet 4, the port at 12.
fn without_own(own_port: u32) -> [SockFilter; 10] {
    const LOAD_HALF: u16 = 0x28; // BPF_LD | BPF_H | BPF_ABS
    const LOAD_WORD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
    const EQUAL: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
    const RETURN: u16 = 0x06; // BPF_RET | BPF_K
    // A filter reads in network order what stands there in the host's.
    let is = |kind: u16, yes, no| SockFilter::new(EQUAL, yes, no, u16::from_be_bytes(kind.to_ne_bytes()).into());
    [
        SockFilter::new(LOAD_HALF, 0, 0, 4),
        is(route::RTM_NEWROUTE, 4, 0),
        is(route::RTM_DELROUTE, 3, 0),
        is(next_hop::RTM_NEWNEXTHOP, 2, 0),
        is(next_hop::RTM_DELNEXTHOP, 1, 0),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
        SockFilter::new(LOAD_WORD, 0, 0, 12),
        SockFilter::new(EQUAL, 0, 1, u32::from_be_bytes(own_port.to_ne_bytes())),
        SockFilter::new(RETURN, 0, 0, 0),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
    ]
}

fn subscribe(family: isize, groups: &[u32]) -> io::Result<TokioSocket> {
    let mut socket = TokioSocket::new(family)?;
    socket.socket_mut().bind(&SocketAddr::new(0, 0))?;
    widen_inbox(socket.socket_ref(), RECEIVE_OCTETS)?;
    for group in groups {
        socket.socket_ref().add_membership(*group)?;
    }
    Ok(socket)
}

/// What is listened for.
enum Ear {
    State,
    Rules(Listener),
}

impl Ear {
    fn hears(&mut self, message: Message<'_>) -> bool {
        match self {
            Ear::State => can_matter(message),
            Ear::Rules(listener) => listener.hear(message),
        }
    }

    fn may_have_missed(&self) -> bool {
        match self {
            Ear::State => true,
            Ear::Rules(listener) => listener.may_have_missed(),
        }
    }
}

/// Puts a word into the channel after each burst of notifications that matter. What arrives while the word waits to be taken stays
/// in the socket, and makes the next word.
async fn tell(socket: TokioSocket, sender: mpsc::Sender<Changed>, word: Changed, mut ear: Ear) {
    let mut datagram = Vec::with_capacity(DATAGRAM_OCTETS);
    loop {
        let received = tokio::select! {
            received = receive(&socket, &mut datagram) => received,
            () = sender.closed() => return,
        };
        let is_word_due = match received {
            Ok(()) => wire::messages(&datagram).fold(false, |due, message| ear.hears(message) | due),
            Err(error) if Errno::from_io_error(&error) == Some(Errno::NOBUFS) => ear.may_have_missed(),
            Err(error) => {
                tracing::error!(%error, "the kernel's notifications cannot be read any more");
                return;
            }
        };
        if is_word_due {
            tokio::time::sleep(GATHERING).await;
            take_waiting(&socket, &mut datagram, &mut ear);
            if sender.send(word).await.is_err() {
                return;
            }
        }
    }
}

async fn receive(socket: &TokioSocket, datagram: &mut Vec<u8>) -> io::Result<()> {
    future::poll_fn(|context| {
        datagram.clear();
        socket.poll_recv(context, datagram)
    })
    .await
}

/// Takes what waits in the socket; it belongs to the word that is due, whether it matters or not.
fn take_waiting(socket: &TokioSocket, datagram: &mut Vec<u8>, ear: &mut Ear) {
    for _ in 0..WAITING_TAKEN_AT_ONCE {
        datagram.clear();
        match socket.socket_ref().recv(datagram, 0) {
            Ok(_) => wire::messages(datagram).for_each(|message| {
                ear.hears(message);
            }),
            Err(error) if Errno::from_io_error(&error) == Some(Errno::NOBUFS) => {}
            Err(_) => return,
        }
    }
}

/// Whether a notification is about something [`read`](super::read) looks at.
fn can_matter(message: Message<'_>) -> bool {
    match message.kind {
        // What a bridge says of its ports comes under its own family.
        link::RTM_NEWLINK | link::RTM_DELLINK => message.payload.first() == Some(&0),
        address::RTM_NEWADDR | address::RTM_DELADDR => true,
        neighbour::RTM_NEWNEIGH | neighbour::RTM_DELNEIGH => is_permanent_or_ours(message.payload),
        detour::RTM_NEWRULE | detour::RTM_DELRULE => detour::is_about_ours(message.payload, detour::HEAD_OCTETS),
        RTM_NEWNETCONF => true,
        next_hop::RTM_NEWNEXTHOP | next_hop::RTM_DELNEXTHOP => message.payload.get(2) == Some(&ROUTE_PROTOCOL),
        route::RTM_NEWROUTE | route::RTM_DELROUTE => is_route_that_matters(message.payload),
        _ => false,
    }
}

/// On a busy network most notifications are of entries learned and aged; an entry of ours that was spoiled still bears our protocol.
fn is_permanent_or_ours(payload: &[u8]) -> bool {
    let protocol = payload.get(neighbour::HEAD_OCTETS..).and_then(|octets| attribute(octets, neighbour::NDA_PROTOCOL));
    u16_at(payload, 8).is_some_and(|state| state & neighbour::NUD_PERMANENT != 0) || protocol == Some(&[ROUTE_PROTOCOL])
}

/// One of the main table or of ours that is no copy for a single flow, and unicast or ours.
fn is_route_that_matters(payload: &[u8]) -> bool {
    let &[_, _, _, _, table, protocol, _, kind, ..] = payload else { return false };
    let is_copy = u32_at(payload, 8).is_none_or(|flags| flags & read::RTM_F_CLONED != 0);
    (table == route::RT_TABLE_MAIN || detour::is_about_ours(payload, route::HEAD_OCTETS))
        && !is_copy
        && (kind == route::RTN_UNICAST || protocol == ROUTE_PROTOCOL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_noise_of_a_network_does_not_matter() {
        let neighbour_ages = message(neighbour::RTM_NEWNEIGH, &[2, 0, 0, 0, 5, 0, 0, 0, 0x04, 0, 0, 1]);
        let local_route = message(route::RTM_NEWROUTE, &[2, 32, 0, 0, 255, 2, 254, 2, 0, 0, 0, 0]);
        let bridge_port = message(link::RTM_NEWLINK, &[7; 16]);

        for noise in [neighbour_ages, local_route, bridge_port] {
            assert!(!can_matter(noise), "{noise:?}");
        }
    }

    #[test]
    fn what_is_read_matters() {
        let permanent = message(neighbour::RTM_NEWNEIGH, &[2, 0, 0, 0, 5, 0, 0, 0, 0x80, 0, 0, 1]);
        let ours_spoiled = message(
            neighbour::RTM_NEWNEIGH,
            &[2, 0, 0, 0, 5, 0, 0, 0, 0x20, 0, 0, 1, 5, 0, 12, 0, ROUTE_PROTOCOL, 0, 0, 0],
        );
        let blackhole = message(route::RTM_DELROUTE, &[2, 26, 0, 0, 254, ROUTE_PROTOCOL, 0, 6, 0, 0, 0, 0]);
        let uplink = message(link::RTM_NEWLINK, &[0; 16]);
        let source_check = message(RTM_NEWNETCONF, &[2, 0, 0, 0]);

        for matter in [permanent, ours_spoiled, blackhole, uplink, source_check] {
            assert!(can_matter(matter), "{matter:?}");
        }
    }

    fn message(kind: u16, payload: &[u8]) -> Message<'_> {
        Message { kind, flags: 0, sequence: 0, port: 0, payload }
    }
}
