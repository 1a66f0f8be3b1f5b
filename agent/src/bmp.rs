//! Connections to monitoring stations (BMP, RFC 7854 §3.2): dialled until they stand, written to, and never read but for their end.
//!
//! In: which stations there are to be, and octets for them. Out: events: a station listens, has been told all, is gone. Understands nothing
//! of what passes. A station that does not read is hung up on, so that what waits for it is bounded; it hears the table anew when it is back.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

use poplin_bgp::bmp::{Message, System};
use poplin_bgp::{ConnectionId, Event as BgpEvent, Monitoring};
use poplin_node::Event;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::store::Backoff;

/// How long a station may take to answer.
const DIAL: Duration = Duration::from_secs(5);

/// How long a station may take none of what it is told.
const STALL: Duration = Duration::from_secs(30);

/// How long the last words to a station may take.
const FAREWELL: Duration = Duration::from_secs(1);

/// How much may wait for a station, in octets: what a neighbour with a hundred thousand routes makes when it goes or comes.
const WAITING_MAX: usize = 16 << 20;

/// Octets written at once, if so many wait.
const WRITE_OCTETS: usize = 64 << 10;

/// All monitoring stations of this host.
pub struct Stations {
    shared: Arc<Shared>,
    dialled: BTreeMap<SocketAddr, Dialled>,
    /// What waits for each that listens. Dropping it ends the connection.
    queues: BTreeMap<ConnectionId, Queue>,
    /// Those that began to listen since somebody looked.
    opened: mpsc::UnboundedReceiver<(ConnectionId, Queue)>,
}

struct Shared {
    system: System,
    /// Where connections come from, as those to neighbours do.
    sources: BTreeSet<IpAddr>,
    events: mpsc::Sender<Event>,
    opened: mpsc::UnboundedSender<(ConnectionId, Queue)>,
    connections: AtomicU64,
}

/// One station that is dialled until it is not wanted any more.
struct Dialled {
    terms: Monitoring,
    /// Dropping it ends the task, after its last words.
    _stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

/// What waits for one station.
struct Queue {
    octets: mpsc::UnboundedSender<Vec<u8>>,
    waiting: Arc<AtomicUsize>,
    /// Dropping it says that too much waits.
    _overflow: oneshot::Sender<()>,
}

impl Stations {
    /// Nobody is dialled yet.
    pub fn new(host: &str, sources: BTreeSet<IpAddr>, events: mpsc::Sender<Event>) -> Self {
        let system = System { name: host.to_owned(), description: format!("poplind {}", env!("CARGO_PKG_VERSION")) };
        let (sender, opened) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared { system, sources, events, opened: sender, connections: AtomicU64::new(0) });
        Self { shared, dialled: BTreeMap::new(), queues: BTreeMap::new(), opened }
    }

    /// These are all from now on.
    pub fn want(&mut self, wanted: &BTreeMap<SocketAddr, Monitoring>) {
        self.dialled.retain(|station, dialled| wanted.get(station) == Some(&dialled.terms));
        for (&station, terms) in wanted {
            self.dialled.entry(station).or_insert_with(|| {
                let (stop, stopped) = oneshot::channel();
                let task = tokio::spawn(keep(self.shared.clone(), station, stopped));
                Dialled { terms: terms.clone(), _stop: stop, task }
            });
        }
    }

    /// Tells a station something, unless too much waits for it already.
    pub fn report(&mut self, connection: ConnectionId, octets: Vec<u8>) {
        while let Ok((connection, queue)) = self.opened.try_recv() {
            self.queues.insert(connection, queue);
        }
        self.queues.retain(|_, queue| !queue.octets.is_closed());
        let Some(queue) = self.queues.get(&connection) else { return };
        let waiting = queue.waiting.fetch_add(octets.len(), Ordering::Relaxed) + octets.len();
        if waiting > WAITING_MAX {
            self.queues.remove(&connection);
        } else {
            let _ = queue.octets.send(octets); // one that has ended says so by an event
        }
    }

    /// Says goodbye to all.
    pub async fn stop(self) {
        for (_, Dialled { _stop: stop, task, .. }) in self.dialled {
            drop(stop);
            let _ = timeout(FAREWELL, task).await;
        }
    }
}

/// Why a connection ended.
enum End {
    Unwanted,
    Broken(String),
}

