//! AcceptStore: a store that forgot is right as it is, by the word of a person. Nobody is waited for any more.
//!
//! In: the store. Out: who was awaited, and had not told what it forgot. What hosts tell later is still told, as far as it is nobody else's by then.

use poplin_node::lineage::Lineage;
use poplin_node::object::{Host, Object, ObjectKey};
use poplin_proto::Failure;
use poplin_proto::v1::AcceptStoreResponse;

use super::apply::{contended, declared};
use super::remove_host::transaction;
use super::store_failure;
use crate::resource::ROOT;
use crate::store::{Outcome, Snapshot, Store};
use poplin_node::removal::Step;

/// How often another hand may come between before it is told.
const TRIES: usize = 10;

pub(super) async fn accept(store: &dyn Store, dry_run: bool) -> Result<AcceptStoreResponse, Failure> {
    for _ in 0..TRIES {
        let snapshot = store.snapshot(ROOT).await.map_err(|error| store_failure(&error))?;
        let Some((lineage, awaited)) = silent(&snapshot) else { return Ok(AcceptStoreResponse::default()) };
        let answer = AcceptStoreResponse { awaited };
        if dry_run || answer.awaited.is_empty() {
            return Ok(answer);
        }
        let puts = vec![Object::Lineage(Lineage { is_accepted: true, ..lineage })];
        let step = Step { puts, deletes: Vec::new() };
        match store.transact(transaction(step, &snapshot)).await.map_err(|error| store_failure(&error))? {
            Outcome::Committed { .. } => return Ok(answer),
            Outcome::Refused { .. } => {} // a host came between: it may have told by now
        }
    }
    Err(contended())
}

/// What the store says of itself, and who is awaited.
fn silent(snapshot: &Snapshot) -> Option<(Lineage, Vec<String>)> {
    let standing = declared(snapshot, |key| matches!(key, ObjectKey::Lineage | ObjectKey::Host(_)));
    let lineage = <&Lineage>::try_from(standing.get(&ObjectKey::Lineage)?).ok()?.clone();
    let told = |name: &poplin_node::name::HostName| {
        let host = standing.get(&ObjectKey::Host(name.clone())).and_then(|object| <&Host>::try_from(object).ok());
        host.is_some_and(|host| lineage.has_told(host))
    };
    let awaited = lineage.awaiting().filter(|name| !told(name)).map(ToString::to_string).collect();
    Some((lineage, awaited))
}
