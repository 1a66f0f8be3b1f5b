//! TLS over TCP, for whoever shows a certificate that the operator's authority vouches for.
//!
//! In: connections. Out: guests with the names of their certificates. Who has none, or one of another authority, hears so in a TLS alert.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::allowed::Allowed;
use super::files::ServerFiles;
use super::guest::{Caller, Guest};
use super::identity::{Identity, Shown};
use super::lobby::Lobby;
use super::names::Names;
use super::seats::Hall;

/// How many may be at their handshake at once.
const HANDSHAKES: usize = 64;

/// How long a handshake may take: three round trips at most, each well below a second.
const PATIENCE: Duration = Duration::from_secs(3);

/// How long one that is refused may take to read why.
const FAREWELL: Duration = Duration::from_secs(1);

/// Before an address that cannot be had is tried again: it may come up late, or be another's for a while.
const BEFORE_THE_NEXT_TRY: Duration = Duration::from_secs(1);

/// Between two readings of the files: what is renewed in place counts after that.
const BEFORE_THE_NEXT_READING: Duration = Duration::from_secs(1);

/// Silence after which the kernel asks whether the other end is still there; it asks three times.
const SILENCE: Duration = Duration::from_secs(30);

/// Where others than this host come in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    /// Address and port.
    pub address: SocketAddr,
    /// How they know us, and we them.
    pub files: ServerFiles,
}

/// Tells of everybody who is let in, until the future is dropped. Nobody waits for the address: what else the agent does needs none.
pub async fn admit(Remote { address, files }: Remote, allowed: Arc<Allowed>, guests: mpsc::Sender<Guest>) {
    let (shows, shown) = watch::channel(Shown::default());
    let reception =
        Arc::new(Reception { shown, allowed, guests, lobby: Mutex::new(Lobby::of(HANDSHAKES)), hall: Hall::new() });
    tokio::select! {
        () = renew(Identity::new(files), shows) => {}
        () = accept(address, reception) => {}
    }
}

/// Reads the files again and again, beside the threads that answer: they may be far away.
async fn renew(mut identity: Identity, shows: watch::Sender<Shown>) {
    loop {
        let read = tokio::task::spawn_blocking(move || {
            let shown = identity.renew(Instant::now());
            (identity, shown)
        });
        let Ok((back, shown)) = read.await else { return };
        identity = back;
        shows.send_replace(shown);
        sleep(BEFORE_THE_NEXT_READING).await;
    }
}

async fn accept(address: SocketAddr, reception: Arc<Reception>) {
    let _ = reception.shown.clone().changed().await; // who comes first finds the files read
    let listener = bind(address).await;
    loop {
        match listener.accept().await {
            Ok((stream, from)) => meet(&reception, stream, from),
            Err(error) => {
                tracing::warn!("cannot accept a connection for the API: {error}");
                sleep(Duration::from_millis(100)).await; // out of descriptors: do not spin
            }
        }
    }
}

/// Takes the address when it is there to be had, and says once why it is not, as long as it is the same.
async fn bind(address: SocketAddr) -> TcpListener {
    let mut told: Option<io::ErrorKind> = None;
    loop {
        match TcpListener::bind(address).await {
            Ok(listener) => {
                tracing::info!("serving on {address} by TLS");
                return listener;
            }
            Err(error) if told == Some(error.kind()) => {}
            Err(error) => {
                tracing::error!("nobody can come by TLS: cannot listen on {address}: {error}; {}", advice(&error));
                told = Some(error.kind());
            }
        }
        sleep(BEFORE_THE_NEXT_TRY).await;
    }
}

fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "another program has it; end it, or choose another in api.listen. It is tried again each second"
        }
        io::ErrorKind::AddrNotAvailable => {
            "no interface has it; add it, or choose another in api.listen. It is tried again each second"
        }
        _ => "choose another in api.listen. It is tried again each second",
    }
}

/// Everybody may begin a handshake; when too many are at theirs, one of them is hung up on.
fn meet(reception: &Arc<Reception>, stream: TcpStream, from: SocketAddr) {
    let (stays, is_shown_out) = oneshot::channel();
    let (number, shown_out) = reception.lobby().enter(from.ip(), stays);
    drop(shown_out);
    let reception = reception.clone();
    tokio::spawn(async move {
        let outcome = tokio::select! {
            outcome = reception.receive(stream, from) => outcome,
            _ = is_shown_out => None,
        };
        reception.lobby().leave(number);
        if let Some(stream) = outcome {
            reception.seat(stream).await;
        }
    });
}

struct Reception {
    shown: watch::Receiver<Shown>,
    allowed: Arc<Allowed>,
    guests: mpsc::Sender<Guest>,
    /// Whoever is dropped from it is hung up on.
    lobby: Mutex<Lobby<oneshot::Sender<()>>>,
    hall: Hall,
}

impl Reception {
    fn lobby(&self) -> std::sync::MutexGuard<'_, Lobby<oneshot::Sender<()>>> {
        self.lobby.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn receive(&self, stream: TcpStream, from: SocketAddr) -> Option<TlsStream<TcpStream>> {
        let kept = TcpKeepalive::new().with_time(SILENCE).with_interval(SILENCE).with_retries(3);
        let _ = SockRef::from(&stream).set_tcp_keepalive(&kept); // else a dead one is found when it is written to
        let _ = stream.set_nodelay(true);
        let outcome = timeout(PATIENCE, self.shake_hands(stream)).await.unwrap_or_default();
        if outcome.is_none() {
            tracing::debug!("{from} was not let in, or did not end its handshake within {PATIENCE:?}");
        }
        outcome
    }

    async fn shake_hands(&self, stream: TcpStream) -> Option<TlsStream<TcpStream>> {
        let settings = self.shown.borrow().at(Instant::now())?;
        match TlsAcceptor::from(settings).accept(stream).into_fallible().await {
            Ok(stream) => Some(stream),
            Err((error, stream)) => {
                tracing::debug!("a handshake failed: {error}");
                let _ = timeout(FAREWELL, bid_farewell(stream)).await;
                None
            }
        }
    }

    /// Who comes when their seats are taken is hung up on.
    async fn seat(&self, stream: TlsStream<TcpStream>) {
        let certificate = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
        let names = certificate.map(|certificate| Names::of(certificate)).unwrap_or_default();
        let right = self.allowed.of_certificate(&names);
        let caller = Caller { name: names.told(), right, until: Some(names.until) };
        let Some(seat) = self.hall.seat(&caller) else { return };
        let _ = self.guests.send(Guest::new(stream, caller, Some(seat))).await; // the agent is stopping
    }
}

/// What was refused has been said. To close while something is unread would take the words back.
async fn bid_farewell(mut stream: TcpStream) {
    let _ = stream.shutdown().await;
    let mut unread = [0; 1024];
    while stream.read(&mut unread).await.is_ok_and(|octets| octets > 0) {}
}
