//! What the server adds to a network that its author left open: its number, and where its addresses are.
//!
//! In: a network's name, and what else is declared and claimed. Out: a number that no other network has, prefixes that are nobody's.
//! The number makes the gateway: link-local (RFC 3927), equal on every host, and another for each network, for a container that is in two of them
//! can have but one route to one gateway.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;
use poplin_policy::circle;

use crate::name::NetworkName;
use crate::object::{Block, Network, Pool};
use crate::plan::{GATEWAY_V4, GATEWAY_V6};
use crate::prefix::{block_at, block_count};
use crate::stable::hash64;

/// Host bits of a network whose author named no prefix: 256 addresses, as Docker's users know them.
const HOST_BITS: u8 = 8;

/// The next hop of a network's endpoints for IPv4.
pub fn gateway_v4(index: u16) -> IpAddr {
    circle::gateway_v4(index).into()
}

/// The next hop of a network's endpoints for IPv6; it stands on each link.
pub fn gateway_v6(index: u16) -> Ipv6Addr {
    circle::gateway_v6(index)
}

/// The next hop of the endpoints of a network, or of those that are in none.
pub fn gateway(network: Option<&Network>, is_v6: bool) -> IpAddr {
    match (network, is_v6) {
        (Some(network), false) => gateway_v4(network.index),
        (Some(network), true) => IpAddr::V6(gateway_v6(network.index)),
        (None, false) => GATEWAY_V4,
        (None, true) => GATEWAY_V6,
    }
}

/// Whether a number can be a network's. The first and the last 256 addresses are reserved (RFC 3927 §2.1), 169.254.1.1 is the gateway of
/// those who are in no network, clouds tell machines about themselves at 169.254.169.* and 169.254.170.*, and .0 and .255 look like other things.
pub fn is_usable(index: u16) -> bool {
    let [high, low] = index.to_be_bytes();
    !matches!(high, 0 | 1 | 169 | 170 | 255) && !matches!(low, 0 | 255)
}

/// A number that is nobody's. Where the search begins depends on the name, so that two networks made at once hardly meet.
pub fn free_index(name: &str, taken: &BTreeSet<u16>) -> Option<u16> {
    let [first, second, ..] = hash64(&["network", name]).to_be_bytes();
    let start = u16::from_be_bytes([first, second]);
    (0..=u16::MAX).map(|step| start.wrapping_add(step)).find(|index| is_usable(*index) && !taken.contains(index))
}

/// A prefix of a family for a network whose author named none: in a pool that gives to whoever asks and not all reserved, in no other network, and without a block of anybody. Nothing: no pool
/// has room.
pub fn carve<'a>(
    is_v6: bool,
    name: &NetworkName,
    pools: impl Iterator<Item = &'a Pool>,
    networks: impl Iterator<Item = &'a Network> + Clone,
    blocks: impl Iterator<Item = &'a Block> + Clone,
) -> Option<IpNet> {
    let of_family = |pool: &&Pool| matches!(pool.cidr, IpNet::V6(_)) == is_v6 && pool.is_enabled && !pool.is_manual;
    let is_free = |prefix: &IpNet| {
        let mut subnets = networks.clone().filter(|other| other.name != *name).flat_map(|other| &other.subnets);
        !subnets.any(|other| overlap(other, prefix)) && !blocks.clone().any(|block| overlap(&block.cidr, prefix))
    };
    pools.filter(of_family).find_map(|pool| {
        let bits = (pool.cidr.max_prefix_len() - HOST_BITS).max(pool.cidr.prefix_len());
        let count = block_count(pool.cidr, bits);
        let start = u128::from(hash64(&["subnet", name.as_str()])) % count;
        let prefixes = pool.reserved.blocks_from(pool.cidr, bits, start).take(MOST_TRIES);
        prefixes.map(|index| block_at(pool.cidr, bits, index)).find(is_free)
    })
}

/// How many places of a pool are looked at. Pools of IPv6 have more than anybody can look at, and are empty.
const MOST_TRIES: usize = 1 << 16;

/// Whether two prefixes share an address.
pub fn overlap(one: &IpNet, other: &IpNet) -> bool {
    one.contains(other) || other.contains(one)
}

#[cfg(test)]
mod tests {
    use poplin_policy::circle::Circle;
    use poplin_policy::label::Labels;

    use super::*;
    use crate::name::{HostName, PoolName};

    fn pool(cidr: &str) -> Pool {
        Pool::open(PoolName::new("main"), cidr.parse().unwrap(), 26)
    }

    fn network(name: &str, subnet: IpNet) -> Network {
        let circle = Circle {
            name: name.to_owned(),
            labels: Labels::default(),
            index: 7,
            is_open_within: true,
            is_open_to_others: false,
            is_open_outside: true,
        };
        let (name, subnets) = (NetworkName::new(name), BTreeSet::from([subnet]));
        let (ranges, reserved) = (BTreeSet::new(), BTreeSet::new());
        Network {
            name,
            circle,
            subnets,
            ranges,
            reserved,
            mtu_bytes: None,
            index: 513,
            records: crate::names::Records::new(),
            macvlan: None,
        }
    }

    #[test]
    fn a_number_is_nobodys_and_none_that_means_something_else() {
        let mut taken = BTreeSet::new();
        for _ in 0..1000 {
            let index = free_index("shop", &taken).unwrap();
            assert!(is_usable(index) && taken.insert(index));
        }
        for other in ["169.254.1.1", "169.254.169.254", "169.254.0.7", "169.254.255.7"] {
            let other: std::net::Ipv4Addr = other.parse().unwrap();
            assert!(!is_usable(u16::from_be_bytes([other.octets()[2], other.octets()[3]])), "{other}");
        }
        assert_eq!(gateway_v4(0x2801).to_string(), "169.254.40.1");
    }

    #[test]
    fn when_all_numbers_are_taken_there_is_none() {
        assert_eq!(free_index("shop", &(0..=u16::MAX).collect()), None);
    }

    #[test]
    fn networks_get_what_no_network_has_and_no_host_has_claimed() {
        let main = pool("10.77.0.0/22");
        let claimed = Block::empty(main.name.clone(), "10.77.2.64/26".parse().unwrap(), HostName::new("h1"));
        let mut networks = Vec::new();
        for number in 0..3 {
            let name = NetworkName::new(format!("n{number}"));
            let subnet = carve(false, &name, [&main].into_iter(), networks.iter(), [&claimed].into_iter()).unwrap();
            networks.push(network(name.as_str(), subnet));
        }
        let all: BTreeSet<String> = networks.iter().flat_map(|one| &one.subnets).map(ToString::to_string).collect();

        assert_eq!(all, ["10.77.0.0/24", "10.77.1.0/24", "10.77.3.0/24"].map(str::to_owned).into());
        let late = NetworkName::new("late");
        assert_eq!(carve(false, &late, [&main].into_iter(), networks.iter(), [&claimed].into_iter()), None);
    }
}
