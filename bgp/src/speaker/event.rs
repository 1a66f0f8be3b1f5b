//! Everything that can happen to a speaker, on one page.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use ipnet::IpNet;

use crate::{Address, Asn, Monitoring, Multipath, NeighbourConfig, Order, bfd, bmp::System};

/// One TCP connection, named by whoever owns the sockets; never reused within the life of a speaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// Who we are towards every neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpeakerConfig {
    /// Our autonomous system.
    pub asn: Asn,
    /// Our BGP identifier: not zero, and unique within our autonomous system (RFC 6286).
    pub router_id: Ipv4Addr,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Time passed: the deadline named by [`Speaker::next_deadline`](crate::Speaker::next_deadline) is reached.
    Tick,
    /// This is the whole configuration from now on.
    /// No session ends but those with neighbours that are none any more, or are to be in another system: what an OPEN has said stays true until
    /// the next one ([`NeighbourView::pending`](crate::NeighbourView::pending)).
    Reconfigure {
        /// Who we are; a change here ends every session.
        config: SpeakerConfig,
        /// The whole set of neighbours; of two with one address the later counts.
        neighbours: Vec<NeighbourConfig>,
    },
    /// These are all the prefixes we originate from now on; the differences are announced and withdrawn.
    /// After a restart this comes before the first `Reconfigure`: a neighbour drops what is missing when our table ends.
    Originate(BTreeSet<IpNet>),
    /// An operator asks this of a session; what [`Speaker::admits`](crate::Speaker::admits) refuses is not done.
    Ordered {
        /// With whom.
        neighbour: Address,
        /// What.
        order: Order,
    },
    /// From now on somebody wants to hear of every change of a best path, or nobody any more.
    /// Answered by any number of [`Action::BestChanged`](crate::Action::BestChanged).
    Watched(bool),
    /// Whether neighbours may come of which no configuration has told yet: nobody knows then when all are there.
    ExpectsCallers(bool),
    /// So the ways to each prefix share its traffic from now on; no session and nobody who is told of routes hears of it.
    Share(Multipath),
    /// Somebody waits until some of these neighbours have certainly heard of these prefixes, which are ours or about to be; what was waited
    /// for before is not any more. See [`Speaker::receipts`](crate::Speaker::receipts).
    Awaited {
        /// For what.
        prefixes: BTreeSet<IpNet>,
        /// By whom it is to be heard.
        neighbours: BTreeSet<Address>,
    },
    /// A TCP connection stands, dialled by us or by the neighbour.
    ConnectionOpened {
        /// Its new, unique name.
        connection: ConnectionId,
        /// The far end's address.
        neighbour: Address,
        /// Whether it answers our [`Action::Connect`](crate::Action::Connect).
        outgoing: bool,
        /// The near end's address.
        local: Address,
    },
    /// Our latest [`Action::Connect`](crate::Action::Connect) to this neighbour came to nothing.
    ConnectFailed {
        /// Whom we dialled.
        neighbour: Address,
        /// Why, in the words of the system.
        reason: String,
    },
    /// Octets arrived, cut at any place.
    Received {
        /// Where.
        connection: ConnectionId,
        /// What, in the order of the stream.
        octets: Vec<u8>,
    },
    /// What we sent waits, as the neighbour's end takes no more for now: told when that begins, each time some of it was taken, and when
    /// all of it is. Hands that never let it wait never tell.
    Waits {
        /// Where.
        connection: ConnectionId,
        /// How many octets wait; 0 when all are taken.
        octets: usize,
    },
    /// The neighbour's TCP has acknowledged all that was sent before [`Action::AwaitAcknowledged`](crate::Action::AwaitAcknowledged).
    Acknowledged {
        /// Where.
        connection: ConnectionId,
    },
    /// A connection ended without us asking for it.
    ConnectionClosed {
        /// Which.
        connection: ConnectionId,
        /// Why, in the words of the system.
        reason: String,
    },
    /// A way that BFD watches has changed.
    PathChanged(bfd::View),
    /// The TCP ports of a connection that is about to be told of, for monitoring stations; whoever does not tell them is believed too.
    ConnectionPorts {
        /// Which.
        connection: ConnectionId,
        /// The near end's.
        local: u16,
        /// The far end's.
        remote: u16,
    },
    /// These are all the monitoring stations from now on, and what each is to hear (RFC 7854).
    /// Answered by [`Action::Monitor`](crate::Action::Monitor), if that is something new.
    Monitor(BTreeMap<SocketAddr, Monitoring>),
    /// A monitoring station listens.
    StationUp {
        /// A new, unique name of the connection to it, among such connections.
        connection: ConnectionId,
        /// Which station.
        station: SocketAddr,
        /// What time it is now, counted from 1970: stations want to know when things happen.
        since_1970: Duration,
        /// Who we are, in words.
        system: System,
    },
    /// All that a monitoring station was told is on its way: it may be told more of the table.
    StationReady {
        /// Over which connection.
        connection: ConnectionId,
    },
    /// A connection to a monitoring station has ended, and what it was told is forgotten.
    StationDown {
        /// Which.
        connection: ConnectionId,
    },
}
