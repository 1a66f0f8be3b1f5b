//! The thread that speaks BFD: it carries packets between the network and the [`Monitor`]; understands nothing of them.
//!
//! In: which ways to watch. Out: [`Event`]s for the head, when one of them changed. It is a thread of its own, raised above the others, that
//! waits for nobody: a busy agent must not look like a dead one. What the head has no room for is kept until it has, the latest of each way.
//! What has arrived is read before the clock is: a reader that comes late must not take its own lateness for silence.

mod receive;
mod send;
mod wake;

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::net::IpAddr;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread;
use std::time::{Duration, Instant};

use poplin_bgp::Address;
use poplin_bgp::bfd::{Action, Event as BfdEvent, Monitor, Settings, View};
use poplin_node::Event;
use rustix::process::setpriority_process;
use rustix::thread::gettid;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use receive::Receivers;
use send::Senders;
use wake::Wake;

/// How much the thread is preferred to others, in the units of nice(1). It uses microseconds, and its neighbours wait for them.
const NICE: i32 = -15;

/// How soon to try again when the head had no room.
const RETRY: Duration = Duration::from_millis(10);

/// The ways to be watched.
type Ways = BTreeMap<Address, Settings>;

/// The way to the thread. It ends when this is dropped.
pub(super) struct Bfd {
    orders: Option<Sender<Ways>>,
    wake: Wake,
}

impl Bfd {
    /// Starts the thread. A port that cannot be had is no reason to stop: BGP goes on without.
    pub(super) fn start(sources: BTreeSet<IpAddr>, events: mpsc::Sender<Event>) -> io::Result<Self> {
        let (orders, inbox) = channel();
        let wake = Wake::new()?;
        let bench = Bench {
            monitor: Monitor::new(seed()),
            receivers: Receivers::default(),
            senders: Senders::from(sources),
            inbox,
            wake: wake.share()?,
            events,
            untold: BTreeMap::new(),
            discarded: 0,
        };
        thread::Builder::new().name("bfd".to_owned()).spawn(move || bench.work())?;
        Ok(Self { orders: Some(orders), wake })
    }

    /// These are all the ways to be watched from now on.
    pub(super) fn watch(&self, ways: Ways) {
        if let Some(orders) = &self.orders {
            let _ = orders.send(ways); // the thread ends only with us
        }
        self.wake.ring();
    }
}

impl Drop for Bfd {
    fn drop(&mut self) {
        self.orders = None;
        self.wake.ring();
    }
}

/// A number nobody can guess: what the system gave this process to hash with.
fn seed() -> u64 {
    RandomState::new().hash_one("bfd")
}

/// What the thread works with.
struct Bench {
    monitor: Monitor,
    receivers: Receivers,
    senders: Senders,
    inbox: Receiver<Ways>,
    wake: Wake,
    events: mpsc::Sender<Event>,
    /// What the head had no room for.
    untold: BTreeMap<Address, View>,
    discarded: u64,
}

impl Bench {
    fn work(mut self) {
        if let Err(error) = setpriority_process(Some(gettid()), NICE) {
            tracing::debug!("BFD runs at the agent's own priority: {error}");
        }
        while self.round().is_some() {
            self.receivers.wait(&self.wake, self.patience());
        }
    }

    /// Does what is to be done now; `None` when nobody wants anything any more.
    fn round(&mut self) -> Option<()> {
        self.wake.hush();
        loop {
            match self.inbox.try_recv() {
                Ok(ways) => self.watch(ways),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => return None,
            }
        }
        for (from, path, octets) in self.receivers.take() {
            self.handle(BfdEvent::Received { from, path, octets });
        }
        self.handle(BfdEvent::Tick);
        self.note_discarded();
        self.tell()
    }

    fn watch(&mut self, ways: Ways) {
        self.receivers.open(ways.values().map(|settings| settings.path).collect());
        self.handle(BfdEvent::Watch(ways));
    }

    fn handle(&mut self, event: BfdEvent) {
        self.monitor.handle(Instant::now(), event);
        while let Some(action) = self.monitor.next_action() {
            match action {
                Action::Open { neighbour, path } => self.senders.open(neighbour, path),
                Action::Send { neighbour, octets } => self.senders.send(neighbour, &octets),
                Action::Close { neighbour } => self.senders.close(neighbour),
                Action::Tell(view) => {
                    self.untold.insert(view.neighbour, view);
                }
            }
        }
    }

    /// Tells the head as much as it has room for; `None` if it is gone.
    fn tell(&mut self) -> Option<()> {
        while let Some((neighbour, view)) = self.untold.pop_first() {
            match self.events.try_send(Event::Bgp(poplin_bgp::Event::PathChanged(view.clone()))) {
                Ok(()) => {}
                Err(TrySendError::Closed(_)) => return None,
                Err(TrySendError::Full(_)) => {
                    self.untold.insert(neighbour, view);
                    break;
                }
            }
        }
        Some(())
    }

    /// How long there is nothing to do but to listen.
    fn patience(&self) -> Option<Duration> {
        let deadline = self.monitor.next_deadline().map(|at| at.saturating_duration_since(Instant::now()));
        let retry = (!self.untold.is_empty()).then_some(RETRY);
        deadline.into_iter().chain(retry).min()
    }

    fn note_discarded(&mut self) {
        let (discarded, flaw) = self.monitor.discarded();
        if discarded != self.discarded {
            self.discarded = discarded;
            let flaw = flaw.map(|(from, flaw)| format!("; last flaw, from {from}: {flaw}")).unwrap_or_default();
            tracing::debug!("BFD packets of nobody we watch, or malformed: {discarded} so far{flaw}");
        }
    }
}
