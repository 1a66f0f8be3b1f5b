//! A store that takes no writes of an agent as old as this one.
//!
//! In: from which schema on it takes some. Out: this node goes on as if the store were away, only that it hears of it: who joins gets an address of a block that
//! this host holds, who leaves goes at once, and both are told to the store once this agent may write again. What cannot wait is refused at once.

use crate::action::Note;
use crate::job::{Stage, Wish};
use crate::release::{MinWriter, Outdated};
use crate::request::{Answer, Refusal};

use super::Node;

impl Node {
    /// Why this node writes nothing, if it must not.
    pub(super) fn read_only(&self) -> Option<Outdated> {
        self.min_writer.admits(self.identity.release.as_ref()?).err()
    }

    pub(super) fn min_writer_told(&mut self, min_writer: MinWriter) {
        let before = self.read_only();
        self.min_writer = min_writer;
        let after = self.read_only();
        match &after {
            Some(outdated) if after != before => {
                self.note(Note::Warning(format!("{outdated}: it writes nothing; {}", Outdated::ADVICE)));
            }
            None if before.is_some() => {
                self.is_untidy = true;
                self.note(Note::Info("this agent may write in the store again".to_owned()));
            }
            Some(_) | None => {}
        }
    }

    /// Who wants what only a write could give, and does not have it by now, is told so at once: waiting would not help.
    pub(super) fn refuse_what_would_write(&mut self) {
        let Some(outdated) = self.read_only().filter(|_| self.store_error.is_none() && self.in_flight.is_none()) else {
            return;
        };
        if self.kernel.is_none() {
            return;
        }
        for attachment in self.jobs.at(|stage| *stage == Stage::Waiting) {
            let wish = self.jobs.get_mut(&attachment).map(|job| job.wish.clone());
            if let Some(Wish::Attach(_) | Wish::Hold(_) | Wish::Renew(_)) = wish {
                self.finish(&attachment, Answer::Refused(Refusal::ReadOnly(outdated.clone())));
            }
        }
    }
}
