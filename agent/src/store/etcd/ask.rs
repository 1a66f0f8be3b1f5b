//! Puts a transaction to etcd, and reads what came of it.

use super::explain::{About, was_never_sent};
use super::members::Failure;
use super::read::entry;
use super::{Etcd, kv};
use crate::store::{Compare, Entry, LeaseId, Operation, Outcome, StoreError, Transaction};
use etcd_client::{Client, Compare as Condition, CompareOp, PutOptions, Txn, TxnOp, TxnOpResponse, TxnResponse};

impl Etcd {
    pub(super) async fn ask(&self, transaction: Transaction) -> Result<Outcome, StoreError> {
        transaction.check()?;
        let about = About { lease: transaction.leases().next(), ..About::default() };
        let question = &question(transaction);
        let asked = |client: Client| async move { kv(&client).txn(question.clone()).await };
        match self.members.ask(asked).await {
            Ok(answer) => Ok(outcome(&answer)),
            Err(failure) => Err(self.failure(&failure, about)),
        }
    }

    /// What was sent and not answered may have been done.
    fn failure(&self, failure: &Failure, about: About) -> StoreError {
        match failure.explain(self.title(), about) {
            StoreError::Unreachable { location, cause } if !was_never_sent(failure) => {
                StoreError::OutcomeUnknown { location, cause }
            }
            other => other,
        }
    }
}

/// If refused, etcd shall read the compared keys at the same revision.
fn question(transaction: Transaction) -> Txn {
    let reads: Vec<_> = transaction.compared_keys().into_iter().map(|key| TxnOp::get(key, None)).collect();
    let conditions: Vec<_> = transaction.compares.into_iter().map(condition).collect();
    let operations: Vec<_> = transaction.operations.into_iter().map(operation).collect();
    Txn::new().when(conditions).and_then(operations).or_else(reads)
}

fn condition(compare: Compare) -> Condition {
    match compare {
        Compare::Absent(key) => Condition::create_revision(key, CompareOp::Equal, 0),
        Compare::Present(key) => Condition::create_revision(key, CompareOp::Greater, 0),
        Compare::Unchanged { key, mod_revision } => Condition::mod_revision(key, CompareOp::Equal, mod_revision),
    }
}

fn operation(operation: Operation) -> TxnOp {
    match operation {
        Operation::Put { key, value, lease } => TxnOp::put(key, value, lease.map(under)),
        Operation::Delete(key) => TxnOp::delete(key, None),
    }
}

fn under(lease: LeaseId) -> PutOptions {
    PutOptions::new().with_lease(lease.0)
}

fn outcome(answer: &TxnResponse) -> Outcome {
    let revision = answer.header().map_or(0, |header| header.revision());
    if answer.succeeded() {
        return Outcome::Committed { revision };
    }
    let current = answer.op_responses().iter().flat_map(entries_read).collect();
    Outcome::Refused { revision, current }
}

fn entries_read(response: &TxnOpResponse) -> Vec<Entry> {
    match response {
        TxnOpResponse::Get(read) => read.kvs().iter().map(entry).collect(),
        TxnOpResponse::Put(_) | TxnOpResponse::Delete(_) | TxnOpResponse::Txn(_) => Vec::new(),
    }
}
