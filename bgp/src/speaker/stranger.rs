//! Calls of strangers: what they are told, and which of them the log hears of.
//!
//! In: a call of somebody who is no neighbour. Out: a NOTIFICATION that says so, the end of the connection, and a note, unless there was one lately.
//! The caller has completed a handshake and is sent less than its own OPEN, so nobody is flooded through us. Rules: RFC 4486 §4 (connection rejected).

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use crate::{
    Action, Address, ConnectionId, Note, RESTART_TIME,
    wire::{Dialect, Fault, Message},
};

use super::Speaker;

/// How long after a note about a stranger the next about the same one comes. A router calls every few seconds for as long as nobody mends
/// the configuration of either end: once in ten minutes is in every excerpt of a log that somebody looks at, and fills none.
const AGAIN: Duration = Duration::from_secs(600);

/// Of so many strangers there is a note in that time. More are no mistake in a configuration, but somebody who looks around.
const NAMED_MAX: usize = 64;

/// Who was noted lately.
#[derive(Debug, Default)]
pub(super) struct Strangers {
    /// Whether we have been told of our neighbours, so that all others are strangers.
    are_neighbours_known: bool,
    /// When each was.
    noted: BTreeMap<Address, Instant>,
    /// How many calls were not, since the last note.
    passed_over: u64,
}

impl Strangers {
    /// What to say of this call in the log, if anything.
    fn reason(&mut self, now: Instant, caller: Address) -> Option<String> {
        self.noted.retain(|_, at| now.saturating_duration_since(*at) < AGAIN);
        if self.noted.contains_key(&caller) || self.noted.len() >= NAMED_MAX {
            self.passed_over += 1;
            return None;
        }
        self.noted.insert(caller, now);
        let reason = "not a neighbour of ours";
        Some(match std::mem::take(&mut self.passed_over) {
            0 => reason.to_owned(),
            calls => format!("{reason}; {calls} more calls of strangers since the last such line"),
        })
    }

    /// These are our neighbours. There is a note at once, should they be strangers again.
    pub(super) fn know(&mut self, is_neighbour: impl Fn(&Address) -> bool) {
        self.are_neighbours_known = true;
        self.noted.retain(|caller, _| !is_neighbour(caller));
    }
}

impl Speaker {
    /// What we dialled ourselves, when it was a neighbour still, is closed without a word.
    pub(super) fn turn_stranger_away(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        caller: Address,
        outgoing: bool,
    ) {
        self.ports_gone(connection);
        if !outgoing && self.is_sure_of_strangers(now) {
            let octets = Message::from(Fault::REJECTED.bare()).encode(Dialect::PLAIN).into();
            self.actions.push_back(Action::Send { connection, octets });
        }
        self.actions.push_back(Action::Close { connection });
        if !outgoing && let Some(reason) = self.strangers.reason(now, caller) {
            self.actions.push_back(Action::Note(Note::Refused { neighbour: caller, reason }.into()));
        }
    }

    /// Whether who is no neighbour now will be none in a moment. A router that waits for our return gives up what it keeps of us when it hears a
    /// NOTIFICATION, and calls again when it hears nothing; so it hears nothing as long as we may have restarted and do not know everybody yet.
    fn is_sure_of_strangers(&self, now: Instant) -> bool {
        let is_young = self.started.is_some_and(|started| now < started + RESTART_TIME);
        self.strangers.are_neighbours_known && !(is_young && self.expects_callers)
    }
}
