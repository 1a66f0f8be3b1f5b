//! How the other end comes to know of changed times before they count.
//!
//! Rules: RFC 5880 §6.5 (the poll sequence), §6.8.3 (what waits for its end).

use super::{
    super::{State, timing::Wishes},
    Session,
};

/// Whether we ask for an answer. An answer does not say which question it belongs to, so what changed after a question was
/// sent needs another question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Poll {
    Idle,
    Running,
    /// Something changed meanwhile.
    RunningAndAgain,
}

impl Session {
    /// Tells the wishes that fit the state and the settings; a change begins a poll.
    pub(super) fn renegotiate(&mut self) {
        let wishes = Wishes::of(&self.settings, self.state == State::Up);
        if wishes == self.told {
            return;
        }
        self.told = wishes;
        self.in_force = match self.state {
            State::Up => self.in_force.safely(wishes),
            State::AdminDown | State::Down | State::Init => wishes,
        };
        self.poll = match self.poll {
            Poll::Idle => Poll::Running,
            Poll::Running | Poll::RunningAndAgain => Poll::RunningAndAgain,
        };
    }

    /// The other end has answered.
    pub(super) fn poll_answered(&mut self) {
        self.poll = match self.poll {
            Poll::RunningAndAgain => Poll::Running,
            Poll::Running | Poll::Idle => {
                self.in_force = self.told;
                Poll::Idle
            }
        };
    }

    pub(super) fn is_polling(&self) -> bool {
        self.poll != Poll::Idle
    }
}
