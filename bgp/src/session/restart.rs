//! What stays of a neighbour's routes while it restarts, and for how long.
//!
//! In: how a connection ended, and what the neighbour said of its restarts before and after. Out: which of its routes are
//! kept as stale, and which go. Stale routes are used like all others. Rules: RFC 4724 §4.2. What follows when the time is over
//! stands in `long_lived.rs`.
//!
//! ```text
//!   fresh ──connection breaks in silence──> stale ──told again──> fresh
//!                                             │
//!                                             └── gone: at a NOTIFICATION that means it (`gentle.rs`); when time is over; when
//!                                                 the neighbour is back and did not keep the family; at the end of its table
//! ```
//!
//! A collision ends a connection with a NOTIFICATION, yet not the session: both ends go on over the other connection.
//! So here it counts as silence, else two speakers that call each other after a restart would now and then drop all.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use crate::{ConnectionId, Note, wire::Family};

use super::{
    Effect, Session,
    connection::{Connection, Phase},
};

/// How long we may be away, unless the configuration says otherwise; also how long we wait at most for a neighbour, and then again for the end of
/// its table.
/// 120 s is what BIRD and FRR take by default: room for an agent that is started anew on a busy host and for the next dials.
/// Longer sends the traffic of a dead host astray for longer.
pub const RESTART_TIME: Duration = Duration::from_secs(120);

/// The most that fits into the capability: 12 bits, RFC 4724 §3.
pub const RESTART_SECS_MAX: u16 = 4095;

/// What the end of a connection says about the routes heard over it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Parting {
    /// A NOTIFICATION: they are not to be used any more.
    Farewell,
    /// No word, or one that is not about them: the neighbour may have died, and its kernel go on forwarding.
    Silence,
    /// BFD does not see the neighbour any more: it does not forward either.
    Blindness,
    /// Another connection counts: the neighbour is alive, and will tell everything again.
    Collision,
}

impl Session {
    /// A connection ended: decides what becomes of the routes, and notes the end of a session.
    pub(super) fn part(&mut self, now: Instant, connection: &Connection, parting: Parting, reason: &str) {
        if connection.is_established() {
            match parting {
                Parting::Silence => self.lost_at = Some(now),
                Parting::Blindness => self.blinded_at = Some(now),
                Parting::Farewell | Parting::Collision => {}
            }
            let kept = self.keep_or_forget(now, connection, parting);
            let (neighbour, reason) = (self.config.address, reason.to_owned());
            self.note(Note::SessionDown { neighbour, reason, kept });
        } else if parting == Parting::Farewell && self.established().is_none() {
            self.forget();
        }
    }

    /// For how long routes are kept, if any are.
    fn keep_or_forget(&mut self, now: Instant, connection: &Connection, parting: Parting) -> Option<Duration> {
        let (mut families, said) = connection.survivors();
        let time = said.min(self.config.restart_time());
        if time.is_zero() {
            families.clear();
        }
        let ages = self.ages_of(connection);
        families.extend(ages.keys());
        let is_kept = match parting {
            Parting::Farewell => false,
            Parting::Blindness => !ages.is_empty(),
            Parting::Silence | Parting::Collision => !families.is_empty(),
        };
        if !is_kept {
            self.forget();
            return None;
        }
        // Of two restarts in a row the first one's leavings go, but for what may stay for long; after a collision the wait just goes on.
        if parting == Parting::Silence && self.stale_until.take().is_some() {
            self.sweep(Family::ALL.into_iter().filter(|family| !ages.contains_key(family)).collect());
        }
        self.effects.push(Effect::Keep(families));
        self.ages = ages;
        if parting == Parting::Blindness {
            self.bypass(now);
        } else {
            self.stale_until.get_or_insert(now + time);
            self.tick_stale(now);
        }
        let until = self.stale_until.into_iter().chain(self.aged_until.values().copied()).max();
        until.map(|until| until.saturating_duration_since(now))
    }

    /// The session is established again: what the neighbour itself did not keep goes, the rest may wait to be told anew.
    pub(super) fn resume(&mut self, now: Instant, id: ConnectionId) {
        if self.stale_until.is_none() && self.aged_until.is_empty() {
            return;
        }
        let kept = self.connection(id).map(|connection| self.kept_by(connection)).unwrap_or_default();
        self.ages.clear();
        self.aged_until.retain(|family, _| kept.contains(family));
        self.stale_until = (!kept.is_empty()).then_some(now + self.config.restart_time());
        self.sweep(Family::ALL.into_iter().filter(|family| !kept.contains(family)).collect());
    }

