//! Gathers what one neighbour is to be told, so that prefixes of which the same is said share their messages.

use std::{collections::BTreeMap, sync::Arc};

use ipnet::IpNet;

use crate::{
    session::Established,
    wire::{Dialect, Family, Nlri, pack_reach, pack_unreach},
};

use super::{
    super::outbox::Telling,
    teller::{TellAll, Told},
};

/// What one neighbour is to be told.
#[derive(Debug, Default)]
pub(in crate::speaker) struct Batch {
    gone: Vec<Nlri>,
    come: Vec<(Arc<Told>, Vec<Nlri>)>,
    /// Where in `come` each of them stands, by its place in memory.
    places: BTreeMap<*const Told, usize>,
}

impl Batch {
    /// It was told these paths to a prefix, and is to be told those.
    pub(super) fn add_all(&mut self, prefix: IpNet, before: TellAll, after: TellAll) {
        match (before, after) {
            (TellAll::Best(before), TellAll::Best(after)) => self.add(prefix.into(), before, after),
            (before, after) => {
                let (mut before, after) = (before.by_id(), after.by_id());
                for (id, after) in after {
                    self.add(Nlri { prefix, id }, before.remove(&id), Some(after));
                }
                before.into_iter().for_each(|(id, before)| self.add(Nlri { prefix, id }, Some(before), None));
            }
        }
    }

    fn add(&mut self, prefix: Nlri, before: Option<Arc<Told>>, after: Option<Arc<Told>>) {
        match (before, after) {
            (before, Some(after)) if before.as_ref() != Some(&after) => self.announce(prefix, after),
            (Some(_), None) => self.gone.push(prefix),
            (Some(_) | None, _) => {}
        }
    }

    fn announce(&mut self, prefix: Nlri, told: Arc<Told>) {
        if let Some((last, prefixes)) = self.come.last_mut()
            && Arc::ptr_eq(last, &told)
        {
            return prefixes.push(prefix);
        }
        let next = self.come.len();
        let place = *self.places.entry(Arc::as_ptr(&told)).or_insert(next);
        match self.come.get_mut(place) {
            Some((_, prefixes)) => prefixes.push(prefix),
            None => self.come.push((told, vec![prefix])),
        }
    }

    /// What comes, with what is said of it.
    pub(in crate::speaker) fn announced(&self) -> impl Iterator<Item = (Nlri, &Told)> {
        self.come.iter().flat_map(|(told, prefixes)| prefixes.iter().map(|&prefix| (prefix, &**told)))
    }

    /// The messages to one neighbour.
    pub(super) fn telling(self, session: &Established<'_>) -> Telling {
        Telling { connection: session.id, messages: Arc::new(self.messages(session.dialect())) }
    }

    /// The messages, withdrawals first.
    pub(super) fn messages(self, dialect: Dialect) -> Vec<Vec<u8>> {
        let gone = Family::ALL.into_iter().flat_map(|family| {
            let prefixes = self.gone.iter().copied().filter(move |one| Family::of_prefix(&one.prefix) == family);
            pack_unreach(family, prefixes, dialect)
        });
        let come = self.come.iter().flat_map(|(told, prefixes)| {
            pack_reach(&told.attributes, told.next_hop, prefixes.iter().copied(), dialect)
        });
        gone.chain(come).collect()
    }
}
