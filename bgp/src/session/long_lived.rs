//! What stays of a neighbour's routes when it is away for longer than a restart takes.
//!
//! In: how a connection ended, and what the neighbour said of it before. Out: which routes become the last choice, and when they go.
//! Rules: RFC 9494 §4.2. Each family has a time of its own; a neighbour that comes back and is lost again before the end of its table
//! does not get it anew.
//!
//! ```text
//!   stale ──time of the restart over──> long-lived stale ──told again──> fresh
//!                                              │
//!                                              └── gone: when the family's time is over; when the neighbour is back and did not
//!                                                  keep the family; at the end of its table; at a NOTIFICATION
//! ```
//!
//! Where BFD says that the way to the neighbour is dead, nothing that leads over the neighbour can stay. What it only passed on from
//! others, as a reflector does (RFC 4456), leads past it, and its death says nothing about those: that skips the time of a
//! restart and becomes the last choice at once. So hosts that lose all their reflectors go on as they were.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use crate::{Note, wire::Family};

use super::{Effect, Session, connection::Connection};

/// How long routes of each family are kept beyond a restart; none for no time.
pub(super) type Ages = BTreeMap<Family, Duration>;

impl Session {
    /// The time of a restart is over, and the neighbour is not back: what may stay for long begins to.
    pub(super) fn begin_to_age(&mut self, now: Instant) {
        let ages = std::mem::take(&mut self.ages);
        let stays = |family: &Family| ages.contains_key(family) || self.aged_until.contains_key(family);
        self.sweep(Family::ALL.into_iter().filter(|family| !stays(family)).collect());
        let Some(longest) = ages.values().max().copied() else { return };
        self.effects.push(Effect::Age(ages.keys().copied().collect()));
        for (family, time) in ages {
            self.aged_until.entry(family).or_insert(now + time);
        }
        self.note(Note::LongLivedBegun { neighbour: self.config.address, kept: longest });
    }

    /// Families whose time is over.
    pub(super) fn tick_aged(&mut self, now: Instant) {
        let due = self.aged_until.iter().filter(|(_, until)| **until <= now).map(|(&family, _)| family);
        let due: BTreeSet<Family> = due.collect();
        if due.is_empty() {
            return;
        }
        self.aged_until.retain(|family, _| !due.contains(family));
        self.sweep(due);
        self.note(Note::RestartExpired { neighbour: self.config.address });
    }

    /// The neighbour does not forward: what leads past it may stay for long, from now on.
    pub(super) fn bypass(&mut self, now: Instant) {
        self.effects.push(Effect::Bypass);
        if self.stale_until.take().is_some() || !self.ages.is_empty() {
            self.begin_to_age(now);
        }
    }

    /// How long the routes heard over a connection may stay: what the neighbour says, within what we allow, if we spoke of it.
    pub(super) fn ages_of(&self, connection: &Connection) -> Ages {
        let most = connection.terms.long_lived.and(self.config.long_lived);
        let (Some(most), Some(agreed)) = (most, connection.agreed()) else { return Ages::new() };
        let Some(long_lived) = &agreed.long_lived else { return Ages::new() };
        let said = long_lived.families.iter().filter(|(family, _)| agreed.families.contains(family));
        let ages = said.map(|(&family, said)| (family, most.min(Duration::from_secs(said.time_secs.into()))));
        ages.filter(|(_, time)| !time.is_zero()).collect()
    }
}

impl Connection {
    /// The families in which the neighbour says to have gone on forwarding, however long it was away.
    pub(super) fn preserved_for_long(&self) -> BTreeSet<Family> {
        let Some(long_lived) = self.agreed().and_then(|agreed| agreed.long_lived.as_ref()) else {
            return BTreeSet::new();
        };
        long_lived.families.iter().filter(|(_, said)| said.is_forwarding).map(|(&family, _)| family).collect()
    }
}