    /// The families that the neighbour kept while it was away.
    fn kept_by(&self, connection: &Connection) -> BTreeSet<Family> {
        let for_long = connection.preserved_for_long();
        let for_long = for_long.into_iter().filter(|family| self.aged_until.contains_key(family));
        connection.preserved().into_iter().chain(for_long).collect()
    }

    /// The neighbour has told its whole table of this family.
    pub(super) fn complete(&mut self, id: ConnectionId, family: Family) {
        let Some(awaited) = self.connection_mut(id).and_then(Connection::awaited_mut) else { return };
        awaited.remove(&family);
        let is_complete = awaited.is_empty();
        self.aged_until.remove(&family);
        if self.stale_until.is_some() {
            self.sweep(BTreeSet::from([family]));
        }
        if is_complete {
            self.stale_until = None;
            self.effects.push(Effect::Synchronised);
        }
    }

    /// The wait is over.
    pub(super) fn tick_stale(&mut self, now: Instant) {
        if self.stale_until.is_some_and(|until| until <= now) {
            self.stale_until = None;
            self.restart_is_over(now);
        }
        self.tick_aged(now);
    }

    /// A neighbour that is back and did not end its table has had its time; one that is away may have more.
    fn restart_is_over(&mut self, now: Instant) {
        let may_have_more = !self.ages.is_empty() || !self.aged_until.is_empty();
        if self.established().is_none() && may_have_more {
            return self.begin_to_age(now);
        }
        self.aged_until.clear();
        self.sweep(Family::ALL.into());
        self.note(Note::RestartExpired { neighbour: self.config.address });
    }

    pub(super) fn forget(&mut self) {
        self.stale_until = None;
        self.ages.clear();
        self.aged_until.clear();
        self.effects.push(Effect::Down);
    }

    pub(super) fn sweep(&mut self, families: BTreeSet<Family>) {
        self.effects.push(Effect::Sweep(families));
    }

    /// When BFD last took it away.
    pub(crate) fn blinded_at(&self) -> Option<Instant> {
        self.blinded_at
    }

    /// Whether the neighbour has told all its routes over this session, as far as it says when that is.
    pub(crate) fn has_sent_table(&self) -> bool {
        self.connections.iter().any(Connection::has_sent_table)
    }
}

impl Connection {
    /// The families whose routes outlive this connection, and how long the neighbour says that it may be away.
    fn survivors(&self) -> (BTreeSet<Family>, Duration) {
        let Some(agreed) = self.agreed() else { return Default::default() };
        let Some(restart) = &agreed.restart else { return Default::default() };
        let families = agreed.families.iter().copied().filter(|family| restart.families.contains_key(family));
        (families.collect(), Duration::from_secs(restart.time_secs.into()))
    }

    /// The families in which the neighbour went on forwarding while it was away.
    fn preserved(&self) -> BTreeSet<Family> {
        let Some(agreed) = self.agreed() else { return BTreeSet::new() };
        let forwarding = |family: &Family| agreed.restart.as_ref().and_then(|restart| restart.families.get(family));
        agreed.families.iter().copied().filter(|family| forwarding(family) == Some(&true)).collect()
    }

    /// Whether routes are exchanged here with a neighbour that can restart gracefully.
    pub(super) fn outlives_restart(&self) -> bool {
        self.is_established() && !self.survivors().0.is_empty()
    }

    fn awaited_mut(&mut self) -> Option<&mut BTreeSet<Family>> {
        match &mut self.phase {
            Phase::OpenSent | Phase::OpenConfirm(_) => None,
            Phase::Established { awaited, .. } => Some(awaited),
        }
    }

    /// Whether routes of this family are exchanged here, and its initial table has ended as far as the neighbour marks that.
    pub(super) fn has_told(&self, family: Family) -> bool {
        match &self.phase {
            Phase::OpenSent | Phase::OpenConfirm(_) => false,
            Phase::Established { agreed, awaited, .. } => {
                agreed.families.contains(&family) && !awaited.contains(&family)
            }
        }
    }

    pub(super) fn has_sent_table(&self) -> bool {
        match &self.phase {
            Phase::OpenSent | Phase::OpenConfirm(_) => false,
            Phase::Established { awaited, .. } => awaited.is_empty(),
        }
    }
}
