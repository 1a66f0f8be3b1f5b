//! What BFD says about the way to the neighbour, and what that means for the session.
//!
//! Rules: RFC 5882 §3.2 and §4.2 (a failed way ends the session; a way switched off says nothing), §4.3 (restarts),
//! RFC 9384 (how the neighbour is told).
//!
//! A neighbour that has restarted is not to be missed in its new session because of packets that its old life did not send.
//! So where an earlier session ended without a word, BFD must have seen the neighbour since. And one that restarts gracefully
//! stays silent because its BFD shares the fate of its BGP, unless its C bit says that it does not.

use std::time::Instant;

use crate::{
    ConnectionId, Note,
    bfd::{Cause, Fall},
    wire::Fault,
};

use super::{
    Session,
    connection::{Connection, Phase},
    dial::Dial,
};

impl Session {
    /// Whether the neighbour is seen: what waited for that goes on.
    pub(crate) fn path_is(&mut self, now: Instant, is_up: bool) {
        let was_held_back = self.is_held_back();
        self.is_path_up = is_up;
        let is_released = was_held_back && !self.is_held_back();
        if is_released && self.connections.is_empty() && self.dial == Dial::Quiet {
            self.call(now);
        }
    }

    /// The neighbour is not seen any more.
    pub(crate) fn path_fell(&mut self, now: Instant, fall: &Fall) {
        self.is_path_up = false;
        match fall.cause {
            Cause::Silence | Cause::Signalled => self.path_failed(now, fall),
            Cause::Restarted | Cause::Administrative => {}
        }
    }

    fn path_failed(&mut self, now: Instant, fall: &Fall) {
        let ends: Vec<ConnectionId> =
            self.connections.iter().filter(|one| self.rests_on(one, fall)).map(|one| one.id).collect();
        if ends.is_empty() && fall.is_independent {
            self.abandon_restart(now);
        }
        ends.into_iter().for_each(|id| self.fail(now, id, Fault::BFD_DOWN.bare()));
    }

    /// Whether this connection goes with the way.
    fn rests_on(&self, connection: &Connection, fall: &Fall) -> bool {
        match connection.phase {
            Phase::OpenSent | Phase::OpenConfirm(_) => self.is_held_back(),
            Phase::Established { .. } => self.lost_at.is_none_or(|lost| lost < fall.heard),
        }
    }

    /// It was away and is now known not to forward either: its routes are not kept any longer.
    fn abandon_restart(&mut self, now: Instant) {
        let is_away = self.stale_until.is_some() || !self.aged_until.is_empty();
        if is_away && self.established().is_none() {
            match self.ages.is_empty() && self.aged_until.is_empty() {
                true => self.forget(),
                false => self.bypass(now),
            }
            self.note(Note::RestartAbandoned { neighbour: self.config.address });
        }
    }

    /// Whether there is to be no session yet.
    pub(super) fn is_held_back(&self) -> bool {
        self.config.shutdown.is_some() || self.is_path_missing()
    }

    fn is_path_missing(&self) -> bool {
        !self.is_path_up && self.config.bfd.is_some_and(|bfd| bfd.is_strict)
    }

    pub(super) fn why_held_back(&self) -> &'static str {
        if self.config.shutdown.is_some() { "the session is shut down" } else { "BFD is not up" }
    }
}
