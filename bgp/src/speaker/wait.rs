//! What waits for neighbours that take more slowly than we tell, and its bound.
//!
//! In: how much waits, as the hands say, and what is sent meanwhile. Out: whether a neighbour is told now, or later what is true then.
//!
//! ```text
//!   told at once ──more than FULL waits──> late: only which prefixes changed is kept ──all is taken──> told what is true by then
//! ```
//!
//! So never more waits for one neighbour than [`FULL_OCTETS`], what one event makes, and one telling of the table; of what is late there is
//! one entry for each prefix, however often it changed.
//!
//! Octets count for each neighbour they wait for, though several may wait in the same memory: who is late depends on nobody else, and one
//! that hears old news for long is served badly however little that costs.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

use ipnet::IpNet;

use crate::{Action, ConnectionId, wire::Family};

use super::{Speaker, export::TellAll};

/// From here on a neighbour is told later. 1 MiB is some ten thousand routes, and more than a socket holds beside it, so that one which
/// is merely busy never runs dry.
pub(super) const FULL_OCTETS: usize = 1 << 20;

/// What waits for one neighbour.
#[derive(Debug, Default)]
pub(super) struct Wait {
    pub(super) octets: usize,
    pub(super) late: Option<Late>,
}

/// What a neighbour is to be told once it has taken what it was told before.
#[derive(Debug, Default)]
pub(super) struct Late {
    /// What it was told of each prefix that changed since.
    pub(super) told: BTreeMap<IpNet, TellAll>,
    /// The families it is to hear again.
    pub(super) again: BTreeSet<Family>,
}

impl Speaker {
    /// The hands say how much waits.
    pub(super) fn waits(&mut self, now: Instant, connection: ConnectionId, octets: usize) {
        self.with_connection(now, connection, |session| session.waits(now, connection, octets));
        if !self.connections.contains_key(&connection) {
            return;
        }
        if octets > 0 {
            self.waits.entry(connection).or_default().octets = octets;
            return;
        }
        if let Some(Wait { late: Some(late), .. }) = self.waits.remove(&connection) {
            self.catch_up(now, connection, late);
        }
        self.look_for_receipt_over(connection);
        self.end_tables(now); // the mark waited for it too
    }

    /// Everything sent passes here.
    pub(super) fn count_waiting(&mut self, action: &Action) {
        if let Action::Send { connection, octets } = action
            && let Some(wait) = self.waits.get_mut(connection)
        {
            wait.octets = wait.octets.saturating_add(octets.len());
        }
    }

    /// Whether a neighbour is told later; once it is, until it has taken all.
    pub(super) fn is_late(&self, connection: ConnectionId) -> bool {
        self.waits.get(&connection).is_some_and(|wait| wait.late.is_some() || wait.octets > FULL_OCTETS)
    }

    /// These prefixes changed, and it had been told that.
    pub(super) fn postpone(&mut self, connection: ConnectionId, told: impl IntoIterator<Item = (IpNet, TellAll)>) {
        let late = self.waits.entry(connection).or_default().late.get_or_insert_default();
        for (prefix, before) in told {
            late.told.entry(prefix).or_insert(before);
        }
    }

    /// It asks for all of a family again.
    pub(super) fn postpone_family(&mut self, connection: ConnectionId, family: Family) {
        self.waits.entry(connection).or_default().late.get_or_insert_default().again.insert(family);
    }
}
