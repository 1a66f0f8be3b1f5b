//! Everything that can happen to a node.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv6Addr};

use poplin_bgp::Zone;

use crate::debt::Debt;
use crate::flows::Flow;
use crate::kernel::{KernelState, StepFailure};
use crate::object::{Object, ObjectKey, Versioned};
use crate::quarantine::Unreadable;
use crate::release::MinWriter;
use crate::request::{Attach, Detach, Hold, Renew, RequestId};
use crate::service::Probe;
use crate::transaction::{TransactionId, TransactionOutcome};

/// Something happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// A deadline has come.
    Tick,
    /// What ids are made of: random, another in each life. A node that is not told makes none, and takes no part in telling histories of the store
    /// apart.
    Seeded(u64),
    /// The store was read whole, or read again.
    StoreRead {
        /// The revision it was read at.
        revision: i64,
        /// Everything in it that can be read.
        objects: Vec<Versioned<Object>>,
        /// What stands there and cannot be read: its last good form, if one is known, stays in force.
        unreadable: Vec<Unreadable>,
    },
    /// The store has not answered yet, and an earlier life of this host wrote down what it knew of it. It counts until the store is read.
    /// The kernel has not been started anew since.
    StoreRecalled {
        /// The revision it was true at.
        revision: i64,
        /// Everything that could be read.
        objects: Vec<Versioned<Object>>,
        /// As the last [`Action::Keep`](crate::action::Action::Keep) told it; 0 = the store had not forgotten.
        shared: i64,
        /// Whether our table of rules stands as an earlier life left it: then it stays so.
        rules_stand: bool,
    },
    /// What an earlier life of this host wrote down of the store, before it is read a first time: not applied, but compared with what is read.
    /// An object at version 0 is one that the store had forgotten already, as the last [`Action::Keep`](crate::action::Action::Keep) told;
    /// so it is in [`Event::StoreRecalled`].
    StoreRemembered {
        /// The revision it was true at.
        revision: i64,
        /// Everything that could be read.
        objects: Vec<Versioned<Object>>,
        /// As the last [`Action::Keep`](crate::action::Action::Keep) told it; 0 = the store had not forgotten.
        shared: i64,
    },
    /// The store that is read next is another one than was read last, whatever its revision.
    StoreIsAnother,
    /// An earlier life let these endpoints go while the store was away, and never told it: the last
    /// [`Action::Owe`](crate::action::Action::Owe), before anything else.
    DebtsRecalled(BTreeSet<Debt>),
    /// The outcome of [`Action::Owe`](crate::action::Action::Owe): it is on the disk, or why not.
    DebtsWritten(Result<(), String>),
    /// The store is another one than that to which something may be owed.
    StoreReplaced,
    /// One transaction of somebody changed the store.
    StoreChanged {
        /// Its revision.
        revision: i64,
        /// Written.
        puts: Vec<Versioned<Object>>,
        /// Written so that it cannot be read.
        unreadable: Vec<Unreadable>,
        /// Removed.
        deletes: Vec<ObjectKey>,
    },
    /// Whether an import that takes more than one transaction is under way in the store: what stands there is not whole.
    Importing(bool),
    /// From which schema on agents may write in the store; told before anything else when it rises, and after it when it falls.
    MinWriter(MinWriter),
    /// The store is out of reach; it is being tried again.
    StoreLost {
        /// Why, for people.
        reason: String,
    },
    /// The outcome of [`Action::Transact`](crate::action::Action::Transact).
    TransactionDone {
        /// Which.
        id: TransactionId,
        /// What became of it.
        outcome: TransactionOutcome,
    },
    /// The kernel was read: at start, when somebody changed it, and after failed steps.
    KernelRead(KernelState),
    /// Somebody else changed our table of rules.
    RulesAltered,
    /// The outcome of [`Action::Apply`](crate::action::Action::Apply). After a failure a [`Event::KernelRead`] follows by itself.
    StepsDone(Result<(), StepFailure>),
    /// Some of the flows that [`Action::ReadFlows`](crate::action::Action::ReadFlows) asked for. Few enough at once that judging them holds
    /// nothing up.
    FlowsRead(Vec<Flow>),
    /// The end of that reading, or why it failed.
    FlowsDone(Result<(), String>),
    /// Somebody wants to join.
    AttachRequested(RequestId, Attach),
    /// Somebody wants to leave.
    DetachRequested(RequestId, Detach),
    /// Somebody wants to know an address that will be had soon.
    HoldRequested(RequestId, Hold),
    /// Somebody who joined is known better now.
    RenewRequested(RequestId, Renew),
    /// An address that was held is not wanted any more.
    HoldEnded(IpAddr),
    /// A router has shown itself on one of the links of [`Action::Discover`](crate::action::Action::Discover), or another one in its place.
    NeighbourMet {
        /// On which link.
        zone: Zone,
        /// Its link-local address.
        address: Ipv6Addr,
    },
    /// The outcome of [`Action::Probe`](crate::action::Action::Probe): fine, or what is wrong.
    Probed(Probe, Result<(), String>),
    /// Something happened to a BGP connection.
    Bgp(poplin_bgp::Event),
}
