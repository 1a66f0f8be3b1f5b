//! RenameHost: what a host has goes on under another name.
//!
//! In: both names, and an agent that does not act under the old one. Out: what came along. Planned by [`poplin_node::renaming`], anew after each transaction.

use poplin_manifest::field::object_name;
use poplin_node::name::HostName;
use poplin_node::object::{Host, Object, ObjectKey};
use poplin_node::removal::is_known;
use poplin_node::renaming::{Renaming, renaming};
use poplin_proto::Failure;
use poplin_proto::v1::{RenameHostRequest, RenameHostResponse};
use tonic::Code;

use super::apply::{all_readable, contended, declared, unreadable};
use super::list::not_found;
use super::remove_host::transaction;
use super::store_failure;
use crate::docker::bindings_of;
use crate::resource::ROOT;
use crate::store::{Compare, Operation, Outcome, Snapshot, Store, Transaction};

/// How often another hand may come between before it is told.
const TRIES: usize = 10;

/// How many keys of Docker's networks go at once: each is deleted and written, and etcd takes 128 operations.
const MOST_KEYS: usize = 60;

pub(super) async fn rename(store: &dyn Store, request: &RenameHostRequest) -> Result<RenameHostResponse, Failure> {
    object_name("new_name", &request.new_name).map_err(|invalid| invalid.into_failure("the new name"))?;
    let (from, to) = (HostName::new(request.name.as_str()), HostName::new(request.new_name.as_str()));
    let (mut snapshot, planned) = plan(store, &from, &to).await?;
    let planned = planned.ok_or_else(|| not_found("Host", &request.name))?;
    let answer = RenameHostResponse {
        endpoints: u32::try_from(planned.endpoints).unwrap_or(u32::MAX),
        blocks: u32::try_from(planned.blocks).unwrap_or(u32::MAX),
        host_endpoints: host_endpoints(&snapshot, &from),
    };
    move_dockers(store, &snapshot, &from, &to).await?;
    let mut left = planned.steps;
    let mut contentions = 0;
    while let Some(step) = left.into_iter().next() {
        match store.transact(transaction(step, &snapshot)).await.map_err(|error| store_failure(&error))? {
            Outcome::Committed { .. } => contentions = 0,
            Outcome::Refused { .. } if contentions < TRIES => contentions += 1,
            Outcome::Refused { .. } => return Err(contended()),
        }
        let (seen, planned) = plan(store, &from, &to).await?;
        (snapshot, left) = (seen, planned.unwrap_or_default().steps);
    }
    Ok(answer)
}

/// The store as it is, and what is to be done; nothing if no host bears the old name.
async fn plan(store: &dyn Store, from: &HostName, to: &HostName) -> Result<(Snapshot, Option<Renaming>), Failure> {
    let snapshot = store.snapshot(ROOT).await.map_err(|error| store_failure(&error))?;
    let bears = |key: &ObjectKey| {
        matches!(key, ObjectKey::Host(_) | ObjectKey::Endpoint(_) | ObjectKey::Block(..) | ObjectKey::Lineage)
    };
    all_readable(&unreadable(&snapshot, bears))?;
    let standing = declared(&snapshot, bears);
    if !is_known(from, &standing) {
        return Ok((snapshot, None));
    }
    let rival = standing.get(&ObjectKey::Host(to.clone())).and_then(|object| <&Host>::try_from(object).ok());
    if let Some(machine) = rival.and_then(|rival| rival.machine) {
        let message = format!("there is a host {to} already: machine {machine}");
        return Err(Failure::new(Code::AlreadyExists, "NAME_TAKEN", message)
            .advice("take another name, or see `poplin get hosts`"));
    }
    let planned = renaming(from, to, &standing);
    Ok((snapshot, Some(planned)))
}

/// What people declared of the host by its name is theirs to declare anew.
fn host_endpoints(snapshot: &Snapshot, from: &HostName) -> Vec<String> {
    let all = declared(snapshot, |key| matches!(key, ObjectKey::HostEndpoint(_)));
    let of_host = |object: Object| match object {
        Object::HostEndpoint(one) if one.host == from.as_str() => Some(one.name),
        _ => None,
    };
    all.into_values().filter_map(of_host).collect()
}

/// Which network of the fabric each of its Docker's networks is goes on to be known.
async fn move_dockers(store: &dyn Store, snapshot: &Snapshot, from: &HostName, to: &HostName) -> Result<(), Failure> {
    let (old, new) = (bindings_of(from.as_str()), bindings_of(to.as_str()));
    let entries: Vec<_> = snapshot.entries.iter().filter(|entry| entry.key.starts_with(&old)).collect();
    for some in entries.chunks(MOST_KEYS) {
        let operations = some.iter().flat_map(|entry| {
            let key = format!("{new}{}", &entry.key[old.len()..]);
            [Operation::Delete(entry.key.clone()), Operation::Put { key, value: entry.value.clone(), lease: None }]
        });
        let transaction = Transaction { compares: Vec::<Compare>::new(), operations: operations.collect() };
        store.transact(transaction).await.map_err(|error| store_failure(&error))?;
    }
    Ok(())
}
