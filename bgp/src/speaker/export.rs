//! What the neighbours are told: what we originate, and, where we reflect or are a transit, what we heard from others.
//!
//! In: changes of the table, and of the terms. Out: messages. What a neighbour has been told is at any time what `teller.rs` says
//! of the table and the terms as they are: a change is told as the difference of two of its answers, and nobody keeps a copy.
//! Rules: RFC 4271 §9.2, RFC 2918 §4 (refresh), RFC 4724 §2 (end of the initial table).

mod audience;
mod batch;
mod passage;
mod teller;

use std::{collections::BTreeMap, net::IpAddr, time::Instant};

use ipnet::IpNet;

use crate::{
    Action, Exchange,
    rib::{Change, Offer, Own},
    session::{Established, Session},
    wire::{Family, Message, Update},
};

use super::Speaker;

use audience::Audience;
use batch::Batch;
use teller::Teller;

/// What is exchanged with each neighbour.
pub(super) type Terms = BTreeMap<IpAddr, Exchange>;

impl Speaker {
    /// Our own prefixes are these from now on: everybody is told of the differences at once.
    pub(super) fn originate(&mut self, own: Own) {
        let changes = self.table.originate(own);
        self.follow(changes);
    }

    /// Makes changes of the table known: to the kernel, then to the neighbours.
    pub(super) fn follow(&mut self, changes: Vec<Change>) {
        let is_news = changes.iter().any(|change| self.concerns_others(change));
        let told = if is_news { self.tell(&changes) } else { Vec::new() };
        self.install(changes);
        self.actions.extend(told);
    }

    /// The messages about some changes to everybody, each put together once for all who hear the same.
    fn tell(&self, changes: &[Change]) -> Vec<Action> {
        let mut known: Vec<(Audience, Vec<Vec<u8>>)> = Vec::new();
        let mut told = Vec::new();
        for session in self.sessions.values().filter_map(Session::established) {
            let exchange = self.terms.get(&session.source().neighbour);
            let audience = exchange.and_then(|exchange| Audience::of(&session, exchange, changes));
            let shared = known.iter().find(|(other, _)| Some(other) == audience.as_ref());
            let messages = match shared {
                Some((_, messages)) => messages.clone(),
                None => {
                    let messages = self.differences(&session, changes).messages(session.dialect());
                    known.extend(audience.map(|audience| (audience, messages.clone())));
                    messages
                }
            };
            let connection = session.id;
            told.extend(messages.into_iter().map(|octets| Action::Send { connection, octets }));
        }
        told
    }

    fn differences(&self, session: &Established<'_>, changes: &[Change]) -> Batch {
        let mut teller = Teller::new(self.config, &self.terms, session);
        let mut batch = Batch::default();
        for Change { prefix, before, after, .. } in changes {
            batch.add(*prefix, teller.told(*prefix, before), teller.told(*prefix, after));
        }
        batch
    }

    /// Whether it may be told to anybody: what one heard stays with a host that neither reflects nor is a transit.
    fn concerns_others(&self, change: &Change) -> bool {
        let is_own = |offer: &Offer| matches!(offer, Offer::Own);
        is_own(&change.before) || is_own(&change.after) || passes_on(&self.terms)
    }

    /// The terms have changed since these held: those that were told by the old ones are told the differences.
    pub(super) fn tell_anew(&mut self, old: &Terms) {
        let told = self.sessions.values().filter_map(Session::established).flat_map(|session| {
            let mut batch = Batch::default();
            if may_differ(session.source().neighbour, old, &self.terms) {
                let mut before = Teller::new(self.config, old, &session);
                let mut after = Teller::new(self.config, &self.terms, &session);
                for (prefix, offer) in self.table.offers() {
                    batch.add(prefix, before.told(prefix, &offer), after.told(prefix, &offer));
                }
            }
            batch.sends(&session)
        });
        let told: Vec<_> = told.collect();
        self.actions.extend(told);
    }

    /// The whole table, then the mark that it is complete, once it is.
    pub(super) fn send_table(&mut self, now: Instant, neighbour: IpAddr) {
        let Some(session) = self.sessions.get(&neighbour).and_then(Session::established) else { return };
        let told = self.batch(&session, |_| true).sends(&session);
        self.actions.extend(told);
        self.unended.insert(neighbour);
        self.end_tables(now);
    }

    /// The mark that our table is complete, for every family.
    pub(super) fn send_ends(&mut self, neighbour: IpAddr) {
        let Some(session) = self.sessions.get(&neighbour).and_then(Session::established) else { return };
        self.actions.extend(session.families().map(|(family, _)| end_of_rib(&session, family)));
    }

    /// Everything of one family again.
    pub(super) fn send_family(&mut self, neighbour: IpAddr, family: Family) {
        let Some(session) = self.sessions.get(&neighbour).and_then(Session::established) else { return };
        let told = self.batch(&session, |prefix| Family::of_prefix(prefix) == family).sends(&session);
        self.actions.extend(told);
    }

    /// How many prefixes a neighbour has been told.
    pub(super) fn sent(&self, session: &Session) -> usize {
        let Some(session) = session.established() else { return 0 };
        self.batch(&session, |_| true).count()
    }

    /// All that a neighbour is told of some prefixes.
    fn batch(&self, session: &Established<'_>, is_asked: impl Fn(&IpNet) -> bool) -> Batch {
        let mut teller = Teller::new(self.config, &self.terms, session);
        let mut batch = Batch::default();
        let heard = passes_on(&self.terms);
        let offers = self.table.offers().take_while(|(_, offer)| heard || matches!(offer, Offer::Own));
        for (prefix, offer) in offers.filter(|(prefix, _)| is_asked(prefix)) {
            batch.add(prefix, None, teller.told(prefix, &offer));
        }
        batch
    }
}

/// Whether anything heard from one neighbour may be told to another.
pub(super) fn passes_on(terms: &Terms) -> bool {
    terms.values().any(|exchange| exchange.client_of.is_some() || exchange.transit)
}

/// Whether a neighbour may be told something else by the one than by the other.
fn may_differ(neighbour: IpAddr, old: &Terms, new: &Terms) -> bool {
    let passing = |terms: &Terms| -> Vec<_> {
        let parts = terms.iter().map(|(&address, exchange)| (address, exchange.client_of, exchange.transit));
        parts.filter(|(_, client_of, transit)| client_of.is_some() || *transit).collect()
    };
    let export = |terms: &Terms| terms.get(&neighbour).map(|exchange| exchange.export.clone());
    export(old) != export(new) || passing(old) != passing(new)
}

fn end_of_rib(session: &Established<'_>, family: Family) -> Action {
    let octets = Message::Update(Update::end_of_rib(family)).encode(session.dialect());
    Action::Send { connection: session.id, octets }
}
