//! The thread that reads and ends the kernel's flows: a table of millions takes seconds, and no attachment should wait for that.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::mpsc;
use std::thread;

use poplin_node::Event;
use poplin_node::flows::FlowHandle;
use tokio::sync::mpsc as async_mpsc;

use crate::kernel::Conntrack;

/// So many flows go to the head at once: under a thousand rules it judges these in some 50 ms, and other events come between.
const FLOWS_AT_ONCE: usize = 1024;

/// What the thread can be told.
enum Order {
    Read(BTreeSet<IpAddr>),
    End(Vec<FlowHandle>),
}

/// The way to the thread.
pub(crate) struct FlowKeeper {
    orders: mpsc::Sender<Order>,
}

impl FlowKeeper {
    /// Starts the thread.
    pub(crate) fn start(conntrack: Conntrack, events: async_mpsc::Sender<Event>) -> anyhow::Result<Self> {
        let (orders, receiver) = mpsc::channel();
        thread::Builder::new().name("flows".to_owned()).spawn(move || work(conntrack, &receiver, &events))?;
        Ok(Self { orders })
    }

    /// Reads the flows of these addresses; they come as an event.
    pub(crate) fn read(&self, ends: BTreeSet<IpAddr>) {
        let _ = self.orders.send(Order::Read(ends)); // the thread ends only with the process
    }

    /// Ends flows.
    pub(crate) fn end(&self, flows: Vec<FlowHandle>) {
        let _ = self.orders.send(Order::End(flows));
    }
}

fn work(mut conntrack: Conntrack, orders: &mpsc::Receiver<Order>, events: &async_mpsc::Sender<Event>) {
    while let Ok(order) = orders.recv() {
        match order {
            Order::Read(ends) => read(&mut conntrack, &ends, events),
            Order::End(flows) => end(&mut conntrack, &flows),
        }
    }
}

fn read(conntrack: &mut Conntrack, ends: &BTreeSet<IpAddr>, events: &async_mpsc::Sender<Event>) {
    let outcome = conntrack.read(ends).map(|flows| {
        for some in flows.chunks(FLOWS_AT_ONCE) {
            let _ = events.blocking_send(Event::FlowsRead(some.to_vec()));
        }
    });
    let _ = events.blocking_send(Event::FlowsDone(outcome.map_err(|refusal| refusal.to_string())));
}

fn end(conntrack: &mut Conntrack, flows: &[FlowHandle]) {
    let refusals: Vec<_> = flows.iter().filter_map(|flow| conntrack.end(flow).err()).collect();
    if let Some(first) = refusals.first() {
        tracing::warn!("{} of {} flows go on, denied: {first}", refusals.len(), flows.len());
    }
}
