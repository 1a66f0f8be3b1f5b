//! Carries out what the head asks of the kernel, and reports what the kernel holds.
//!
//! In: [`Step`]s, in the order the head gives them. Out: [`KernelState`] when asked, and word that it must be read again.
//! Decides nothing. Everything is said over two netlink sockets held for life, one for routes and links, one for rules, and by
//! sysctl files; each request is answered before the next is made, so an order of steps is an order of effects. Links alone end over a
//! socket each, and are gone before the next request is made.
//! The sockets belong to the network namespace of the thread that calls [`Hands::open`]; stay in it.

mod socket;
mod wire;

mod nft;

mod departure;
mod link;
mod netns;
mod sandbox;
mod tap;
mod tunnel;

mod address;
mod detour;
mod neighbour;
mod next_hop;
mod route;
mod sysctl;

mod advertise;
mod conntrack;
mod header;
mod nflog;

mod read;
mod watch;

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;

use poplin_node::kernel::{KernelState, Step, StepFailure, StepFailureKind, Target};
use tokio::sync::{mpsc, watch as tidings};

pub use advertise::advertise;
pub use conntrack::Conntrack;
pub use nflog::{DropListener, Heard};
pub use nft::{Count, Dump, Ownership, ReadError, Rules, RulesError, counts};
pub use route::ROUTE_METRIC;
pub(crate) use sandbox::{Inside, inside, open_inside};
pub use socket::Refusal;
pub use watch::Changed;

use departure::Departures;
use route::Train;
use socket::Conversation;

/// The agent's grip on the kernel of one network namespace. One exists in a process.
pub struct Hands {
    /// Absent: our table is no business of this process.
    rules: Option<Rules>,
    route: Conversation,
    departures: Departures,
    /// Proxy neighbours as last read and changed since, by the index of their link.
    proxies: BTreeSet<(u32, IpAddr)>,
    /// Index of the device of our tunnels, as last read: nothing is led to one that was not read.
    tunnel: Option<u32>,
    /// The sandboxes that have rules.
    inside: tidings::Sender<Inside>,
}

