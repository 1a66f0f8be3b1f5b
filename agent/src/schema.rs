//! Which forms of the store's values this agent knows, and from which on agents may write.
//!
//! In: values of the store. Out: the number of this program, whether a value uses what came after a number, and what stands under `min_writer`. A number rises by
//! one with each release that brings a kind or a field which agents before it cannot read; what it brought stands in [`SINCE`].
//!
//! ```text
//!   /poplin/v1/meta/min_writer   {"schema":2}   an agent below writes nothing (`store/guarded`), and nobody writes what is of a later schema
//! ```
//! So whoever may write can read all that stands there, and what an agent does not know it never writes over. What agents write themselves (hosts, endpoints,
//! blocks) is read past fields that are not known: an agent that was rolled back goes on to know who lives where. A field that comes there must not take anything
//! back that the others say.

use std::sync::OnceLock;

use poplin_node::object::ObjectKey;
use poplin_node::release::{MinWriter, Release};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::resource::{ROOT, decode, key_of};
use crate::store::{Compare, Entry, Operation, Store, StoreError, Transaction};

/// The last schema this program knows.
pub const SCHEMA: u32 = 2;

/// Says from which schema on agents may write.
pub const MIN_WRITER: &str = "/poplin/v1/meta/min_writer";

/// What came with which schema, and which values have it: those below a key, with something in a field. Schema 1 is all that is older.
const SINCE: [Feature; 8] = [
    Feature { schema: 2, below: "c/pool/", pointer: "/spec/lan", field: "spec.lan" },
    Feature { schema: 2, below: "c/pool/", pointer: "/spec/encapsulation", field: "spec.encapsulation" },
    Feature { schema: 2, below: "c/fabricconfig/", pointer: "/spec/vxlan", field: "spec.vxlan" },
    Feature { schema: 2, below: "c/fabricconfig/", pointer: "/spec/readiness", field: "spec.readiness" },
    Feature { schema: 2, below: "c/network/", pointer: "/spec/macvlan", field: "spec.macvlan" },
    Feature { schema: 2, below: "c/network/", pointer: "/spec/isolation", field: "spec.isolation" },
    Feature { schema: 2, below: "c/hostendpoint/", pointer: "/spec/profiles", field: "spec.profiles" },
    Feature { schema: 2, below: "c/hostendpoint/", pointer: "/spec/ports", field: "spec.ports" },
];

/// Something that agents before a schema cannot read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Feature {
    /// The schema it came with.
    pub schema: u32,
    /// Where the values stand, below [`ROOT`].
    below: &'static str,
    pointer: &'static str,
    /// The field, as people write it.
    pub field: &'static str,
}

/// As the agent of which schema this process acts; the last it knows unless it was told otherwise.
static ACTS_AS: OnceLock<u32> = OnceLock::new();

/// This process acts as an agent of an earlier schema, from its start on: what came later it neither reads nor writes.
pub fn act_as(schema: u32) {
    let _ = ACTS_AS.set(schema); // once: what was read before would count as it was read
}

/// This agent.
pub fn release() -> Release {
    let schema = *ACTS_AS.get().unwrap_or(&SCHEMA);
    Release { version: env!("CARGO_PKG_VERSION").to_owned(), schema }
}

/// What a value has that came after a schema, if it has such.
pub fn beyond(key: &str, value: &[u8], schema: u32) -> Option<Feature> {
    let rest = key.strip_prefix(ROOT)?;
    let mut later = SINCE.into_iter().filter(|one| one.schema > schema && rest.starts_with(one.below)).peekable();
    later.peek()?;
    let document: Value = serde_json::from_slice(value).ok()?;
    later.find(|one| document.pointer(one.pointer).is_some_and(|found| !found.is_null()))
}

#[derive(Serialize, Deserialize)]
struct StoredMinWriter {
    schema: u32,
}

/// What stands under [`MIN_WRITER`], as text.
pub fn written(schema: u32) -> Vec<u8> {
    format!("{{\"schema\":{schema}}}").into_bytes()
}

