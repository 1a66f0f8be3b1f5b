//! Carries out what the head asks of the kernel, and reports what the kernel holds.
//!
//! In: [`Step`]s, in the order the head gives them. Out: [`KernelState`] when asked, and word that it must be read again.
//! Decides nothing. Everything is said over two netlink sockets held for life, one for routes and links, one for rules, and by
//! sysctl files; each request is answered before the next is made, so an order of steps is an order of effects.
//! The sockets belong to the network namespace of the thread that calls [`Hands::open`]; stay in it.

mod socket;
mod wire;

mod nft;

mod link;
mod netns;

mod address;
mod neighbour;
mod route;
mod sysctl;

mod conntrack;
mod header;
mod nflog;

mod read;
mod watch;

use std::io;

use poplin_node::kernel::{KernelState, Step, StepFailure, StepFailureKind};
use tokio::sync::mpsc;

pub use conntrack::Conntrack;
pub use nflog::{DropListener, Heard};
pub use nft::{Count, Dump, Ownership, ReadError, Rules, RulesError, counts};
pub use route::ROUTE_METRIC;
pub use socket::Refusal;
pub use watch::Changed;

use socket::Conversation;

/// The agent's grip on the kernel of one network namespace. One exists in a process.
pub struct Hands {
    /// Absent: our table is no business of this process.
    rules: Option<Rules>,
    route: Conversation,
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

    /// Opens what links and routes need, and leaves rules alone.
    pub fn open_routes() -> Result<Self, OpenError> {
        Ok(Self { rules: None, route: Conversation::route().map_err(OpenError::Route)? })
    }

    /// Carries out the steps in order, and stops at the first that fails.
    pub fn apply(&mut self, steps: &[Step]) -> Result<(), StepFailure> {
        for step in steps {
            self.carry_out(step).map_err(|Trouble { kind, reason }| StepFailure {
                step: step.clone(),
                kind,
                reason,
            })?;
        }
        Ok(())
    }

    fn carry_out(&mut self, step: &Step) -> Result<(), Trouble> {
        match step {
            Step::EnableForwarding => sysctl::enable_forwarding(),
            Step::AddGateway(gateway) => address::add_gateway(&mut self.route, *gateway),
            Step::ChangeRules(changes) => match &mut self.rules {
                Some(rules) => rules.apply(changes).map_err(Trouble::from),
                None => Err(Trouble::other("this process was started without a table of rules")),
            },
            Step::CreateLink(new) => link::create(&mut self.route, new),
            Step::ConfigureLink(interface) => {
                sysctl::configure_link(interface)?;
                address::add_link_gateway(&mut self.route, interface)
            }
            Step::RaiseLink(interface) => link::raise(&mut self.route, interface.as_str()),
            Step::DeleteLink(interface) => link::delete(&mut self.route, interface),
            Step::SetNeighbour { interface, address, mac } => {
                neighbour::set(&mut self.route, interface, *address, *mac)
            }
            Step::SetRoute { destination, target } => route::set(&mut self.route, *destination, target),
            Step::RemoveRoute(destination) => route::remove(&mut self.route, *destination),
        }
    }

    /// Reads everything a plan needs, anew.
    pub fn read(&mut self) -> io::Result<KernelState> {
        read::read(&mut self.route)
    }

    /// Begins to watch: a word in the channel means that [`Hands::read`] may find something new since the last word. Must be called
    /// within a tokio runtime; the watching ends when the receiver is dropped.
    pub fn watch(&self) -> io::Result<mpsc::Receiver<Changed>> {
        watch::watch(self.rules.as_ref())
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
}
