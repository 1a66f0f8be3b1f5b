//! Blocks as they will be once the transaction under construction commits.
//!
//! In: blocks of the mirror, taken over on first touch, promises, and what rests. Out: free addresses, and the changed blocks. Knows nothing of
//! where blocks are looked for.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Instant;

use ipnet::IpNet;

use crate::cooling::Resting;
use crate::ground::Ground;
use crate::mirror::Mirror;
use crate::name::{AttachmentId, EndpointName, PoolName};
use crate::object::{Block, ObjectKey};
use crate::prefix::{address_at, ordinal_of};
use crate::range::Ranges;

/// The blocks that change, and what else is to be known of single addresses.
#[derive(Clone, Debug, Default)]
pub struct Draft {
    blocks: BTreeMap<(PoolName, IpNet), Block>,
    /// Addresses that are promised already: they are given only to who asks for them by name.
    held: BTreeSet<IpAddr>,
    /// Addresses that were given back lately: they are given before others only to who asks for them by name.
    resting: Resting,
    /// The store is away: only what nobody else can have taken meanwhile may be given.
    is_afar: bool,
}

/// Which of the free addresses of a block is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The first that does not rest.
    First,
    /// The last of another host's block that does not rest: it is taken where that host comes last, short of its reserve.
    LastLent,
    /// Of those that rest, the one that does so longest.
    LongestFreed,
    /// The same of another host's block.
    LongestLent,
    /// The first that does not rest of those that its host alone gives.
    Reserved,
}

impl Draft {
    /// An empty one, beside promises and what rests.
    pub fn beside(held: BTreeSet<IpAddr>, resting: Resting) -> Self {
        Self { held, resting, ..Self::default() }
    }

    /// An empty one while the store is away.
    pub fn afar(held: BTreeSet<IpAddr>, resting: Resting) -> Self {
        Self { is_afar: true, ..Self::beside(held, resting) }
    }

    /// Whether the store is away.
    pub fn is_afar(&self) -> bool {
        self.is_afar
    }

    /// The changed blocks.
    pub fn into_blocks(self) -> impl Iterator<Item = Block> {
        self.blocks.into_values()
    }

    /// The keys of the changed blocks.
    pub fn keys(&self) -> impl Iterator<Item = ObjectKey> + '_ {
        self.blocks.keys().map(|(pool, cidr)| ObjectKey::Block(pool.clone(), *cidr))
    }

    /// One block, if somebody claimed it.
    pub fn get<'a>(&'a self, mirror: &'a Mirror, pool: &PoolName, cidr: IpNet) -> Option<&'a Block> {
        self.blocks.get(&(pool.clone(), cidr)).or_else(|| mirror.block(pool, cidr))
    }

    /// Blocks of the mirror as they will be, and then those that are in none. One that cannot be read is not there: who has its addresses
    /// is not known, and what stands in its place is nobody's to write over.
    pub fn over<'a>(
        &'a self,
        mirror: &'a Mirror,
        known: impl Iterator<Item = &'a Block>,
    ) -> impl Iterator<Item = &'a Block> {
        let is_new = |block: &&Block| mirror.block(&block.pool, block.cidr).is_none();
        let known = known.filter(|block| !mirror.is_unreadable(&key_of(block)));
        let known = known.map(|block| self.get(mirror, &block.pool, block.cidr).unwrap_or(block));
        known.chain(self.blocks.values().filter(is_new))
    }

    /// The free address of a block that is wanted.
    pub fn free(&self, block: &Block, closed: &Ranges, ground: &Ground<'_>, which: Which) -> Option<IpAddr> {
        let is_untaken = |ordinal: &u32| !block.taken.contains_key(ordinal) && !block.kept.contains_key(ordinal);
        let is_eligible = |ordinal: &u32| match which {
            Which::First | Which::LongestFreed => true,
            Which::LastLent | Which::LongestLent => !block.is_reserve(*ordinal),
            Which::Reserved => block.is_reserve(*ordinal),
        };
        let untaken = closed.gaps_in(block.cidr).flatten().filter(is_untaken).filter(is_eligible);
        let addresses = untaken.map(|ordinal| address_at(block.cidr, ordinal));
        let mut free = addresses.filter(|address| !self.held.contains(address) && ground.gives(*address));
        let rests = |address: &IpAddr| self.resting.until(*address).is_some();
        match which {
            Which::First | Which::Reserved => free.find(|address| !rests(address)),
            Which::LastLent => free.rfind(|address| !rests(address)),
            Which::LongestFreed | Which::LongestLent => free
                .filter_map(|address| Some((self.resting.until(address)?, address)))
                .min()
                .map(|(_, address)| address),
        }
    }

    /// Until when an address rests; absent = it does not.
    pub fn rests_until(&self, address: IpAddr) -> Option<Instant> {
        self.resting.until(address)
    }

    /// Promises an address.
    pub fn hold(&mut self, address: IpAddr) {
        self.held.insert(address);
    }

    /// Takes an address of a block.
    pub fn take(&mut self, mut block: Block, address: IpAddr, holder: &AttachmentId) {
        let ordinal = ordinal_of(block.cidr, address);
        block.taken.insert(ordinal, holder.clone());
        block.kept.remove(&ordinal);
        block.freed.retain(|other| *other != ordinal);
        self.put(block);
    }

    /// Gives an address back, to the block it was taken from: its pool may be gone, or have other blocks by now. Of a block that cannot be
    /// read it stays taken; `poplin ipam check` finds it once the block is mended.
    pub fn release(&mut self, mirror: &Mirror, address: IpAddr, holder: &AttachmentId, keeper: Option<&EndpointName>) {
        let released = self.over(mirror, mirror.blocks()).find_map(|block| {
            let ordinal = block.ordinal_of(address).filter(|ordinal| block.taken.get(ordinal) == Some(holder))?;
            let mut block = block.clone();
            block.release(ordinal, holder, keeper).then_some(block)
        });
        let Some(block) = released else { return };
        if keeper.is_none() {
            self.resting.begin(address);
        }
        self.put(block);
    }

    /// Nobody waits for the addresses any more that were kept for that endpoint.
    pub fn forget_kept(&mut self, mirror: &Mirror, name: &EndpointName, is_v6: bool) {
        let is_its = |block: &&Block| block.kept.values().any(|other| other == name);
        let changed: Vec<Block> = self.over(mirror, mirror.blocks()).filter(is_its).cloned().collect();
        for mut block in changed.into_iter().filter(|block| block.cidr.addr().is_ipv6() == is_v6) {
            block.kept.retain(|_, other| other != name);
            self.put(block);
        }
    }

    /// Writes a block, new or changed; what has rested long enough need not be told of any more.
    pub fn put(&mut self, mut block: Block) {
        let cidr = block.cidr;
        block.freed.retain(|ordinal| self.resting.until(address_at(cidr, *ordinal)).is_some());
        self.blocks.insert((block.pool.clone(), cidr), block);
    }
}

fn key_of(block: &Block) -> ObjectKey {
    ObjectKey::Block(block.pool.clone(), block.cidr)
}
