//! TLS over TCP, for whoever shows a certificate that the operator's authority vouches for.
//!
//! In: connections. Out: guests with the names of their certificates. Who has none, or one of another authority, hears so in a TLS alert.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::allowed::Allowed;
use super::guest::{Caller, Guest};
use super::identity::{Identity, ServerFiles, story};
use super::names::Names;

/// How many may be at their handshake at once, and how many may be connected.
const HANDSHAKES: usize = 64;
const SEATS: usize = 256;

/// How long a handshake may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long one that is refused may take to read why.
const FAREWELL: Duration = Duration::from_secs(1);

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

/// The address cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot serve on {address}; choose another with --api-listen")]
pub struct RemoteError {
    address: SocketAddr,
    source: io::Error,
}

/// Takes the address.
pub async fn bind(address: SocketAddr) -> Result<TcpListener, RemoteError> {
    TcpListener::bind(address).await.map_err(|source| RemoteError { address, source })
}

/// Tells of everybody who is let in, until the future is dropped.
pub async fn admit(listener: TcpListener, files: ServerFiles, allowed: Arc<Allowed>, guests: mpsc::Sender<Guest>) {
    let reception =
        Arc::new(Reception { identity: Identity::new(files), allowed, guests, seats: Arc::new(Semaphore::new(SEATS)) });
    if let Err(error) = reception.identity.settings() {
        tracing::error!("nobody is let in by TLS: {}; the files are read again for each connection", story(&error));
    }
    let handshakes = Arc::new(Semaphore::new(HANDSHAKES));
    loop {
        let Ok(turn) = handshakes.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, from)) => {
                let reception = reception.clone();
                tokio::spawn(async move {
                    reception.receive(stream, from).await;
                    drop(turn);
                });
            }
            Err(error) => {
                tracing::warn!("cannot accept a connection for the API: {error}");
                sleep(Duration::from_millis(100)).await; // out of descriptors: do not spin
            }
        }
    }
}

struct Reception {
    identity: Identity,
    allowed: Arc<Allowed>,
    guests: mpsc::Sender<Guest>,
    seats: Arc<Semaphore>,
}

impl Reception {
    async fn receive(&self, stream: TcpStream, from: SocketAddr) {
        let kept = TcpKeepalive::new().with_time(SILENCE).with_interval(SILENCE).with_retries(3);
        let _ = SockRef::from(&stream).set_tcp_keepalive(&kept); // else a dead one is found when it is written to
        let _ = stream.set_nodelay(true);
        match timeout(PATIENCE, self.shake_hands(stream)).await {
            Ok(Some(stream)) => self.seat(stream).await,
            Ok(None) => tracing::debug!("{from} was not let in"),
            Err(_) => tracing::debug!("{from} did not end its handshake within {PATIENCE:?}"),
        }
    }

    async fn shake_hands(&self, stream: TcpStream) -> Option<TlsStream<TcpStream>> {
        let settings = match self.identity.settings() {
            Ok(settings) => settings,
            Err(error) => {
                tracing::warn!("nobody is let in by TLS: {}", story(&error));
                return None;
            }
        };
        match TlsAcceptor::from(settings).accept(stream).into_fallible().await {
            Ok(stream) => Some(stream),
            Err((error, stream)) => {
                tracing::debug!("a handshake failed: {error}");
                let _ = timeout(FAREWELL, bid_farewell(stream)).await;
                None
            }
        }
    }

    /// Who comes when all seats are taken is hung up on.
    async fn seat(&self, stream: TlsStream<TcpStream>) {
        let Ok(seat) = self.seats.clone().try_acquire_owned() else { return };
        let certificate = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
        let names = certificate.map(|certificate| Names::of(certificate)).unwrap_or_default();
        let right = self.allowed.of_certificate(&names);
        let caller = Caller { name: names.told(), right, until: Some(names.until) };
        let _ = self.guests.send(Guest::new(stream, caller, Some(seat))).await; // the agent is stopping
    }
}

/// What was refused has been said. To close while something is unread would take the words back.
async fn bid_farewell(mut stream: TcpStream) {
    let _ = stream.shutdown().await;
    let mut unread = [0; 1024];
    while stream.read(&mut unread).await.is_ok_and(|octets| octets > 0) {}
}
