//! Everything a speaker can ask for, on one page.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use ipnet::IpNet;

use crate::{Address, BestChange, ConnectionId, Monitoring, Note, Octets, Protection, bfd};

/// What should be done, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Dial this neighbour; an unfinished dial to the same one may go on beside it.
    /// Answered by `ConnectionOpened { outgoing: true }` or by `ConnectFailed`.
    Connect {
        /// Whom.
        neighbour: Address,
        /// The far TCP port, usually 179.
        port: u16,
    },
    /// Stop dialling this neighbour, however many dials are unfinished: there is a connection. What was answered already comes as
    /// `ConnectionOpened` all the same.
    StopDialling {
        /// Whom.
        neighbour: Address,
    },
    /// Write these octets: whole messages, in order.
    Send {
        /// Where.
        connection: ConnectionId,
        /// What. Others may be sent the same memory.
        octets: Octets,
    },
    /// Tell once the neighbour's TCP has acknowledged all that was sent over this connection so far, however soon that is.
    /// Answered by `Acknowledged`, unless the connection ends before; until then it is not asked again.
    AwaitAcknowledged {
        /// Which.
        connection: ConnectionId,
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
        next_hops: Arc<[Address]>,
    },
    /// No way to this prefix is known any more.
    Remove {
        /// Whereto.
        prefix: IpNet,
    },
    /// These are all the ways that BFD is to watch from now on. Answered by `PathChanged` whenever one changes.
    Watch(BTreeMap<Address, bfd::Settings>),
    /// From now on connections with these neighbours are protected so, and those with others not at all.
    /// A connection that cannot be protected is not to be made, nor accepted.
    Protect(BTreeMap<Address, Protection>),
    /// Another path is the best, or its next hops are others: told while somebody watches.
    BestChanged(Box<BestChange>),
    /// These are all the monitoring stations to dial from now on, again and again until they listen; one whose terms are others now is
    /// hung up on first. Answered by `StationUp`, then `StationReady` each time all was written, and `StationDown`.
    Monitor(BTreeMap<SocketAddr, Monitoring>),
    /// Write these octets to a monitoring station: whole messages, in order. One that does not read them in time is to be hung up on.
    Report {
        /// Where.
        connection: ConnectionId,
        /// What.
        octets: Vec<u8>,
    },
    /// Something worth a line in the log.
    Note(Box<Note>),
}
