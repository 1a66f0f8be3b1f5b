//! The hands: sockets, netlink, the store, gRPC and the clock around the head. No decisions are made here.
//!
//! [`run`] is the one loop: it carries events to the head and actions from it. Everything else here is one kind of hand.

pub mod alarm;
pub mod bmp;
pub mod config;
pub mod hear;
pub mod run;

pub mod kernel;
pub mod metrics;
pub mod peers;
pub mod resource;
pub mod schema;
pub mod serve;
pub mod store;

mod changes;
mod docker;
pub mod drops;
mod execute;
mod flows;
mod machine;
mod manager;
mod memory;
pub mod names;
mod past;
mod probe;
mod trial;
