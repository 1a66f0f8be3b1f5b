//! Who leaves while the store is away is let go at once, and the store is told when it is back.
//!
//! A detachment takes nothing from anybody: the address stays taken, and its block this host's, until the store knows. An attachment would take
//! what somebody else may have by then (an address out of this host's block, the name), so it waits for the store. Whoever leaves is told so only
//! once it is on the disk; all who leave meanwhile go there together.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use crate::action::{Action, Note};
use crate::debt::Debt;
use crate::job::{Stage, Wish};
use crate::mirror::Mirror;
use crate::name::AttachmentId;
use crate::object::{Endpoint, ObjectKey};
use crate::request::{Answer, RequestId};

use super::Node;

/// Who asks for a detachment of which the caller has been told already.
pub(super) const NOBODY: RequestId = RequestId(u64::MAX);

/// What is owed, and what of it stands where a later life finds it.
#[derive(Debug)]
pub(super) struct Debts {
    /// What is owed: whoever left was told so.
    owed: BTreeMap<AttachmentId, Debt>,
    /// Absent: something else.
    written: Option<BTreeSet<Debt>>,
    /// What is being written.
    writing: Option<BTreeSet<Debt>>,
    /// What could not be written: tried again once something else is to be.
    refused: Option<BTreeSet<Debt>>,
}

impl Default for Debts {
    fn default() -> Self {
        Self { owed: BTreeMap::new(), written: Some(BTreeSet::new()), writing: None, refused: None }
    }
}

impl Debts {
    /// An earlier life left these.
    pub(super) fn recall(&mut self, written: BTreeSet<Debt>) {
        self.owed = written.iter().map(|debt| (debt.attachment.clone(), debt.clone())).collect();
        self.written = Some(written);
    }

    /// One more is owed: nobody waits to be told so.
    pub(super) fn incur(&mut self, debt: Debt) {
        self.owed.insert(debt.attachment.clone(), debt);
    }

    /// What is owed of an endpoint is owed of it as it is known now.
    pub(super) fn renew(&mut self, now: impl Fn(&Debt) -> Option<Debt>) {
        for debt in self.owed.values_mut() {
            *debt = now(debt).unwrap_or_else(|| debt.clone());
        }
    }

    /// Who is owed to the store.
    pub(super) fn attachments(&self) -> impl Iterator<Item = &AttachmentId> {
        self.owed.keys()
    }

    pub(super) fn len(&self) -> usize {
        self.owed.len()
    }

    pub(super) fn contains(&self, attachment: &AttachmentId) -> bool {
        self.owed.contains_key(attachment)
    }

    /// Nothing is owed to a store that is another one.
    pub(super) fn forgive(&mut self) {
        self.owed.clear();
        self.written = None;
    }

    /// What is to be written, if it is time: all that is owed, and who is leaving.
    fn due(&mut self, leaving: Vec<Debt>) -> Option<BTreeSet<Debt>> {
        let wanted: BTreeSet<Debt> = self.owed.values().cloned().chain(leaving).collect();
        if self.writing.is_some() || self.refused.as_ref() == Some(&wanted) {
            return None;
        }
        self.refused = None;
        if self.written.as_ref() == Some(&wanted) {
            return None;
        }
        self.writing = Some(wanted.clone());
        Some(wanted)
    }
}

impl Node {
    /// Attachments that are to have nothing in the kernel any more.
    pub(super) fn departing(&self) -> BTreeSet<AttachmentId> {
        let owed = self.debts.owed.values().filter(|debt| self.stands(debt)).map(|debt| debt.attachment.clone());
        owed.chain(self.jobs.departing()).collect()
    }

    /// Whether that very endpoint is known, as it was when its container left.
    fn stands(&self, debt: &Debt) -> bool {
        self.mirror.as_ref().is_some_and(|mirror| {
            let known = mirror.endpoint_on(&debt.attachment, &self.identity.host);
            let key = ObjectKey::Endpoint(debt.endpoint.clone());
            known.is_some_and(|known| known.name == debt.endpoint) && mirror.form(&key) == Some(debt.version)
        })
    }

    /// Whether that endpoint has left, and its caller been told.
    pub(super) fn is_owed(&self, endpoint: &Endpoint) -> bool {
        self.debts
            .owed
            .get(&endpoint.attachment)
            .is_some_and(|debt| debt.endpoint == endpoint.name && self.stands(debt))
    }

