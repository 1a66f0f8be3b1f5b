//! Random worlds: what is compiled does what was declared, for every packet, on every spread of endpoints over hosts.

// In helpers too: a test that cannot be set up fails.
#![allow(clippy::unwrap_used)]

mod change;
mod count;
mod deep;
mod depth;
mod edge;
mod fleet;
mod floating;
mod gate;
mod naming;
mod outgoing;
mod packets;
mod pass;
mod published;
mod sandbox;
mod spoof;
mod strategy;
mod tunnel;
