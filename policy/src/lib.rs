//! Who may talk to whom.
//!
//! Pure: no IO, no clock, no randomness. What people declare (`label`, `selector`, `model`, `world`) has one meaning
//! (`verdict`, told at length by `explain`), which `compile` turns into a `ruleset` for one host. `walk` reads rulesets
//! the slow way, `delta` says how to get from one to the next. `region` answers for whole sets of packets at once.

pub mod label;
pub mod selector;
mod spelling;

pub mod circle;
pub mod model;
pub mod world;

pub mod matching;
pub mod packet;

pub mod explain;
pub mod gate;
pub mod verdict;

pub mod crowd;
pub mod region;

pub mod index;

pub mod check;
pub mod diff;
pub mod lint;

pub mod compile;
pub mod course;
pub mod host;
pub mod nat;
pub mod place;

mod element;
mod key;
mod name;
pub mod reference;
pub(crate) mod render;
pub mod ruleset;
pub mod walk;

pub mod delta;
pub mod depth;
mod edit;
