//! What the neighbours are told: our own prefixes, and nothing that we heard from others.
//!
//! A host is no transit: passing on what one neighbour said to the next is for route reflectors and switches.
//! So what a neighbour has been told is always our own prefixes in the families agreed on, and nobody keeps a copy of it.
//! Rules: RFC 4271 §5.1 and §9.2, RFC 2918 §4 (refresh), RFC 4724 §2 (end of the initial table).

use std::net::IpAddr;

use ipnet::IpNet;

use crate::{
    Action, SpeakerConfig,
    rib::Own,
    session::{Established, Session},
    wire::{AsPath, Attributes, Family, Message, Origin, Update, pack_reach, pack_unreach},
};

use super::Speaker;

/// How much internal neighbours are to prefer what we originate; the customary default.
const LOCAL_PREF: u32 = 100;

impl Speaker {
    /// Our own prefixes are these from now on: everybody is told of the differences at once.
    pub(super) fn originate(&mut self, own: Own) {
        let gone: Vec<_> = self.table.own().prefixes().difference(own.prefixes()).copied().collect();
        let come: Vec<_> = own.prefixes().difference(self.table.own().prefixes()).copied().collect();
        for session in self.sessions.values().filter_map(Session::established) {
            let messages = withdraw(&session, &gone).chain(announce(self.config, &session, &come));
            self.actions.extend(messages);
        }
        let changes = self.table.originate(own);
        self.install(changes);
    }

    /// The whole table, then the mark that it is complete.
    pub(super) fn send_table(&mut self, neighbour: IpAddr) {
        let Some(session) = self.sessions.get(&neighbour).and_then(Session::established) else { return };
        self.actions.extend(announce(self.config, &session, self.table.own().prefixes()));
        self.actions.extend(session.families().map(|(family, _)| end_of_rib(&session, family)));
    }

    /// Everything of one family again.
    pub(super) fn send_family(&mut self, neighbour: IpAddr, family: Family) {
        let Some(session) = self.sessions.get(&neighbour).and_then(Session::established) else { return };
        let own = self.table.own().prefixes().iter().filter(|prefix| Family::of_prefix(prefix) == family);
        self.actions.extend(announce(self.config, &session, own));
    }

    /// How many of our prefixes a neighbour has been told.
    pub(super) fn sent(&self, session: &Session) -> usize {
        let Some(session) = session.established() else { return 0 };
        self.table.own().prefixes().iter().filter(|prefix| session.carries(Family::of_prefix(prefix))).count()
    }
}

fn announce<'a>(
    us: SpeakerConfig,
    session: &Established<'_>,
    prefixes: impl IntoIterator<Item = &'a IpNet> + Clone,
) -> impl Iterator<Item = Action> {
    let attributes = attributes(us, session.source().external);
    session.families().flat_map(move |(family, next_hop)| {
        let messages = pack_reach(&attributes, next_hop, of_family(prefixes.clone(), family), session.dialect());
        sends(session, messages)
    })
}

fn withdraw(session: &Established<'_>, prefixes: &[IpNet]) -> impl Iterator<Item = Action> {
    session.families().flat_map(move |(family, _)| {
        sends(session, pack_unreach(family, of_family(prefixes, family), session.dialect()))
    })
}

fn of_family<'a>(prefixes: impl IntoIterator<Item = &'a IpNet>, family: Family) -> impl Iterator<Item = IpNet> {
    prefixes.into_iter().copied().filter(move |prefix| Family::of_prefix(prefix) == family)
}

fn sends(session: &Established<'_>, messages: Vec<Vec<u8>>) -> impl Iterator<Item = Action> {
    let connection = session.id;
    messages.into_iter().map(move |octets| Action::Send { connection, octets })
}

fn end_of_rib(session: &Established<'_>, family: Family) -> Action {
    let octets = Message::Update(Update::end_of_rib(family)).encode(session.dialect());
    Action::Send { connection: session.id, octets }
}

/// What is said about our own prefixes: inside our system the path is empty and the preference told, RFC 4271 §5.1.2 and
/// §5.1.5; outside our number leads.
fn attributes(us: SpeakerConfig, external: bool) -> Attributes {
    let path = if external { AsPath::through([us.asn]) } else { AsPath::default() };
    let local_pref = (!external).then_some(LOCAL_PREF);
    Attributes { local_pref, ..Attributes::new(Origin::Igp, path) }
}
