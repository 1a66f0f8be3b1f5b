//! How much of pools is used, in the form of the wire contract.

use std::collections::BTreeSet;
use std::net::IpAddr;

use poplin_node::audit::Standing;
use poplin_node::object::{Network, Pool};
use poplin_node::tunnel::Encapsulation;
use poplin_node::usage::{PoolUse, State, Whereabouts, by_host, by_pool, whereabouts};
use poplin_proto::v1;

pub(super) fn pool_uses(standing: &Standing, resting: &BTreeSet<IpAddr>) -> Vec<v1::PoolUse> {
    by_pool(standing, resting).iter().map(|found| pool_use(found, standing)).collect()
}

/// The parent of a network of mode macvlan that has addresses of a pool.
fn lan_parent(pool: &Pool, standing: &Standing) -> Option<String> {
    let networks = standing.values().filter_map(|object| <&Network>::try_from(object).ok());
    let mut with_it = networks.filter(|network| network.subnets.iter().any(|subnet| pool.cidr.contains(subnet)));
    with_it.find_map(|network| network.macvlan.as_ref()).map(|macvlan| macvlan.parent.to_string())
}

fn pool_use(found: &PoolUse<'_>, standing: &Standing) -> v1::PoolUse {
    let pool = found.pool;
    let mode = match (pool.is_enabled, pool.is_manual) {
        (false, _) => "disabled",
        (true, true) => "manual",
        (true, false) => "",
    };
    v1::PoolUse {
        name: pool.name.to_string(),
        cidr: pool.cidr.to_string(),
        block_size: pool.block_bits.into(),
        addresses: count(found.addresses),
        used: count(found.used),
        reserved: count(found.reserved),
        cooling: count(found.cooling),
        kept: count(found.kept),
        free: count(found.free()),
        blocks: count(found.blocks),
        blocks_total: count(found.blocks_total),
        mode: mode.to_owned(),
        lan: pool.is_lan,
        encapsulation: encapsulation(pool).to_owned(),
        lan_parent: lan_parent(pool, standing).unwrap_or_default(),
        lan_reserved: pool.reserved.iter().filter(|_| pool.is_lan).map(ToString::to_string).collect(),
    }
}

fn encapsulation(pool: &Pool) -> &'static str {
    match pool.encapsulation {
        Encapsulation::Never => "",
        Encapsulation::CrossSubnet => "crossSubnet",
        Encapsulation::Always => "always",
    }
}

fn count(many: u128) -> u64 {
    u64::try_from(many).unwrap_or(u64::MAX)
}

pub(super) fn host_uses(standing: &Standing) -> Vec<v1::HostUse> {
    let all = by_host(standing).into_iter();
    all.map(|((host, pool), found)| v1::HostUse {
        host: host.to_string(),
        pool: pool.to_string(),
        blocks: found.blocks,
        used: found.used,
        borrowed: found.borrowed,
    })
    .collect()
}

pub(super) fn address_use(standing: &Standing, resting: &BTreeSet<IpAddr>, address: IpAddr) -> v1::AddressUse {
    let Whereabouts { state, pool, block, holder, keeper, endpoint } = whereabouts(standing, resting, address);
    let state = match state {
        State::Outside => "outside",
        State::Reserved => "reserved",
        State::Taken => "taken",
        State::Kept => "kept",
        State::Cooling => "cooling",
        State::Free => "free",
    };
    let name = endpoint.map(|endpoint| &endpoint.name).or(keeper);
    v1::AddressUse {
        address: address.to_string(),
        state: state.to_owned(),
        pool: pool.map(ToString::to_string).unwrap_or_default(),
        block: block.map(|block| block.cidr.to_string()).unwrap_or_default(),
        block_host: block.map(|block| block.host.to_string()).unwrap_or_default(),
        attachment: holder.map(ToString::to_string).unwrap_or_default(),
        endpoint: name.map(ToString::to_string).unwrap_or_default(),
        host: endpoint.map(|endpoint| endpoint.host.to_string()).unwrap_or_default(),
        since: endpoint.and_then(|endpoint| endpoint.since).unwrap_or_default(),
    }
}
