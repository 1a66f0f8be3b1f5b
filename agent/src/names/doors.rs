//! Keeps a socket of UDP and one of TCP open at each gateway where containers may ask.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::sync::Arc;
use std::time::Duration;

use poplin_node::names::NameDoor;
use poplin_policy::ruleset::Interface;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::answer::Answering;
use super::upstream::PORT;
use super::{tcp, udp};
use crate::kernel;

/// Before a door that could not be opened is tried again.
const PAUSE: Duration = Duration::from_secs(1);

/// Connections that may wait to be taken.
const WAITING: i32 = 128;

/// A door that is open until this is dropped.
struct Open([JoinHandle<()>; 2]);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}

/// Opens and closes doors as they are wanted, as long as somebody may want some.
pub(super) async fn keep(mut wanted: watch::Receiver<BTreeSet<NameDoor>>, answering: Arc<Answering>) {
    let mut open: BTreeMap<NameDoor, Open> = BTreeMap::new();
    let mut complaints = BTreeSet::new();
    loop {
        let doors = wanted.borrow_and_update().clone();
        open.retain(|door, _| doors.contains(door));
        complaints.retain(|(door, _)| doors.contains(door));
        for door in doors.iter().filter(|door| !open.contains_key(door)).cloned().collect::<Vec<_>>() {
            match self::open(&door, &answering) {
                Ok(opened) => {
                    complaints.retain(|(other, _)| *other != door);
                    open.insert(door, opened);
                }
                Err(error) if complaints.insert((door.clone(), error.kind())) => complain(&door, &error),
                Err(_) => {}
            }
        }
        let is_whole = open.len() == doors.len();
        tokio::select! {
            changed = wanted.changed() => if changed.is_err() { return },
            () = sleep(PAUSE), if !is_whole => {}
        }
    }
}

fn complain(door: &NameDoor, error: &io::Error) {
    let (address, _) = place(door);
    let advice = match error.kind() {
        io::ErrorKind::AddrInUse => {
            "another DNS server listens on every address; let it listen on its own ones only, or start with --dns=false"
        }
        io::ErrorKind::PermissionDenied => "poplind needs CAP_NET_BIND_SERVICE",
        _ => "it is tried again every second",
    };
    tracing::warn!("containers cannot ask for names at {address}: {error}; {advice}");
}

fn open(door: &NameDoor, answering: &Arc<Answering>) -> io::Result<Open> {
    let (address, link) = place(door);
    let (datagrams, streams) = match door {
        NameDoor::Gateway(_) | NameDoor::Link(..) => both(address)?,
        NameDoor::Sandbox(gateway, _, netns) => kernel::open_inside(netns, *gateway, || both(address))?,
    };
    let datagrams = UdpSocket::from_std(datagrams.into())?;
    let streams = TcpListener::from_std(streams.into())?;
    let by_udp = tokio::spawn(udp::serve(datagrams, link.clone(), answering.clone()));
    let by_tcp = tokio::spawn(tcp::serve(streams, link, answering.clone()));
    Ok(Open([by_udp, by_tcp]))
}

/// One socket of UDP and one of TCP, in whichever namespace this is called.
fn both(address: SocketAddr) -> io::Result<(Socket, Socket)> {
    let datagrams = bound(address, Type::DGRAM, Protocol::UDP)?;
    let streams = bound(address, Type::STREAM, Protocol::TCP)?;
    streams.listen(WAITING)?;
    Ok((datagrams, streams))
}

/// Where a door is, and the one link it is on.
fn place(door: &NameDoor) -> (SocketAddr, Option<Interface>) {
    match door {
        NameDoor::Gateway(address) => (SocketAddr::new(*address, PORT), None),
        NameDoor::Link(IpAddr::V6(address), interface, index) => {
            (SocketAddrV6::new(*address, PORT, 0, *index).into(), Some(interface.clone()))
        }
        NameDoor::Link(address @ IpAddr::V4(_), interface, _) | NameDoor::Sandbox(address, interface, _) => {
            (SocketAddr::new(*address, PORT), Some(interface.clone()))
        }
    }
}

/// The address need not stand yet: doors and gateways come at the same time.
fn bound(address: SocketAddr, kind: Type, protocol: Protocol) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))?;
    socket.set_nonblocking(true)?;
    socket.set_reuse_address(true)?;
    match address {
        SocketAddr::V4(_) => {
            socket.set_freebind_v4(true)?;
            if protocol == Protocol::UDP {
                // Tells with each datagram over which link it came.
                nix::sys::socket::setsockopt(&socket, nix::sys::socket::sockopt::Ipv4PacketInfo, &true)?;
            }
        }
        SocketAddr::V6(_) => {
            socket.set_only_v6(true)?;
            socket.set_freebind_v6(true)?;
        }
    }
    socket.bind(&address.into())?;
    Ok(socket)
}
