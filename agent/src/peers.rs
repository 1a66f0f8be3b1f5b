//! TCP connections of BGP: accepts, reads and writes, and dials in `dials`; understands nothing of what passes. BFD has its own thread in `bfd`; what keeps
//! strangers off the connections stands in `shield`, who is at the other end of a link that nobody numbered in `discovery`.
//!
//! In: [`Action`]s of the speaker. Out: [`Event`]s for it. Each connection has a reading and a writing task; a connection is
//! over when either ends.

mod bfd;
mod dials;
mod discovery;
mod dropped;
mod option;
mod password;
mod shield;
mod writer;
mod zone;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use ipnet::IpNet;
use poplin_bgp::{Action, Address, ConnectionId, Event as BgpEvent, Protection, Zone};
use poplin_node::Event;
use tokio::io::AsyncReadExt;
use tokio::net::tcp::OwnedReadHalf;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;

use bfd::Bfd;
use dials::{DIAL, Dials};
use discovery::Links;
use dropped::Dropped;
use shield::Shield;
use writer::{Pen, Writer};
use zone::{address_of, socket_address};

/// How soon a new password of a prefix counts: as soon as a neighbour usually calls again.
const RENEWAL: Duration = Duration::from_secs(5);

/// Octets read at once: a few of the largest messages (RFC 4271 §4.1: 4,096 octets). What they make the speaker ask for waits in
/// memory until all of them are read, and is handed back to the kernel if it is much.
const READ_OCTETS: usize = 16 << 10;

/// The connections of one speaker.
pub struct Peers {
    shared: Arc<Shared>,
    bfd: Option<Bfd>,
    links: Links,
    dials: Dials,
    /// What each connection is written by. Dropped, it closes the connection once all is written.
    writers: BTreeMap<ConnectionId, Pen>,
    /// Connections that were opened since the speaker last asked for something.
    opened: mpsc::UnboundedReceiver<(ConnectionId, Pen)>,
}

struct Shared {
    /// Where dialled connections come from, where the operator named addresses: routers answer only neighbours they know.
    sources: BTreeSet<IpAddr>,
    events: mpsc::Sender<Event>,
    opened: mpsc::UnboundedSender<(ConnectionId, Pen)>,
    connections: AtomicU64,
    shield: Shield,
}

impl Peers {
    /// Begins to listen. A port that cannot be had is no reason to stop: neighbours can still be dialled.
    pub async fn start(listen: &[SocketAddr], sources: BTreeSet<IpAddr>, events: mpsc::Sender<Event>) -> Self {
        let bfd = Bfd::start(sources.clone(), events.clone());
        let bfd = bfd.inspect_err(|error| tracing::warn!("cannot speak BFD: {error}; BGP goes on without")).ok();
        let (sender, opened) = mpsc::unbounded_channel();
        let links = Links::new(events.clone());
        let listeners = bind_all(listen).await;
        let shield = Shield::new(listeners.clone());
        let shared = Arc::new(Shared { sources, events, opened: sender, connections: AtomicU64::new(0), shield });
        for listener in listeners {
            tokio::spawn(accept(listener, shared.clone()));
        }
        tokio::spawn(renew(Arc::downgrade(&shared)));
        Self { shared, bfd, links, dials: Dials::default(), writers: BTreeMap::new(), opened }
    }

    /// A connection is over.
    pub fn forget(&mut self, connection: ConnectionId) {
        self.meet();
        self.writers.remove(&connection);
    }

    /// Takes note of connections opened since.
    fn meet(&mut self) {
        while let Ok((connection, writer)) = self.opened.try_recv() {
            self.writers.insert(connection, writer);
        }
    }

    /// These are the links on which neighbours are to be found from now on.
    pub fn discover(&mut self, links: &BTreeMap<Zone, u32>) {
        self.links.want(links);
    }

    /// Calls from these prefixes are protected so from now on.
    pub fn protect_callers(&self, ranges: BTreeMap<IpNet, Protection>) {
        self.shared.shield.wants_callers(ranges);
    }

    /// Does what the speaker asks.
    pub fn act(&mut self, action: Action) {
        self.meet();
        match action {
            Action::Connect { neighbour, port } => self.dials.begin(self.shared.clone(), neighbour, port),
            Action::StopDialling { neighbour } => {
                self.dials.give_up(neighbour);
                self.shared.shield.reached(neighbour);
            }
            Action::Send { connection, octets } => {
                if let Some(pen) = self.writers.get_mut(&connection) {
                    pen.write(octets);
                }
            }
            Action::AwaitAcknowledged { connection } => {
                if let Some(pen) = self.writers.get(&connection) {
                    pen.await_acknowledged(connection, self.shared.events.clone());
                }
            }
            Action::Close { connection } => {
                self.writers.remove(&connection);
            }
            Action::Watch(ways) => {
                if let Some(bfd) = &self.bfd {
                    bfd.watch(ways);
                }
            }
            Action::Protect(neighbours) => self.shared.shield.wants(neighbours),
            // The head keeps these to itself, but for what is told to those who watch.
            Action::Install { .. }
            | Action::Remove { .. }
            | Action::BestChanged(_)
            | Action::Monitor(_)
            | Action::Report { .. }
            | Action::Note(_) => {}
        }
    }
}

