//! What this host would tell an operator about itself.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use ipnet::IpNet;
use poplin_bgp::wire::Family;
use poplin_bgp::{Address, Asn, FamilyCount, Route, bfd};

use crate::name::{EndpointName, FloatingName, HostName, PoolName, ServiceName};
use crate::node::NameConflict;
use crate::object::{Endpoint, ObjectKey};
use crate::quarantine::Unreadable;
use crate::release::{MinWriter, Outdated};
use crate::statics::StaticNextHop;

/// One host, at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Status {
    /// Its name.
    pub host: HostName,
    /// Its AS.
    pub asn: Asn,
    /// Its BGP identifier.
    pub router_id: Ipv4Addr,
    /// Where others reach it.
    pub addresses: BTreeSet<IpAddr>,
    /// The store's revision last heard of.
    pub revision: i64,
    /// Whether the store has been read and is being watched; else why not.
    pub store_error: Option<String>,
    /// Why the last transaction was not answered; absent = it was, or the store has told of news since.
    pub write_error: Option<String>,
    /// Whether all this is what an earlier life knew of the store, which has not answered since.
    pub is_recalled: bool,
    /// Whether an import is under way in the store, or was cut short.
    pub is_importing: bool,
    /// From which schema on the store takes writes.
    pub min_writer: MinWriter,
    /// Why this host writes nothing in the store, though it hears of it.
    pub read_only: Option<Outdated>,
    /// How many endpoints left while the store was away and still stand in it.
    pub owed: usize,
    /// What stands in the store and cannot be read, and whether its last good form is known and stays in force.
    pub unreadable: Vec<(Unreadable, bool)>,
    /// Endpoints of this host that the store lacks, as it was away when they joined or forgot them, and is told of as soon as it can be.
    pub untold: usize,
    /// Keys of what others or people wrote and the store forgot, or has in an older form, and this host goes by all the same.
    pub lapsed: Vec<ObjectKey>,
    /// Endpoints of this host whose name or address is another's since the store forgot them.
    pub contested: Vec<Contested>,
    /// Hosts that have still to tell what the store forgot; until then nobody is given an address.
    pub awaited: BTreeSet<HostName>,
    /// BGP sessions, by address.
    pub sessions: Vec<Session>,
    /// Own blocks, by prefix.
    pub blocks: Vec<BlockUse>,
    /// Endpoints attached here.
    pub endpoints: usize,
    /// Policies of the fabric.
    pub policies: usize,
    /// Prefixes learned by BGP.
    pub routes_learned: usize,
    /// Services with endpoints here, by name.
    pub services: Vec<ServiceUse>,
    /// Floating addresses of endpoints here, by endpoint and name.
    pub floating: Vec<FloatingUse>,
    /// Next hops that people wrote, by the route they belong to.
    pub static_next_hops: Vec<(StaticNextHop, Option<Watched>)>,
    /// Whether its traffic is to go to other hosts, as far as they can take it.
    pub is_draining: bool,
    /// What is wrong with what was declared about BGP, one sentence each.
    pub routing_problems: Vec<String>,
    /// The last step the kernel refused, while it is not mended.
    pub kernel_error: Option<String>,
    /// The name of this host is another machine's, and nothing is done under it here.
    pub name_conflict: Option<NameConflict>,
}

/// An endpoint that cannot be told to a store which forgot it.
#[derive(Clone, Debug, PartialEq)]
pub struct Contested {
    /// The endpoint, as it was.
    pub endpoint: Endpoint,
    /// The address that is another's; absent = its name is.
    pub address: Option<IpAddr>,
    /// Whose.
    pub rival: String,
    /// Where that is.
    pub host: HostName,
}

impl std::fmt::Display for Contested {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (endpoint, rival, host) = (&self.endpoint.name, &self.rival, &self.host);
        write!(formatter, "the store forgot endpoint {endpoint}, and ")?;
        match self.address {
            Some(address) => write!(formatter, "its address {address} is by now that of {rival} on host {host}"),
            None => write!(formatter, "its name is by now that of an endpoint on host {host}"),
        }
    }
}

/// One BGP session.
#[derive(Clone, Debug, PartialEq)]
pub struct Session {
    /// The neighbour.
    pub address: Address,
    /// Its AS, as far as it is known.
    pub asn: Option<Asn>,
    /// The peer or host object it comes from.
    pub name: String,
    /// State as RFC 4271 §8.2.2 names it.
    pub state: String,
    /// For how long.
    pub in_state: Duration,
    /// Prefixes it announced.
    pub prefixes_received: FamilyCount,
    /// Of each family that is limited: how many it announced, and how many it may.
    pub limits: BTreeMap<Family, (usize, usize)>,
    /// Whether a person wants no session with it.
    pub is_shut_down: bool,
    /// Whether that is so until `start` or until this agent restarts, and not because it was declared.
    pub is_held: bool,
    /// Prefixes announced to it.
    pub prefixes_sent: FamilyCount,
    /// Why the last session ended.
    pub last_error: Option<String>,
    /// The settings that count from its next session on.
    pub pending: Vec<&'static str>,
    /// How BFD sees the way to it, if it is asked.
    pub bfd: Option<Watched>,
}

/// The way to a neighbour, as BFD sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Watched {
    /// All that BFD tells.
    pub view: bfd::View,
    /// For how long it has been in its state.
    pub in_state: Duration,
}

/// What this host does for a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceUse {
    /// The service.
    pub name: ServiceName,
    /// Its addresses.
    pub addresses: BTreeSet<IpAddr>,
    /// Whether this host tells others that they are reached here.
    pub is_announced: bool,
    /// Its endpoints on this host.
    pub members: BTreeMap<EndpointName, Member>,
}

/// What this host does for a floating address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FloatingUse {
    /// Its name.
    pub name: FloatingName,
    /// The address.
    pub address: IpAddr,
    /// Whose it is.
    pub endpoint: EndpointName,
    /// The endpoint's own address it leads to; absent = it has none of that family.
    pub own: Option<IpAddr>,
    /// Whether this host tells others that it is reached here.
    pub is_announced: bool,
}

/// An endpoint that serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Whether packets are led to it.
    pub is_healthy: bool,
    /// Why its last probe failed.
    pub complaint: Option<String>,
}

/// A route as a neighbour offers it.
#[derive(Clone, Debug, PartialEq)]
pub struct Heard {
    /// The peer or host object the neighbour comes from.
    pub name: String,
    /// What it offers, and what became of it.
    pub route: Route,
    /// Why it is the best, or why it is not.
    pub reason: String,
}

/// How full a block is.
#[derive(Clone, Debug, PartialEq)]
pub struct BlockUse {
    /// Its prefix.
    pub cidr: IpNet,
    /// Its pool.
    pub pool: PoolName,
    /// Taken addresses.
    pub taken: usize,
    /// All addresses.
    pub size: u32,
}
