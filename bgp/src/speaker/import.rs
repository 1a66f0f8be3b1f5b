//! What becomes of the routes a neighbour tells of.
//!
//! Rules: RFC 4271 §9 (an update replaces what was said before), RFC 7606 §2 (what is refused counts as withdrawn), RFC 9494 §4.2 (what
//! outlives its teller for long).

mod judge;
mod marker;

use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use ipnet::IpNet;

use crate::{
    Action, Address, Note, Refusal, Refused,
    rib::{Change, Path, Source, Table, Word, admits_attributes, admits_next_hop, admits_prefix},
    session::{Established, Session},
    wire::{Attributes, Family, Hop, Nlri, Update},
};

use super::{Speaker, export::Terms};

use judge::{Judge, clusters};
use marker::Marker;

impl Speaker {
    pub(super) fn import(&mut self, neighbour: Address, mut update: Update) {
        let Some(session) = self.sessions.get(&neighbour).and_then(Session::established) else { return };
        self.said.changed(update.all_withdrawn().count());
        let judge = Judge::new(neighbour, &self.terms, &mut self.said);
        let mut import = Import::new(&mut self.table, &session, judge, std::mem::take(&mut self.spare));
        import.withdraw_all(&update);
        if let Some(attributes) = update.attributes.take() {
            let us = self.config;
            let admitted = admits_attributes(&attributes, &import.source, us.asn, us.router_id);
            import.announce_all(&update, attributes, admitted);
        }
        let Import { changes, refused, tally, .. } = import;
        self.follow(changes);
        if let Some(session) = self.sessions.get_mut(&neighbour) {
            session.count_refused(tally);
        }
        self.actions.extend(
            refused
                .into_iter()
                .map(|(refusal, prefixes)| Action::Note(Note::RoutesRefused { neighbour, prefixes, refusal }.into())),
        );
    }

    /// A neighbour is away for long: what is stale of these families counts as if it had said so, and goes where it forbade that.
    pub(super) fn age(&mut self, neighbour: Address, families: &BTreeSet<Family>) {
        let is_meant = |prefix: &IpNet, path: &Path| path.is_stale && families.contains(&Family::of_prefix(prefix));
        let gone = self.table.retain(neighbour, |prefix, path| !(is_meant(prefix, path) && path.forbids_long_life()));
        self.follow(gone);
        let (mut judge, mut marker) = (Judge::new(neighbour, &self.terms, &mut self.said), Marker::default());
        let changes = self.table.judge(neighbour, |prefix, path| {
            if is_meant(prefix, path) {
                path.word = judge.decide(*prefix, &marker.marked(&path.word));
            }
        });
        self.follow(changes);
    }

    /// The terms have changed since these held: what was offered is judged anew, and nobody need say it again.
    pub(super) fn judge_anew(&mut self, old: &Terms) {
        let import = |terms: &Terms, address: &Address| terms.get(address).map(|exchange| exchange.import.clone());
        let is_other_cluster = clusters(old) != clusters(&self.terms);
        let changed = |address: &&Address| is_other_cluster || import(old, address) != import(&self.terms, address);
        let changed: Vec<Address> = self.sessions.keys().filter(changed).copied().collect();
        for neighbour in changed {
            let mut judge = Judge::new(neighbour, &self.terms, &mut self.said);
            let changes = self.table.judge(neighbour, |prefix, path| path.word = judge.decide(*prefix, &path.word));
            self.follow(changes);
        }
    }
}

/// One update on its way into the table.
struct Import<'a> {
    table: &'a mut Table,
    source: Arc<Source>,
    judge: Judge<'a>,
    families: Vec<Family>,
    /// Our own addresses, as far as this session knows them: next hops that would lead back to us.
    own: Vec<IpAddr>,
    changes: Vec<Change>,
    refused: Vec<(Refusal, Vec<IpNet>)>,
    tally: Refused,
}

impl<'a> Import<'a> {
    fn new(table: &'a mut Table, session: &Established<'_>, judge: Judge<'a>, changes: Vec<Change>) -> Self {
        let (families, hops): (Vec<_>, Vec<_>) = session.families().unzip();
        let source = Arc::clone(session.source());
        let own = hops.into_iter().map(|hop: Hop| hop.address).chain([source.local.ip()]).collect();
        Self { table, source, judge, families, own, changes, refused: Vec::new(), tally: Refused::default() }
    }

    fn withdraw_all(&mut self, update: &Update) {
        for Nlri { prefix, id } in update.all_withdrawn() {
            self.withdraw(prefix, id);
        }
    }

    fn announce_all(&mut self, update: &Update, attributes: Attributes, admitted: Result<(), Refusal>) {
        let attributes = self.judge.said.attributes(attributes);
        for (hop, prefixes) in update.announced_over(attributes.next_hop) {
            let next_hop = nearest(hop, self.source.neighbour);
            let word = Arc::new(Word {
                source: Arc::clone(&self.source),
                heard: Arc::clone(&attributes),
                attributes: Arc::clone(&attributes),
                hop,
                next_hop,
                ways: Arc::new([next_hop]),
                is_admitted: false, // until it is judged
            });
            let admitted = admitted.and_then(|()| admits_next_hop(next_hop, &self.own));
            self.changes.reserve(prefixes.len());
            for &Nlri { prefix, id } in prefixes {
                match admitted.and_then(|()| admits_prefix(prefix)) {
                    // A family that was not agreed on is passed over in silence.
                    _ if !self.families.contains(&Family::of_prefix(&prefix)) => {}
                    Ok(()) => self.announce(prefix, id, &word),
                    Err(refusal) => self.refuse(prefix, id, refusal),
                }
            }
        }
    }

    fn announce(&mut self, prefix: IpNet, id: u32, word: &Arc<Word>) {
        let word = self.judge.decide(prefix, word);
        self.tally.by_rules += u64::from(!word.is_admitted);
        let path = Path { word, id, told_id: 0, is_stale: false }; // the table gives it the identifier it is told by
        self.changes.extend(self.table.announce(prefix, path));
    }

    fn withdraw(&mut self, prefix: IpNet, id: u32) {
        self.changes.extend(self.table.withdraw(prefix, self.source.neighbour, id));
    }

    fn refuse(&mut self, prefix: IpNet, id: u32, refusal: Refusal) {
        self.withdraw(prefix, id);
        *match refusal {
            Refusal::Loop(_) => &mut self.tally.looped,
            Refusal::Reflected(_) => &mut self.tally.reflected,
            Refusal::FirstAs(_) | Refusal::Leak(_) | Refusal::NextHop(_) | Refusal::Prefix => &mut self.tally.other,
        } += 1;
        if refusal.is_ordinary() {
            return;
        }
        match self.refused.iter_mut().find(|(known, _)| *known == refusal) {
            Some((_, prefixes)) => prefixes.push(prefix),
            None => self.refused.push((refusal, vec![prefix])),
        }
    }
}

/// The address by which we reach a router. Over a session on a link it is the one of that link, if the router gave one: it is there whatever
/// else becomes of either end's addresses. What a link-local address means that came from afar nobody can tell.
fn nearest(hop: Hop, neighbour: Address) -> Address {
    match (hop.on_link(), neighbour.zone()) {
        (Some(address), Some(zone)) => Address::on(address, zone),
        (Some(_), None) | (None, _) => hop.address.into(),
    }
}
