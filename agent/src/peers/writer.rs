//! Writes what the speaker sends over one connection, and tells it when that has to wait.
//!
//! In: octets, in order; the end of them closes the connection. Out: what waits, whenever that changes by the neighbour's doing. A neighbour that
//! takes nothing holds up nobody but itself: how long it may is the speaker's to decide, and how much may wait too.

use std::io;
use std::time::Duration;

use poplin_bgp::{ConnectionId, Event as BgpEvent};
use tokio::io::AsyncWriteExt;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::timeout;

use super::Shared;

/// How long a closing connection may take to send its last words.
const FLUSH: Duration = Duration::from_secs(2);

/// Room that is kept when nothing waits.
const ROOM_OCTETS: usize = 64 << 10;

/// The writing end of one connection.
pub(super) struct Writer {
    connection: ConnectionId,
    socket: OwnedWriteHalf,
    inbox: UnboundedReceiver<Vec<u8>>,
    waiting: Vec<u8>,
    /// How many leading octets of that are taken.
    taken: usize,
    /// Whether the speaker knows that something waits.
    is_told: bool,
}

impl Writer {
    pub(super) fn new(connection: ConnectionId, socket: OwnedWriteHalf, inbox: UnboundedReceiver<Vec<u8>>) -> Self {
        Self { connection, socket, inbox, waiting: Vec::new(), taken: 0, is_told: false }
    }

    /// Works until the speaker closes the connection or it breaks; tells why it ended.
    pub(super) async fn run(mut self, shared: &Shared) -> String {
        loop {
            match self.round(shared).await {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => return error.to_string(),
            }
        }
        let _ = timeout(FLUSH, self.finish()).await;
        "closed".to_owned()
    }

    /// One step: something to write comes, is written, or has to wait. Whether there may be more.
    async fn round(&mut self, shared: &Shared) -> io::Result<bool> {
        if self.left() == 0 {
            return Ok(self.receive().await);
        }
        match self.socket.try_write(&self.waiting[self.taken..]) {
            Ok(count) => self.took(shared, count).await,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return self.wait(shared).await,
            Err(error) => return Err(error),
        }
        Ok(true)
    }

    /// The next octets, and what else is there already; `false` if the speaker has closed.
    async fn receive(&mut self) -> bool {
        let more = self.inbox.recv().await;
        let is_open = self.put(more);
        while self.left() < ROOM_OCTETS
            && let Ok(more) = self.inbox.try_recv()
        {
            self.waiting.extend(more);
        }
        is_open
    }

    async fn wait(&mut self, shared: &Shared) -> io::Result<bool> {
        if !self.is_told {
            self.tell(shared).await;
        }
        tokio::select! {
            ready = self.socket.writable() => ready.map(|()| true),
            more = self.inbox.recv() => Ok(self.put(more)),
        }
    }

    fn put(&mut self, more: Option<Vec<u8>>) -> bool {
        more.map(|more| self.waiting.extend(more)).is_some()
    }

    /// What is taken goes, once it is worth the move.
    async fn took(&mut self, shared: &Shared, count: usize) {
        self.taken += count;
        if self.left() == 0 {
            self.waiting.clear();
            self.waiting.shrink_to(ROOM_OCTETS);
            self.taken = 0;
        } else if self.taken > self.waiting.len() / 2 {
            self.waiting.drain(..self.taken);
            self.taken = 0;
        }
        if self.is_told {
            self.tell(shared).await;
        }
    }

    async fn tell(&mut self, shared: &Shared) {
        let octets = self.left();
        self.is_told = octets > 0;
        shared.tell(BgpEvent::Waits { connection: self.connection, octets }).await;
    }

    fn left(&self) -> usize {
        self.waiting.len() - self.taken
    }

    async fn finish(&mut self) -> io::Result<()> {
        self.socket.write_all(&self.waiting[self.taken..]).await?;
        self.socket.shutdown().await
    }
}
