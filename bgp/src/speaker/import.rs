//! What becomes of the routes a neighbour tells of.
//!
//! Rules: RFC 4271 §9 (an update replaces what was said before), RFC 7606 §2 (what is refused counts as withdrawn).

use std::{net::IpAddr, sync::Arc};

use ipnet::IpNet;

use crate::{
    Action, Note, Refusal,
    rib::{Change, Source, Table, admits_attributes, admits_prefix},
    session::Established,
    wire::{Attributes, Family, Update},
};

use super::Speaker;

impl Speaker {
    pub(super) fn import(&mut self, neighbour: IpAddr, update: Update) {
        let Some(session) = self.sessions.get(&neighbour).and_then(|session| session.established()) else { return };
        let mut import = Import::new(&mut self.table, &session);
        import.withdraw_all(&update);
        if let Some(attributes) = &update.attributes {
            let admitted = admits_attributes(attributes, &import.source, self.config.asn, self.config.router_id);
            import.announce_all(&update, attributes, admitted);
        }
        let Import { changes, refused, .. } = import;
        self.install(changes);
        self.actions.extend(
            refused
                .into_iter()
                .map(|(refusal, prefixes)| Action::Note(Note::RoutesRefused { neighbour, prefixes, refusal })),
        );
    }
}

/// One update on its way into the table.
struct Import<'a> {
    table: &'a mut Table,
    source: Arc<Source>,
    families: Vec<Family>,
    /// Our own addresses, as far as this session knows them: next hops that would lead back to us.
    own: Vec<IpAddr>,
    changes: Vec<Change>,
    refused: Vec<(Refusal, Vec<IpNet>)>,
}

impl<'a> Import<'a> {
    fn new(table: &'a mut Table, session: &Established<'_>) -> Self {
        let (families, mut own): (Vec<_>, Vec<_>) = session.families().unzip();
        let source = Arc::clone(session.source());
        own.push(source.local);
        Self { table, source, families, own, changes: Vec::new(), refused: Vec::new() }
    }

    fn withdraw_all(&mut self, update: &Update) {
        for prefix in update.all_withdrawn() {
            self.withdraw(prefix);
        }
    }

    fn announce_all(&mut self, update: &Update, attributes: &Attributes, admitted: Result<(), Refusal>) {
        let attributes = Arc::new(attributes.clone());
        for (next_hop, prefixes) in update.all_announced() {
            for &prefix in prefixes {
                match admitted.and_then(|()| admits_prefix(prefix, next_hop, &self.own)) {
                    // A family that was not agreed on is passed over in silence.
                    _ if !self.families.contains(&Family::of_prefix(&prefix)) => {}
                    Ok(()) => self.changes.extend(self.table.announce(prefix, &self.source, &attributes, next_hop)),
                    Err(refusal) => self.refuse(prefix, refusal),
                }
            }
        }
    }

    fn withdraw(&mut self, prefix: IpNet) {
        self.changes.extend(self.table.withdraw(prefix, self.source.neighbour));
    }

    fn refuse(&mut self, prefix: IpNet, refusal: Refusal) {
        self.changes.extend(self.table.withdraw(prefix, self.source.neighbour));
        if refusal.is_ordinary() {
            return;
        }
        match self.refused.iter_mut().find(|(known, _)| *known == refusal) {
            Some((_, prefixes)) => prefixes.push(prefix),
            None => self.refused.push((refusal, vec![prefix])),
        }
    }
}
