//! Blocks of another size in the place of those that hosts hold, with every address left to whom it is.
//!
//! In: the blocks of a pool, and the size they are to have. Out: exchanges, each of some blocks for others, that can be written one by one in any
//! order. Of the pool itself nothing is decided here: as long as it is enabled, hosts claim blocks of its size beside these, so it must not be.
//!
//! ```text
//! larger than wanted    split: a part with an address in it becomes a block of the same host, the others are nobody's
//! smaller than wanted   joined: one block, of the host that has most of its addresses; what others had of it, they have as if borrowed
//! ```

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;

use crate::name::{HostName, PoolName};
use crate::network::overlap;
use crate::object::{Block, Pool};
use crate::prefix::{address_at, block_of, ordinal_of};

/// How many bits a block is split by at once: each part is a write of its own, and etcd takes 128 at once.
const MOST_BITS: u8 = 6;

/// Some blocks, and what stands in their place from then on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// Blocks that go.
    pub gone: Vec<Block>,
    /// Blocks that come.
    pub come: Vec<Block>,
}

/// What is left to do until all blocks of a pool are of that size. A block that is larger by far is split more than once.
pub fn exchanges<'b>(pool: &Pool, bits: u8, blocks: impl Iterator<Item = &'b Block>) -> Vec<Exchange> {
    let mut exchanges = Vec::new();
    let mut joined: BTreeMap<IpNet, Vec<&Block>> = BTreeMap::new();
    for block in blocks.filter(|block| block.pool == pool.name) {
        let has = block.cidr.prefix_len();
        if has < bits {
            exchanges.push(split(block, bits.min(has + MOST_BITS)));
        } else if has > bits {
            joined.entry(block_of(pool.cidr, bits, block.cidr.network())).or_default().push(block);
        }
    }
    let all_at_once = |(cidr, all): (IpNet, Vec<&Block>)| join(&pool.name, cidr, &all);
    exchanges.extend(joined.into_iter().flat_map(all_at_once));
    exchanges
}

/// Whether all blocks of a pool are of that size.
pub fn is_resized<'b>(pool: &PoolName, bits: u8, mut blocks: impl Iterator<Item = &'b Block>) -> bool {
    blocks.all(|block| block.pool != *pool || block.cidr.prefix_len() == bits)
}

/// The prefix a new block would have, if no block of another size is in its way.
pub fn unclaimed<'b>(pool: &Pool, cidr: IpNet, mut blocks: impl Iterator<Item = &'b Block>) -> Option<IpNet> {
    let is_in_the_way = |block: &Block| block.pool == pool.name && block.cidr != cidr && overlap(&block.cidr, &cidr);
    (!blocks.any(is_in_the_way)).then_some(cidr)
}

fn split(block: &Block, bits: u8) -> Exchange {
    let mut parts: BTreeMap<IpNet, Block> = BTreeMap::new();
    carry(block, |address| {
        let cidr = block_of(block.cidr, bits, address);
        parts.entry(cidr).or_insert_with(|| Block::empty(block.pool.clone(), cidr, block.host.clone())).cidr
    })
    .into_iter()
    .for_each(|(cidr, ordinal, use_)| put(parts.get_mut(&cidr), ordinal, use_));
    Exchange { gone: vec![block.clone()], come: parts.into_values().collect() }
}

/// Most of the writes of an exchange are blocks that go; where there are more than go at once, half the size comes first.
fn join(pool: &PoolName, cidr: IpNet, all: &[&Block]) -> Vec<Exchange> {
    if all.len() > 1 << MOST_BITS {
        let mut halves: BTreeMap<IpNet, Vec<&Block>> = BTreeMap::new();
        for block in all.iter().filter(|block| block.cidr.prefix_len() > cidr.prefix_len() + 1) {
            let half = block_of(cidr, cidr.prefix_len() + 1, block.cidr.network());
            halves.entry(half).or_default().push(block);
        }
        return halves.into_iter().flat_map(|(half, all)| join(pool, half, &all)).collect();
    }
    let mut one = Block::empty(pool.clone(), cidr, main_holder(all));
    for block in all {
        let uses = carry(block, |_| cidr);
        uses.into_iter().for_each(|(_, ordinal, use_)| put(Some(&mut one), ordinal, use_));
    }
    vec![Exchange { gone: all.iter().map(|block| (*block).clone()).collect(), come: vec![one] }]
}

