//! Writes what the speaker sends over one connection, and tells it when that has to wait.
//!
//! In: octets, in order; the end of them closes the connection. Out: what waits, whenever that changes by the neighbour's doing. A neighbour that
//! takes nothing holds up nobody but itself: how long it may is the speaker's to decide, and how much may wait too.
//! A few octets with nothing before them are written where they were thought of: to wake a task for them takes longer than to write them.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use poplin_bgp::{ConnectionId, Event as BgpEvent};
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::timeout;

use super::Shared;

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
}

/// The speaker's end. Dropped, it closes the connection once all is written.
pub(super) struct Pen {
    line: Arc<Line>,
    inbox: UnboundedSender<Vec<u8>>,
}

impl Pen {
    /// Sends octets after all others. A connection that broke says so by an event.
    pub(super) fn write(&self, mut octets: Vec<u8>) {
        // Only we add to it, so none is none, and nobody writes beside us.
        if octets.len() <= AT_ONCE_OCTETS && self.line.unwritten.load(Ordering::Acquire) == 0 {
            let taken = self.line.socket.try_write(&octets).unwrap_or(0);
            if taken == octets.len() {
                return;
            }
            octets.drain(..taken);
        }
        self.line.unwritten.fetch_add(octets.len(), Ordering::AcqRel);
        let _ = self.inbox.send(octets);
    }
}

/// The writing task's end of one connection.
pub(super) struct Writer {
    connection: ConnectionId,
    line: Arc<Line>,
    inbox: UnboundedReceiver<Vec<u8>>,
    /// No room is kept when nothing does: there may be many of us.
    waiting: Vec<u8>,
    /// How many leading octets of that are taken.
    taken: usize,
    /// Whether the speaker knows that something waits.
    is_told: bool,
}

impl Writer {
    pub(super) fn new(connection: ConnectionId, socket: OwnedWriteHalf) -> (Pen, Self) {
        let (sender, inbox) = unbounded_channel();
        let line = Arc::new(Line { socket, unwritten: AtomicUsize::new(0) });
        let pen = Pen { line: line.clone(), inbox: sender };
        (pen, Self { connection, line, inbox, waiting: Vec::new(), taken: 0, is_told: false })
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
        match self.line.socket.try_write(&self.waiting[self.taken..]) {
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
        while self.left() < GATHERED_OCTETS
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
            ready = self.line.socket.writable() => ready.map(|()| true),
            more = self.inbox.recv() => Ok(self.put(more)),
        }
    }

    fn put(&mut self, more: Option<Vec<u8>>) -> bool {
        let Some(more) = more else { return false };
        match self.waiting.is_empty() {
            true => self.waiting = more,
            false => self.waiting.extend(more),
        }
        true
    }

    /// What is taken goes, once it is worth the move.
    async fn took(&mut self, shared: &Shared, count: usize) {
        self.taken += count;
        self.line.unwritten.fetch_sub(count, Ordering::AcqRel);
        if self.left() == 0 {
            self.waiting = Vec::new();
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

    /// The connection closes when the line is dropped.
    async fn finish(&mut self) -> io::Result<()> {
        while self.left() > 0 {
            self.line.socket.writable().await?;
            match self.line.socket.try_write(&self.waiting[self.taken..]) {
                Ok(count) => self.taken += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
