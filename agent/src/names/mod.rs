//! Answers containers that ask for names (DNS, RFC 1034 and 1035), at their gateways and nowhere else.
//!
//! ```text
//!   the loop ── names, doors ──> Nameserver ──> doors: one socket of UDP and one of TCP for each gateway
//!                                                 |
//!               who asks, by the link it came over, and how often it may (bounds)
//!                                                 v
//!                                  answer ── names of the fabric: the head's table, behind a lock that is held for microseconds
//!                                                 |
//!                                  forward ── all other names: what is remembered (cache), else the host's resolvers (upstream)
//! ```
//! What may be known to whom is the table's to say; nothing is decided here but how to carry it.

mod answer;
mod bounds;
mod cache;
mod doors;
mod exchange;
mod forward;
mod joined;
mod reply;
mod tcp;
mod udp;
mod upstream;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;

use poplin_node::names::{NameChange, NameDoor};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::runtime::Handle;
use tokio::sync::watch;

use answer::Answering;
use bounds::Bounds;
use forward::Forwarder;
pub use upstream::Upstreams;

/// Doors are two descriptors each, and containers that have IPv6 alone have one each: as many as the system allows, not the thousand it begins with.
fn make_room() {
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }) {
        tracing::debug!("there is room for {:?} open files only: {error}", limit.current);
    }
}

/// The way from the loop to those who answer.
pub(crate) struct Nameserver {
    answering: Arc<Answering>,
    doors: watch::Sender<BTreeSet<NameDoor>>,
}

impl Nameserver {
    /// Begins to answer as soon as there is a door, on the threads of `runtime`.
    pub(crate) fn start(runtime: &Handle, upstreams: Upstreams) -> Self {
        make_room();
        let answering = Arc::new(Answering::new(Forwarder::new(upstreams), Bounds::default()));
        let (doors, wanted) = watch::channel(BTreeSet::new());
        runtime.spawn(doors::keep(wanted, answering.clone()));
        Self { answering, doors }
    }

    /// Names are not what they were.
    pub(crate) fn change(&self, changes: Vec<NameChange>) {
        self.answering.change(changes);
    }

    /// These are all the doors from now on.
    pub(crate) fn open(&self, doors: BTreeSet<NameDoor>) {
        self.answering.know_own(&doors);
        self.doors.send_replace(doors);
    }
}
