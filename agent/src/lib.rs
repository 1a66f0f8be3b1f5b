//! The hands: sockets, netlink and the store around the head. No decisions are made here.

pub mod kernel;
pub mod store;
