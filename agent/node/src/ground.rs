//! Which addresses somebody may have: those of the network he joins, or those of no network.
//!
//! In: the networks, and the one that is meant, if one is. Out: answers about pools, blocks and addresses. Knows nothing of what is taken.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;
use poplin_policy::selector::Selector;

use crate::mirror::Mirror;
use crate::name::NetworkName;
use crate::network::overlap;
use crate::object::{Host, Network, Pool};
use crate::prefix::block_of;
use crate::range::{Range, Ranges};
use crate::request::Refusal;

/// Where addresses may come from.
#[derive(Debug)]
pub enum Ground<'m> {
    /// The subnets of this network.
    Network(&'m Network),
    /// All but these subnets, which are networks', for who lives in this namespace or in none.
    Common(Vec<IpNet>, Option<String>),
}

impl<'m> Ground<'m> {
    /// The ground of a network, or of those who are in none and live in this namespace.
    pub fn of(mirror: &'m Mirror, network: Option<&NetworkName>, namespace: Option<&str>) -> Result<Self, Refusal> {
        match network {
            None => {
                let others = mirror.networks().flat_map(|network| network.subnets.iter().copied());
                Ok(Self::Common(others.collect(), namespace.map(str::to_owned)))
            }
            Some(name) => {
                let network = mirror.network(name);
                network.map(Self::Network).ok_or_else(|| Refusal::NoNetwork { network: name.clone() })
            }
        }
    }

    /// The network, if it is one's.
    pub fn network(&self) -> Option<&'m Network> {
        match self {
            Self::Network(network) => Some(network),
            Self::Common(..) => None,
        }
    }

    /// Where who asks lives.
    fn home(&self) -> Option<&str> {
        match self {
            Self::Network(network) => Some(network.name.as_str()),
            Self::Common(_, namespace) => namespace.as_deref(),
        }
    }

    /// Pools this host may take addresses from here, also those that want to be asked.
    pub fn pools(&self, mirror: &'m Mirror, host: &Host) -> Vec<&'m Pool> {
        mirror.pools().filter(|pool| self.admits(mirror, host, pool).is_ok()).collect()
    }

    /// Whether this host may take addresses of a pool here, or why not.
    pub fn admits(&self, mirror: &Mirror, host: &Host, pool: &Pool) -> Result<(), &'static str> {
        let home = self.home();
        let declared = home.and_then(|name| mirror.namespace(name)).map(|namespace| namespace.labels);
        let is_for = |networks| self.network().is_some_and(|one| Selector::admits(networks, &one.circle.labels));
        match () {
            () if !pool.is_enabled => Err("it is disabled"),
            () if !pool.hosts.admits(&host.labels) => Err("its `hosts` do not admit this host"),
            () if !pool.namespaces.has(home, declared.as_ref()) => Err("its `namespaces` do not admit this one"),
            () if !pool.networks.as_ref().is_none_or(is_for) => Err("its `networks` do not admit this one"),
            () if self.parts_of(pool).next().is_none() => Err("the network has no addresses of it"),
            () => Ok(()),
        }
    }

    /// The refusal when no pool admits who asks.
    pub fn no_pool(&self, host: &Host) -> Refusal {
        let home = self.home().map(|name| format!(" and what lives in namespace {name}"));
        Refusal::NoPool { host: host.name.clone(), home: home.unwrap_or_default() }
    }

    /// What of a pool is never given here.
    pub fn closed(&self, pool: &Pool) -> Ranges {
        match self {
            Self::Network(_) => pool.reserved.clone(),
            Self::Common(others, _) => {
                let within = others.iter().filter(|other| overlap(other, &pool.cidr));
                pool.reserved.and(within.map(|other| Range::from(*other)))
            }
        }
    }

    /// The parts of a pool that blocks are claimed in, each at least a block.
    pub fn parts_of(&self, pool: &Pool) -> impl Iterator<Item = IpNet> {
        let parts: Vec<IpNet> = match self {
            Self::Common(..) => vec![pool.cidr],
            Self::Network(network) => {
                let within = network.subnets.iter().filter(|subnet| pool.cidr.contains(*subnet));
                let whole = |subnet: &IpNet| match subnet.prefix_len() > pool.block_bits {
                    true => block_of(pool.cidr, pool.block_bits, subnet.network()),
                    false => *subnet,
                };
                within.map(whole).collect()
            }
        };
        parts.into_iter()
    }

    /// Where in those parts a block is looked for that nobody has claimed: a network's ranges may be a speck in a part that nobody can search through.
    pub fn places_of(&self, pool: &Pool) -> Vec<IpNet> {
        let parts: Vec<IpNet> = self.parts_of(pool).collect();
        let ranges = self.network().into_iter().flat_map(|network| &network.ranges);
        let ranges: Vec<&IpNet> = ranges.filter(|range| pool.cidr.contains(*range)).collect();
        if ranges.is_empty() {
            return parts;
        }
        let whole = |range: &IpNet| match range.prefix_len() > pool.block_bits {
            true => block_of(pool.cidr, pool.block_bits, range.network()),
            false => *range,
        };
        let places: BTreeSet<IpNet> = ranges.into_iter().map(whole).collect();
        places.into_iter().filter(|place| parts.iter().any(|part| part.contains(place))).collect()
    }

    /// Whether an address may be had by who names it.
    pub fn may_have(&self, address: IpAddr) -> bool {
        match self {
            Self::Common(others, _) => !others.iter().any(|other| other.contains(&address)),
            Self::Network(network) => {
                network.subnets.iter().any(|subnet| subnet.contains(&address)) && !network.reserved.contains(&address)
            }
        }
    }

    /// Whether an address may be had by who names none.
    pub fn gives(&self, address: IpAddr) -> bool {
        let is_of_family = |range: &&IpNet| matches!(range, IpNet::V6(_)) == address.is_ipv6();
        let is_in_range = |network: &Network| {
            let mut ranges = network.ranges.iter().filter(is_of_family).peekable();
            ranges.peek().is_none() || ranges.any(|range| range.contains(&address))
        };
        self.may_have(address) && self.network().is_none_or(is_in_range)
    }
}
