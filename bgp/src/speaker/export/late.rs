//! What is told later to neighbours that have not yet taken what they were told before.
//!
//! In: what changed meanwhile. Out: the difference between what each was told of a prefix, and what is true when it has taken all.

use std::time::Instant;

use ipnet::IpNet;

use crate::{
    Address, ConnectionId,
    rib::{Change, Offer},
    session::{Established, Session},
};

use super::{
    super::{Speaker, wait::Late},
    TellAll, Teller, Terms,
    batch::Batch,
    may_differ, passes_on,
};

impl Speaker {
    /// Keeps what late neighbours were told of what has changed now.
    pub(super) fn postpone_changes(&mut self, changes: &[Change]) {
        let told = |teller: &mut Teller<'_>| -> Vec<(IpNet, TellAll)> {
            changes.iter().map(|change| (change.prefix, teller.told(change.prefix, &change.before))).collect()
        };
        let postponed = self.late().map(|session| {
            let mut teller = Teller::new(self.config, &self.terms, &session);
            (session.id, told(&mut teller))
        });
        postponed.collect::<Vec<_>>().into_iter().for_each(|(connection, told)| self.postpone(connection, told));
    }

    /// The terms have changed since these held: keeps what late neighbours were told by the old ones.
    pub(super) fn postpone_terms(&mut self, old: &Terms) {
        let concerned = self.late().filter(|session| may_differ(session.source().neighbour, old, &self.terms));
        let heard = passes_on(old) || passes_on(&self.terms);
        let postponed = concerned.map(|session| {
            let mut teller = Teller::new(self.config, old, &session);
            let offers = self.table.offers().take_while(|(_, offer)| heard || matches!(offer, Offer::Own));
            let told: Vec<_> = offers.map(|(prefix, offer)| (prefix, teller.told(prefix, &offer))).collect();
            (session.id, told)
        });
        postponed.collect::<Vec<_>>().into_iter().for_each(|(connection, told)| self.postpone(connection, told));
    }

    /// It has taken all: now it is told what is true.
    pub(in crate::speaker) fn catch_up(&mut self, now: Instant, connection: ConnectionId, late: Late) {
        let Some(neighbour) = self.connections.get(&connection).copied() else { return };
        let Some(session) = self.sessions.get(&neighbour).and_then(Session::established) else { return };
        let mut teller = Teller::new(self.config, &self.terms, &session);
        let mut batch = Batch::default();
        for (prefix, before) in late.told {
            let after = teller.told(prefix, &self.table.offer(&prefix));
            batch.add_all(prefix, before, after);
        }
        let told = batch.telling(&session);
        self.deliver([told]);
        late.again.into_iter().for_each(|family| self.send_family(now, neighbour, family));
    }

    /// Where something waits at all: few of many neighbours, and mostly none.
    fn late(&self) -> impl Iterator<Item = Established<'_>> {
        let waiting = self.waits.keys().filter_map(|connection| self.sessions.get(self.connections.get(connection)?));
        waiting.filter_map(Session::established).filter(|session| self.is_late(session.id))
    }

    /// Whether what this neighbour was told is not yet all that is true.
    pub(in crate::speaker) fn is_neighbour_late(&self, neighbour: Address) -> bool {
        let session = self.sessions.get(&neighbour).and_then(Session::established);
        session.is_some_and(|session| self.is_late(session.id))
    }
}