/// An address that cannot be had is told, and left out.
async fn bind_all(addresses: &[SocketAddr]) -> Vec<Arc<TcpListener>> {
    let mut listeners = Vec::new();
    for at in addresses {
        match bind(*at).await {
            Ok(listener) => listeners.push(Arc::new(listener)),
            Err(error) => {
                tracing::warn!("cannot accept BGP connections on {at}: {error}; neighbours are dialled all the same");
            }
        }
    }
    listeners
}

/// Listens for both families where the kernel has IPv6, else for IPv4.
async fn bind(listen: SocketAddr) -> io::Result<TcpListener> {
    match TcpListener::bind(listen).await {
        Err(error)
            if listen.is_ipv6() && listen.ip().is_unspecified() && error.kind() == io::ErrorKind::Unsupported =>
        {
            TcpListener::bind((std::net::Ipv4Addr::UNSPECIFIED, listen.port())).await
        }
        other => other,
    }
}

async fn accept(listener: Arc<TcpListener>, shared: Arc<Shared>) {
    loop {
        match listener.accept().await {
            Ok((stream, remote)) => {
                let neighbour = address_of(&stream, remote);
                shared.receive(stream, neighbour).await;
            }
            Err(error) => {
                tracing::warn!("cannot accept a BGP connection: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await; // out of descriptors: do not spin
            }
        }
    }
}

/// Whoever calls from a prefix with a password is dropped by the kernel until the listener knows it: a new one is looked for in its file.
async fn renew(shared: Weak<Shared>) {
    let mut interval = tokio::time::interval(RENEWAL);
    while let Some(shared) = shared.upgrade() {
        shared.shield.renew_callers();
        interval.tick().await;
    }
}

impl Shared {
    async fn tell(&self, event: BgpEvent) {
        let _ = self.events.send(Event::Bgp(event)).await;
    }

    /// A neighbour calls. What cannot be protected as it should be is not taken.
    async fn receive(self: &Arc<Self>, stream: TcpStream, neighbour: Address) {
        let is_v6 = stream.local_addr().is_ok_and(|local| local.is_ipv6());
        let protection = self.shield.protection(neighbour);
        match self.shield.protect(&stream, is_v6, neighbour, &protection) {
            Ok(()) => self.begin(stream, neighbour, false).await,
            Err(error) => tracing::warn!("refused a connection of {neighbour}: {error}"),
        }
    }

    /// On a link of its own a neighbour knows our address there and no other.
    async fn connect(&self, neighbour: Address, port: u16, protection: &Protection) -> io::Result<TcpStream> {
        let socket = if neighbour.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        let remote = socket_address(&socket, neighbour, port)?;
        let is_source = |source: &&IpAddr| neighbour.zone().is_none() && source.is_ipv4() == neighbour.is_ipv4();
        if let Some(source) = self.sources.iter().find(is_source) {
            socket.bind(SocketAddr::from((*source, 0)))?;
        }
        self.shield.protect(&socket, neighbour.is_ipv6(), neighbour, protection).map_err(io::Error::other)?;
        socket.connect(remote).await
    }

    async fn begin(self: &Arc<Self>, stream: TcpStream, neighbour: Address, outgoing: bool) {
        let connection = ConnectionId(self.connections.fetch_add(1, Ordering::Relaxed));
        let _ = stream.set_nodelay(true);
        let (Ok(local), Ok(remote)) = (stream.local_addr(), stream.peer_addr()) else { return };
        let near = address_of(&stream, local);
        let (reader, writer) = stream.into_split();
        let (pen, writer) = Writer::new(connection, writer);
        let _ = self.opened.send((connection, pen));
        self.tell(BgpEvent::ConnectionPorts { connection, local: local.port(), remote: remote.port() }).await;
        self.tell(BgpEvent::ConnectionOpened { connection, neighbour, outgoing, local: near }).await;
        tokio::spawn(converse(self.clone(), connection, neighbour, reader, writer));
    }
}

async fn converse(
    shared: Arc<Shared>,
    connection: ConnectionId,
    neighbour: Address,
    reader: OwnedReadHalf,
    writer: Writer,
) {
    let reason = tokio::select! {
        reason = hear(&shared, connection, neighbour, reader) => reason,
        reason = writer.run(&shared) => reason,
    };
    shared.tell(BgpEvent::ConnectionClosed { connection, reason }).await;
}

/// Whoever is too far away may have connected, as the handshake is not looked at on both sides; then nothing is ever heard.
async fn hear(shared: &Shared, connection: ConnectionId, neighbour: Address, reader: OwnedReadHalf) -> String {
    let protection = shared.shield.protection(neighbour);
    let before = Dropped::read();
    if protection.hops_max.is_some() && timeout(DIAL, reader.readable()).await.is_err() {
        let hints = Dropped::read().hints(before, &protection);
        return format!("connected, and nothing was heard within {DIAL:?}{hints}");
    }
    read(shared, connection, reader).await
}

/// Room is taken when there is something to read, and no more kept than that: most connections are silent most of the time.
async fn read(shared: &Shared, connection: ConnectionId, mut reader: OwnedReadHalf) -> String {
    loop {
        if let Err(error) = reader.readable().await {
            return error.to_string();
        }
        let mut octets = Vec::with_capacity(READ_OCTETS);
        match reader.read_buf(&mut octets).await {
            Ok(0) => return "the neighbour closed the connection".to_owned(),
            Ok(_) => {
                octets.shrink_to_fit();
                shared.tell(BgpEvent::Received { connection, octets }).await;
            }
            Err(error) => return error.to_string(),
        }
    }
}
