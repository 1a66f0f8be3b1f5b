//! Chooses addresses for an attachment, and says which blocks that changes.
//!
//! In: the store as last heard and what is wanted. Out: addresses and the blocks with them taken, or why not. Nothing is
//! taken until the store has committed it under compare-and-swap of each block.
//! A host fills the blocks it holds before it claims another, and claims all it may before it takes of another host's.

mod draft;
mod place;

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::ground::Ground;
use crate::mirror::Mirror;
use crate::name::{AttachmentId, EndpointName};
use crate::object::{Block, Host, ObjectKey, Pool};
use crate::prefix::{address_at, block_count, block_of, ordinal_of};
use crate::request::{Attach, Refusal};

pub use draft::Draft;
use place::Place;

/// Chooses one address of every family that a pool of this host offers there, wanted ones where they are named.
pub fn choose(
    mirror: &Mirror,
    draft: &mut Draft,
    host: &Host,
    attach: &Attach,
    ground: &Ground<'_>,
) -> Result<BTreeSet<IpAddr>, Refusal> {
    let pools = named(mirror, host, attach, ground)?;
    let place = Place { mirror, host, ground };
    let mut chosen = BTreeSet::new();
    for is_v6 in [false, true] {
        let of_family = pools.of_family(is_v6);
        let mut asked = attach.addresses.iter().filter(|address| address.is_ipv6() == is_v6);
        match (asked.next(), asked.next()) {
            (Some(first), Some(other)) => {
                return Err(Refusal::TwoAddressesOfOneFamily { first: *first, second: *other });
            }
            (Some(address), None) => {
                choose_wanted(place, draft, &of_family.admitting, attach, *address)?;
                forget_former(place, draft, attach, is_v6);
                chosen.insert(*address);
            }
            (None, _) if of_family.giving.is_empty() || attach.has_all_addresses => {}
            (None, _) => {
                chosen.insert(choose_any(place, draft, &of_family, attach, is_v6)?);
            }
        }
    }
    Ok(chosen)
}

/// The pools that matter to a request.
struct Pools<'m> {
    /// Those that give what is asked of them by address.
    admitting: Vec<&'m Pool>,
    /// Those that give any address.
    giving: Vec<&'m Pool>,
}

