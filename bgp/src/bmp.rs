//! What is told to a monitoring station about neighbours and routes: messages of BMP, to octets.
//!
//! In: what happened, with wall time. Out: octets of one message. Knows nothing of tables and sockets; nobody answers, so nothing is read.
//! Rules: RFC 7854 §4, RFC 8671 §4 (flags), RFC 9069 §4 (the table in use). What is told when stands in `speaker/monitor.rs`.

mod header;
mod information;
mod peer_down;
mod peer_up;
mod statistics;

use crate::wire::length_u16;

use header::Kind;
use information::{SYS_DESCR, SYS_NAME, information};

pub use header::{Peer, View};
pub use peer_down::Reason;
pub use peer_up::Up;
pub use statistics::Statistic;

/// That a value is a reason and not free text, §4.5.
const TERMINATION_REASON: u16 = 1;

const ADMINISTRATIVELY_CLOSED: u16 = 0;

/// One message to a monitoring station, RFC 7854 §4.1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// The first one: who speaks (§4.3).
    Initiation(System),
    /// A session is established, or was when the station came (§4.10).
    PeerUp(Peer, Up),
    /// An established session ended, and with it all that was told of its routes (§4.9).
    PeerDown(Peer, Reason),
    /// Routes came and went: one whole UPDATE, with AS numbers of four octets (§4.6).
    Routes(Peer, Vec<u8>),
    /// How many of what (§4.8).
    Statistics(Peer, Vec<Statistic>),
    /// The last one: the station is not configured any more, or we are told to stop (§4.5).
    Termination,
}

/// Who speaks, as SNMP would name it (RFC 1213 §3.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct System {
    /// sysName.
    pub name: String,
    /// sysDescr.
    pub description: String,
}

impl Message {
    /// Writes the whole message.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Initiation(System { name, description }) => header::framed(Kind::Initiation, out, |out| {
                information(SYS_DESCR, description, out);
                information(SYS_NAME, name, out);
            }),
            Self::PeerUp(peer, up) => header::about(Kind::PeerUp, peer, out, |out| up.encode(out)),
            Self::PeerDown(peer, reason) => header::about(Kind::PeerDown, peer, out, |out| reason.encode(out)),
            Self::Routes(peer, update) => header::about(Kind::Routes, peer, out, |out| out.extend(update)),
            Self::Statistics(peer, all) => header::about(Kind::Statistics, peer, out, |out| {
                out.extend(u32::try_from(all.len()).unwrap_or(u32::MAX).to_be_bytes());
                all.iter().for_each(|one| one.encode(out));
            }),
            Self::Termination => header::framed(Kind::Termination, out, |out| {
                tlv(TERMINATION_REASON, &ADMINISTRATIVELY_CLOSED.to_be_bytes(), out);
            }),
        }
    }
}

/// Type, length, value: the form that all of BMP's optional parts have.
fn tlv(kind: u16, value: &[u8], out: &mut Vec<u8>) {
    out.extend(kind.to_be_bytes());
    out.extend(length_u16(value));
    out.extend(value);
}

#[cfg(test)]
mod tests;
