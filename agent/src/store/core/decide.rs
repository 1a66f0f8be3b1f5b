//! Decides what a transaction will do, without doing it: so that it can be made durable before anybody sees it.

use super::{Commit, Core, Record, RecordId};
use crate::store::{Compare, Entry, LeaseId, Operation, Outcome, Rejected, Revision, Transaction};

/// What a transaction comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What to tell the asker, once the commit is done.
    pub outcome: Outcome,
    /// What to do; `None` when nothing changes.
    pub commit: Option<Commit>,
}

impl Core {
    /// Decides a transaction against the present state. True only until the next [`Core::apply`].
    pub fn decide(&self, transaction: &Transaction) -> Result<Decision, Rejected> {
        transaction.check()?;
        if !transaction.compares.iter().all(|compare| self.holds(compare)) {
            return Ok(Decision { outcome: self.refusal(transaction), commit: None });
        }
        self.check_leases(transaction)?;
        let commit = self.commit_of(&transaction.operations);
        let revision = commit.as_ref().map_or(self.revision, |commit| commit.revision);
        Ok(Decision { outcome: Outcome::Committed { revision }, commit })
    }

    /// Decides the end of a lease: the delete of all its keys, in the order of their names.
    pub fn decide_revoke(&self, lease: LeaseId) -> Result<Option<Commit>, Rejected> {
        let deletes: Vec<_> = self.leases.keys(lease)?.cloned().map(Operation::Delete).collect();
        Ok(self.commit_of(&deletes))
    }

    fn holds(&self, compare: &Compare) -> bool {
        match compare {
            Compare::Absent(key) => self.mod_revision(key) == 0,
            Compare::Present(key) => self.mod_revision(key) != 0,
            Compare::Unchanged { key, mod_revision } => self.mod_revision(key) == *mod_revision,
        }
    }

    /// Zero for a key that does not exist, as in etcd.
    fn mod_revision(&self, key: &str) -> Revision {
        self.living(key).map_or(0, |(_, mod_revision)| mod_revision)
    }

    /// The revisions of birth and last put.
    fn living(&self, key: &str) -> Option<(Revision, Revision)> {
        let last = self.keys.get(key)?.last()?;
        last.value.as_ref().map(|_| (last.create_revision, last.id.revision))
    }

    fn refusal(&self, transaction: &Transaction) -> Outcome {
        let current: Vec<Entry> = transaction.compared_keys().into_iter().filter_map(|key| self.get(key)).collect();
        Outcome::Refused { revision: self.revision, current }
    }

    fn check_leases(&self, transaction: &Transaction) -> Result<(), Rejected> {
        transaction.leases().try_for_each(|lease| self.leases.keys(lease).map(drop))
    }

    fn commit_of(&self, operations: &[Operation]) -> Option<Commit> {
        let revision = self.revision + 1;
        let effective = operations.iter().filter(|operation| self.changes(operation));
        let records: Vec<_> = (0..).zip(effective).map(|(n, operation)| self.record(revision, n, operation)).collect();
        (!records.is_empty()).then_some(Commit { revision, records })
    }

    fn changes(&self, operation: &Operation) -> bool {
        match operation {
            Operation::Put { .. } => true,
            Operation::Delete(key) => self.living(key).is_some(),
        }
    }

    fn record(&self, revision: Revision, number: u32, operation: &Operation) -> Record {
        let id = RecordId { revision, operation: number };
        match operation {
            Operation::Put { key, value, lease } => {
                let create_revision = self.living(key).map_or(revision, |(birth, _)| birth);
                Record { id, key: key.clone(), create_revision, lease: *lease, value: Some(value.clone()) }
            }
            Operation::Delete(key) => {
                Record { id, key: key.clone(), create_revision: revision, lease: None, value: None }
            }
        }
    }
}
