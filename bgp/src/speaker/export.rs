//! What the neighbours are told: what we originate, and, where we reflect or are a transit, what we heard from others.
//!
//! In: changes of the table, and of the terms. Out: messages. What a neighbour has been told is at any time what `teller.rs` says
//! of the table and the terms as they are: a change is told as the difference of two of its answers, and nobody keeps a copy.
//! Rules: RFC 4271 §9.2, RFC 2918 §4 and RFC 7313 §4 (refresh), RFC 4724 §2 (end of the initial table).

mod audience;
mod batch;
mod late;
mod passage;
mod teller;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Instant,
};

use ipnet::IpNet;

use crate::{
    Address, Exchange,
    rib::{Change, Offer, Own},
    session::{Established, Session},
    wire::{Family, Message, RefreshPart, Update},
};

use super::{
    Speaker,
    outbox::{Messages, Telling},
};

use audience::{Audience, Concerned};
use batch::Batch;
use teller::Teller;

pub(super) use teller::TellAll;

/// As many changes as the largest update makes, RFC 4271 §4.1; room for more, as an extended one may make, is given back.
const SPARE: usize = 4096;

/// What is exchanged with each neighbour.
pub(super) type Terms = BTreeMap<Address, Exchange>;

impl Speaker {
    /// Our own prefixes are these from now on: everybody is told of the differences at once.
    pub(super) fn originate(&mut self, own: Own) {
        let changes = self.table.originate(own);
        let changed = changes.iter().map(|change| change.prefix).collect();
        self.follow(changes);
        self.receipts_changed(&changed);
    }

    /// Makes changes of the table known: to the kernel, then to the neighbours.
    pub(super) fn follow(&mut self, mut changes: Vec<Change>) {
        let is_news = changes.iter().any(|change| self.concerns_others(change));
        let told = if is_news { self.tell(&changes) } else { Vec::new() };
        if is_news {
            self.postpone_changes(&changes);
        }
        self.report(&changes);
        self.note_moved(&changes);
        self.install(&mut changes);
        self.deliver(told);
        if changes.capacity() <= SPARE {
            self.spare = changes;
        }
    }

    /// The messages about some changes to everybody, each put together once for all who hear the same.
    fn tell(&self, changes: &[Change]) -> Vec<Telling> {
        let concerned = Concerned::by(changes);
        let mut known: Vec<(Audience<'_>, Messages)> = Vec::new();
        let mut told = Vec::new();
        for session in self.punctual().filter(|session| !concerned.is_all_from(session.source().neighbour)) {
            let exchange = self.terms.get(&session.source().neighbour);
            let audience = exchange.and_then(|exchange| Audience::of(&session, exchange, &concerned));
            let shared = known.iter().find(|(other, _)| Some(other) == audience.as_ref());
            let messages = match shared {
                Some((_, messages)) => Arc::clone(messages),
                None => {
                    let messages = Arc::new(self.differences(&session, changes).messages(session.dialect()));
                    known.extend(audience.map(|audience| (audience, Arc::clone(&messages))));
                    messages
                }
            };
            told.push(Telling { connection: session.id, messages });
        }
        told
    }

    /// The sessions that are told at once.
    fn punctual(&self) -> impl Iterator<Item = Established<'_>> {
        self.sessions.values().filter_map(Session::established).filter(|session| !self.is_late(session.id))
    }

    fn differences(&self, session: &Established<'_>, changes: &[Change]) -> Batch {
        let mut teller = Teller::new(self.config, &self.terms, session);
        let mut batch = Batch::default();
        for Change { prefix, before, after, .. } in changes {
            batch.add_all(*prefix, teller.told(*prefix, before), teller.told(*prefix, after));
        }
        batch
    }

    /// Which of these are prefixes of ours that it is told of.
    pub(super) fn told_of(&self, session: &Established<'_>, prefixes: &BTreeSet<IpNet>) -> BTreeSet<IpNet> {
        let mut teller = Teller::new(self.config, &self.terms, session);
        let own = prefixes.iter().filter(|prefix| self.table.is_own(prefix));
        own.filter(|prefix| !teller.told(**prefix, &Offer::Own).is_nothing()).copied().collect()
    }

    /// Whether it may be told to anybody: what one heard stays with a host that neither reflects nor is a transit.
    fn concerns_others(&self, change: &Change) -> bool {
        let is_own = |offer: &Offer| matches!(offer, Offer::Own);
        is_own(&change.before) || is_own(&change.after) || passes_on(&self.terms)
    }

