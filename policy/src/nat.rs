//! What is translated at a host: the source of what leaves the fabric, and the destination of what comes to a published port or a floating address.
//!
//! In: nothing, these are values. Out: nothing; the compiler makes rules of them, [`Edge`] says what they mean, the slow and plain way.
//! Policy stands between the two: it sees containers by their own addresses, and by the ports they listen on.

mod published;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use ipnet::IpNet;

pub use self::published::{LOOPBACK_4, Published, PublishedError};
use crate::model::PortProtocol;
use crate::packet::{Packet, Transport, UDP};
use crate::ruleset::SourceNat;

/// A pool, as translation sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Its range. Pools never overlap.
    pub cidr: IpNet,
    /// What becomes of packets that leave the fabric from its addresses; absent = they leave as they are.
    pub outgoing: Option<Outgoing>,
}

/// How packets leave the fabric.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Outgoing {
    /// Under which source.
    pub source: SourceNat,
    /// Where to they leave as they are: destinations of the pool's family that know the way back.
    pub exclude: Vec<IpNet>,
}

/// What an endpoint of this host publishes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Publication {
    /// Its addresses: at most one of each family.
    pub addresses: BTreeSet<IpAddr>,
    /// Its ports. None overlaps another, also not one of another endpoint.
    pub ports: Vec<Published>,
}

/// An address of the outside that leads to one endpoint of this host, and that the endpoint has there in the place of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Floating {
    /// Where others reach it: in no pool, no host's, and no other's.
    pub outside: IpAddr,
    /// The endpoint's own, of the same family. No other leads there.
    pub inside: IpAddr,
}

/// The ends of the fabric's tunnels, which nobody else may send to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ends {
    /// This host's own; absent = it takes nothing.
    pub own: Option<IpAddr>,
    /// The UDP ports they receive at: one, and another while a device still stands that receives there.
    pub ports: BTreeSet<u16>,
    /// The addresses of all, this host's own among them.
    pub addresses: BTreeSet<IpAddr>,
}

/// What is inside of the fabric; all else is outside. And how a host is an edge of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edge {
    /// All pools, by name.
    pub pools: BTreeMap<String, Pool>,
    /// The addresses hosts of the fabric are reached by, by their names.
    pub hosts: BTreeMap<String, BTreeSet<IpAddr>>,
    /// Ends of tunnels between hosts, where there are any.
    pub ends: Option<Ends>,
    /// What endpoints of this host publish, by their names.
    pub published: BTreeMap<String, Publication>,
    /// Floating addresses of endpoints of this host, by their names.
    pub floating: BTreeMap<String, Floating>,
}

impl Edge {
    /// Under which source a packet leaves the host of whoever sends it; absent if under its own.
    pub fn outgoing(&self, source: IpAddr, destination: IpAddr) -> Option<SourceNat> {
        if let Some(floating) = self.floating.values().find(|one| one.inside == source)
            && (destination == source || !self.is_inside(destination))
        {
            return Some(SourceNat::To(floating.outside));
        }
        if self.is_inside(destination) {
            return None;
        }
        let outgoing = self.pools.values().find(|pool| pool.cidr.contains(&source))?.outgoing.as_ref()?;
        let is_excluded = outgoing.exclude.iter().any(|net| net.contains(&destination));
        (!is_excluded).then_some(outgoing.source)
    }

    /// Whether a packet may go on as far as tunnels are concerned. The kernel receives what is for their port at every address of a host, broadcast and
    /// multicast among them; so of what is for this host itself, what an end sends to this host's own may. Of the rest, what is for an end comes from one.
    pub fn lets_into_tunnels(&self, packet: &Packet, is_to_host: bool) -> bool {
        let Some(ends) = &self.ends else { return true };
        let is_wrapped = match packet.transport {
            Transport::Ports { protocol: UDP, destination, .. } => ends.ports.contains(&destination),
            _ => false,
        };
        let comes_from_one = ends.addresses.contains(&packet.source);
        match is_to_host {
            _ if !is_wrapped => true,
            true => comes_from_one && ends.own == Some(packet.destination),
            false => comes_from_one || !ends.addresses.contains(&packet.destination),
        }
    }

    fn is_inside(&self, address: IpAddr) -> bool {
        self.pools.values().any(|pool| pool.cidr.contains(&address))
            || self.hosts.values().flatten().any(|host| *host == address)
    }

    /// Whereto a packet leads that comes to this address, none of this host's; absent if there.
    pub fn floating_at(&self, address: IpAddr) -> Option<IpAddr> {
        self.floating.values().find(|one| one.outside == address).map(|one| one.inside)
    }

    /// Whereto a packet leads that comes to this socket, one of this host's; absent if to the host itself.
    pub fn published_at(&self, protocol: PortProtocol, address: IpAddr, port: u16) -> Option<SocketAddr> {
        let is_v6 = address.is_ipv6();
        let is_meant = |one: &&Published| {
            one.protocol() == protocol
                && one.concerns(is_v6)
                && one.host_address().map_or(!is_other_loopback(address), |host| host == address)
                && one.host_ports().contains(&port)
        };
        self.published.values().find_map(|publication| {
            let container = publication.addresses.iter().find(|address| address.is_ipv6() == is_v6)?;
            let (_, to) = publication.ports.iter().find(is_meant)?.pairs().find(|(from, _)| *from == port)?;
            Some(SocketAddr::new(*container, to))
        })
    }
}

/// Loopback addresses but the one that is called localhost: others, such as a resolver at 127.0.0.53, are meant unless they are named.
fn is_other_loopback(address: IpAddr) -> bool {
    address.is_loopback() && address != IpAddr::V4(Ipv4Addr::LOCALHOST)
}
