//! How a neighbour stands, for people and metrics.

use std::{collections::BTreeMap, net::IpAddr, time::Instant};

use crate::{Asn, SessionState, bfd, wire::Family};

/// How one neighbour stands at this moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NeighbourView {
    /// Its address, and its name.
    pub address: IpAddr,
    /// The autonomous system we expect it in.
    pub asn: Asn,
    /// Where its session stands; of two rival connections the further one counts.
    pub state: SessionState,
    /// Whether a person wants no session with it.
    pub is_shut_down: bool,
    /// When that state was entered.
    pub since: Instant,
    /// Whether it has told us all its routes in this session: the end of the table is marked for every family (RFC 4724 §2).
    /// Of a neighbour that does not speak of restarts the end is not to be seen; there an established session suffices.
    pub has_sent_table: bool,
    /// How many of its prefixes we hold, usable or shadowed, those kept over its restart included.
    pub prefixes_received: usize,
    /// Of each family whose prefixes are limited: how many we hold, and how many it may announce.
    pub limits: BTreeMap<Family, (usize, usize)>,
    /// How many prefixes we have announced to it.
    pub prefixes_sent: usize,
    /// Why its last session or attempt ended; kept until the next one ends.
    pub last_error: Option<String>,
    /// How BFD sees the way to it; `None` if nobody asks, or has not been answered yet.
    pub bfd: Option<bfd::View>,
}
