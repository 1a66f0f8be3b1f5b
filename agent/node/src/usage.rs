//! How much of each pool is used and by whom, and all about one address.
//!
//! In: all objects, and which addresses rest. Out: counts that add up: each address of a pool is used, reserved, kept, cooling or free.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::audit::{Ledger, Standing};
use crate::name::{AttachmentId, EndpointName, HostName, PoolName};
use crate::object::{Block, Endpoint, Pool};
use crate::prefix::{address_at, address_count, block_count, ordinal_of};

/// One pool.
#[derive(Clone, Debug, PartialEq)]
pub struct PoolUse<'s> {
    /// The pool.
    pub pool: &'s Pool,
    /// How many addresses it has.
    pub addresses: u128,
    /// Taken.
    pub used: u128,
    /// Nobody gets them.
    pub reserved: u128,
    /// They wait for an endpoint to come back.
    pub kept: u128,
    /// They were given back a moment ago.
    pub cooling: u128,
    /// Blocks hosts have claimed.
    pub blocks: u128,
    /// All blocks.
    pub blocks_total: u128,
}

impl PoolUse<'_> {
    /// All that is neither used nor otherwise not to be had.
    pub fn free(&self) -> u128 {
        self.addresses.saturating_sub(self.used + self.reserved + self.kept + self.cooling)
    }
}

/// What a host has of a pool.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostUse {
    /// Blocks it holds.
    pub blocks: u64,
    /// Taken in them.
    pub used: u64,
    /// Addresses of its endpoints in blocks of others.
    pub borrowed: u64,
}

fn pools(standing: &Standing) -> impl Iterator<Item = &Pool> {
    standing.values().filter_map(|object| object.try_into().ok())
}

fn blocks(standing: &Standing) -> impl Iterator<Item = &Block> {
    standing.values().filter_map(|object| object.try_into().ok())
}

/// Each pool, by name.
pub fn by_pool<'s>(standing: &'s Standing, resting: &BTreeSet<IpAddr>) -> Vec<PoolUse<'s>> {
    pools(standing)
        .map(|pool| pool_use(pool, blocks(standing).filter(|block| block.pool == pool.name), resting))
        .collect()
}

fn pool_use<'s>(pool: &'s Pool, blocks: impl Iterator<Item = &'s Block>, resting: &BTreeSet<IpAddr>) -> PoolUse<'s> {
    let mut found = PoolUse {
        pool,
        addresses: address_count(pool.cidr),
        used: 0,
        reserved: pool.reserved.count_in(pool.cidr),
        kept: 0,
        cooling: 0,
        blocks: 0,
        blocks_total: block_count(pool.cidr, pool.block_bits),
    };
    for block in blocks {
        let open = |ordinal: &&u32| !pool.reserved.contains(address_at(block.cidr, **ordinal));
        let is_taken = |ordinal: &u32| block.taken.contains_key(ordinal) || block.kept.contains_key(ordinal);
        let rests = |ordinal: &&u32| resting.contains(&address_at(block.cidr, **ordinal)) && !is_taken(ordinal);
        found.blocks += 1;
        found.used += block.taken.len() as u128;
        let taken_of_it = block.taken.keys().filter(|ordinal| !open(ordinal)).count();
        found.reserved = found.reserved.saturating_sub(taken_of_it as u128);
        found.kept += block.kept.keys().filter(open).count() as u128;
        found.cooling += block.freed.iter().filter(open).filter(rests).count() as u128;
    }
    found
}

/// Each host and each pool it has something of.
pub fn by_host(standing: &Standing) -> BTreeMap<(HostName, PoolName), HostUse> {
    let mut found: BTreeMap<(HostName, PoolName), HostUse> = BTreeMap::new();
    let ledger = Ledger::of(standing);
    for block in blocks(standing) {
        let held = found.entry((block.host.clone(), block.pool.clone())).or_default();
        held.blocks += 1;
        held.used += block.taken.len() as u64;
        let addresses = block.taken.keys().map(|ordinal| address_at(block.cidr, *ordinal));
        let strangers = addresses.flat_map(|address| ledger.havers(address)).filter(|one| one.host != block.host);
        for stranger in strangers {
            found.entry((stranger.host.clone(), block.pool.clone())).or_default().borrowed += 1;
        }
    }
    found
}

/// What an address is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// In no pool.
    Outside,
    /// Nobody gets it.
    Reserved,
    /// Somebody has it.
    Taken,
    /// It waits for an endpoint to come back.
    Kept,
    /// It was given back a moment ago.
    Cooling,
    /// It is to be had.
    Free,
}

/// All about one address.
#[derive(Clone, Debug, PartialEq)]
pub struct Whereabouts<'s> {
    /// What it is.
    pub state: State,
    /// Its pool.
    pub pool: Option<&'s PoolName>,
    /// The block it is in.
    pub block: Option<&'s Block>,
    /// Who took it.
    pub holder: Option<&'s AttachmentId>,
    /// For whom it is kept.
    pub keeper: Option<&'s EndpointName>,
    /// Who has it.
    pub endpoint: Option<&'s Endpoint>,
}

/// Finds an address.
pub fn whereabouts<'s>(standing: &'s Standing, resting: &BTreeSet<IpAddr>, address: IpAddr) -> Whereabouts<'s> {
    let ledger = Ledger::of(standing);
    let pool = pools(standing).find(|pool| pool.cidr.contains(&address));
    let block = ledger.block_of(address);
    let ordinal = block.map(|block| ordinal_of(block.cidr, address));
    let holder = block.zip(ordinal).and_then(|(block, ordinal)| block.taken.get(&ordinal));
    let keeper = block.zip(ordinal).and_then(|(block, ordinal)| block.kept.get(&ordinal));
    let endpoint = ledger.havers(address).first().copied();
    let state = match pool {
        _ if holder.is_some() || endpoint.is_some() => State::Taken,
        _ if keeper.is_some() => State::Kept,
        None => State::Outside,
        Some(pool) if pool.reserved.contains(address) => State::Reserved,
        Some(_) if resting.contains(&address) => State::Cooling,
        Some(_) => State::Free,
    };
    Whereabouts { state, pool: pool.map(|pool| &pool.name), block, holder, keeper, endpoint }
}
