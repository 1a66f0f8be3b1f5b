//! A table in the form that tools of network teams read: records of MRT, to octets.
//!
//! In: what a speaker holds, with wall time. Out: octets of whole records, which follow one another in a file. Knows nothing of files.
//! Rules: RFC 6396 §4.3, RFC 8050 §4 (several paths to one prefix). How a speaker's table becomes records stands in `dump.rs`.

mod dump;
mod table;

pub use dump::dump;
pub use table::{Entry, Peer, PeerIndex, Rib};

#[cfg(test)]
mod tests;
