//! RemoveHost: a host that is gone for good leaves the fabric, and what it held becomes free.
//!
//! In: its name, and the word of a person that it does not run. Out: what went with it. What is done is planned by
//! [`poplin_node::removal`], anew after each transaction, so that what others do meanwhile counts.

use std::collections::BTreeMap;

use poplin_node::name::HostName;
use poplin_node::object::{Object, ObjectKey};
use poplin_node::removal::{Removal, Step, is_known, removal};
use poplin_node::status::Session;
use poplin_proto::Failure;
use poplin_proto::v1::{RemoveHostRequest, RemoveHostResponse};
use tonic::Code;

use super::apply::{all_readable, contended, declared, fence, unreadable};
use super::list::not_found;
use super::store_failure;
use crate::docker::bindings_of;
use crate::resource::{ROOT, encode, path_of};
use crate::store::{Compare, Operation, Outcome, Snapshot, Store, Transaction};

/// How often another hand may come between before it is told.
const TRIES: usize = 10;

/// Refuses hosts that are seen to live: this one, and those that speak to it.
pub(super) fn check_is_no_other(own: &str, sessions: &[Session], name: &str) -> Result<(), Failure> {
    let alive = |message: String, advice: &str| {
        Err(Failure::new(Code::FailedPrecondition, "HOST_ALIVE", message).advice(advice))
    };
    if name == own {
        return alive(format!("host {name} answers this very call"), "ask the agent of another host");
    }
    match sessions.iter().find(|session| session.name == name && session.state == "Established") {
        Some(session) => alive(
            format!("host {name} is alive: it has a BGP session with this host at {}", session.address),
            "stop its agent first, and detach its containers",
        ),
        None => Ok(()),
    }
}

pub(super) async fn remove(store: &dyn Store, request: &RemoveHostRequest) -> Result<RemoveHostResponse, Failure> {
    let host = HostName::new(request.name.as_str());
    let (mut snapshot, planned) = plan(store, &host).await?;
    let planned = planned.ok_or_else(|| not_found("Host", &request.name))?;
    let answer = response(&planned);
    if request.is_gone {
        forget_dockers(store, &snapshot, &request.name).await?;
    }
    let mut left = Some(planned).filter(|_| request.is_gone);
    let mut contentions = 0;
    while let Some(step) = left.and_then(|planned| planned.steps.into_iter().next()) {
        match store.transact(transaction(step, &snapshot)).await.map_err(|error| store_failure(&error))? {
            Outcome::Committed { .. } => contentions = 0,
            Outcome::Refused { .. } if contentions < TRIES => contentions += 1,
            Outcome::Refused { .. } => return Err(contended()),
        }
        (snapshot, left) = plan(store, &host).await?;
    }
    Ok(answer)
}

/// Which network of the fabric each of its Docker's networks was is of no use to anybody without it.
async fn forget_dockers(store: &dyn Store, snapshot: &Snapshot, host: &str) -> Result<(), Failure> {
    let root = bindings_of(host);
    let keys: Vec<&str> =
        snapshot.entries.iter().map(|entry| entry.key.as_str()).filter(|key| key.starts_with(&root)).collect();
    for some in keys.chunks(MOST_KEYS) {
        let operations = some.iter().map(|key| Operation::Delete((*key).to_owned())).collect();
        let transaction = Transaction { compares: Vec::new(), operations };
        store.transact(transaction).await.map_err(|error| store_failure(&error))?;
    }
    Ok(())
}

/// How many of them go at once: etcd takes 128 operations in a transaction.
const MOST_KEYS: usize = 100;

/// The store as it is, and what is to be done; nothing if the host is not there.
async fn plan(store: &dyn Store, host: &HostName) -> Result<(Snapshot, Option<Removal>), Failure> {
    let snapshot = store.snapshot(ROOT).await.map_err(|error| store_failure(&error))?;
    let bears = |key: &ObjectKey| {
        matches!(key, ObjectKey::Host(_) | ObjectKey::Endpoint(_) | ObjectKey::Block(..) | ObjectKey::Lineage)
    };
    all_readable(&unreadable(&snapshot, bears))?;
    let standing = declared(&snapshot, bears);
    Ok((snapshot, is_known(host, &standing).then(|| removal(host, &standing))))
}

/// All that is touched must be as it was read.
pub(super) fn transaction(step: Step, snapshot: &Snapshot) -> Transaction {
    let put = |object: Object| {
        let value = encode(&object).expect("agents write blocks, and what a store says of itself");
        Operation::Put { key: path_of(&object.key()), value, lease: None }
    };
    let deletes = step.deletes.iter().map(|key| Operation::Delete(path_of(key)));
    let operations: Vec<Operation> = step.puts.into_iter().map(put).chain(deletes).collect();
    let known: BTreeMap<&str, i64> =
        snapshot.entries.iter().map(|entry| (entry.key.as_str(), entry.mod_revision)).collect();
    let unchanged = |operation: &Operation| match known.get(operation.key()) {
        Some(mod_revision) => Compare::Unchanged { key: operation.key().to_owned(), mod_revision: *mod_revision },
        None => Compare::Absent(operation.key().to_owned()),
    };
    let mut transaction = Transaction { compares: operations.iter().map(unchanged).collect(), operations };
    fence(&mut transaction, snapshot);
    transaction
}

fn response(removal: &Removal) -> RemoveHostResponse {
    RemoveHostResponse {
        endpoints: removal.endpoints.iter().map(ToString::to_string).collect(),
        addresses_freed: u32::try_from(removal.addresses_freed).unwrap_or(u32::MAX),
        blocks_freed: removal.blocks_freed.iter().map(ToString::to_string).collect(),
        blocks_moved: removal.blocks_moved.iter().map(|(cidr, host)| format!("{cidr} to {host}")).collect(),
    }
}
