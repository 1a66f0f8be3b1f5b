//! Who leaves while the store is away is let go at once, and the store is told when it is back.
//!
//! A detachment takes nothing from anybody: the address stays taken, and its block this host's, until the store knows. An attachment would take
//! what somebody else may have by then (an address out of this host's block, the name), so it waits for the store.

use std::collections::BTreeSet;
use std::time::Instant;

use crate::action::Action;
use crate::job::{Stage, Wish};
use crate::name::AttachmentId;
use crate::request::{Answer, RequestId};

use super::Node;

/// Who asks for a detachment of which the caller has been told already.
pub(super) const NOBODY: RequestId = RequestId(u64::MAX);

impl Node {
    /// Attachments that are to have nothing in the kernel any more.
    pub(super) fn departing(&self) -> BTreeSet<AttachmentId> {
        &self.jobs.departing() | &self.owed
    }

    /// Detachments that only wait for a store which is away are answered, and owed to it.
    pub(super) fn go_into_debt(&mut self) {
        if self.store_error.is_none() {
            return;
        }
        for attachment in self.jobs.at(|stage| matches!(stage, Stage::Leaving(_))) {
            let Some(job) = self.jobs.get_mut(&attachment) else { continue };
            let (Wish::Detach, Stage::Leaving(endpoint)) = (&job.wish, &job.stage) else { continue };
            let (left, request) = ((**endpoint).clone(), job.request);
            self.jobs.end(&attachment);
            if self.owed.insert(attachment) {
                self.actions.push_back(Action::Owe(self.owed.clone()));
            }
            self.answer(request, Answer::Detached(Some(left)));
        }
    }

    /// What is owed is asked for as anybody would ask, once the store can be told.
    pub(super) fn settle_debts(&mut self, now: Instant) {
        if self.owed.is_empty() || !self.may_transact(now) {
            return;
        }
        for attachment in self.owed.clone() {
            if self.jobs.get_mut(&attachment).is_none() {
                let _ = self.jobs.begin(now, attachment, NOBODY, Wish::Detach); // nobody else's is under way
            }
        }
    }

    /// Nothing is left of an attachment, in the store either.
    pub(super) fn pay(&mut self, attachment: &AttachmentId) {
        if self.owed.remove(attachment) {
            self.actions.push_back(Action::Owe(self.owed.clone()));
        }
    }
}
