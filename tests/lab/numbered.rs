//! Datagrams that bear numbers: who counts them at the far end knows how many went missing, and how many in a row.

use std::collections::BTreeSet;
use std::net::{IpAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::{Namespace, eventually};

/// The wait between two datagrams.
pub const PACE: Duration = Duration::from_millis(2);

/// Numbered datagrams on their way to one address.
#[derive(Debug)]
pub struct Numbered {
    sent: Arc<AtomicU32>,
    is_over: Arc<AtomicBool>,
    sender: JoinHandle<()>,
    inbox: UdpSocket,
}

/// Of the numbers up to the last that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missing {
    /// How many never came.
    pub all: u32,
    /// How many in a row, at most.
    pub in_a_row: u32,
}

impl Numbered {
    /// Begins to send, from wherever `from` speaks, to an address of `to`.
    pub fn start(from: &Namespace, to: &Namespace, address: IpAddr, port: u16) -> Self {
        let inbox = to.within(|| UdpSocket::bind((address, port))).expect("the far end has the address");
        inbox.set_nonblocking(true).expect("a socket can be asked without waiting");
        let _ = rustix::net::sockopt::set_socket_recv_buffer_size_force(&inbox, 64 << 20);
        let outbox = from.within(|| UdpSocket::bind(("0.0.0.0", 0))).expect("any port");
        let (sent, is_over) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicBool::new(false)));
        let (count, stop) = (sent.clone(), is_over.clone());
        let sender = std::thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                let number = count.fetch_add(1, Ordering::Relaxed);
                let _no_way = outbox.send_to(&number.to_be_bytes(), (address, port));
                std::thread::sleep(PACE);
            }
        });
        Self { sent, is_over, sender, inbox }
    }

    /// Waits until so many more have been sent.
    #[track_caller]
    pub fn goes_on_for(&self, count: u32) {
        let before = self.sent.load(Ordering::Relaxed);
        eventually("datagrams are sent", || match self.sent.load(Ordering::Relaxed) {
            now if now >= before + count => Ok(()),
            now => Err(format!("{} of {count}", now - before)),
        });
    }

    /// Ends it, and tells what went missing.
    pub fn end(self) -> Missing {
        self.is_over.store(true, Ordering::Relaxed);
        self.sender.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let mut datagram = [0; 4];
        let numbers = std::iter::from_fn(|| self.inbox.recv(&mut datagram).ok().map(|_| u32::from_be_bytes(datagram)));
        let came: BTreeSet<u32> = numbers.collect();
        let gaps = came.iter().zip(came.iter().skip(1)).map(|(before, after)| after - before - 1);
        let (all, in_a_row) = gaps.fold((0, 0), |(all, longest), gap| (all + gap, longest.max(gap)));
        Missing { all, in_a_row }
    }
}