    /// Detachments, and attachments taken back, that only wait for a store which is away are written down as owed to it.
    pub(super) fn go_into_debt(&mut self) {
        let is_away = self.store_error.is_some() || self.read_only().is_some();
        let leaving: Vec<Debt> = self.leaving().into_iter().filter(|_| is_away).collect();
        let known = leaving.iter().filter(|debt| self.debts.owed.get(&debt.attachment) == Some(debt));
        for attachment in known.map(|debt| debt.attachment.clone()).collect::<Vec<_>>() {
            self.let_leave(&attachment);
        }
        self.actions.extend(self.debts.due(leaving).map(Action::Owe));
    }

    /// Who asked to leave, or is taken back, and has nothing in the kernel any more. Of whom nobody can tell how the store has it nothing can be owed.
    fn leaving(&self) -> Vec<Debt> {
        let left = self.jobs.all().filter_map(|(attachment, job)| match (&job.wish, &job.stage) {
            (Wish::Detach | Wish::Undo(_), Stage::Leaving(endpoint)) if !self.uncertain.contains_key(attachment) => {
                Some(endpoint)
            }
            _ => None,
        });
        left.filter_map(|endpoint| debt_of(self.mirror.as_ref()?, endpoint)).collect()
    }

    /// What was to be written down is, or is not: then who leaves waits for the store, and is told so when its time is up.
    pub(super) fn debts_written(&mut self, result: Result<(), String>) {
        let Some(written) = self.debts.writing.take() else { return };
        if let Err(reason) = result {
            self.debts.refused = Some(written);
            return self
                .note(Note::Warning(format!("who left cannot be written down: {reason}; it waits for the store")));
        }
        let leaving = self.leaving();
        for debt in leaving.into_iter().filter(|debt| written.contains(debt)) {
            self.let_leave(&debt.attachment);
            self.debts.owed.insert(debt.attachment.clone(), debt);
        }
        self.debts.written = Some(written);
        self.debts.refused = None;
    }

    fn let_leave(&mut self, attachment: &AttachmentId) {
        let Some(job) = self.jobs.end(attachment) else { return };
        if let Stage::Leaving(endpoint) = job.stage {
            let answer = match job.wish {
                Wish::Undo(refusal) => Answer::Refused(refusal),
                _ => Answer::Detached(Some(*endpoint)),
            };
            self.answer(job.request, answer);
        }
    }

    /// What is owed is asked for as anybody would ask, once the store can be told. What cannot be read stays owed.
    pub(super) fn settle_debts(&mut self, now: Instant) {
        if self.debts.owed.is_empty() || !self.may_transact(now) {
            return;
        }
        for debt in self.debts.owed.values().cloned().collect::<Vec<_>>() {
            let key = ObjectKey::Endpoint(debt.endpoint.clone());
            let mirror = self.mirror.as_ref().expect("may_transact has seen it");
            let (is_unreadable, is_known) = (mirror.is_unreadable(&key), mirror.version(&key).is_some());
            match (is_unreadable, self.stands(&debt)) {
                (true, _) => {}
                (false, true) if self.jobs.get_mut(&debt.attachment).is_none() => {
                    let _ = self.jobs.begin(now, debt.attachment, NOBODY, Wish::Detach); // nobody else's is under way
                }
                (false, true) => {}
                (false, false) => self.write_off(&debt, is_known),
            }
        }
    }

    /// That endpoint is not there any more: gone, or another one is.
    fn write_off(&mut self, debt: &Debt, is_another: bool) {
        self.pay(&debt.attachment);
        if is_another {
            let Debt { attachment, endpoint, .. } = debt;
            let note = format!(
                "endpoint {endpoint} was written anew since {attachment} left it, and stays; see poplin ipam check"
            );
            self.note(Note::Warning(note));
        }
    }

    /// Nothing is left of an attachment, in the store either.
    pub(super) fn pay(&mut self, attachment: &AttachmentId) {
        self.debts.owed.remove(attachment);
    }
}

/// What is owed of an endpoint as it is known now; absent = it is not.
pub(super) fn debt_of(mirror: &Mirror, endpoint: &Endpoint) -> Option<Debt> {
    let version = mirror.form(&ObjectKey::Endpoint(endpoint.name.clone()))?;
    Some(Debt { attachment: endpoint.attachment.clone(), endpoint: endpoint.name.clone(), version })
}