impl<'m> Pools<'m> {
    fn of_family(&self, is_v6: bool) -> Self {
        let of_family = |pools: &[&'m Pool]| pools.iter().copied().filter(|pool| is_of(pool, is_v6)).collect();
        Self { admitting: of_family(&self.admitting), giving: of_family(&self.giving) }
    }
}

/// The pools that are asked for by name, and of a family of which none is, those that admit who asks.
fn named<'m>(mirror: &'m Mirror, host: &Host, attach: &Attach, ground: &Ground<'m>) -> Result<Pools<'m>, Refusal> {
    let mut named: Vec<&Pool> = Vec::new();
    for name in &attach.pools {
        let refused = |reason| Refusal::PoolRefuses { pool: name.clone(), reason };
        let pool = mirror.pool(name).ok_or_else(|| refused("it does not exist"))?;
        ground.admits(mirror, host, pool).map_err(refused)?;
        named.push(pool);
    }
    let is_bound = |pool: &&Pool| named.iter().any(|one| is_of(one, is_v6(pool)));
    let admitting = ground.pools(mirror, host);
    let usual = admitting.iter().copied().filter(|pool| !is_bound(pool) && !pool.is_manual);
    let giving: Vec<&Pool> = named.iter().copied().chain(usual).collect();
    let admitting: Vec<&Pool> =
        named.iter().copied().chain(admitting.iter().copied().filter(|pool| !is_bound(pool))).collect();
    match admitting.is_empty() || (giving.is_empty() && attach.addresses.is_empty()) {
        true => Err(ground.no_pool(host)),
        false => Ok(Pools { admitting, giving }),
    }
}

/// Finds an address that somebody will ask for by name soon, in a block this host holds. Nothing: it does not hold one with room, and claims
/// one in the draft. Where all blocks of a network are claimed, an address of another host's will do.
pub fn hold(
    mirror: &Mirror,
    draft: &mut Draft,
    host: &Host,
    is_v6: bool,
    ground: &Ground<'_>,
) -> Result<Option<IpAddr>, Refusal> {
    let mut pools = ground.pools(mirror, host);
    pools.retain(|pool| is_of(pool, is_v6) && !pool.is_manual);
    if pools.is_empty() {
        return Err(ground.no_pool(host));
    }
    let place = Place { mirror, host, ground };
    let (block, address) = place.find(draft, &pools).ok_or_else(|| full(place, draft, &pools))?;
    if mirror.block(&block.pool, block.cidr).is_none() {
        draft.put(block);
        return Ok(None);
    }
    draft.hold(address);
    Ok(Some(address))
}

fn is_of(pool: &Pool, wanted_v6: bool) -> bool {
    is_v6(pool) == wanted_v6
}

fn is_v6(pool: &Pool) -> bool {
    matches!(pool.cidr, IpNet::V6(_))
}

/// The refusal when none of these pools has an address left.
fn full(place: Place<'_>, draft: &Draft, pools: &[&Pool]) -> Refusal {
    let last = pools.last().expect("a family is tried only if it has a pool");
    match place.most_held(draft, last) {
        Some(most) => Refusal::TooManyBlocks { pool: last.name.clone(), host: place.host.name.clone(), most },
        None => {
            let blocks = block_count(last.cidr, last.block_bits);
            Refusal::PoolFull { pool: last.name.clone(), cidr: last.cidr, blocks }
        }
    }
}

/// Takes one certain address, also out of a block another host holds: it is then announced by itself.
fn choose_wanted(
    place: Place<'_>,
    draft: &mut Draft,
    pools: &[&Pool],
    attach: &Attach,
    address: IpAddr,
) -> Result<(), Refusal> {
    let host = &place.host.name;
    let mut pools = pools.iter().filter(|_| place.ground.may_have(address));
    let pool = pools
        .find(|pool| pool.cidr.contains(&address))
        .ok_or_else(|| Refusal::AddressOutsidePools { address, host: host.clone() })?;
    if pool.reserved.contains(address) {
        return Err(Refusal::AddressReserved { address, pool: pool.name.clone() });
    }
    let cidr = block_of(pool.cidr, pool.block_bits, address);
    if place.mirror.is_unreadable(&ObjectKey::Block(pool.name.clone(), cidr)) {
        return Err(Refusal::Unreadable { what: format!("block {cidr} of pool {}", pool.name) });
    }
    let block = match (draft.get(place.mirror, &pool.name, cidr).cloned(), place.most_held(draft, pool)) {
        (Some(block), _) if pool.is_strict && block.host != *host => {
            return Err(Refusal::AddressOfOtherHost { address, host: block.host, pool: pool.name.clone() });
        }
        (Some(block), _) => block,
        (None, Some(most)) => {
            return Err(Refusal::TooManyBlocks { pool: pool.name.clone(), host: host.clone(), most });
        }
        (None, None) => Block::empty(pool.name.clone(), cidr, host.clone()),
    };
    let ordinal = ordinal_of(cidr, address);
    let is_held = draft.get(place.mirror, &pool.name, cidr).is_some_and(|block| block.host == *host);
    let is_own_alone = is_held && (pool.is_strict || block.is_reserve(ordinal));
    if draft.is_afar() && !is_own_alone {
        return Err(Refusal::StoreUnreachable {
            reason: format!("another host may have been given {address} meanwhile"),
        });
    }
    let is_kept = block.kept.contains_key(&ordinal);
    if block.host != *host && block.is_reserve(ordinal) && !is_kept {
        return Err(Refusal::AddressInReserve { address, host: block.host });
    }
    // Taken by this very attachment means that it has an endpoint we have not heard of: on another host, or it would be known.
    match (block.taken.get(&ordinal), block.kept.get(&ordinal)) {
        (Some(holder), _) => Err(Refusal::AddressTaken { address, holder: holder.clone() }),
        (None, Some(name)) if sticky(attach) != Some(name) => {
            Err(Refusal::AddressKept { address, endpoint: name.clone() })
        }
        (None, _) => {
            draft.take(block, address, &attach.attachment);
            Ok(())
        }
    }
}

/// Under which name addresses are kept for who asks.
fn sticky(attach: &Attach) -> Option<&EndpointName> {
    attach.name.as_ref().filter(|_| attach.is_sticky)
}

/// Takes the address that was kept for who asks, or else the first free one of the first pool that has one.
fn choose_any(
    place: Place<'_>,
    draft: &mut Draft,
    pools: &Pools<'_>,
    attach: &Attach,
    is_v6: bool,
) -> Result<IpAddr, Refusal> {
    if let Some(name) = sticky(attach) {
        for address in kept_for(place.mirror, name, is_v6) {
            if choose_wanted(place, draft, &pools.giving, attach, address).is_ok() {
                forget_former(place, draft, attach, is_v6);
                return Ok(address);
            }
        }
        forget_former(place, draft, attach, is_v6); // it cannot have what it had: a pool is closed to it by now
    }
    let found = place.find(draft, &pools.giving);
    let (block, address) = found.ok_or_else(|| full(place, draft, &pools.giving))?;
    let holder: &AttachmentId = &attach.attachment;
    draft.take(block, address, holder);
    Ok(address)
}

/// Who has an address again, or cannot have it any more, needs none of those that were kept for it beside that.
fn forget_former(place: Place<'_>, draft: &mut Draft, attach: &Attach, is_v6: bool) {
    if let Some(name) = sticky(attach) {
        draft.forget_kept(place.mirror, name, is_v6);
    }
}

/// Whether any address is kept for who asks.
pub fn is_kept_for(mirror: &Mirror, attach: &Attach) -> bool {
    sticky(attach).is_some_and(|name| mirror.blocks().any(|block| block.kept.values().any(|other| other == name)))
}

/// The addresses of a family that are kept for an endpoint.
fn kept_for(mirror: &Mirror, name: &EndpointName, is_v6: bool) -> Vec<IpAddr> {
    let of_block = |block: &Block| -> Vec<IpAddr> {
        let its = block.kept.iter().filter(|(_, other)| *other == name);
        its.map(|(ordinal, _)| address_at(block.cidr, *ordinal)).collect()
    };
    mirror.blocks().flat_map(of_block).filter(|address| address.is_ipv6() == is_v6).collect()
}

#[cfg(test)]
mod tests;
