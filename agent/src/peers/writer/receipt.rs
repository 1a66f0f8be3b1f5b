//! Whether the neighbour's TCP has acknowledged what was sent, for whoever waits for that.
//!
//! In: a line and how many octets were handed to it. Out: one event, once the kernel says that so many have been acknowledged. The kernel is asked again
//! and again, as it tells nobody by itself (error queues of time stamps aside): only while somebody waits, and the more seldom the longer he has waited.
//! Linux acknowledges at once, or 40 ms later where data went the other way a moment before (net/ipv4/tcp_input.c, `__tcp_ack_snd_check`); others take up to
//! 500 ms (RFC 9293 §3.8.6.3).

use std::io;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use poplin_bgp::{ConnectionId, Event as BgpEvent};
use poplin_node::Event;
use tokio::sync::mpsc::Sender;
use tokio::time::sleep;

use super::super::option::acknowledged_octets;
use super::{Line, Pen};

/// Between two questions, however short or long the wait was.
const PAUSE_MIN: Duration = Duration::from_millis(1);
const PAUSE_MAX: Duration = Duration::from_millis(100);

impl Line {
    /// How many octets of those handed to us the neighbour has.
    pub(super) fn acknowledged(&self) -> io::Result<u64> {
        Ok(acknowledged_octets(self.socket.as_ref())?.saturating_sub(self.acknowledged_before))
    }
}

impl Pen {
    /// Has it told, once, when the neighbour has all that was written so far. A connection that ends says that by itself.
    pub(in crate::peers) fn await_acknowledged(&self, connection: ConnectionId, events: Sender<Event>) {
        let line = Arc::downgrade(&self.line);
        tokio::spawn(watch(line, self.written, connection, events));
    }
}

async fn watch(line: Weak<Line>, mark: u64, connection: ConnectionId, events: Sender<Event>) {
    let began = Instant::now();
    while let Some(Ok(acknowledged)) = line.upgrade().map(|line| line.acknowledged()) {
        if acknowledged >= mark {
            let _ = events.send(Event::Bgp(BgpEvent::Acknowledged { connection })).await;
            return;
        }
        sleep((began.elapsed() / 8).clamp(PAUSE_MIN, PAUSE_MAX)).await;
    }
}
