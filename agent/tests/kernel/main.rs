//! The hands against a real kernel, each test in network namespaces of its own. Needs root, `ip` and `nft`.
//!
//! What stands in the kernel is read back by other programs, in their own words.

#![allow(clippy::unwrap_used)] // in helpers as in tests: whatever fails here fails the test

mod forms;
mod lab;

mod ownership;
mod packets;
mod reading;
mod rules;
mod worlds;

mod drops;
mod flows;
mod links;
mod next_hops;
mod routes;
mod sandbox;
mod tunnels;

mod watching;

mod speed;