/// What an entry says that stands under [`MIN_WRITER`], if one does.
pub fn min_writer(entry: Option<&Entry>) -> MinWriter {
    let Some(entry) = entry else { return MinWriter::Unsaid };
    match serde_json::from_slice::<StoredMinWriter>(&entry.value) {
        Ok(stored) if stored.schema > 0 => MinWriter::From(stored.schema),
        Ok(_) | Err(_) => MinWriter::Unreadable,
    }
}

/// The last schema that every host's agent knows, and this one; a host that did not tell has an agent of schema 1.
pub fn shared<'e>(entries: impl IntoIterator<Item = &'e Entry>) -> u32 {
    hosts(entries).into_iter().map(|(_, release)| release.map_or(1, |one| one.schema)).fold(release().schema, u32::min)
}

/// The hosts among these entries, and what their agents are.
pub fn hosts<'e>(entries: impl IntoIterator<Item = &'e Entry>) -> Vec<(String, Option<Release>)> {
    let host = |entry: &Entry| match key_of(&entry.key)? {
        ObjectKey::Host(name) => {
            let read = decode(entry).and_then(Result::ok);
            let record = read.and_then(|one| <&poplin_node::object::Host>::try_from(&one.value).ok().cloned());
            Some((name.to_string(), record.and_then(|record| record.release)))
        }
        _ => None,
    };
    entries.into_iter().filter_map(host).collect()
}

/// A store that does not say it says from now on what it said before, if it did; else what all its hosts can do.
pub(crate) async fn begin(store: &dyn Store, before: MinWriter) -> Result<(), StoreError> {
    let schema = match before {
        MinWriter::From(schema) => schema,
        MinWriter::Unsaid | MinWriter::Unreadable => shared(&store.snapshot(&format!("{ROOT}h/")).await?.entries),
    };
    let put = Operation::Put { key: MIN_WRITER.to_owned(), value: written(schema), lease: None };
    store.transact(Transaction::of([put]).when(Compare::Absent(MIN_WRITER.to_owned()))).await.map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(key: &str, value: &str) -> Entry {
        Entry { key: format!("{ROOT}{key}"), value: value.into(), create_revision: 1, mod_revision: 1 }
    }

    #[test]
    fn a_value_is_beyond_a_schema_by_what_is_written_in_it() {
        let pool = |spec: &str| {
            format!(r#"{{"kind":"Pool","metadata":{{"name":"p"}},"spec":{{"cidr":"10.0.0.0/16"{spec}}}}}"#)
        };
        let key = format!("{ROOT}c/pool/p");

        assert_eq!(beyond(&key, pool("").as_bytes(), 1), None);
        let feature = beyond(&key, pool(r#","lan":true"#).as_bytes(), 1).unwrap();
        assert_eq!((feature.schema, feature.field), (2, "spec.lan"));
        assert_eq!(beyond(&key, pool(r#","lan":true"#).as_bytes(), 2), None);
        assert_eq!(beyond(&format!("{ROOT}c/policy/p"), pool(r#","lan":true"#).as_bytes(), 1), None);
    }

    #[test]
    fn what_the_store_says_of_its_writers_is_read_as_it_is_written_and_anything_else_keeps_everybody_off() {
        assert_eq!(min_writer(None), MinWriter::Unsaid);
        let said = |text: &str| min_writer(Some(&entry("meta/min_writer", text)));
        assert_eq!(said(std::str::from_utf8(&written(7)).unwrap()), MinWriter::From(7));
        assert_eq!(said(r#"{"schema":3,"since":"a later field"}"#), MinWriter::From(3));
        for odd in ["", "2", "{}", r#"{"schema":0}"#, r#"{"schema":-1}"#, r#"{"schema":"2"}"#] {
            assert_eq!(said(odd), MinWriter::Unreadable, "{odd}");
        }
    }

    #[test]
    fn hosts_share_the_lowest_schema_and_one_that_tells_none_has_the_first() {
        let host = |name: &str, spec: &str| {
            entry(
                &format!("h/{name}"),
                &format!(r#"{{"kind":"Host","metadata":{{"name":"{name}"}},"spec":{{"routerId":"192.0.2.1"{spec}}}}}"#),
            )
        };
        let told = host("h1", r#","agentVersion":"0.1.0","schema":9"#);

        assert_eq!(shared([&told]), SCHEMA);
        assert_eq!(shared([&told, &host("h2", "")]), 1);
    }
}
