//! Everything a node can ask for.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::PathBuf;

use ipnet::IpNet;
use poplin_bgp::{Protection, Zone};
use poplin_policy::ruleset::Interface;

use crate::debt::Debt;
use crate::flows::FlowHandle;
use crate::kernel::Step;
use crate::names::{NameChange, NameDoor};
use crate::object::Object;
use crate::request::{Answer, RequestId};
use crate::service::Probe;
use crate::transaction::{Transaction, TransactionId};

/// Something should be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Ask the store. Answered by [`Event::TransactionDone`](crate::event::Event::TransactionDone).
    Transact(TransactionId, Transaction),
    /// Read the store whole: what it tells does not follow from what it told. Answered by [`Event::StoreRead`](crate::event::Event::StoreRead).
    ReadStore,
    /// From now on these are all the endpoints of this host whose containers have left while the store is still to be told. It is to be where a
    /// later life finds it, for [`Event::DebtsRecalled`](crate::event::Event::DebtsRecalled), also after a loss of power. Answered by
    /// [`Event::DebtsWritten`](crate::event::Event::DebtsWritten) before the next one comes.
    Owe(BTreeSet<Debt>),
    /// From now on the store lacks some objects, or has them in an older form, and this host goes by them all the same. A later life should
    /// find them.
    Keep {
        /// These. What the store said of itself before it forgot is among them as long as it does not say that it tells another history.
        objects: Vec<Object>,
        /// The last revision that what was known and what the store tells have in common; 0 = it never forgot.
        shared: i64,
    },
    /// Change the kernel, in order, stopping at the first failure. Answered by
    /// [`Event::StepsDone`](crate::event::Event::StepsDone) before the next one comes.
    Apply(Vec<Step>),
    /// Read the flows of which an end is one of these addresses, this host's and those in these namespaces. Answered by any number of
    /// [`Event::FlowsRead`](crate::event::Event::FlowsRead), and then [`Event::FlowsDone`](crate::event::Event::FlowsDone).
    ReadFlows(BTreeSet<IpAddr>, BTreeSet<PathBuf>),
    /// End these flows, before any later reading. What ended by itself meanwhile is no failure.
    EndFlows(Vec<FlowHandle>),
    /// Tell whoever asked.
    Answer(RequestId, Answer),
    /// These are all the links, with their indexes, on which routers are to be found from now on, and on which we are to be found (RFC 4861).
    /// Answered by [`Event::NeighbourMet`](crate::event::Event::NeighbourMet), once for each new neighbour.
    Discover(BTreeMap<Zone, u32>),
    /// Tell the LAN on these uplinks that these addresses are here from now on (RFC 5227 §2.3, RFC 4861 §7.2.6). Nobody answers that.
    AdvertiseNeighbours(BTreeSet<(Interface, IpAddr)>),
    /// Ask an endpoint whether it is healthy. Answered by [`Event::Probed`](crate::event::Event::Probed) when its time is up at the latest.
    Probe(Probe),
    /// From now on calls from these prefixes are protected so, and all others as [`poplin_bgp::Action::Protect`] says.
    ProtectCallers(BTreeMap<IpNet, Protection>),
    /// Names are not what they were.
    ChangeNames(Vec<NameChange>),
    /// These are all the places where containers may ask for names from now on.
    OpenNameDoors(BTreeSet<NameDoor>),
    /// Do something with a BGP connection.
    Bgp(poplin_bgp::Action),
    /// Tell the log.
    Note(Note),
}

/// What an operator would want to read in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// Something happened as it should.
    Info(String),
    /// Something is wrong and will be tried again or needs a person.
    Warning(String),
}
