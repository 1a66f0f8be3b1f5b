//! The sockets packets are sent from: one a neighbour, so that each session has a source port of its own.
//!
//! Rules: RFC 5881 §4 (source port from 49152 on, the same for all packets of a session and of no other), §5 (hop limit 255).

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use poplin_bgp::Address;
use poplin_bgp::bfd::Path;
use socket2::{Domain, Protocol, Socket, Type};

use super::super::zone::socket_address;

/// The first of the ports that packets come from; the last is 65535.
const FIRST_PORT: u16 = 49152;

/// How many of those ports there are.
const PORTS: u16 = u16::MAX - FIRST_PORT + 1;

const HOPS: u32 = 255;

/// Network control (RFC 4594 §3.1, CS6): queues on the way are not to make a live neighbour look dead.
const TRAFFIC_CLASS: u32 = 48 << 2;

/// Where each neighbour's packets are sent from and to.
pub(super) struct Senders {
    /// Where they come from, where the operator named addresses: as with TCP, neighbours take them from there only.
    sources: BTreeSet<IpAddr>,
    sockets: BTreeMap<Address, (UdpSocket, SocketAddr)>,
    /// Where the search for a free port goes on.
    next: u16,
}

impl Senders {
    pub(super) fn from(sources: BTreeSet<IpAddr>) -> Self {
        Self { sources, sockets: BTreeMap::new(), next: 0 }
    }

    /// What cannot be opened is a neighbour that does not hear us, and counts as down.
    pub(super) fn open(&mut self, neighbour: Address, path: Path) {
        let opened =
            self.bind(neighbour).and_then(|socket| Ok((socket_address(&socket, neighbour, path.port())?, socket)));
        match opened {
            Ok((to, socket)) => {
                self.sockets.insert(neighbour, (socket, to));
            }
            Err(error) => tracing::warn!("cannot send BFD packets to {neighbour}: {error}"),
        }
    }

    /// A packet that cannot be sent is one that is lost: that is what BFD is there to notice.
    pub(super) fn send(&self, neighbour: Address, octets: &[u8]) {
        if let Some((socket, to)) = self.sockets.get(&neighbour)
            && let Err(error) = socket.send_to(octets, to)
        {
            tracing::trace!("a BFD packet to {to} was not sent: {error}");
        }
    }

    pub(super) fn close(&mut self, neighbour: Address) {
        self.sockets.remove(&neighbour);
    }

    /// A free port of the range. Taken ones are passed by, whoever has them.
    fn bind(&mut self, neighbour: Address) -> io::Result<UdpSocket> {
        let unspecified = match neighbour.ip() {
            IpAddr::V4(_) => IpAddr::from(Ipv4Addr::UNSPECIFIED),
            IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        // What is on a link of its own hears us from our address there.
        let is_named = |source: &&IpAddr| neighbour.zone().is_none() && source.is_ipv4() == neighbour.is_ipv4();
        let named = self.sources.iter().find(is_named);
        let source = named.copied().unwrap_or(unspecified);
        let mut outcome = Err(io::ErrorKind::AddrInUse.into());
        for _ in 0..PORTS {
            let port = FIRST_PORT + self.next;
            self.next = (self.next + 1) % PORTS;
            outcome = bind(SocketAddr::from((source, port)));
            if outcome.as_ref().err().map(io::Error::kind) != Some(io::ErrorKind::AddrInUse) {
                break;
            }
        }
        outcome
    }
}

fn bind(source: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(source), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    socket.set_recv_buffer_size(0)?; // nobody answers to this port: what comes all the same shall take no room
    match source {
        SocketAddr::V4(_) => {
            socket.set_ttl_v4(HOPS)?;
            socket.set_tos_v4(TRAFFIC_CLASS)?;
        }
        SocketAddr::V6(_) => {
            socket.set_unicast_hops_v6(HOPS)?;
            socket.set_tclass_v6(TRAFFIC_CLASS)?;
        }
    }
    socket.bind(&source.into())?;
    Ok(socket.into())
}