/// Dials a station again and again, until nobody wants it.
async fn keep(shared: Arc<Shared>, station: SocketAddr, mut stop: oneshot::Receiver<()>) {
    let mut backoff = Backoff::new();
    let mut is_told = false;
    loop {
        let begun = Instant::now();
        let reason = tokio::select! {
            _ = &mut stop => return,
            stream = shared.connect(station) => match stream {
                Ok(stream) => {
                    is_told = false;
                    tracing::info!("monitoring station {station} is told of BGP");
                    match shared.converse(station, stream, &mut stop).await {
                        End::Unwanted => return tracing::info!("monitoring station {station} is told no more"),
                        End::Broken(reason) => reason,
                    }
                }
                Err(error) => error.to_string(),
            },
        };
        if !std::mem::replace(&mut is_told, true) {
            tracing::warn!("monitoring station {station}: {reason}; trying again until it listens");
        }
        backoff.rest_after(begun.elapsed());
        tokio::select! {
            _ = &mut stop => return,
            () = sleep(backoff.next()) => {}
        }
    }
}

impl Shared {
    async fn tell(&self, event: BgpEvent) {
        let _ = self.events.send(Event::Bgp(event)).await;
    }

    async fn connect(&self, station: SocketAddr) -> io::Result<TcpStream> {
        let socket = if station.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        if let Some(source) = self.sources.iter().find(|source| source.is_ipv4() == station.is_ipv4()) {
            socket.bind(SocketAddr::from((*source, 0)))?;
        }
        let silent = || io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {DIAL:?}"));
        timeout(DIAL, socket.connect(station)).await.unwrap_or_else(|_| Err(silent()))
    }

    /// The life of one connection.
    async fn converse(&self, station: SocketAddr, stream: TcpStream, stop: &mut oneshot::Receiver<()>) -> End {
        let connection = ConnectionId(self.connections.fetch_add(1, Ordering::Relaxed));
        let (reader, mut writer) = stream.into_split();
        let (sender, octets) = mpsc::unbounded_channel();
        let (overflow, overflown) = oneshot::channel();
        let waiting = Arc::new(AtomicUsize::new(0));
        let queue = Queue { octets: sender, waiting: waiting.clone(), _overflow: overflow };
        let _ = self.opened.send((connection, queue));
        let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let system = self.system.clone();
        self.tell(BgpEvent::StationUp { connection, station, since_1970, system }).await;
        let end = tokio::select! {
            _ = overflown => End::Broken(format!("it reads too slowly: more than {WAITING_MAX} octets wait for it")),
            reason = listen(reader) => End::Broken(reason),
            end = self.write(connection, &mut writer, octets, &waiting, stop) => end,
        };
        if let End::Unwanted = end {
            farewell(writer).await;
        }
        self.tell(BgpEvent::StationDown { connection }).await;
        end
    }

    /// Writes whatever comes, and says each time when all of it is written. Stops between messages only.
    async fn write(
        &self,
        connection: ConnectionId,
        writer: &mut OwnedWriteHalf,
        mut octets: mpsc::UnboundedReceiver<Vec<u8>>,
        waiting: &AtomicUsize,
        stop: &mut oneshot::Receiver<()>,
    ) -> End {
        loop {
            let next = tokio::select! {
                biased;
                _ = &mut *stop => return End::Unwanted,
                next = octets.recv() => next,
            };
            let Some(mut next) = next else { return End::Broken("it is not to be told any more".to_owned()) };
            while next.len() < WRITE_OCTETS
                && let Ok(more) = octets.try_recv()
            {
                next.extend(more);
            }
            if let Err(error) = write_all(writer, &next).await {
                return End::Broken(error.to_string());
            }
            waiting.fetch_sub(next.len(), Ordering::Relaxed);
            if octets.is_empty() {
                self.tell(BgpEvent::StationReady { connection }).await;
            }
        }
    }
}

/// As long as some of it goes, it is waited for.
async fn write_all(writer: &mut OwnedWriteHalf, mut octets: &[u8]) -> io::Result<()> {
    while !octets.is_empty() {
        let stalled = || io::Error::new(io::ErrorKind::TimedOut, format!("it has read nothing for {STALL:?}"));
        let written = timeout(STALL, writer.write(octets)).await.unwrap_or_else(|_| Err(stalled()))?;
        octets = &octets[written..];
    }
    Ok(())
}

/// A station says nothing (RFC 7854 §3.2); what it says all the same is not looked at.
async fn listen(mut reader: OwnedReadHalf) -> String {
    let mut ignored = [0; 512];
    loop {
        match reader.read(&mut ignored).await {
            Ok(0) => return "the station closed the connection".to_owned(),
            Ok(_) => {}
            Err(error) => return error.to_string(),
        }
    }
}

/// Says that nothing more will come.
async fn farewell(mut writer: OwnedWriteHalf) {
    let mut octets = Vec::new();
    Message::Termination.encode(&mut octets);
    let _ = timeout(FAREWELL, writer.write_all(&octets)).await;
    let _ = timeout(FAREWELL, writer.shutdown()).await;
}

#[cfg(test)]
mod tests;
