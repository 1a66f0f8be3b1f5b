//! Poplin beside routers of others: BIRD 2 as eBGP and as iBGP neighbour, as reflector and as client, one and two of them, FRR, GoBGP and
//! ExaBGP. They need root.

mod beside;
mod bfd;
mod bird;
mod callers;
mod changed;
mod communities;
mod crossing;
mod ecmp;
mod exabgp;
mod extended;
mod frr;
mod gentle;
mod gobgp;
mod inside;
mod limited;
mod long_lived;
mod monitored;
mod paths;
mod ports;
mod protected;
mod readiness;
mod reflector;
mod refresh;
mod reread;
mod restarted;
mod roles;
mod slow;
mod speaker;
mod static_routes;
mod unnumbered;
mod wanted;
mod written_down;
