//! Export: everything that was declared, at one revision, and on demand the records of hosts and addresses.
//!
//! In: the store. Out: documents as `apply` reads them, and records as they stand. What cannot be read is named, and not in it.

use poplin_node::object::ObjectKey;
use poplin_node::release::MinWriter;
use poplin_proto::Failure;
use poplin_proto::v1::{ExportRequest, ExportResponse, Record};

use super::store_failure;
use crate::resource::{ROOT, decode, decode_resource, key_of};
use crate::schema::{self, MIN_WRITER};
use crate::store::{Entry, Snapshot, Store};

pub(super) async fn export(store: &dyn Store, request: &ExportRequest) -> Result<Vec<ExportResponse>, Failure> {
    let snapshot = store.snapshot(ROOT).await.map_err(|error| store_failure(&error))?;
    let known = snapshot.entries.iter().filter_map(|entry| Some((key_of(&entry.key)?, entry)));
    let is_wanted = |key: &ObjectKey| match key {
        ObjectKey::Lineage => false, // of this store, and no other
        key => request.all || is_declared(key),
    };
    let mut wanted: Vec<(ObjectKey, &Entry)> = known.filter(|(key, _)| is_wanted(key)).collect();
    wanted.sort_by_key(|(key, entry)| (rank(key), &entry.key));
    let mut answers =
        vec![ExportResponse { revision: snapshot.revision, schema: schema_of(&snapshot), ..ExportResponse::default() }];
    answers.extend(wanted.iter().map(|(key, entry)| answer(key, entry)));
    answers.extend(snapshot.entries.iter().filter(|entry| is_of_no_kind(entry, request.all)).map(unknown));
    Ok(answers)
}

fn schema_of(snapshot: &Snapshot) -> u32 {
    match schema::min_writer(snapshot.entry(MIN_WRITER)) {
        MinWriter::From(schema) => schema,
        MinWriter::Unsaid | MinWriter::Unreadable => 0,
    }
}

fn answer(key: &ObjectKey, entry: &Entry) -> ExportResponse {
    let unreadable = |reason: String| ExportResponse {
        unreadable: format!("the value of {} cannot be read: {reason}", entry.key),
        ..ExportResponse::default()
    };
    match decode(entry) {
        Some(Ok(_)) if is_declared(key) => match decode_resource(entry) {
            Ok(mut resource) => {
                if let Some(metadata) = resource.metadata_mut() {
                    metadata.uid.clear();
                    metadata.resource_version = 0;
                }
                ExportResponse { resource: Some(resource), ..ExportResponse::default() }
            }
            Err(error) => unreadable(error.reason),
        },
        Some(Ok(_)) => ExportResponse { record: record(entry), ..ExportResponse::default() },
        Some(Err(error)) => unreadable(error.reason),
        None => unreadable("its kind is not known".to_owned()),
    }
}

/// Whether a key would be exported if this version knew what it is. Marks and trials are the store's own.
fn is_of_no_kind(entry: &Entry, all: bool) -> bool {
    let parts: &[&str] = if all { &["c/", "h/", "e/", "b/"] } else { &["c/"] };
    let known_part = ["meta/", "t/", "x/", "s/", "h/", "e/", "b/", "c/"];
    let Some(key) = entry.key.strip_prefix(ROOT).filter(|_| key_of(&entry.key).is_none()) else { return false };
    parts.iter().any(|part| key.starts_with(part)) || !known_part.iter().any(|part| key.starts_with(part))
}

fn unknown(entry: &Entry) -> ExportResponse {
    let unreadable = format!("{} is of no kind that this version knows", entry.key);
    ExportResponse { unreadable, ..ExportResponse::default() }
}

fn record(entry: &Entry) -> Option<Record> {
    let key = entry.key.strip_prefix(ROOT)?.to_owned();
    Some(Record { key, value: String::from_utf8(entry.value.clone()).ok()? })
}

/// Whether people write it. Hosts and endpoints have documents too, but they are their agents' to write.
pub(super) fn is_declared(key: &ObjectKey) -> bool {
    match key {
        ObjectKey::Pool(_)
        | ObjectKey::Policy(_)
        | ObjectKey::Tier(_)
        | ObjectKey::AddressSet(_)
        | ObjectKey::Peer(_)
        | ObjectKey::Fabric
        | ObjectKey::Namespace(_)
        | ObjectKey::HostEndpoint(_)
        | ObjectKey::RouteMap(_)
        | ObjectKey::Network(_)
        | ObjectKey::Service(_)
        | ObjectKey::StaticRoute(_)
        | ObjectKey::Profile(_)
        | ObjectKey::FloatingAddress(_) => true,
        ObjectKey::Block(..) | ObjectKey::Host(_) | ObjectKey::Endpoint(_) | ObjectKey::Lineage => false,
    }
}

/// In which order objects are written where they do not go at once: rules come before those they govern, neighbours after the rules for
/// routes, and who has an address after the block it is of.
pub(super) fn rank(key: &ObjectKey) -> u8 {
    match key {
        ObjectKey::Namespace(_)
        | ObjectKey::Profile(_)
        | ObjectKey::Tier(_)
        | ObjectKey::AddressSet(_)
        | ObjectKey::RouteMap(_) => 0,
        ObjectKey::Policy(_) | ObjectKey::HostEndpoint(_) => 1,
        ObjectKey::Fabric | ObjectKey::Pool(_) => 2,
        ObjectKey::Network(_) => 3,
        ObjectKey::Service(_) | ObjectKey::StaticRoute(_) | ObjectKey::FloatingAddress(_) | ObjectKey::Peer(_) => 4,
        ObjectKey::Host(_) | ObjectKey::Lineage => 5,
        ObjectKey::Block(..) => 6,
        ObjectKey::Endpoint(_) => 7,
    }
}
