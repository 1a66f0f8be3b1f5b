//! When the kernel commits something to its tables.

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use netlink_sys::SocketAddr;
use netlink_sys::constants::NETLINK_NETFILTER;
use poplin_lab::Namespace;

/// NFNLGRP_NFTABLES, and NFT_MSG_NEWGEN of its subsystem (linux/netfilter/nfnetlink.h, nf_tables.h).
const GROUP: u32 = 7;
const COMMITTED: u16 = 10 << 8 | 15;

/// Room for what a commit tells: a message for each element. What does not fit is lost, and the commit is heard of all the same.
const ROOM: usize = 256 << 20;

/// Silence after which nothing more of one edit is to come.
const SILENCE: Duration = Duration::from_millis(30);

/// Longest time until the kernel hears of an edit.
const PATIENCE: Duration = Duration::from_secs(300);

/// Each commit in a namespace, and when it was heard of.
pub(crate) struct News(mpsc::Receiver<Instant>);

impl News {
    pub(crate) fn of(namespace: &Namespace) -> Self {
        let (tell, told) = mpsc::channel();
        let socket = namespace.within(|| {
            let mut socket = netlink_sys::Socket::new(NETLINK_NETFILTER).unwrap();
            rustix::net::sockopt::set_socket_recv_buffer_size_force(&socket, ROOM).unwrap();
            socket.bind(&SocketAddr::new(0, 0)).unwrap();
            socket.add_membership(GROUP).unwrap();
            socket
        });
        thread::spawn(move || {
            loop {
                let is_commit = match socket.recv_from_full() {
                    Ok((message, _)) => u16::from_ne_bytes([message[4], message[5]]) == COMMITTED,
                    Err(error) => error.raw_os_error() == Some(rustix::io::Errno::NOBUFS.raw_os_error()),
                };
                if is_commit && tell.send(Instant::now()).is_err() {
                    break;
                }
            }
        });
        Self(told)
    }

    /// When the last commit of one edit was, of those after `start`. There must be one.
    pub(crate) fn next(&self, start: Instant) -> Instant {
        let mut last = None;
        loop {
            let patience = if last.is_some() { SILENCE } else { PATIENCE };
            match self.0.recv_timeout(patience) {
                Ok(when) if when >= start => last = Some(when),
                Ok(_) => {}
                Err(_) => return last.expect("the kernel changes"),
            }
        }
    }
}
