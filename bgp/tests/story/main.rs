//! Stories of speakers: joined in virtual time, or faced with hand-written octets.

#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests, too")]

mod collision;
mod communities;
mod exchange;
mod foreign;
mod inside;
mod malformed;
mod mesh;
mod paths;
mod peer;
mod reconfigure;
mod reflection;
mod reflectors;
mod restart;
mod retire;
mod routes;
mod session;
mod wire;
mod world;
