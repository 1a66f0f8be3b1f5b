//! The head: one node of the fabric as a pure state machine. Events in, actions out; no clock, no IO, no randomness.
//!
//! ```text
//! handle(now, Event)                  something happened
//! next_action() -> Option<Action>     drain until None before the next handle
//! next_deadline() -> Option<Instant>  wake me then, even if nothing happens
//! ```
//! Read [`event`] and [`action`] for everything that can happen and everything that can be asked for, [`node`] for how the
//! parts work together, and [`plan`] for the order in which the kernel is changed.

pub mod action;
pub mod event;

pub mod audit;
mod cooling;
pub mod course;
pub mod debt;
pub mod discovery;
pub mod drops;
pub mod flows;
mod ground;
pub mod groups;
pub mod health;
mod ipam;
mod job;
pub mod lan;
pub mod mend;
pub mod node;
pub mod outlook;
mod peering;
pub mod plan;
pub mod policing;
pub mod routing;
mod sandboxes;
mod serving;
pub mod underlay;
pub mod usage;
mod wish;

pub mod addresses;
pub mod floating;
pub mod kernel;
pub mod lineage;
pub mod macvlan;
mod mirror;
pub mod name;
pub mod names;
pub mod network;
mod next_hop;
pub mod object;
pub mod prefix;
pub mod quarantine;
pub mod range;
pub mod release;
pub mod removal;
pub mod renaming;
pub mod request;
pub mod resize;
pub mod service;
mod stable;
pub mod statics;
pub mod status;
pub mod transaction;
pub mod tunnel;

pub use action::{Action, Note};
pub use event::Event;
pub use node::{Identity, Node, Role};
pub use peering::{BGP_PORT, CONNECT_RETRY, HOLD_TIME};