    /// The terms have changed since these held: those that were told by the old ones are told the differences.
    pub(super) fn tell_anew(&mut self, old: &Terms) {
        self.postpone_terms(old);
        let told = self.punctual().map(|session| {
            let mut batch = Batch::default();
            if may_differ(session.source().neighbour, old, &self.terms) {
                let mut before = Teller::new(self.config, old, &session);
                let mut after = Teller::new(self.config, &self.terms, &session);
                for (prefix, offer) in self.table.offers() {
                    batch.add_all(prefix, before.told(prefix, &offer), after.told(prefix, &offer));
                }
            }
            batch.telling(&session)
        });
        let told: Vec<_> = told.collect();
        self.deliver(told);
        let others = self.sessions.keys().filter(|neighbour| may_differ(**neighbour, old, &self.terms));
        self.doubt_receipts(&others.copied().collect());
    }

    /// The whole table, then the mark that it is complete, once it is.
    pub(super) fn send_table(&mut self, now: Instant, neighbour: Address) {
        let Some(session) = self.sessions.get(&neighbour).and_then(Session::established) else { return };
        let told = self.batch(&session, |_| true).telling(&session);
        self.deliver([told]);
        self.unended.insert(neighbour);
        self.end_tables(now);
    }

    /// The mark that our table is complete, for every family.
    pub(super) fn send_ends(&mut self, neighbour: Address) {
        let Some(session) = self.sessions.get(&neighbour).and_then(Session::established) else { return };
        let ends = session.families().map(|(family, _)| Update::end_of_rib(family));
        let messages = ends.map(|end| Message::Update(end).encode(session.dialect())).collect();
        let told = Telling { connection: session.id, messages: Arc::new(messages) };
        self.deliver([told]);
    }

    /// Everything of one family again, between marks if the neighbour knows them and has been told that our first table is complete.
    pub(super) fn send_family(&mut self, now: Instant, neighbour: Address, family: Family) {
        let Some(session) = self.sessions.get(&neighbour).and_then(Session::established) else { return };
        if self.is_late(session.id) {
            return self.postpone_family(session.id, family);
        }
        let is_marked = session.knows_marks() && !self.unended.contains(&neighbour);
        let told = self.batch(&session, |prefix| Family::of_prefix(prefix) == family).telling(&session);
        if is_marked {
            self.with_session(now, neighbour, |session| session.send_refresh(now, family, RefreshPart::Begin));
        }
        self.deliver([told]);
        if is_marked {
            self.with_session(now, neighbour, |session| session.send_refresh(now, family, RefreshPart::End));
        }
    }

    /// Sends UPDATEs, and counts them.
    fn deliver(&mut self, told: impl IntoIterator<Item = Telling>) {
        for telling in told.into_iter().filter(|telling| !telling.messages.is_empty()) {
            let neighbour = self.connections.get(&telling.connection);
            if let Some(session) = neighbour.and_then(|neighbour| self.sessions.get_mut(neighbour)) {
                session.count_updates(telling.messages.len() as u64);
            }
            self.outbox.put(telling);
        }
    }

    /// All that a neighbour is told of some prefixes.
    pub(super) fn batch(&self, session: &Established<'_>, is_asked: impl Fn(&IpNet) -> bool) -> Batch {
        let mut teller = Teller::new(self.config, &self.terms, session);
        let mut batch = Batch::default();
        let heard = passes_on(&self.terms);
        let offers = self.table.offers().take_while(|(_, offer)| heard || matches!(offer, Offer::Own));
        for (prefix, offer) in offers.filter(|(prefix, _)| is_asked(prefix)) {
            batch.add_all(prefix, TellAll::default(), teller.told(prefix, &offer));
        }
        batch
    }
}

/// Whether anything heard from one neighbour may be told to another.
pub(super) fn passes_on(terms: &Terms) -> bool {
    terms.values().any(|exchange| exchange.client_of.is_some() || exchange.transit)
}

/// Whether a neighbour may be told something else by the one than by the other.
fn may_differ(neighbour: Address, old: &Terms, new: &Terms) -> bool {
    let passing = |terms: &Terms| -> Vec<_> {
        let parts = terms.iter().map(|(&address, exchange)| (address, exchange.client_of, exchange.transit));
        parts.filter(|(_, client_of, transit)| client_of.is_some() || *transit).collect()
    };
    let export = |terms: &Terms| terms.get(&neighbour).map(|exchange| (exchange.export.clone(), exchange.paths));
    export(old) != export(new) || passing(old) != passing(new)
}
