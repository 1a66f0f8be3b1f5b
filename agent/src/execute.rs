//! The thread that touches the kernel: one order after the other, so that what is read never mixes with what is being changed.

use std::sync::mpsc;
use std::thread;

use poplin_node::Event;
use poplin_node::kernel::Step;
use tokio::sync::mpsc as async_mpsc;
use tokio::task::JoinHandle;

use crate::kernel::{Changed, Hands};

/// What the thread can be told.
enum Order {
    Apply(Vec<Step>),
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
    while let Ok(order) = orders.recv() {
        match order {
            Order::Apply(steps) => {
                let outcome = hands.apply(&steps);
                let failed = outcome.is_err();
                let _ = events.blocking_send(Event::StepsDone(outcome));
                if failed {
                    read(&mut hands, events);
                }
            }
            Order::Read => read(&mut hands, events),
        }
    }
}

fn read(hands: &mut Hands, events: &async_mpsc::Sender<Event>) {
    match hands.read() {
        Ok(state) => {
            let _ = events.blocking_send(Event::KernelRead(state));
        }
        Err(error) => tracing::error!("the kernel cannot be read: {error}"),
    }
}
