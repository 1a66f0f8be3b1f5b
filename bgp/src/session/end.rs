//! How a connection ends, and what follows.
//!
//! Rules: RFC 4271 §6 and §8.2.2 (every way into Idle), §8.1.1 (DampPeerOscillations), RFC 4724 §4.2 and RFC 8538 (what is no end of the routes).

use std::time::{Duration, Instant};

use crate::{
    Action, ConnectionId, Note,
    wire::{Fault, Notification},
};

use super::{
    Session,
    connection::{Connection, Phase},
    dial::{Dial, STEADY, rest},
    gentle::parting,
    monitor::{AUTOMATIC_STOP, Goodbye, TCP_CONNECTION_CONFIRMED},
    restart::Parting,
};

/// Who ended a connection.
#[derive(Debug)]
pub(super) enum End {
    /// We did, and say why.
    Ours(Notification),
    /// The neighbour did, and said why.
    Theirs(Notification),
    /// It broke.
    Lost(String),
    /// The neighbour died without a word, and has called again: nobody is there to be told.
    Superseded,
}

impl End {
    fn reason(&self) -> String {
        match self {
            Self::Ours(error) => error.to_string(),
            Self::Theirs(error) => format!("the neighbour reports: {error}"),
            Self::Lost(reason) => reason.clone(),
            Self::Superseded => "the neighbour has restarted".to_owned(),
        }
    }

    /// Whether the two cannot agree, so that trying again at once would only repeat it; else calls are still taken.
    fn is_quarrel(&self) -> bool {
        match self {
            Self::Ours(error) | Self::Theirs(error) => {
                let is_silence = [Fault::HOLD_EXPIRED, Fault::SEND_HOLD_EXPIRED].contains(&error.fault);
                !error.fault.is_cease() && !is_silence
            }
            Self::Lost(_) | Self::Superseded => false,
        }
    }

    /// Whether the neighbour said why it does not want to talk; of two connections one is always too many, which says nothing.
    fn is_farewell(&self) -> bool {
        matches!(self, Self::Theirs(error) if error.fault != Fault::COLLISION)
    }

    fn goodbye(&self, connection: &Connection) -> Goodbye {
        match self {
            Self::Ours(error) => Goodbye::Ours(connection.wrapped(error.clone())),
            Self::Theirs(error) => Goodbye::Theirs(error.clone()),
            Self::Lost(_) => Goodbye::Lost,
            Self::Superseded => Goodbye::OursInSilence(TCP_CONNECTION_CONFIRMED),
        }
    }

    fn parting(&self, connection: &Connection) -> Parting {
        match self {
            Self::Ours(error) => parting(&connection.wrapped(error.clone()), connection.is_gentle()),
            Self::Theirs(error) => parting(error, connection.is_gentle()),
            Self::Lost(_) | Self::Superseded => Parting::Silence,
        }
    }
}

impl Session {
    /// The connection broke.
    pub(crate) fn lost(&mut self, now: Instant, id: ConnectionId, reason: String) {
        self.end(now, id, End::Lost(reason));
    }

    pub(super) fn fail(&mut self, now: Instant, id: ConnectionId, error: Notification) {
        self.end(now, id, End::Ours(error));
    }

    pub(super) fn end(&mut self, now: Instant, id: ConnectionId, end: End) {
        let Some(connection) = self.remove(id) else { return };
        let reason = end.reason();
        let quarrel = end.is_quarrel();
        let is_farewell = end.is_farewell();
        let parting = end.parting(&connection);
        self.tell_end(&connection, end.goodbye(&connection));
        self.hang_up(now, &connection, end);
        self.part(now, &connection, parting, &reason);
        self.remember(reason, is_farewell);
        if self.connections.is_empty() {
            self.rest(now, connection.was_steady(now), quarrel);
        }
    }

    /// Keeps what went wrong. What the neighbour said before it hung up outlives the attempts that fail after it, which tell less.
    pub(super) fn remember(&mut self, reason: String, is_farewell: bool) {
        if is_farewell {
            self.farewell = Some(reason.clone());
        }
        self.last_error = Some(match &self.farewell {
            Some(farewell) if !is_farewell => format!("{farewell}; since then: {reason}"),
            Some(_) | None => reason,
        });
    }

    fn hang_up(&mut self, now: Instant, connection: &Connection, end: End) {
        let (neighbour, id) = (self.config.address, connection.id);
        match end {
            End::Ours(error) => {
                let error = connection.wrapped(error);
                self.send(now, id, error.clone());
                self.act(Action::Close { connection: id });
                self.note(Note::ErrorSent { neighbour, error });
            }
            End::Theirs(error) => {
                self.act(Action::Close { connection: id });
                self.note(Note::ErrorReceived { neighbour, error });
            }
            End::Superseded => self.act(Action::Close { connection: id }),
            End::Lost(_) => {}
        }
    }

    /// Nothing is left: the next dial waits, the longer the more attempts failed; an unfinished one goes on.
    fn rest(&mut self, now: Instant, was_steady: bool, quarrel: bool) {
        self.failures = if was_steady { 0 } else { self.failures };
        let until = now + rest(self.failures);
        self.failures = self.failures.saturating_add(1);
        self.dial = match self.dial {
            Dial::Stopped => Dial::Stopped,
            _ if quarrel => Dial::Resting { until },
            dialling @ Dial::Dialling { .. } => dialling,
            _ if self.config.passive => Dial::Quiet,
            Dial::Quiet | Dial::Resting { .. } | Dial::Waiting { .. } => Dial::Waiting { until },
        };
    }

    /// Ends everything for this reason, for good.
    pub(crate) fn stop(&mut self, now: Instant, fault: Fault) {
        for connection in std::mem::take(&mut self.connections) {
            self.send(now, connection.id, connection.wrapped(fault.bare()));
            self.act(Action::Close { connection: connection.id });
            self.tell_end(&connection, Goodbye::Ours(connection.wrapped(fault.bare())));
            self.part(now, &connection, Parting::Farewell, &fault.to_string());
        }
        self.forget();
        self.dial = Dial::Quiet;
    }

    /// Ends everything for good, and lets the neighbour think that we are restarting.
    pub(crate) fn leave(&mut self, now: Instant) {
        for connection in std::mem::take(&mut self.connections) {
            self.act(Action::Close { connection: connection.id });
            self.tell_end(&connection, Goodbye::OursInSilence(AUTOMATIC_STOP));
            self.part(now, &connection, Parting::Farewell, "others offer all its routes");
        }
        self.forget();
        self.dial = Dial::Quiet;
    }

    /// Closes a connection before a word was said.
    pub(super) fn turn_away(&mut self, connection: ConnectionId, reason: &str) {
        self.act(Action::Close { connection });
        self.note(Note::Refused { neighbour: self.config.address, reason: reason.to_owned() });
    }
}

impl Connection {
    pub(super) fn is_established(&self) -> bool {
        matches!(self.phase, Phase::Established { .. })
    }

    /// Whether it was established for so long that earlier failures say nothing any more.
    fn was_steady(&self, now: Instant) -> bool {
        self.has_lasted(now, STEADY)
    }

    /// Whether it has been established for so long.
    pub(super) fn has_lasted(&self, now: Instant, time: Duration) -> bool {
        match self.phase {
            Phase::OpenSent | Phase::OpenConfirm(_) => false,
            Phase::Established { at, .. } => now.saturating_duration_since(at) >= time,
        }
    }
}