/// Who has most addresses of these; of several, the first by name.
fn main_holder(all: &[&Block]) -> HostName {
    let mut taken: BTreeMap<&HostName, usize> = BTreeMap::new();
    for block in all {
        *taken.entry(&block.host).or_default() += block.taken.len();
    }
    let most = taken.into_iter().rev().max_by_key(|(_, count)| *count);
    most.expect("a block is joined with at least itself").0.clone()
}

/// How an address is used.
enum Use {
    Taken(crate::name::AttachmentId),
    Kept(crate::name::EndpointName),
    Freed,
}

/// Each address of a block that is used, in the block it is told to be in, and how. What was freed keeps its order.
fn carry(block: &Block, mut to: impl FnMut(std::net::IpAddr) -> IpNet) -> Vec<(IpNet, u32, Use)> {
    let taken = block.taken.iter().map(|(ordinal, holder)| (*ordinal, Use::Taken(holder.clone())));
    let kept = block.kept.iter().map(|(ordinal, name)| (*ordinal, Use::Kept(name.clone())));
    let freed = block.freed.iter().map(|ordinal| (*ordinal, Use::Freed));
    let all = taken.chain(kept).chain(freed);
    let there = all.map(|(ordinal, use_)| {
        let address = address_at(block.cidr, ordinal);
        let cidr = to(address);
        (cidr, ordinal_of(cidr, address), use_)
    });
    there.collect()
}

fn put(block: Option<&mut Block>, ordinal: u32, use_: Use) {
    let Some(block) = block else { return };
    match use_ {
        Use::Taken(holder) => drop(block.taken.insert(ordinal, holder)),
        Use::Kept(name) => drop(block.kept.insert(ordinal, name)),
        Use::Freed => block.freed.push(ordinal),
    }
}

