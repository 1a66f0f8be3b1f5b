//! Which numbers are taken, and which of them the single next hops have.
//!
//! Numbers are given in turn: one that was given back is not given again soon, when the kernel may still know it as what it was.

use std::collections::{BTreeMap, BTreeSet};

use crate::kernel::{Gateway, KernelState, NextHop, NextHopId};

/// The numbers of ours.
#[derive(Debug)]
pub(super) struct Numbers {
    singles: BTreeMap<Gateway, NextHopId>,
    taken: BTreeSet<NextHopId>,
    /// Numbers that other programs have.
    foreign: BTreeSet<NextHopId>,
    next: NextHopId,
}

impl Default for Numbers {
    fn default() -> Self {
        Self { singles: BTreeMap::new(), taken: BTreeSet::new(), foreign: BTreeSet::new(), next: NextHopId::FIRST }
    }
}

impl Numbers {
    /// Takes over what an earlier life numbered.
    pub(super) fn adopt(&mut self, kernel: &KernelState) {
        self.avoid(&kernel.foreign_next_hops);
        for (id, next_hop) in &kernel.next_hops {
            self.taken.insert(*id);
            self.next = id.next();
            match next_hop {
                NextHop::Single(gateway) => drop(self.singles.insert(*gateway, *id)),
                NextHop::Group(_) => {}
            }
        }
    }

    /// Other programs have objects under these numbers.
    pub(super) fn avoid(&mut self, foreign: &BTreeSet<NextHopId>) {
        self.foreign.clone_from(foreign);
    }

    /// A number nobody has.
    pub(super) fn take(&mut self) -> NextHopId {
        loop {
            let id = self.next;
            self.next = id.next();
            if !self.foreign.contains(&id) && self.taken.insert(id) {
                return id;
            }
        }
    }

    pub(super) fn give_back(&mut self, id: NextHopId) {
        self.taken.remove(&id);
    }

    /// The number of a gateway, from now on if it had none.
    pub(super) fn single(&mut self, gateway: Gateway) -> NextHopId {
        match self.singles.get(&gateway) {
            Some(id) => *id,
            None => {
                let id = self.take();
                self.singles.insert(gateway, id);
                id
            }
        }
    }

    /// Gateways that are none of these any more lose their numbers.
    pub(super) fn keep(&mut self, gateways: &BTreeSet<Gateway>) {
        for (_, id) in self.singles.extract_if(.., |gateway, _| !gateways.contains(gateway)) {
            self.taken.remove(&id);
        }
    }

    /// The gateway that has this number.
    pub(super) fn gateway_of(&self, id: NextHopId) -> Option<Gateway> {
        self.singles.iter().find_map(|(gateway, number)| (*number == id).then_some(*gateway))
    }

    /// This gateway gets another number: under its own stands something else.
    pub(super) fn renumber(&mut self, gateway: Gateway) {
        self.singles.remove(&gateway); // the number stays taken
    }
}