/// The kernel could not be taken hold of.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// No netlink socket for links and routes.
    #[error("cannot open a route netlink socket")]
    Route(#[source] io::Error),
    /// Our table cannot be taken over.
    #[error(transparent)]
    Rules(#[from] RulesError),
}

impl Hands {
    /// Opens the sockets and takes over the table a former agent left behind, rules and all. Changes nothing a packet could notice.
    /// Waits up to a second for a former agent's socket to be closed.
    pub fn open() -> Result<Self, OpenError> {
        Ok(Self { rules: Some(Rules::open()?), ..Self::open_routes()? })
    }

    /// The same, and lets other programs change our table; what they change is put back.
    pub fn open_shared() -> Result<Self, OpenError> {
        Ok(Self { rules: Some(Rules::open_shared()?), ..Self::open_routes()? })
    }

    /// Opens what links and routes need, and leaves rules alone.
    pub fn open_routes() -> Result<Self, OpenError> {
        Ok(Self {
            rules: None,
            route: Conversation::route().map_err(OpenError::Route)?,
            departures: Departures::default(),
            proxies: BTreeSet::new(),
            tunnel: None,
            inside: tidings::Sender::default(),
        })
    }

    /// The sandboxes that have rules, now and later.
    pub(crate) fn inside(&self) -> tidings::Receiver<Inside> {
        self.inside.subscribe()
    }

    /// Whether rules of ours stand, as a former agent left them.
    pub fn rules_stand(&mut self) -> Result<bool, OpenError> {
        Ok(self.rules.as_mut().map_or(Ok(false), Rules::stand)?)
    }

    /// Carries out the steps in order, and stops at the first that fails. Routes go in pieces, and of a piece everything is tried.
    pub fn apply(&mut self, steps: &[Step]) -> Result<(), StepFailure> {
        let mut train = Train::new(&mut self.route, self.tunnel);
        for step in steps {
            let is_aboard = self.board(&mut train, step).map_err(|trouble| trouble.at(step.clone()))?;
            if !is_aboard || train.is_full() {
                let full = std::mem::replace(&mut train, Train::new(&mut self.route, self.tunnel));
                full.depart(&mut self.route).map_err(|(step, trouble)| trouble.at(step))?;
            }
            if !is_aboard {
                self.carry_out(step).map_err(|trouble| trouble.at(step.clone()))?;
            }
        }
        train.depart(&mut self.route).map_err(|(step, trouble)| trouble.at(step))
    }

    /// Puts a change of a route on the train; tells whether it was one.
    fn board<'a>(&mut self, train: &mut Train<'a>, step: &'a Step) -> Result<bool, Trouble> {
        match step {
            Step::SetRoute { destination, target: target @ Target::Link(interface), source } => {
                let index = link::index(&mut self.route, interface.as_str());
                let explain = |refusal| Trouble::other(format!("cannot set route to {destination}: {refusal}"));
                train.set(step, *destination, target, *source, Some(index.map_err(explain)?));
            }
            Step::SetRoute { destination, target, source } => train.set(step, *destination, target, *source, None),
            Step::RemoveRoute(destination) => train.remove(step, *destination),
            Step::EnableForwarding
            | Step::AddGateway(_)
            | Step::ChangeRules(_)
            | Step::ChangeSandbox { .. }
            | Step::LeaveSandbox { .. }
            | Step::CreateLink(_)
            | Step::ConfigureLink(_)
            | Step::LetLoopbackPass { .. }
            | Step::RaiseLink(_)
            | Step::DeleteLink(_)
            | Step::SetNeighbour { .. }
            | Step::SetTunnel(_)
            | Step::RemoveTunnel
            | Step::SetFdbEntry { .. }
            | Step::RemoveFdbEntry(_)
            | Step::RemoveNeighbour { .. }
            | Step::SetTunnelRule(..)
            | Step::RemoveTunnelRule(..)
            | Step::SetTunnelHost { .. }
            | Step::RemoveTunnelHost { .. }
            | Step::SetProxyNeighbour { .. }
            | Step::RemoveProxyNeighbour { .. }
            | Step::SetNextHop { .. }
            | Step::RemoveNextHop(_) => return Ok(false),
        }
        Ok(true)
    }

    fn carry_out(&mut self, step: &Step) -> Result<(), Trouble> {
        match step {
            Step::EnableForwarding => sysctl::enable_forwarding(),
            Step::AddGateway(gateway) => address::add_gateway(&mut self.route, *gateway),
            Step::ChangeRules(changes) => match &mut self.rules {
                Some(rules) => rules.apply(changes).map_err(Trouble::from),
                None => Err(Trouble::other("this process was started without a table of rules")),
            },
            Step::ChangeSandbox { interface, netns, changes, group, mode } => {
                sandbox::change(interface, netns, changes, *group, *mode)?;
                sandbox::enter(&self.inside, interface, netns, *group);
                Ok(())
            }
            Step::LeaveSandbox { interface, netns, group, is_last } => {
                sandbox::leave(interface, netns, *group, *is_last)?;
                sandbox::exit(&self.inside, interface);
                Ok(())
            }
            Step::CreateLink(new) => link::create(&mut self.route, new),
            Step::ConfigureLink(interface) => {
                sysctl::configure_link(interface)?;
                address::add_link_gateway(&mut self.route, interface, address::LINK_GATEWAY)
            }
            Step::LetLoopbackPass { interface, is_open } => sysctl::let_loopback_pass(interface, *is_open),
            Step::RaiseLink(interface) => link::raise(&mut self.route, interface.as_str()),
            Step::DeleteLink(interface) => link::delete(&mut self.departures, interface),
            Step::SetNeighbour { interface, address, mac } => {
                neighbour::set(&mut self.route, interface, *address, *mac)
            }
            Step::RemoveNeighbour { interface, address } => neighbour::remove(&mut self.route, interface, *address),
            Step::SetTunnelRule(encapsulation, from) => detour::set_rule(&mut self.route, *encapsulation, *from),
            Step::RemoveTunnelRule(encapsulation, from) => detour::remove_rule(&mut self.route, *encapsulation, *from),
            Step::SetTunnelHost { encapsulation, address, gateway } => {
                detour::set_host(&mut self.route, *encapsulation, *address, *gateway)
            }
            Step::RemoveTunnelHost { encapsulation, address } => {
                detour::remove_host(&mut self.route, *encapsulation, *address)
            }
            Step::SetTunnel(device) => tunnel::set(&mut self.route, device),
            Step::RemoveTunnel => tunnel::remove(&mut self.departures),
            Step::SetFdbEntry { mac, remote } => tunnel::set_entry(&mut self.route, *mac, *remote),
            Step::RemoveFdbEntry(mac) => tunnel::remove_entry(&mut self.route, *mac),
            Step::SetProxyNeighbour { uplink, address } => {
                let index = neighbour::set_proxy(&mut self.route, uplink, *address)?;
                self.proxies.insert((index, *address));
                Ok(())
            }
            Step::RemoveProxyNeighbour { uplink, address } => {
                self.proxies.retain(|(_, one)| one != address);
                neighbour::remove_proxy(&mut self.route, uplink, *address)
            }
            Step::SetNextHop { id, next_hop } => next_hop::set(&mut self.route, *id, next_hop, self.tunnel),
            Step::RemoveNextHop(id) => next_hop::remove(&mut self.route, *id),
            Step::SetRoute { .. } | Step::RemoveRoute(_) => Ok(()), // went by train
        }
    }

    /// Reads everything a plan needs, anew.
    pub fn read(&mut self) -> io::Result<KernelState> {
        self.proxies = read::read_proxies(&mut self.route)?;
        let state = read::read(&mut self.route)?;
        self.tunnel = state.tunnel.as_ref().map(|standing| standing.index);
        Ok(state)
    }

    /// Whether there are proxy neighbours of ours to be looked after: the kernel tells nobody when one is removed
    /// (linux net/core/neighbour.c, `neigh_delete`), so [`Hands::watch`] does not either.
    pub fn has_proxies(&self) -> bool {
        !self.proxies.is_empty()
    }

    /// Whether they are others than they were when they were last read and changed.
    pub fn proxies_have_changed(&mut self) -> io::Result<bool> {
        Ok(read::read_proxies(&mut self.route)? != self.proxies)
    }

    /// Begins to watch: a word in the channel means that [`Hands::read`] may find something new since the last word. Must be called
    /// within a tokio runtime; the watching ends when the receiver is dropped.
    pub fn watch(&self) -> io::Result<mpsc::Receiver<Changed>> {
        watch::watch(self.rules.as_ref(), self.route.port())
    }

    /// Whether the kernel keeps other programs away from our table, if we have one.
    pub fn ownership(&self) -> Option<Ownership> {
        self.rules.as_ref().map(Rules::ownership)
    }
}

/// Why a step failed, before it is known which step it was.
#[derive(Debug)]
struct Trouble {
    kind: StepFailureKind,
    reason: String,
}

impl Trouble {
    fn other(reason: impl Into<String>) -> Self {
        Self { kind: StepFailureKind::Other, reason: reason.into() }
    }

    fn at(self, step: Step) -> StepFailure {
        StepFailure { step, kind: self.kind, reason: self.reason }
    }
}
