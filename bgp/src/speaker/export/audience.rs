//! Neighbours that are told the same, so that it is put into messages once.
//!
//! What a neighbour is told depends on the terms, on what was agreed on with it, and on who it is: nothing comes back to whom it
//! came from. So neighbours under the same terms are told the same changes in the same octets, unless one of the changes is about
//! a route of theirs, or the operator's rules ask who they are.

use std::{net::Ipv4Addr, sync::Arc};

use crate::{
    Address, Exchange, RouteRules,
    rib::{Change, Offer, Source, Word},
    session::Established,
    wire::{Dialect, Family, Hop, Role},
};

/// All that decides what a neighbour is told, but for who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Audience<'a> {
    export: &'a RouteRules,
    client_of: Option<Ipv4Addr>,
    transit: bool,
    paths: usize,
    dialect: Dialect,
    knows_long_lived: bool,
    role: Option<Role>,
    next_hops: Vec<(Family, Hop)>,
    hears_mixed: bool,
}

impl<'a> Audience<'a> {
    /// `None`: nobody else is told what this one is told of these changes.
    pub(super) fn of(session: &Established<'_>, exchange: &'a Exchange, concerned: &Concerned<'_>) -> Option<Self> {
        let Exchange { export, client_of, transit, paths, .. } = exchange;
        if export.asks_who() || concerned.contains(session.source()) {
            return None;
        }
        Some(Self {
            export,
            client_of: *client_of,
            transit: *transit,
            paths: *paths,
            dialect: session.dialect(),
            knows_long_lived: session.knows_long_lived(),
            role: session.source().role,
            next_hops: session.families().collect(),
            hears_mixed: session.hears_mixed(),
        })
    }
}

/// The neighbours that some changes have to do with themselves.
pub(super) struct Concerned<'a> {
    /// What is said of the routes; what was said at once of many comes here once, as long as they stand together.
    words: Vec<&'a Arc<Word>>,
    /// Whether some of them are about our own prefixes.
    has_own: bool,
}

impl<'a> Concerned<'a> {
    pub(super) fn by(changes: &'a [Change]) -> Self {
        let mut concerned = Self { words: Vec::new(), has_own: false };
        changes.iter().flat_map(|change| [&change.before, &change.after]).for_each(|offer| concerned.add(offer));
        concerned
    }

    fn add(&mut self, offer: &'a Offer) {
        match offer {
            Offer::Nothing => {}
            Offer::Own => self.has_own = true,
            Offer::Heard(best, others) => {
                self.add_word(&best.word);
                others.iter().for_each(|path| self.add_word(&path.word));
            }
        }
    }

    fn add_word(&mut self, word: &'a Arc<Word>) {
        if self.words.last().is_none_or(|last| !Arc::ptr_eq(last, word)) {
            self.words.push(word);
        }
    }

    /// Whether all of it came from this neighbour, to whom nothing of it goes back.
    pub(super) fn is_all_from(&self, neighbour: Address) -> bool {
        !self.has_own && self.words.iter().all(|word| word.source.neighbour == neighbour)
    }

    fn contains(&self, neighbour: &Source) -> bool {
        self.words.iter().any(|word| {
            word.source.neighbour == neighbour.neighbour
                || word.next_hop == neighbour.neighbour
                || word.originator() == neighbour.router_id
        })
    }
}
