//! What a session wants done, by the hands or by the table.

use std::{collections::BTreeSet, time::Instant};

use crate::{
    Action, ConnectionId, Note,
    wire::{Dialect, Family, Message, Update},
};

use super::{Session, monitor::Parted};

/// What a session wants done.
#[derive(Debug)]
pub(crate) enum Effect {
    /// Something for the hands.
    Act(Action),
    /// Routes are exchanged from now on: tell it all of ours.
    Up,
    /// An established session ended: for those who monitor; what becomes of its routes follows.
    Parted(Parted),
    /// No routes are exchanged any more: forget all of its.
    Down,
    /// No routes are exchanged for now: keep its routes of these families as stale, forget the others.
    Keep(BTreeSet<Family>),
    /// It is away for long: what is stale of these families is the last choice from now on.
    Age(BTreeSet<Family>),
    /// It does not forward: what leads over itself goes, and what it only passed on from others stays.
    Bypass,
    /// It begins to tell all of this family again: what it has told is stale until then.
    Doubt(Family),
    /// What is still stale of these families goes.
    Sweep(BTreeSet<Family>),
    /// It has told its whole table.
    Synchronised,
    /// It tells of routes.
    Update(Update),
    /// It wants to hear all of ours again.
    Refresh(Family),
}

impl Session {
    pub(super) fn act(&mut self, action: Action) {
        self.effects.push(Effect::Act(action));
    }

    pub(super) fn note(&mut self, note: Note) {
        self.act(Action::Note(note.into()));
    }

    /// Sends what reads the same in every dialect: everything but an UPDATE.
    pub(super) fn send(&mut self, now: Instant, connection: ConnectionId, message: impl Into<Message>) {
        let message = message.into();
        self.record.send(now, &message);
        let octets = message.encode(Dialect::PLAIN).into();
        self.act(Action::Send { connection, octets });
    }
}
