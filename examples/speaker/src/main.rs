//! The smallest hands a speaker can have: threads, blocking sockets, and every action printed.
//!
//! ```text
//! poplin-speaker <asn> <router-id> <local> <port> <neighbour> <neighbour-port> <neighbour-asn> [prefix...]
//! ```
//! It shows what a program has to do around the speaker, and nothing more: hand in what happens on TCP connections and that time
//! passed, and carry out what comes back. An IPv6 next hop is read from `NEXT_HOP_V6`; with `PASSIVE` set it waits to be called.

use std::{
    collections::HashMap,
    io::{Read, Write},
    net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread,
    time::{Duration, Instant},
};

use poplin_bgp::{
    Action, Asn, ConnectionId, Event, Exchange, NeighbourConfig, PrefixLimits, Protection, RESTART_TIME, Speaker,
    SpeakerConfig, wire::Family,
};

type Failure = Box<dyn std::error::Error>;

/// What the threads report: an event, and the socket of a connection that it opens.
type Report = (Event, Option<TcpStream>);

static CONNECTIONS: AtomicU64 = AtomicU64::new(1);

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [asn, router_id, local, port, neighbour, neighbour_port, neighbour_asn, prefixes @ ..] = &arguments[..] else {
        return Err(
            "poplin-speaker <asn> <router-id> <local> <port> <neighbour> <neighbour-port> <neighbour-asn> [prefix...]"
                .into(),
        );
    };
    let config = SpeakerConfig { asn: Asn(asn.parse()?), router_id: router_id.parse()? };
    let next_hop_v6 = std::env::var("NEXT_HOP_V6").ok().map(|address| address.parse()).transpose()?;
    let neighbour = NeighbourConfig {
        address: neighbour.parse()?,
        port: neighbour_port.parse()?,
        asn: Asn(neighbour_asn.parse()?).into(),
        hold_time: Duration::from_secs(9),
        keepalive: None,
        send_hold: None,
        connect_retry: Duration::from_secs(2),
        restart: RESTART_TIME,
        passive: std::env::var("PASSIVE").is_ok(),
        families: Family::ALL.into(),
        long_lived: None,
        gentle: false,
        extended_next_hop: None,
        next_hop_v4: None,
        next_hop_v6,
        bfd: None,
        add_paths: Default::default(),
        extended_messages: true,
        role: None,
        exchange: Exchange::default(),
        protection: Protection::default(),
        limits: PrefixLimits::default(),
        shutdown: None,
    };
    let own = prefixes.iter().map(|prefix| prefix.parse()).collect::<Result<_, _>>()?;
    let (reports, inbox) = channel();
    listen(SocketAddr::new(local.parse()?, port.parse()?), reports.clone())?;
    reports.send((Event::Originate(own), None))?;
    reports.send((Event::Reconfigure { config, neighbours: vec![neighbour] }, None))?;
    Hands { speaker: Speaker::new(config), sockets: HashMap::new(), reports, local: local.parse()? }.run(&inbox)
}

struct Hands {
    speaker: Speaker,
    sockets: HashMap<ConnectionId, TcpStream>,
    reports: Sender<Report>,
    local: IpAddr,
}

impl Hands {
    fn run(mut self, inbox: &Receiver<Report>) -> Result<(), Failure> {
        loop {
            let deadline = self.speaker.next_deadline().unwrap_or(Instant::now() + Duration::from_secs(3600));
            let event = match inbox.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok((event, socket)) => {
                    if let (Event::ConnectionOpened { connection, .. }, Some(socket)) = (&event, socket) {
                        self.sockets.insert(*connection, socket);
                    }
                    event
                }
                Err(RecvTimeoutError::Timeout) => Event::Tick,
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            };
            self.speaker.handle(Instant::now(), event);
            while let Some(action) = self.speaker.next_action() {
                self.carry_out(action)?;
            }
        }
    }

    fn carry_out(&mut self, action: Action) -> Result<(), Failure> {
        match action {
            Action::Connect { neighbour, port } => dial(self.local, neighbour.ip(), port, self.reports.clone()),
            Action::StopDialling { .. } => {} // one that is answered late is turned away
            Action::Send { connection, octets } => {
                if let Some(socket) = self.sockets.get_mut(&connection) {
                    // A broken socket is reported by its reader.
                    let _broken = socket.write_all(&octets);
                }
            }
            Action::Close { connection } => {
                if let Some(socket) = self.sockets.remove(&connection) {
                    let _broken = socket.shutdown(Shutdown::Both);
                }
            }
            Action::Install { prefix, next_hops } => println!("install {prefix} via {next_hops:?}"),
            Action::Remove { prefix } => println!("remove {prefix}"),
            Action::Protect(_) => {}                         // nor for protection
            Action::AwaitAcknowledged { .. } => {}           // nobody waits for that here
            Action::Watch(_) => {}                           // no neighbour here asks for BFD
            Action::BestChanged(_) => {}                     // nobody watches
            Action::Monitor(_) | Action::Report { .. } => {} // no station was asked for
            Action::Note(note) => println!("note {note}"),
        }
        Ok(())
    }
}

fn listen(address: SocketAddr, reports: Sender<Report>) -> Result<(), Failure> {
    let listener = TcpListener::bind(address)?;
    thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            if let Ok(peer) = socket.peer_addr() {
                let _ended = open(socket, peer.ip(), false, address.ip(), &reports);
            }
        }
    });
    Ok(())
}

fn dial(local: IpAddr, neighbour: IpAddr, port: u16, reports: Sender<Report>) {
    let address = SocketAddr::new(neighbour, port);
    thread::spawn(move || match TcpStream::connect_timeout(&address, Duration::from_secs(2)) {
        Ok(socket) => open(socket, neighbour, true, local, &reports),
        Err(error) => {
            let (neighbour, reason) = (neighbour.into(), error.to_string());
            reports.send((Event::ConnectFailed { neighbour, reason }, None)).ok()
        }
    });
}

/// Reports a connection and begins to read from it; `None` if the main thread has ended.
fn open(socket: TcpStream, neighbour: IpAddr, outgoing: bool, local: IpAddr, reports: &Sender<Report>) -> Option<()> {
    let connection = ConnectionId(CONNECTIONS.fetch_add(1, Ordering::Relaxed));
    let reader = socket.try_clone().ok()?;
    let (neighbour, local) = (neighbour.into(), local.into());
    reports.send((Event::ConnectionOpened { connection, neighbour, outgoing, local }, Some(socket))).ok()?;
    let reports = reports.clone();
    thread::spawn(move || read(reader, connection, &reports));
    Some(())
}

fn read(mut socket: TcpStream, connection: ConnectionId, reports: &Sender<Report>) {
    let mut buffer = [0; 65536];
    let reason = loop {
        match socket.read(&mut buffer) {
            Ok(0) => break "closed by the peer".to_owned(),
            Ok(length) => {
                let _ended = reports.send((Event::Received { connection, octets: buffer[..length].to_vec() }, None));
            }
            Err(error) => break error.to_string(),
        }
    };
    let _ended = reports.send((Event::ConnectionClosed { connection, reason }, None));
}
