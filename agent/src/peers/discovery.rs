//! Router advertisements and solicitations on links that nobody numbered: it carries them between the network and a [`Discovery`] for each link, and
//! understands nothing of them.
//!
//! In: which links. Out: [`Event`]s, when a neighbour has shown itself. Each link has a socket and a task of its own, which go with it.
//! The socket takes what came over no router, with a hop limit of 255 (RFC 4861 §6.1.2); the kernel checks the checksums.

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6};
use std::time::{Duration, Instant};

use poplin_bgp::Zone;
use poplin_node::Event;
use poplin_node::discovery::{ADVERTISEMENT, Action, Discovery, Message, SOLICITATION};
use socket2::{Domain, Protocol, SockFilter, Socket, Type};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// RFC 4291 §2.7.1.
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);

/// What is sent says by its hop limit that it passed no router.
const HOPS: u32 = 255;

/// More than an advertisement has with all options that are in use; what is longer is cut, and then no good.
const BUFFER_OCTETS: usize = 1500;

/// How long to leave a socket alone that cannot be read.
const REST: Duration = Duration::from_secs(1);

/// The links that are looked at.
pub(super) struct Links {
    events: mpsc::Sender<Event>,
    tasks: BTreeMap<Zone, (u32, JoinHandle<()>)>,
}

impl Links {
    pub(super) fn new(events: mpsc::Sender<Event>) -> Self {
        Self { events, tasks: BTreeMap::new() }
    }

    /// These are all, by index: an interface made anew under its old name begins anew.
    pub(super) fn want(&mut self, wanted: &BTreeMap<Zone, u32>) {
        self.tasks.retain(|zone, (index, task)| {
            let stays = wanted.get(zone) == Some(index);
            if !stays {
                task.abort();
            }
            stays
        });
        for (zone, index) in wanted {
            let (zone, index, events) = (*zone, *index, self.events.clone());
            self.tasks.entry(zone).or_insert_with(|| (index, tokio::spawn(look(zone, index, events))));
        }
    }
}

/// Looks at one link until nobody wants it any more.
async fn look(zone: Zone, index: u32, events: mpsc::Sender<Event>) {
    match open(zone, index) {
        Ok(socket) => Link { zone, index, socket, events }.work().await,
        Err(error) => tracing::warn!("cannot look for a router on {zone}: {error}; one that calls from there is taken"),
    }
}

/// A socket for ICMPv6 on this link. It is handled as one for UDP, which has the same calls: a port is none of its business.
fn open(zone: Zone, index: u32) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::IPV6, Type::RAW, Some(Protocol::ICMPV6))?;
    socket.attach_filter(&only_routers_on_the_link())?;
    socket.bind_device(Some(zone.as_str().as_bytes()))?;
    socket.join_multicast_v6(&ALL_NODES, index)?;
    socket.join_multicast_v6(&ALL_ROUTERS, index)?;
    socket.set_multicast_hops_v6(HOPS)?;
    socket.set_multicast_loop_v6(false)?;
    socket.set_nonblocking(true)?;
    UdpSocket::from_std(socket.into())
}

/// Takes what has a hop limit of 255 and is of type 133 or 134 (solicitation, advertisement). Codes are those of linux/bpf_common.h; the network
/// header begins at `SKF_NET_OFF` (linux/filter.h), ours at 0.
fn only_routers_on_the_link() -> [SockFilter; 7] {
    const LOAD_OCTET: u16 = 0x30;
    const JUMP_IF_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    const NETWORK_HEADER: u32 = 0xfff0_0000;
    [
        SockFilter::new(LOAD_OCTET, 0, 0, NETWORK_HEADER + 7),
        SockFilter::new(JUMP_IF_EQUAL, 0, 4, HOPS),
        SockFilter::new(LOAD_OCTET, 0, 0, 0),
        SockFilter::new(JUMP_IF_EQUAL, 1, 0, 133),
        SockFilter::new(JUMP_IF_EQUAL, 0, 1, 134),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
        SockFilter::new(RETURN, 0, 0, 0),
    ]
}

struct Link {
    zone: Zone,
    index: u32,
    socket: UdpSocket,
    events: mpsc::Sender<Event>,
}

impl Link {
    async fn work(self) {
        let mut discovery = Discovery::start(Instant::now(), RandomState::new().hash_one(self.zone));
        let mut buffer = [0; BUFFER_OCTETS];
        discovery.tick(Instant::now());
        loop {
            while let Some(action) = discovery.next_action() {
                self.act(&mut discovery, action).await;
            }
            tokio::select! {
                received = self.socket.recv_from(&mut buffer) => match received {
                    Ok((count, from)) => self.hear(&mut discovery, &buffer[..count], from),
                    Err(error) => {
                        tracing::debug!("cannot hear routers on {}: {error}", self.zone);
                        tokio::time::sleep(REST).await;
                    }
                },
                () = tokio::time::sleep_until(discovery.next_deadline().into()) => {}
            }
            discovery.tick(Instant::now());
        }
    }

    fn hear(&self, discovery: &mut Discovery, octets: &[u8], from: SocketAddr) {
        let SocketAddr::V6(from) = from else { return };
        match Message::decode(octets, *from.ip()) {
            Ok(message) => discovery.heard(Instant::now(), *from.ip(), message),
            Err(flaw) => tracing::debug!("a message of {from} on {} does not count: {flaw}", self.zone),
        }
    }

    async fn act(&self, discovery: &mut Discovery, action: Action) {
        let sent = match action {
            Action::Advertise => self.send(&ADVERTISEMENT, ALL_NODES).await,
            Action::Solicit => self.send(&SOLICITATION, ALL_ROUTERS).await,
            Action::Meet(address) => {
                let _ = self.events.send(Event::NeighbourMet { zone: self.zone, address }).await;
                Ok(())
            }
            Action::Warn { known, other } => {
                let zone = self.zone;
                tracing::warn!(
                    "{known} and {other} are both routers on {zone}, where a peer is to be alone; {known} counts"
                );
                Ok(())
            }
        };
        if let Err(error) = sent {
            tracing::debug!("cannot speak to routers on {} yet: {error}", self.zone);
            discovery.unsent(Instant::now(), action);
        }
    }

    /// For a moment after a link has come up its address may not be used (RFC 4862 §5.4).
    async fn send(&self, octets: &[u8], to: Ipv6Addr) -> io::Result<()> {
        self.socket.send_to(octets, SocketAddrV6::new(to, 0, 0, self.index)).await.map(|_| ())
    }
}
