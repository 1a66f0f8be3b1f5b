//! The sockets packets arrive at: one a path and family, open while somebody is watched there.
//!
//! What comes over one hop must have been sent with a hop limit of 255, which no router leaves as it is; the kernel drops the rest before it
//! reaches us, so that nobody from afar can fill our buffers (RFC 5881 §5, RFC 5082). Over several hops that cannot be asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::AsFd as _;
use std::time::Duration;

use poplin_bgp::Address;
use poplin_bgp::bfd::Path;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::{Domain, Protocol, SockFilter, Socket, Type};

use super::super::zone::address_of;
use super::Wake;

/// Packets read from one socket before the clock is looked at again. More than a thousand neighbours send in 100 ms; a flood waits.
const AT_ONCE: usize = 512;

/// Longer than any packet we could read (RFC 5880 §4.1: its length is one octet).
const BUFFER_OCTETS: usize = 256;

/// Room for what comes while we are not looking, as far as the system gives it: a packet takes about 800 octets of it.
const BACKLOG_OCTETS: usize = 1 << 20;

/// The hop limit of what passed no router.
const HOPS: u32 = 255;

/// Where the network header begins, for a socket's filter (linux/filter.h, `SKF_NET_OFF`: -0x100000).
const NETWORK_HEADER: u32 = 0xfff0_0000;

/// Opened sockets, by path and whether they are of IPv6.
#[derive(Default)]
pub(super) struct Receivers(BTreeMap<(Path, bool), UdpSocket>);

impl Receivers {
    /// Listens on the ports of these paths and on no other.
    pub(super) fn open(&mut self, paths: BTreeSet<Path>) {
        self.0.retain(|(path, _), _| paths.contains(path));
        for (path, is_v6) in paths.into_iter().flat_map(|path| [(path, false), (path, true)]) {
            if self.0.contains_key(&(path, is_v6)) {
                continue;
            }
            match listen(path, is_v6) {
                Ok(socket) => drop(self.0.insert((path, is_v6), socket)),
                Err(error) if is_v6 && error.raw_os_error() == Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error()) => {}
                Err(error) => tracing::warn!(
                    "cannot listen for BFD on UDP port {}: {error}; neighbours there are not watched. Is another BFD daemon running?",
                    path.port()
                ),
            }
        }
    }

    /// Until a packet is there, the bell rings, or the time is over.
    pub(super) fn wait(&self, wake: &Wake, patience: Option<Duration>) {
        let mut sources: Vec<PollFd> =
            self.0.values().map(|socket| PollFd::from_borrowed_fd(socket.as_fd(), PollFlags::IN)).collect();
        sources.push(PollFd::from_borrowed_fd(wake.as_fd(), PollFlags::IN));
        let patience = patience.and_then(|patience| Timespec::try_from(patience).ok());
        let _ = poll(&mut sources, patience.as_ref()); // an interrupted wait is a short one
    }

    /// What has arrived.
    pub(super) fn take(&self) -> Vec<(Address, Path, Vec<u8>)> {
        let mut packets = Vec::new();
        for ((path, _), socket) in &self.0 {
            let mut buffer = [0; BUFFER_OCTETS];
            for _ in 0..AT_ONCE {
                // Nothing there, or an error of an earlier packet of ours: either way the next round asks again.
                let Ok((count, from)) = socket.recv_from(&mut buffer) else { break };
                packets.push((address_of(socket, from), *path, buffer[..count].to_vec()));
            }
        }
        packets
    }
}

fn listen(path: Path, is_v6: bool) -> io::Result<UdpSocket> {
    let domain = if is_v6 { Domain::IPV6 } else { Domain::IPV4 };
    let anywhere = if is_v6 { IpAddr::from(Ipv6Addr::UNSPECIFIED) } else { Ipv4Addr::UNSPECIFIED.into() };
    let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    socket.set_recv_buffer_size(BACKLOG_OCTETS)?;
    if is_v6 {
        socket.set_only_v6(true)?;
    }
    match path {
        Path::Direct => socket.attach_filter(&only_from_the_link(is_v6))?,
        Path::Multihop => {}
    }
    socket.bind(&SocketAddr::from((anywhere, path.port())).into())?;
    Ok(socket.into())
}

/// Loads the octet of the hop limit, and takes the whole packet or nothing of it. Codes are those of linux/bpf_common.h.
fn only_from_the_link(is_v6: bool) -> [SockFilter; 4] {
    const LOAD_OCTET: u16 = 0x30;
    const JUMP_IF_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    let hop_limit = if is_v6 { 7 } else { 8 };
    [
        SockFilter::new(LOAD_OCTET, 0, 0, NETWORK_HEADER + hop_limit),
        SockFilter::new(JUMP_IF_EQUAL, 0, 1, HOPS),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
        SockFilter::new(RETURN, 0, 0, 0),
    ]
}
