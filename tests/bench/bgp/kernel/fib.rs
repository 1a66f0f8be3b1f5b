//! What the kernel holds and tells of routes (linux/rtnetlink.h), asked by neither router's code.

use std::collections::HashSet;
use std::net::Ipv4Addr;
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use netlink_sys::constants::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::load::address;

const RTM_NEWROUTE: u16 = 24;
const RTM_GETROUTE: u16 = 26;
const RTNLGRP_IPV4_ROUTE: u32 = 7;
const NLM_F_REQUEST: u16 = 1;
const RTA_DST: u16 = 1;
/// The answer shows the route itself, with all its next hops, and not the way of one packet.
const RTM_F_FIB_MATCH: u32 = 0x2000;
/// Length of `struct nlmsghdr` and `struct rtmsg`.
const HEADS: usize = 16 + 12;

/// What the kernel tells of its IPv4 routes.
pub(crate) struct News {
    socket: Socket,
    seen: HashSet<[u8; 4]>,
}

impl News {
    pub(crate) fn listen() -> Self {
        let mut socket = Socket::new(NETLINK_ROUTE).unwrap();
        socket.bind(&SocketAddr::new(0, 0)).unwrap();
        rustix::net::sockopt::set_socket_recv_buffer_size_force(&socket, 512 << 20).unwrap();
        socket.add_membership(RTNLGRP_IPV4_ROUTE).unwrap();
        socket.set_non_blocking(true).unwrap();
        Self { socket, seen: HashSet::new() }
    }

    /// Waits until so many prefixes have got a route.
    pub(crate) fn until_routes(&mut self, count: usize, patience: Duration) -> Option<Instant> {
        let limit = Instant::now() + patience;
        let mut datagram = Vec::with_capacity(1 << 16);
        while self.seen.len() < count {
            datagram.clear();
            match self.socket.recv(&mut datagram, 0) {
                Ok(_) if u16::from_ne_bytes([datagram[4], datagram[5]]) == RTM_NEWROUTE => {
                    self.seen.extend(attribute(&datagram, RTA_DST));
                }
                Ok(_) => {}
                Err(_) => self.wait(limit)?,
            }
        }
        Some(Instant::now())
    }

    fn wait(&self, limit: Instant) -> Option<()> {
        let left = Timespec::try_from(limit.saturating_duration_since(Instant::now())).unwrap();
        let mut sockets = [PollFd::from_borrowed_fd(self.socket.as_fd(), PollFlags::IN)];
        (poll(&mut sockets, Some(&left)).unwrap() > 0).then_some(())
    }
}

/// The kernel's IPv4 routes, one at a time.
pub(crate) struct Fib {
    socket: Socket,
}

impl Fib {
    pub(crate) fn open() -> Self {
        let mut socket = Socket::new(NETLINK_ROUTE).unwrap();
        socket.bind_auto().unwrap();
        socket.connect(&SocketAddr::new(0, 0)).unwrap();
        Self { socket }
    }

    /// Whether the route of this prefix of the table leads to this gateway, alone or among others.
    pub(crate) fn is_by(&mut self, route: u32, gateway: Ipv4Addr) -> bool {
        let mut question = vec![0; HEADS];
        question[4..6].copy_from_slice(&RTM_GETROUTE.to_ne_bytes());
        question[6..8].copy_from_slice(&NLM_F_REQUEST.to_ne_bytes());
        (question[16], question[17]) = (2, 32);
        question[24..28].copy_from_slice(&RTM_F_FIB_MATCH.to_ne_bytes());
        question.extend(8_u16.to_ne_bytes());
        question.extend(RTA_DST.to_ne_bytes());
        question.extend(address(route).octets());
        let length = u32::try_from(question.len()).unwrap();
        question[..4].copy_from_slice(&length.to_ne_bytes());
        self.socket.send(&question, 0).unwrap();
        let mut answer = Vec::with_capacity(1 << 14);
        self.socket.recv(&mut answer, 0).unwrap();
        answer.get(HEADS..).unwrap_or_default().windows(4).any(|octets| octets == gateway.octets())
    }
}

fn attribute(message: &[u8], wanted: u16) -> Option<[u8; 4]> {
    let mut octets = message.get(HEADS..)?;
    while let &[low, high, first, second, ..] = octets {
        let length = usize::from(u16::from_ne_bytes([low, high]));
        if u16::from_ne_bytes([first, second]) == wanted {
            return octets.get(4..8)?.try_into().ok();
        }
        octets = octets.get(length.max(4).next_multiple_of(4)..)?;
    }
    None
}
