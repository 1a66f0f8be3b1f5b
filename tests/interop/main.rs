//! Poplin beside routers of others: BIRD 2 as eBGP and as iBGP neighbour, as reflector and as client, one and two of them. They need
//! root.

mod bird;
mod communities;
mod ecmp;
mod inside;
mod paths;
mod reflector;
