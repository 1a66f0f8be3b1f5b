//! What of the blocks is done beside requests: what was freed rests, and a block that is empty goes back to its pool.
//!
//! A host keeps some room in each pool that it may use, so that the next container finds it. It gives back only what it holds itself, and only under
//! compare-and-swap: an address somebody took meanwhile keeps its block.

use std::collections::BTreeMap;
use std::time::Instant;

use crate::cooling::Resting;
use crate::mirror::Mirror;
use crate::name::PoolName;
use crate::object::{Block, Host, ObjectKey, Pool};
use crate::prefix::{address_at, size_of};
use crate::transaction::{Compare, Transaction};

use super::transact::Purpose;
use super::{Node, Role};

/// Blocks in one transaction; each is one of the 128 operations that etcd takes.
const BLOCKS_AT_ONCE: usize = 100;

impl Node {
    /// Notes down what was freed, and when that was heard.
    pub(super) fn note_freed(&mut self, now: Instant) {
        let Some(mirror) = &mut self.mirror else { return };
        let altered = mirror.take_altered();
        for (pool, cidr) in &altered {
            self.cooling.note(now, *cidr, mirror.block(pool, *cidr));
        }
        self.is_untidy |= !altered.is_empty() || self.tidy_at.take_if(|at| *at <= now).is_some();
    }

    /// What rests at this moment.
    pub(super) fn resting(&self, now: Instant) -> Resting {
        let period = self.mirror.as_ref().map(|mirror| mirror.fabric().cooldown).unwrap_or_default();
        self.cooling.at(now, period)
    }

    /// Gives back the blocks of this host that are empty, if there are any. Requests come first.
    pub(super) fn tidy(&mut self, now: Instant) {
        let Some(me) = self.me().filter(|_| self.role == Role::Host && self.kernel.is_some()) else { return };
        if !self.is_untidy
            || self.is_importing
            || !self.may_transact(now)
            || self.has_more_to_tell()
            || self.is_awaiting()
        {
            return;
        }
        let mirror = self.mirror.as_ref().expect("may_transact has seen it");
        let resting = self.resting(now);
        let rests_until = |block: &&Block| {
            let freed = block.freed.iter().map(|ordinal| address_at(block.cidr, *ordinal));
            let held = self.held.iter().filter(|(address, _)| block.cidr.contains(*address)).map(|(_, until)| *until);
            freed.filter_map(|address| resting.until(address)).chain(held.filter(|until| *until > now)).max()
        };
        let spare = dispensable(mirror, me);
        let tidy_at = spare.iter().filter_map(rests_until).min();
        let empty = spare.iter().filter(|block| rests_until(block).is_none()).take(BLOCKS_AT_ONCE);
        let deletes: Vec<ObjectKey> = empty.map(|block| ObjectKey::Block(block.pool.clone(), block.cidr)).collect();
        let unchanged = |key: &ObjectKey| Some(Compare::Unchanged(key.clone(), mirror.version(key)?));
        let compares = deletes.iter().filter_map(unchanged).collect();
        (self.is_untidy, self.tidy_at) = (false, tidy_at);
        if !deletes.is_empty() {
            self.send(Transaction { compares, puts: Vec::new(), deletes }, Purpose::Tidy);
        }
    }
}

/// This host's empty blocks, as far as the others it holds of the same pool have room for a quarter of one; all, if the pool is none for it any more.
fn dispensable<'m>(mirror: &'m Mirror, me: &Host) -> Vec<&'m Block> {
    let is_readable = |block: &&Block| !mirror.is_unreadable(&ObjectKey::Block(block.pool.clone(), block.cidr));
    let own: Vec<&Block> = mirror.blocks_of(&me.name).filter(is_readable).collect();
    let size = |block: &Block| u64::from(size_of(block.cidr));
    let mut room: BTreeMap<&PoolName, u64> = BTreeMap::new();
    for block in &own {
        *room.entry(&block.pool).or_default() += size(block).saturating_sub(block.taken.len() as u64);
    }
    let is_its = |pool: &Pool| pool.is_enabled && pool.hosts.admits(&me.labels);
    let mut spare = Vec::new();
    for block in own.iter().filter(|block| block.taken.is_empty() && block.kept.is_empty()) {
        let left = room.entry(&block.pool).or_default();
        let without = left.saturating_sub(size(block));
        if without >= size(block).div_ceil(4) || !mirror.pool(&block.pool).is_some_and(is_its) {
            *left = without;
            spare.push(*block);
        }
    }
    spare
}
