//! Everything a speaker can ask for, on one page.

use std::{collections::BTreeMap, net::IpAddr};

use ipnet::IpNet;

use crate::{BestChange, ConnectionId, Note, Protection, bfd};

/// What should be done, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Dial this neighbour; replaces an unfinished dial to the same one.
    /// Answered by `ConnectionOpened { outgoing: true }` or by `ConnectFailed`.
    Connect {
        /// Whom.
        neighbour: IpAddr,
        /// The far TCP port, usually 179.
        port: u16,
    },
    /// Write these octets: whole messages, in order.
    Send {
        /// Where.
        connection: ConnectionId,
        /// What.
        octets: Vec<u8>,
    },
    /// Close once everything sent before is flushed; nothing further about this connection matters to us.
    Close {
        /// Which.
        connection: ConnectionId,
    },
    /// Route this prefix over exactly these next hops; replaces what was installed for it.
    Install {
        /// Whereto.
        prefix: IpNet,
        /// Equally good ways, sorted, without doubles, at least one.
        next_hops: Vec<IpAddr>,
    },
    /// No way to this prefix is known any more.
    Remove {
        /// Whereto.
        prefix: IpNet,
    },
    /// These are all the ways that BFD is to watch from now on. Answered by `PathChanged` whenever one changes.
    Watch(BTreeMap<IpAddr, bfd::Settings>),
    /// From now on connections with these neighbours are protected so, and those with others not at all.
    /// A connection that cannot be protected is not to be made, nor accepted.
    Protect(BTreeMap<IpAddr, Protection>),
    /// Another path is the best, or its next hops are others: told while somebody watches.
    BestChanged(BestChange),
    /// Something worth a line in the log.
    Note(Note),
}
