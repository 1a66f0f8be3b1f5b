//! Stories of speakers: joined in virtual time, or faced with hand-written octets.

#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests, too")]

mod any_life;
mod any_octets;
mod bfd;
mod collision;
mod communities;
mod dumped;
mod errors;
mod exchange;
mod extended;
mod fleet;
mod foreign;
mod gentle;
mod inside;
mod internet;
mod limit;
mod long_lived;
mod malformed;
mod many;
mod mesh;
mod mishap;
mod monitored;
mod paths;
mod peer;
mod protected;
mod receipts;
mod reconfigure;
mod reflection;
mod reflectors;
mod refresh;
mod restart;
mod retire;
mod roles;
mod routes;
mod session;
mod shutdown;
mod slow;
mod stranger;
mod unnumbered;
mod watched;
mod wire;
mod world;
