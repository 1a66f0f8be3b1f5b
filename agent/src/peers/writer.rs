//! Writes what the speaker sends over one connection, and tells it when that has to wait.
//!
//! In: octets, in order; the end of them closes the connection. Out: what waits, whenever that changes by the neighbour's doing. A neighbour that
//! takes nothing holds up nobody but itself: how long it may is the speaker's to decide, and how much may wait too. What is told to many
//! waits in one place for all of them.
//! A few octets with nothing before them are written where they were thought of: to wake a task for them takes longer than to write them.

mod queue;
mod receipt;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use poplin_bgp::{ConnectionId, Event as BgpEvent, Octets};
use rustix::net::{SendFlags, send};
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::timeout;

use super::Shared;
use super::option::acknowledged_octets;

use queue::Queue;

/// How long a closing connection may take to send its last words.
const FLUSH: Duration = Duration::from_secs(2);

/// So much is gathered before it is written.
const GATHERED_OCTETS: usize = 64 << 10;

/// So much is written at once: one usual message. More waits until the speaker has said all, and is written together.
const AT_ONCE_OCTETS: usize = 4096;

/// The wire, and how much on its way there has been handed to the writing task and was not taken yet.
struct Line {
    socket: OwnedWriteHalf,
    unwritten: AtomicUsize,
    /// What the kernel had counted as acknowledged before anything was written: the handshake counts on one side.
    acknowledged_before: u64,
}

/// The speaker's end. Dropped, it closes the connection once all is written.
pub(super) struct Pen {
    line: Arc<Line>,
    inbox: UnboundedSender<Octets>,
    /// How many octets were ever written.
    written: u64,
}

impl Pen {
    /// Sends octets after all others. A connection that broke says so by an event.
    pub(super) fn write(&mut self, mut octets: Octets) {
        self.written += octets.len() as u64;
        // Only we add to it, so none is none, and nobody writes beside us.
        if octets.len() <= AT_ONCE_OCTETS && self.line.unwritten.load(Ordering::Acquire) == 0 {
            // The kernel is asked without asking the runtime first: what it does not take is the writing task's, which asks both.
            let taken = send(self.line.socket.as_ref(), &octets, SendFlags::NOSIGNAL).unwrap_or(0);
            if taken == octets.len() {
                return;
            }
            if taken > 0 {
                octets = octets[taken..].to_vec().into();
            }
        }
        self.line.unwritten.fetch_add(octets.len(), Ordering::AcqRel);
        let _ = self.inbox.send(octets);
    }
}

/// The writing task's end of one connection.
pub(super) struct Writer {
    connection: ConnectionId,
    line: Arc<Line>,
    inbox: UnboundedReceiver<Octets>,
    waiting: Queue,
    /// Whether the speaker knows that something waits.
    is_told: bool,
}

impl Writer {
    pub(super) fn new(connection: ConnectionId, socket: OwnedWriteHalf) -> (Pen, Self) {
        let (sender, inbox) = unbounded_channel();
        let acknowledged_before = acknowledged_octets(socket.as_ref()).unwrap_or_default();
        let line = Arc::new(Line { socket, unwritten: AtomicUsize::new(0), acknowledged_before });
        let pen = Pen { line: line.clone(), inbox: sender, written: 0 };
        (pen, Self { connection, line, inbox, waiting: Queue::default(), is_told: false })
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
        if self.waiting.left() == 0 {
            return Ok(self.receive().await);
        }
        match self.write() {
            Ok(count) => self.took(shared, count).await,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return self.wait(shared).await,
            Err(error) => return Err(error),
        }
        Ok(true)
    }

    /// As much as the socket takes now; how many octets that were.
    fn write(&self) -> io::Result<usize> {
        self.line.socket.try_write_vectored(&self.waiting.next())
    }

    /// The next octets, and what else is there already; `false` if the speaker has closed.
    async fn receive(&mut self) -> bool {
        let more = self.inbox.recv().await;
        let is_open = self.put(more);
        while self.waiting.left() < GATHERED_OCTETS
            && let Ok(more) = self.inbox.try_recv()
        {
            self.waiting.put(more);
        }
        is_open
    }

    async fn wait(&mut self, shared: &Shared) -> io::Result<bool> {
        if !self.is_told {
            self.tell(shared).await;
        }
        tokio::select! {
            ready = self.line.socket.writable() => ready.map(|()| true),
            more = self.inbox.recv() => Ok(self.put(more)),
        }
    }

    fn put(&mut self, more: Option<Octets>) -> bool {
        let Some(more) = more else { return false };
        self.waiting.put(more);
        true
    }

    async fn took(&mut self, shared: &Shared, count: usize) {
        self.waiting.took(count);
        self.line.unwritten.fetch_sub(count, Ordering::AcqRel);
        if self.is_told {
            self.tell(shared).await;
        }
    }

    async fn tell(&mut self, shared: &Shared) {
        let octets = self.waiting.left();
        self.is_told = octets > 0;
        shared.tell(BgpEvent::Waits { connection: self.connection, octets }).await;
    }

    /// The connection closes when the line is dropped.
    async fn finish(&mut self) -> io::Result<()> {
        while self.waiting.left() > 0 {
            self.line.socket.writable().await?;
            match self.write() {
                Ok(count) => self.waiting.took(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
