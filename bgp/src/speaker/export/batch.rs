//! Gathers what one neighbour is to be told, so that prefixes of which the same is said share their messages.

use std::{collections::BTreeMap, sync::Arc};

use ipnet::IpNet;

use crate::{
    Action,
    session::Established,
    wire::{Dialect, Family, pack_reach, pack_unreach},
};

use super::teller::Told;

/// What one neighbour is to be told.
#[derive(Debug, Default)]
pub(super) struct Batch {
    gone: Vec<IpNet>,
    come: Vec<(Arc<Told>, Vec<IpNet>)>,
    /// Where in `come` each of them stands, by its place in memory.
    places: BTreeMap<*const Told, usize>,
}

impl Batch {
    /// It was told this of a prefix, and is to be told that.
    pub(super) fn add(&mut self, prefix: IpNet, before: Option<Arc<Told>>, after: Option<Arc<Told>>) {
        match (before, after) {
            (before, Some(after)) if before.as_ref() != Some(&after) => self.announce(prefix, after),
            (Some(_), None) => self.gone.push(prefix),
            (Some(_) | None, _) => {}
        }
    }

    fn announce(&mut self, prefix: IpNet, told: Arc<Told>) {
        let next = self.come.len();
        let place = *self.places.entry(Arc::as_ptr(&told)).or_insert(next);
        match self.come.get_mut(place) {
            Some((_, prefixes)) => prefixes.push(prefix),
            None => self.come.push((told, vec![prefix])),
        }
    }

    /// How many prefixes come.
    pub(super) fn count(&self) -> usize {
        self.come.iter().map(|(_, prefixes)| prefixes.len()).sum()
    }

    /// The messages to one neighbour.
    pub(super) fn sends(self, session: &Established<'_>) -> Vec<Action> {
        let connection = session.id;
        let messages = self.messages(session.dialect()).into_iter();
        messages.map(|octets| Action::Send { connection, octets }).collect()
    }

    /// The messages, withdrawals first.
    pub(super) fn messages(self, dialect: Dialect) -> Vec<Vec<u8>> {
        let gone = Family::ALL.into_iter().flat_map(|family| {
            let prefixes = self.gone.iter().copied().filter(move |prefix| Family::of_prefix(prefix) == family);
            pack_unreach(family, prefixes, dialect)
        });
        let come = self.come.iter().flat_map(|(told, prefixes)| {
            pack_reach(&told.attributes, told.next_hop, prefixes.iter().copied(), dialect)
        });
        gone.chain(come).collect()
    }
}
