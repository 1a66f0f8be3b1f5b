//! Whether we have restarted, as far as a neighbour is concerned, and when it has heard all from us.
//!
//! Nobody knows if there was a life before this one: every life begins as if after a restart, and ends being one for a
//! neighbour that has told us its whole table, or for all when the time is over. A neighbour drops what it kept of us when we mark
//! the end of our table; who passes on what others say must have heard them first. Rules: RFC 4724 §4.1.

use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

use crate::{RESTART_TIME, session::Session};

use super::{Speaker, export::passes_on};

/// How long the end of our table waits for neighbours that have not told theirs: the Selection_Deferral_Timer of RFC 4724 §4.1.
/// Neighbours dial every 5 s; who has not come by then is taken for dead, and 30 s is well within the 120 s others wait for us.
const DEFERRAL: Duration = Duration::from_secs(30);

impl Speaker {
    pub(super) fn is_restarting(&self, now: Instant, neighbour: IpAddr) -> bool {
        let is_young = self.started.is_some_and(|started| now < started + RESTART_TIME);
        is_young && !self.synchronised.contains(&neighbour)
    }

    /// A neighbour has told us its whole table.
    pub(super) fn synchronise(&mut self, now: Instant, neighbour: IpAddr) {
        self.synchronised.insert(neighbour);
        self.end_tables(now);
    }

    /// Marks the end of our table for those for whom it is complete.
    pub(super) fn end_tables(&mut self, now: Instant) {
        let ended: Vec<IpAddr> = self.unended.iter().copied().filter(|&one| !self.awaits_others(now, one)).collect();
        for neighbour in ended {
            self.unended.remove(&neighbour);
            self.send_ends(neighbour);
        }
    }

    /// When the wait for others is over, if anybody waits.
    pub(super) fn deferral_ends(&self) -> Option<Instant> {
        let waits = self.unended.iter().any(|neighbour| self.sessions.get(neighbour).is_some_and(is_up));
        self.started.filter(|_| waits).map(|started| started + DEFERRAL)
    }

    /// Whether somebody may still tell us what this neighbour has to hear.
    fn awaits_others(&self, now: Instant, neighbour: IpAddr) -> bool {
        let is_young = self.started.is_some_and(|started| now < started + DEFERRAL);
        let mut others = self.terms.keys().filter(|&&other| other != neighbour);
        is_young && passes_on(&self.terms) && others.any(|other| !self.synchronised.contains(other))
    }
}

fn is_up(session: &Session) -> bool {
    session.established().is_some()
}
