//! The store forgot: it was restored from a backup, or emptied. A host tells it again what is its own, and takes nothing from who came since.

#![allow(clippy::unwrap_used)]

#[path = "../world/mod.rs"]
mod world;

mod desk;
mod history;
mod told;
