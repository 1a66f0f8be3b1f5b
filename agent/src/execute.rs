//! The thread that touches the kernel: one order after the other, so that what is read never mixes with what is being changed. Readings come when they
//! are due, see [`reading`].

mod reading;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use poplin_node::Event;
use poplin_node::kernel::Step;
use poplin_policy::ruleset::Interface;
use tokio::sync::mpsc as async_mpsc;
use tokio::task::JoinHandle;

use crate::kernel::{self, Changed, Hands};

use reading::Reading;

/// How long a proxy neighbour that another hand removed may stay away: of all that is ours it alone goes without a word of the kernel. A look is
/// one dump of that table, made only where there is something in it, and when nothing else has been done for so long.
const LOOK: Duration = Duration::from_secs(2);

/// What the thread can be told.
enum Order {
    Apply(Vec<Step>),
    Advertise(BTreeSet<(Interface, IpAddr)>),
    Read,
}

/// The way to the thread.
pub(crate) struct Executor {
    orders: mpsc::Sender<Order>,
    watch: JoinHandle<()>,
}

impl Executor {
    /// Starts the thread, has the kernel read once, and again whenever somebody changed it.
    pub(crate) fn start(hands: Hands, events: async_mpsc::Sender<Event>) -> anyhow::Result<Self> {
        let changes = hands.watch()?;
        let (orders, receiver) = mpsc::channel();
        let reader = orders.clone();
        let watch = tokio::spawn(watch(changes, reader, events.clone()));
        let _ = orders.send(Order::Read);
        thread::Builder::new().name("kernel".to_owned()).spawn(move || work(hands, &receiver, &events))?;
        Ok(Self { orders, watch })
    }

    /// Has steps carried out; the outcome comes as an event.
    pub(crate) fn apply(&self, steps: Vec<Step>) {
        let _ = self.orders.send(Order::Apply(steps)); // the thread ends only with the process
    }
}

impl Executor {
    /// Tells the LAN of addresses that have come here.
    pub(crate) fn advertise(&self, neighbours: BTreeSet<(Interface, IpAddr)>) {
        let _ = self.orders.send(Order::Advertise(neighbours));
    }
}

impl Drop for Executor {
    fn drop(&mut self) {
        self.watch.abort();
    }
}

async fn watch(
    mut changes: async_mpsc::Receiver<Changed>,
    orders: mpsc::Sender<Order>,
    events: async_mpsc::Sender<Event>,
) {
    while let Some(changed) = changes.recv().await {
        match changed {
            Changed::State => {
                let _ = orders.send(Order::Read);
            }
            Changed::Rules => {
                let _ = events.send(Event::RulesAltered).await;
            }
        }
    }
}

fn work(mut hands: Hands, orders: &mpsc::Receiver<Order>, events: &async_mpsc::Sender<Event>) {
    let mut reading = Reading::default();
    loop {
        match next(orders, &reading, hands.has_proxies()) {
            Next::End => return,
            Next::Read => read(&mut hands, &mut reading, events),
            Next::LookAfterProxies => {
                if !matches!(hands.proxies_have_changed(), Ok(false)) {
                    read(&mut hands, &mut reading, events);
                }
            }
            Next::Do(order) => carry_out(&mut hands, order, &mut reading, events),
        }
    }
}

/// What the thread does next.
enum Next {
    Do(Order),
    Read,
    LookAfterProxies,
    End,
}

/// Orders come before readings that are due, unless there is no end of them.
fn next(orders: &mpsc::Receiver<Order>, reading: &Reading, has_proxies: bool) -> Next {
    let now = Instant::now();
    if reading.comes_first(now) {
        return Next::Read;
    }
    let until_read = reading.due().map(|due| (due.saturating_duration_since(now), Next::Read));
    let until_look = has_proxies.then_some((LOOK, Next::LookAfterProxies));
    match until_read.or(until_look) {
        None => orders.recv().map_or(Next::End, Next::Do),
        Some((patience, then)) => match orders.recv_timeout(patience) {
            Ok(order) => Next::Do(order),
            Err(mpsc::RecvTimeoutError::Timeout) => then,
            Err(mpsc::RecvTimeoutError::Disconnected) => Next::End,
        },
    }
}

fn carry_out(hands: &mut Hands, order: Order, reading: &mut Reading, events: &async_mpsc::Sender<Event>) {
    match order {
        Order::Apply(steps) => {
            let outcome = hands.apply(&steps);
            let failed = outcome.is_err();
            let _ = events.blocking_send(Event::StepsDone(outcome));
            if failed {
                read(hands, reading, events);
            }
        }
        Order::Advertise(neighbours) => kernel::advertise(&neighbours),
        Order::Read => reading.ask(Instant::now()),
    }
}

fn read(hands: &mut Hands, reading: &mut Reading, events: &async_mpsc::Sender<Event>) {
    let begin = Instant::now();
    match hands.read() {
        Ok(state) => {
            let _ = events.blocking_send(Event::KernelRead(state));
        }
        Err(error) => tracing::error!("the kernel cannot be read: {error}"),
    }
    reading.done(begin.elapsed());
}
