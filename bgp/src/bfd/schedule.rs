//! Who is due when: asked after every packet, so it must not cost more the more sessions there are.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

use crate::Address;

/// The deadline of each session that has one.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    deadlines: BTreeMap<Address, Instant>,
    /// The same, soonest first.
    order: BTreeSet<(Instant, Address)>,
}

impl Schedule {
    /// This session is due then, and at no other time.
    pub(super) fn set(&mut self, neighbour: Address, deadline: Option<Instant>) {
        let before = match deadline {
            Some(at) => self.deadlines.insert(neighbour, at),
            None => self.deadlines.remove(&neighbour),
        };
        self.order.extend(deadline.map(|at| (at, neighbour)));
        if let Some(before) = before.filter(|before| Some(*before) != deadline) {
            self.order.remove(&(before, neighbour));
        }
    }

    /// The soonest deadline.
    pub(super) fn next(&self) -> Option<Instant> {
        self.order.first().map(|(at, _)| *at)
    }

    /// Who is due by now.
    pub(super) fn due(&self, now: Instant) -> Vec<Address> {
        self.order.iter().take_while(|(at, _)| *at <= now).map(|(_, neighbour)| *neighbour).collect()
    }
}