/// How many hosts have addresses in blocks of others once an exchange is done: each is then announced by itself.
pub fn lenders(exchange: &Exchange) -> usize {
    let before: BTreeSet<&HostName> = exchange.gone.iter().map(|block| &block.host).collect();
    let after: BTreeSet<&HostName> = exchange.come.iter().map(|block| &block.host).collect();
    if exchange.come.is_empty() { 0 } else { before.difference(&after).count() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::{AttachmentId, EndpointName};
    use proptest::prelude::*;
    use std::net::IpAddr;

    fn pool() -> Pool {
        Pool::open(PoolName::new("four"), "10.77.0.0/22".parse().unwrap(), 26)
    }

    fn host(number: u8) -> HostName {
        HostName::new(format!("h{number}"))
    }

    /// All that is known of a pool's addresses, whatever the blocks are like.
    fn uses(blocks: &[Block]) -> (BTreeMap<IpAddr, AttachmentId>, BTreeMap<IpAddr, EndpointName>, BTreeSet<IpAddr>) {
        let (mut taken, mut kept, mut freed) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
        for block in blocks {
            let at = |ordinal: &u32| address_at(block.cidr, *ordinal);
            taken.extend(block.taken.iter().map(|(ordinal, holder)| (at(ordinal), holder.clone())));
            kept.extend(block.kept.iter().map(|(ordinal, name)| (at(ordinal), name.clone())));
            freed.extend(block.freed.iter().map(at));
        }
        (taken, kept, freed)
    }

    fn blocks(bits: u8) -> impl Strategy<Value = Vec<Block>> {
        let size = 1_u32 << (32 - bits);
        let one = (0..1_u32 << (bits - 22), 0..3u8, prop::collection::btree_map(0..size, 0..3u8, 0..6));
        prop::collection::vec(one, 0..8).prop_map(move |all| {
            let mut blocks: BTreeMap<IpNet, Block> = BTreeMap::new();
            for (index, holder, used) in all {
                let cidr = crate::prefix::block_at(pool().cidr, bits, index.into());
                let mut block = Block::empty(pool().name, cidr, host(holder));
                for (ordinal, how) in used {
                    let name = format!("c{index}-{ordinal}");
                    let attachment = AttachmentId { container: name.clone(), interface: "eth0".to_owned() };
                    put(
                        Some(&mut block),
                        ordinal,
                        match how {
                            0 => Use::Taken(attachment),
                            1 => Use::Kept(EndpointName::new(name)),
                            _ => Use::Freed,
                        },
                    );
                }
                blocks.insert(cidr, block);
            }
            blocks.into_values().collect()
        })
    }

    /// Writes exchanges one by one, the way others may write them: each time those that are left are found anew.
    fn resized(mut blocks: Vec<Block>, bits: u8) -> Vec<Block> {
        for _ in 0..1000 {
            let Some(Exchange { gone, come }) = exchanges(&pool(), bits, blocks.iter()).pop() else { return blocks };
            assert!(gone.len() + come.len() <= 128, "etcd takes no more at once");
            blocks.retain(|block| !gone.contains(block));
            blocks.extend(come);
        }
        panic!("it finds no end")
    }

    proptest! {
        #[test]
        fn every_address_stays_whose_it_is_and_all_blocks_are_of_the_size(
            (from, blocks) in (22u8..=32).prop_flat_map(|from| (Just(from), blocks(from))), to in 22u8..=32,
        ) {
            let (before, hosts) = (uses(&blocks), blocks.iter().map(|block| block.host.clone()).collect::<BTreeSet<_>>());

            let after = resized(blocks, to);

            prop_assert_eq!(uses(&after), before, "from /{}", from);
            prop_assert!(is_resized(&pool().name, to, after.iter()));
            prop_assert!(after.iter().all(|block| hosts.contains(&block.host)));
            let cidrs: BTreeSet<IpNet> = after.iter().map(|block| block.cidr).collect();
            prop_assert_eq!(cidrs.len(), after.len(), "no two of one prefix");
        }
    }

    fn taken(cidr: &str, number: u8, ordinals: &[u32]) -> Block {
        let mut block = Block::empty(pool().name, cidr.parse().unwrap(), host(number));
        for ordinal in ordinals {
            let attachment = AttachmentId { container: format!("{cidr}-{ordinal}"), interface: "eth0".to_owned() };
            block.taken.insert(*ordinal, attachment);
        }
        block
    }

    #[test]
    fn a_part_that_nobody_uses_goes_back_to_the_pool() {
        let one = taken("10.77.0.0/26", 1, &[0, 1, 50]);

        let found = exchanges(&pool(), 28, [&one].into_iter());

        let come: Vec<String> = found[0].come.iter().map(|block| block.cidr.to_string()).collect();
        assert_eq!((found.len(), come), (1, vec!["10.77.0.0/28".to_owned(), "10.77.0.48/28".to_owned()]));
        assert_eq!(lenders(&found[0]), 0);
    }

    #[test]
    fn who_has_most_of_what_is_joined_holds_it_and_the_others_borrow() {
        let (few, many) = (taken("10.77.0.0/28", 1, &[3]), taken("10.77.0.16/28", 2, &[0, 1]));
        let alone = taken("10.77.1.0/28", 1, &[0]);

        let found = exchanges(&pool(), 26, [&few, &many, &alone].into_iter());

        assert_eq!(found.len(), 2);
        assert_eq!((&found[0].come[0].host, lenders(&found[0])), (&host(2), 1));
        assert_eq!(found[0].come[0].taken.keys().collect::<Vec<_>>(), [&3, &16, &17]);
        assert_eq!((&found[1].come[0].host, lenders(&found[1])), (&host(1), 0));
    }

    #[test]
    fn what_is_more_than_goes_at_once_goes_by_halves() {
        let singles: Vec<Block> = (0..200).map(|last| taken(&format!("10.77.0.{last}/32"), 1, &[0])).collect();

        let after = resized(singles.clone(), 24);

        assert_eq!(uses(&after), uses(&singles));
        assert_eq!(after.iter().map(|block| block.cidr.to_string()).collect::<Vec<_>>(), ["10.77.0.0/24"]);
        assert_eq!(uses(&resized(after, 32)), uses(&singles));
    }

    #[test]
    fn no_block_is_made_where_one_of_another_size_stands() {
        let small = taken("10.77.0.0/28", 1, &[0]);
        let free = |cidr: &str| unclaimed(&pool(), cidr.parse().unwrap(), [&small].into_iter());

        assert_eq!(free("10.77.0.0/26"), None);
        assert_eq!(free("10.77.0.64/26"), "10.77.0.64/26".parse().ok());
        assert_eq!(free("10.77.0.0/28"), "10.77.0.0/28".parse().ok(), "the very same is asked for elsewhere");
    }
}
