//! Whether we have restarted, as far as a neighbour is concerned, and when it has heard all from us.
//!
//! Nobody knows if there was a life before this one: every life begins as if after a restart, and ends being one for a
//! neighbour that has told us its whole table, or for all when the time is over. A neighbour drops what it kept of us when we mark
//! the end of our table; who passes on what others say must have heard them first. Rules: RFC 4724 §4.1.
//!
//! A reflector that was cut off is in the same position without having restarted: BFD took it its neighbours, and whoever is back
//! first would be told that all it was told of the others is gone. So the end of its table waits for those that were lost with it.

use std::time::{Duration, Instant};

use crate::{Address, session::Session};

use super::{Speaker, export::passes_on};

/// How long the end of our table waits for neighbours that have not told theirs: the Selection_Deferral_Timer of RFC 4724 §4.1.
/// Neighbours dial every 5 s; who has not come by then is taken for dead, and 30 s is well within the 120 s others wait for us.
/// Neighbours that BFD took within this time of one another count as lost together.
const DEFERRAL: Duration = Duration::from_secs(30);

impl Speaker {
    pub(super) fn is_restarting(&self, now: Instant, neighbour: Address) -> bool {
        let may_be_away = self.sessions.get(&neighbour).map(|session| session.config().restart_time());
        let is_young = self.started.zip(may_be_away).is_some_and(|(started, time)| now < started + time);
        is_young && !self.synchronised.contains(&neighbour)
    }

    /// A neighbour has told us its whole table.
    pub(super) fn synchronise(&mut self, now: Instant, neighbour: Address) {
        self.synchronised.insert(neighbour);
        self.end_tables(now);
    }

    /// Marks the end of our table for those for whom it is complete.
    pub(super) fn end_tables(&mut self, now: Instant) {
        let ended: Vec<Address> = self.unended.iter().copied().filter(|&one| self.may_end(now, one)).collect();
        for neighbour in ended {
            self.unended.remove(&neighbour);
            self.send_ends(neighbour);
        }
    }

    /// Whether it has been told all that it is to be told before the mark.
    fn may_end(&self, now: Instant, neighbour: Address) -> bool {
        !self.awaits_others(now, neighbour) && !self.is_neighbour_late(neighbour)
    }

    /// When the wait for others is over, if anybody waits.
    pub(super) fn deferral_ends(&self) -> Option<Instant> {
        let waiting = self.unended.iter().filter(|neighbour| !self.is_neighbour_late(**neighbour));
        let waiting = waiting.filter_map(|neighbour| self.sessions.get(neighbour)).filter(|one| is_up(one));
        let waits_anew = |one: &Session| one.blinded_at().is_some() || self.expects_callers;
        let began = waiting.filter_map(|one| self.started.max(waits_anew(one).then(|| one.since())));
        began.min().map(|began| began + DEFERRAL)
    }

    /// Whether somebody may still tell us what this neighbour has to hear.
    fn awaits_others(&self, now: Instant, neighbour: Address) -> bool {
        passes_on(&self.terms)
            && (self.awaits_all(now, neighbour)
                || self.awaits_lost(now, neighbour)
                || self.awaits_callers(now, neighbour))
    }

    /// Who may call stands on no list, so nobody knows who is missing, be it after a restart or after a cut.
    fn awaits_callers(&self, now: Instant, neighbour: Address) -> bool {
        let since = self.sessions.get(&neighbour).map(Session::since);
        self.expects_callers && since.is_some_and(|since| now < since + DEFERRAL)
    }

    fn awaits_all(&self, now: Instant, neighbour: Address) -> bool {
        let is_young = self.started.is_some_and(|started| now < started + DEFERRAL);
        let mut others = self.terms.keys().filter(|&&other| other != neighbour);
        is_young && others.any(|other| !self.synchronised.contains(other))
    }

    /// Who was lost before this neighbour was, it has been told of.
    fn awaits_lost(&self, now: Instant, neighbour: Address) -> bool {
        let Some(session) = self.sessions.get(&neighbour) else { return false };
        let Some(blinded_at) = session.blinded_at().filter(|_| now < session.since() + DEFERRAL) else { return false };
        let was_lost_with_it = |other: &Session| other.blinded_at().is_some_and(|at| at + DEFERRAL >= blinded_at);
        let mut others = self.sessions.iter().filter(|(other, _)| **other != neighbour).map(|(_, other)| other);
        others.any(|other| was_lost_with_it(other) && !other.has_sent_table())
    }
}

fn is_up(session: &Session) -> bool {
    session.established().is_some()
}
