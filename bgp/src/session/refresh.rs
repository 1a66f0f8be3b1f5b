//! One end tells all its routes again, and marks where that begins and ends.
//!
//! In: wishes and marks of the neighbour, wishes of ours. Out: what it is told, and which of its routes are stale. Rules: RFC 2918, RFC 7313.
//!
//! What a neighbour does not tell again between its marks, it has forgotten to withdraw, or we to take; it stays in use until then.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use crate::{
    ConnectionId, Note,
    wire::{Family, RefreshPart, RouteRefresh},
};

use super::{Effect, Session, connection::Established};

/// How long a refresh may last before what was not told again goes all the same: the bound that RFC 7313 §4 allows for. A neighbour that
/// needs longer for its table than ten minutes has another trouble.
const REFRESH_TIME: Duration = Duration::from_secs(600);

impl Session {
    /// Asks the neighbour to tell all its routes again, if it can.
    pub(crate) fn ask_again(&mut self, now: Instant) {
        let Some(session) = self.established().filter(Established::answers_refresh) else { return };
        let families: Vec<_> = session.families().map(|(family, _)| family).collect();
        families.into_iter().for_each(|family| self.send_refresh(now, family, RefreshPart::Request));
    }

    /// Sends a part of a refresh.
    pub(crate) fn send_refresh(&mut self, now: Instant, family: Family, part: RefreshPart) {
        if let Some(id) = self.established().map(|session| session.id) {
            self.send(now, id, RouteRefresh { family: Some(family), part });
        }
    }

    pub(super) fn take_refresh(&mut self, now: Instant, id: ConnectionId, refresh: RouteRefresh) {
        let Some(family) = refresh.family else { return };
        match refresh.part {
            RefreshPart::Request => self.effects.push(Effect::Refresh(family)),
            RefreshPart::Begin => self.begin_refresh(now, id, family),
            RefreshPart::End => self.end_refresh(id, family),
        }
    }

    /// §4: not before the end of its initial table, where it marks that.
    fn begin_refresh(&mut self, now: Instant, id: ConnectionId, family: Family) {
        let Some(connection) = self.connection_mut(id) else { return };
        if connection.has_told(family) {
            connection.refreshing.insert(family, now + REFRESH_TIME);
            self.effects.push(Effect::Doubt(family));
        }
    }

    /// §4: without a beginning it says nothing.
    fn end_refresh(&mut self, id: ConnectionId, family: Family) {
        let begun = self.connection_mut(id).and_then(|connection| connection.refreshing.remove(&family));
        if begun.is_some() {
            self.sweep(BTreeSet::from([family]));
        }
    }

    /// Refreshes that have lasted for too long.
    pub(super) fn tick_refreshes(&mut self, now: Instant) {
        let neighbour = self.config.address;
        let refreshing = self.connections.iter().flat_map(|one| one.refreshing.iter().map(|refresh| (one.id, refresh)));
        let due = refreshing.filter(|(_, (_, until))| **until <= now).map(|(id, (&family, _))| (id, family));
        for (id, family) in due.collect::<Vec<_>>() {
            self.end_refresh(id, family);
            self.note(Note::RefreshExpired { neighbour, family });
        }
    }
}
