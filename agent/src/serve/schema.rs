//! SetSchema: from which schema on agents may write, told and changed.
//!
//! In: the store, and what a person wants. Out: what stands there by then, and what each host's agent knows. It rises to what every host that is written down knows, and
//! no further; it falls as far as is asked, for an agent that is to go back.

use poplin_node::release::{MinWriter, Release};
use poplin_proto::Failure;
use poplin_proto::v1::{HostSchema, SetSchemaRequest, SetSchemaResponse};
use tonic::Code;

use super::apply::contended;
use super::store_failure;
use crate::resource::ROOT;
use crate::schema::{self, MIN_WRITER, beyond};
use crate::store::{Compare, Entry, Operation, Outcome, Snapshot, Store, Transaction};

/// How often another hand may come between before it is told.
const TRIES: usize = 10;

/// What is to stand there.
enum Wish {
    /// What stands there.
    Tell,
    /// The most that all hosts know.
    Raise,
    Set(u32),
}

pub(super) async fn set(
    store: &dyn Store,
    here: &str,
    request: SetSchemaRequest,
) -> Result<SetSchemaResponse, Failure> {
    let wish = match (request.raise, request.set) {
        (false, 0) => Wish::Tell,
        (true, 0) => Wish::Raise,
        (false, schema) => Wish::Set(schema),
        (true, _) => {
            let message = "raise and set exclude one another";
            return Err(Failure::new(Code::InvalidArgument, "TWO_WISHES", message).field("set"));
        }
    };
    for _ in 0..TRIES {
        let snapshot = store.snapshot(ROOT).await.map_err(|error| store_failure(&error))?;
        let hosts = hosts(&snapshot, here);
        let stands = schema::min_writer(snapshot.entry(MIN_WRITER));
        let wanted = match wish {
            Wish::Tell => return Ok(answer(stands, hosts, &snapshot)),
            Wish::Raise => least(&hosts).max(known(stands)),
            Wish::Set(schema) => schema,
        };
        if MinWriter::From(wanted) == stands {
            return Ok(answer(stands, hosts, &snapshot));
        }
        check(wanted, stands, &hosts)?;
        match store.transact(writing(wanted, &snapshot)).await.map_err(|error| store_failure(&error))? {
            Outcome::Committed { .. } => return Ok(answer(MinWriter::From(wanted), hosts, &snapshot)),
            Outcome::Refused { .. } => {} // somebody else set it
        }
    }
    Err(contended())
}

/// The hosts that are written down, and what their agents are: this one as it is, the others as they last could write it.
fn hosts(snapshot: &Snapshot, here: &str) -> Vec<(String, Option<Release>)> {
    let own = |(name, told): (String, Option<Release>)| match name == here {
        true => (name, Some(schema::release())),
        false => (name, told),
    };
    schema::hosts(&snapshot.entries).into_iter().map(own).collect()
}

fn schema_of(release: Option<&Release>) -> u32 {
    release.map_or(1, |release| release.schema)
}

fn least(hosts: &[(String, Option<Release>)]) -> u32 {
    hosts.iter().map(|(_, release)| schema_of(release.as_ref())).min().unwrap_or(schema::release().schema)
}

/// The number that stands there; where none does, any may come in its place.
fn known(min_writer: MinWriter) -> u32 {
    match min_writer {
        MinWriter::From(schema) => schema,
        MinWriter::Unsaid | MinWriter::Unreadable => 0,
    }
}

/// It does not rise above what a host's agent knows: that host could write nothing from then on.
fn check(wanted: u32, stands: MinWriter, hosts: &[(String, Option<Release>)]) -> Result<(), Failure> {
    if wanted <= known(stands) {
        return Ok(());
    }
    let behind = hosts.iter().filter(|(_, release)| schema_of(release.as_ref()) < wanted);
    let behind: Vec<String> =
        behind.map(|(name, release)| format!("{name} ({})", in_words(release.as_ref()))).collect();
    if behind.is_empty() {
        return Ok(());
    }
    let message = format!("schema {wanted} is more than these hosts' agents know: {}", behind.join(", "));
    Err(Failure::new(Code::FailedPrecondition, "HOSTS_BEHIND", message).field("set").advice(
        "upgrade poplind there and start it; a host that is gone for good: `poplin host remove HOST --gone`; `poplin store schema --raise` goes as far as all can",
    ))
}

fn in_words(release: Option<&Release>) -> String {
    match release {
        Some(Release { version, schema }) => format!("poplind {version}, schema {schema}"),
        None => "tells none, so schema 1".to_owned(),
    }
}

fn writing(schema: u32, snapshot: &Snapshot) -> Transaction {
    let key = MIN_WRITER.to_owned();
    let compare = match snapshot.entry(MIN_WRITER) {
        None => Compare::Absent(key.clone()),
        Some(entry) => Compare::Unchanged { key: key.clone(), mod_revision: entry.mod_revision },
    };
    Transaction::of([Operation::Put { key, value: schema::written(schema), lease: None }]).when(compare)
}

fn answer(stands: MinWriter, hosts: Vec<(String, Option<Release>)>, snapshot: &Snapshot) -> SetSchemaResponse {
    let schema = known(stands);
    let host = |(name, release): (String, Option<Release>)| HostSchema {
        host: name,
        version: release.as_ref().map(|one| one.version.clone()).unwrap_or_default(),
        schema: schema_of(release.as_ref()),
    };
    SetSchemaResponse {
        min_writer: schema,
        can_raise_to: least(&hosts),
        hosts: hosts.into_iter().map(host).collect(),
        later: snapshot.entries.iter().filter_map(|entry| later(entry, schema)).collect(),
    }
}

/// A value of which an agent of that schema cannot read something.
fn later(entry: &Entry, schema: u32) -> Option<String> {
    let feature = beyond(&entry.key, &entry.value, schema)?;
    Some(format!("{}: {} is of schema {}", entry.key, feature.field, feature.schema))
}
