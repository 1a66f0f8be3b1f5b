//! Which addresses somebody may have: those of the network he joins, or those of no network.
//!
//! In: the networks, and the one that is meant, if one is. Out: answers about pools, blocks and addresses. Knows nothing of what is taken.

use ipnet::IpNet;
use std::net::IpAddr;

use crate::mirror::Mirror;
use crate::name::NetworkName;
use crate::network::overlap;
use crate::object::{Block, Host, Network, Pool};
use crate::prefix::{address_at, block_of, size_of};
use crate::request::Refusal;

/// Where addresses may come from.
#[derive(Debug)]
pub enum Ground<'m> {
    /// The subnets of this network.
    Network(&'m Network),
    /// All but these subnets, which are networks'.
    Common(Vec<IpNet>),
}

impl<'m> Ground<'m> {
    /// The ground of a network, or of those who are in none.
    pub fn of(mirror: &'m Mirror, network: Option<&NetworkName>) -> Result<Self, Refusal> {
        match network {
            None => Ok(Self::Common(mirror.networks().flat_map(|network| network.subnets.iter().copied()).collect())),
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
            Self::Common(_) => None,
        }
    }

    /// Pools this host may take addresses from here.
    pub fn pools(&self, mirror: &'m Mirror, host: &Host) -> Vec<&'m Pool> {
        let is_usable = |pool: &&Pool| pool.is_enabled && pool.hosts.admits(&host.labels);
        mirror.pools().filter(is_usable).filter(|pool| self.parts_of(pool).next().is_some()).collect()
    }

    /// The parts of a pool that blocks are claimed in, each at least a block.
    pub fn parts_of(&self, pool: &Pool) -> impl Iterator<Item = IpNet> {
        let parts: Vec<IpNet> = match self {
            Self::Common(_) => vec![pool.cidr],
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

    /// Whether an address may be had by who names it.
    pub fn may_have(&self, address: IpAddr) -> bool {
        match self {
            Self::Common(others) => !others.iter().any(|other| other.contains(&address)),
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

    /// Whether a block that nobody has taken anything of would do.
    pub fn has_room_in(&self, block: &Block) -> bool {
        match self {
            Self::Common(others) if !others.iter().any(|other| overlap(other, &block.cidr)) => true,
            Self::Common(_) | Self::Network(_) => {
                (0..size_of(block.cidr)).any(|ordinal| self.gives(address_at(block.cidr, ordinal)))
            }
        }
    }
}
