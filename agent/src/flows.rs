//! The thread that reads and ends the kernel's flows: a table of millions takes seconds, and no attachment should wait for that.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io;
use std::net::IpAddr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;

use poplin_node::Event;
use poplin_node::flows::{Flow, FlowHandle};
use tokio::sync::mpsc as async_mpsc;

use crate::kernel::{Conntrack, inside};

/// So many flows go to the head at once: under a thousand rules it judges these in some 50 ms, and other events come between.
const FLOWS_AT_ONCE: usize = 1024;

/// What the thread can be told.
enum Order {
    Read(BTreeSet<IpAddr>, BTreeSet<PathBuf>),
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

    /// Reads the flows of these addresses, here and in these namespaces; they come as an event.
    pub(crate) fn read(&self, ends: BTreeSet<IpAddr>, inside: BTreeSet<PathBuf>) {
        let _ = self.orders.send(Order::Read(ends, inside)); // the thread ends only with the process
    }

    /// Ends flows.
    pub(crate) fn end(&self, flows: Vec<FlowHandle>) {
        let _ = self.orders.send(Order::End(flows));
    }
}

fn work(mut conntrack: Conntrack, orders: &mpsc::Receiver<Order>, events: &async_mpsc::Sender<Event>) {
    while let Ok(order) = orders.recv() {
        match order {
            Order::Read(ends, inside) => {
                for netns in &inside {
                    read_inside(netns, &ends, events);
                }
                read(&mut conntrack, &ends, events);
            }
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

/// The flows of a container whose interface no host sees. One that has gone meanwhile took them along.
fn read_inside(netns: &Path, ends: &BTreeSet<IpAddr>, events: &async_mpsc::Sender<Event>) {
    let found = inside(netns, Conntrack::open).and_then(|mut conntrack| Ok(conntrack.read(ends)?));
    match found {
        Ok(flows) => {
            let of_it = |flow: Flow| Flow { handle: handle_inside(netns, &flow.handle), ..flow };
            let flows: Vec<Flow> = flows.into_iter().map(of_it).collect();
            for some in flows.chunks(FLOWS_AT_ONCE) {
                let _ = events.blocking_send(Event::FlowsRead(some.to_vec()));
            }
        }
        Err(error) => tracing::debug!("flows in {} are not read: {error}", netns.display()),
    }
}

/// Begins what names a flow of a container's namespace: the path of that follows up to a NUL, and then what names the flow there, which begins
/// with a family, never with this.
const INSIDE: u8 = 0xff;

fn handle_inside(netns: &Path, handle: &FlowHandle) -> FlowHandle {
    FlowHandle([&[INSIDE], netns.as_os_str().as_bytes(), &[0], &handle.0].concat())
}

/// Where a flow is, if not here, and what names it there.
fn place_of(handle: &FlowHandle) -> Option<(PathBuf, FlowHandle)> {
    let (first, rest) = handle.0.split_first()?;
    let end = rest.iter().position(|octet| *octet == 0).filter(|_| *first == INSIDE)?;
    Some((PathBuf::from(OsStr::from_bytes(&rest[..end])), FlowHandle(rest[end + 1..].to_vec())))
}

fn end_one(conntrack: &mut Conntrack, flow: &FlowHandle) -> Result<(), io::Error> {
    match place_of(flow) {
        None => Ok(conntrack.end(flow)?),
        Some((netns, flow)) => Ok(inside(&netns, Conntrack::open)?.end(&flow)?),
    }
}

fn end(conntrack: &mut Conntrack, flows: &[FlowHandle]) {
    let refusals: Vec<_> = flows.iter().filter_map(|flow| end_one(conntrack, flow).err()).collect();
    if let Some(first) = refusals.first() {
        tracing::warn!("{} of {} flows go on, denied: {first}", refusals.len(), flows.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flow_is_found_again_where_it_is() {
        let here = FlowHandle(vec![2, 0, 0, 0, 7, 255, 0]);
        let netns = Path::new("/proc/7/root/var/run/docker/netns/0815");

        let there = handle_inside(netns, &here);

        assert_eq!(place_of(&there), Some((netns.to_owned(), here.clone())));
        assert_eq!(place_of(&here), None);
    }
}
