//! What is said of whole sets of packets holds for each of them, on random worlds.

// In helpers too: a test that cannot be set up fails.
#![allow(clippy::unwrap_used)]

#[path = "../worlds/naming.rs"]
mod naming;
#[path = "../worlds/packets.rs"]
mod packets;
#[allow(dead_code)]
#[path = "../cases/scene.rs"]
mod scene;
#[path = "../worlds/strategy.rs"]
mod strategy;

mod check;
mod diff;
mod index;
mod lint;
mod region;
