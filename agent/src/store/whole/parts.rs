//! A value that is too large for one key: cut into parts, each under a key of its own that is named by what is in it.
//!
//! In: a value. Out: its parts, and the short value that names them in order; and back. The cuts follow what is written beside them, so whoever
//! changes a few entries of a long list changes a few parts.
//!
//! ```text
//! /poplin/v1/c/addressset/NAME          {"parts": ["HASH", …], "octets": …}
//! /poplin/v1/x/c/addressset/NAME#HASH   a piece of the text
//! ```
//! An agent that knows nothing of parts cannot read the short value, and closes what it might close.

use std::collections::BTreeSet;
use std::hash::Hasher as _;

use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher13;
use siphasher::sip128::{Hasher128 as _, SipHasher13 as SipHasher13Wide};

use crate::resource::ROOT;
use crate::store::{Change, Operation};

/// The longest value that stands under its key as it is, in octets: an address set of some 25,000 prefixes. A few such
/// still go in one transaction.
pub(super) const LONGEST_VALUE: usize = 512 << 10;

/// No part but the last is shorter, in octets.
const SHORTEST: usize = 16 << 10;

/// No part is longer, unless its text has no comma.
const LONGEST: usize = 128 << 10;

/// Of so many words one ends a part: with 20 octets a word parts are some 40 KiB long.
const WORDS: u64 = 1_024;

/// How the short value begins; no document does.
const OPENING: &[u8] = b"{\"parts\":[";

/// The short value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Head {
    parts: Vec<String>,
    octets: usize,
}

impl Head {
    /// The value of a key, if it is a short one.
    pub(super) fn read(value: &[u8]) -> Option<Self> {
        serde_json::from_slice(value).ok().filter(|_| value.starts_with(OPENING))
    }

    /// The keys of the parts, in order. One may come twice.
    pub(super) fn keys<'h>(&'h self, key: &str) -> impl Iterator<Item = String> + use<'h> {
        let prefix = prefix_of(key);
        self.parts.iter().map(move |part| format!("{prefix}{part}"))
    }

    /// The whole value; nothing where a part is missing.
    pub(super) fn join<'v>(&self, key: &str, part: impl Fn(&str) -> Option<&'v [u8]>) -> Option<Vec<u8>> {
        let mut whole = Vec::with_capacity(self.octets.min(LONGEST * self.parts.len()));
        for key in self.keys(key) {
            whole.extend_from_slice(part(&key)?);
        }
        Some(whole).filter(|whole| whole.len() == self.octets)
    }
}

/// Below what all parts stand.
pub(super) fn root() -> String {
    format!("{ROOT}x/")
}

/// What the keys of the parts of a value begin with.
pub(super) fn prefix_of(key: &str) -> String {
    format!("{ROOT}x/{}#", key.strip_prefix(ROOT).unwrap_or(key))
}

/// What is to be done so that a key has a value, where some parts stand already: parts that are missing, the short value, and parts of no more use.
pub(super) fn put(key: &str, value: &str, standing: &BTreeSet<String>) -> Vec<Operation> {
    let prefix = prefix_of(key);
    let named: Vec<(String, &str)> = cut(value).into_iter().map(|part| (hash(part), part)).collect();
    let head = Head { parts: named.iter().map(|(name, _)| name.clone()).collect(), octets: value.len() };
    let mut wanted = BTreeSet::new();
    let mut operations = Vec::new();
    for (name, part) in named {
        let key = format!("{prefix}{name}");
        if wanted.insert(key.clone()) && !standing.contains(&key) {
            operations.push(Operation::Put { key, value: part.into(), lease: None });
        }
    }
    let value = serde_json::to_vec(&head).expect("texts and numbers are JSON");
    operations.push(Operation::Put { key: key.to_owned(), value, lease: None });
    operations.extend(standing.difference(&wanted).cloned().map(Operation::Delete));
    operations
}

/// The short value a change brings, with its key.
pub(super) fn head_in(change: &Change) -> Option<(&str, Head)> {
    match change {
        Change::Put(entry) => Some((&entry.key, Head::read(&entry.value)?)),
        Change::Deleted { .. } => None,
    }
}

fn cut(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut start, mut word) = (0, 0);
    for (comma, _) in text.match_indices(',') {
        let (is_mark, length) = (is_mark(&text[word..comma]), comma + 1 - start);
        word = comma + 1;
        if (is_mark && length >= SHORTEST) || length >= LONGEST {
            parts.push(&text[start..word]);
            start = word;
        }
    }
    parts.extend(Some(&text[start..]).filter(|rest| !rest.is_empty()));
    parts
}

fn is_mark(word: &str) -> bool {
    let mut hasher = SipHasher13::new();
    hasher.write(word.as_bytes());
    hasher.finish().is_multiple_of(WORDS)
}

fn hash(part: &str) -> String {
    let mut hasher = SipHasher13Wide::new();
    hasher.write(part.as_bytes());
    format!("{:032x}", hasher.finish128().as_u128())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    const KEY: &str = "/poplin/v1/c/addressset/big";

    fn list(numbers: impl Iterator<Item = u32>) -> String {
        let nets: Vec<String> =
            numbers.map(|n| format!("\"10.{}.{}.{}/32\"", n >> 16, (n >> 8) & 255, n & 255)).collect();
        format!("{{\"nets\":[{}]}}", nets.join(","))
    }

    fn puts(operations: &[Operation]) -> BTreeMap<String, Vec<u8>> {
        let put = |operation: &Operation| match operation {
            Operation::Put { key, value, .. } => Some((key.clone(), value.clone())),
            Operation::Delete(_) => None,
        };
        operations.iter().filter_map(put).collect()
    }

    fn keys(puts: &BTreeMap<String, Vec<u8>>) -> BTreeSet<String> {
        puts.keys().filter(|key| *key != KEY).cloned().collect()
    }

    #[test]
    fn the_parts_of_a_value_make_up_the_value() {
        let value = list(0..100_000);

        let written = puts(&put(KEY, &value, &BTreeSet::new()));

        let head = Head::read(&written[KEY]).unwrap();
        assert_eq!(head.join(KEY, |key| written.get(key).map(Vec::as_slice)).unwrap(), value.as_bytes());
        assert!(written.values().all(|value| value.len() <= LONGEST), "none is too long");
        assert_eq!(head.join(KEY, |_| None), None, "without its parts it is nothing");
    }

    #[test]
    fn an_entry_more_in_a_long_list_changes_a_few_parts() {
        let before = puts(&put(KEY, &list(0..100_000), &BTreeSet::new()));

        let operations = put(KEY, &list((0..50_000).chain([3_000_000]).chain(50_000..100_000)), &keys(&before));

        assert!(before.len() > 20 && operations.len() <= 5, "{} of {}", operations.len(), before.len());
    }

    #[test]
    fn what_stands_and_is_not_needed_goes() {
        let before = puts(&put(KEY, &list(0..100_000), &BTreeSet::new()));

        let operations = put(KEY, &list(1_000_000..1_060_000), &keys(&before));

        let deleted = operations.iter().filter(|operation| matches!(operation, Operation::Delete(_))).count();
        assert_eq!(deleted, before.len() - 1);
    }

    #[test]
    fn a_document_is_no_short_value() {
        assert_eq!(Head::read(br#"{"apiVersion":"poplin.dev/v1"}"#), None);
        assert_eq!(Head::read(br#"{"parts":["#), None);
    }
}
