//! A change that is too large for one transaction: written down piece by piece where nobody looks, decided by one transaction, and then carried to its keys.
//!
//! In: operations, and entries of the store. Out: the pieces, and what the store holds for whoever reads it while a change is decided and not yet
//! carried over. Knows nothing of how keys are written.
//!
//! ```text
//! /poplin/v1/meta/whole/ID   stands, under a lease, while pieces are written     ─┐ one transaction: the decision
//! /poplin/v1/meta/whole      {"id": "ID", "pieces": 200, "done": 3}; {} = nothing ◄┘
//! /poplin/v1/s/ID/000003     {"put": [[KEY, VALUE], …], "delete": [KEY, …]}, gone once it is carried over
//! ```

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::resource::ROOT;
use crate::store::{Change, Entry, Operation, Revision, Snapshot};

/// What is decided.
pub(super) const MARK: &str = "/poplin/v1/meta/whole";

/// Operations in a piece: of etcd's 128, with room for the mark and the piece itself.
const MOST_AT_ONCE: usize = 100;

/// Octets in a piece. Quotes within quotes make it longer when it is written down, at most twice.
const MOST_OCTETS: usize = 700 << 10;

/// A change that is decided, and how much of it has been carried over.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Decided {
    /// Empty: there is none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) id: String,
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) pieces: usize,
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) done: usize,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes by reference")]
fn is_zero(number: &usize) -> bool {
    *number == 0
}

impl Decided {
    /// What the mark says. One that cannot be read decides nothing.
    pub(super) fn read(value: &[u8]) -> Self {
        serde_json::from_slice(value).unwrap_or_default()
    }

    /// Whether nothing waits to be carried over.
    pub(super) fn is_over(&self) -> bool {
        self.id.is_empty() || self.done >= self.pieces
    }

    /// The same with a piece more carried over.
    pub(super) fn advanced(&self) -> Self {
        let next = Self { done: self.done + 1, ..self.clone() };
        if next.is_over() { Self::default() } else { next }
    }

    /// The keys of the pieces that wait.
    pub(super) fn waiting(&self) -> impl Iterator<Item = String> + use<> {
        let (id, range) = (self.id.clone(), if self.is_over() { 0..0 } else { self.done..self.pieces });
        range.map(move |number| piece_key(&id, number))
    }

    pub(super) fn put(&self) -> Operation {
        put(MARK.to_owned(), self)
    }
}

/// Operations that are carried over at once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Piece {
    put: Vec<(String, String)>,
    delete: Vec<String>,
}

impl Piece {
    pub(super) fn read(value: &[u8]) -> Option<Self> {
        serde_json::from_slice(value).ok()
    }

    pub(super) fn operations(self) -> impl Iterator<Item = Operation> {
        let put = |(key, value): (String, String)| Operation::Put { key, value: value.into_bytes(), lease: None };
        self.put.into_iter().map(put).chain(self.delete.into_iter().map(Operation::Delete))
    }

    /// The same, as it is told at the revision that decided it.
    pub(super) fn changes(self, revision: Revision) -> impl Iterator<Item = Change> {
        self.operations().map(move |operation| match operation {
            Operation::Put { key, value, .. } => {
                Change::Put(Entry { key, value, create_revision: revision, mod_revision: revision })
            }
            Operation::Delete(key) => Change::Deleted { key, revision },
        })
    }

    fn include(&mut self, operation: Operation) {
        match operation {
            // Every value of ours is text.
            Operation::Put { key, value, .. } => self.put.push((key, String::from_utf8_lossy(&value).into_owned())),
            Operation::Delete(key) => self.delete.push(key),
        }
    }

    pub(super) fn put_at(&self, key: String) -> Operation {
        put(key, self)
    }
}

fn put(key: String, value: &impl Serialize) -> Operation {
    Operation::Put { key, value: serde_json::to_vec(value).expect("texts and numbers are JSON"), lease: None }
}

/// Operations by pieces, in their order.
pub(super) fn pieces(operations: Vec<Operation>) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    let (mut count, mut octets) = (MOST_AT_ONCE, 0);
    for operation in operations {
        let size = operation.size_bytes();
        if count == MOST_AT_ONCE || octets + size > MOST_OCTETS {
            pieces.push(Piece::default());
            (count, octets) = (0, 0);
        }
        (count, octets) = (count + 1, octets + size);
        if let Some(last) = pieces.last_mut() {
            last.include(operation);
        }
    }
    pieces
}

/// Below what all pieces stand.
pub(super) fn root() -> String {
    format!("{ROOT}s/")
}

pub(super) fn piece_key(id: &str, number: usize) -> String {
    format!("{ROOT}s/{id}/{number:06}")
}

/// Where a change is called out as long as its pieces are written.
pub(super) fn call_key(id: &str) -> String {
    format!("{MARK}/{id}")
}

/// Whose piece a key is.
pub(super) fn id_of(piece: &str) -> Option<&str> {
    Some(piece.strip_prefix(ROOT)?.strip_prefix("s/")?.split_once('/')?.0)
}

/// Whether a key is part of how large things are stored, and nothing by itself.
pub(super) fn is_inside(key: &str) -> bool {
    let Some(rest) = key.strip_prefix(ROOT) else { return false };
    rest.starts_with("s/") || rest.starts_with("x/") || rest == "meta/whole" || rest.starts_with("meta/whole/")
}

/// What is decided, and at which revision that was last touched.
pub(super) fn decided_in(snapshot: &Snapshot) -> Option<(Decided, Revision)> {
    let entry = snapshot.entry(MARK)?;
    Some((Decided::read(&entry.value), entry.mod_revision)).filter(|(decided, _)| !decided.is_over())
}

/// Entries as they are once everything decided is carried over. What is carried over later has, until then, the revision at which the mark stands.
pub(super) fn carried_over(entries: Vec<Entry>, decided: &Decided, revision: Revision) -> Vec<Entry> {
    let mut standing: BTreeMap<String, Entry> = entries.into_iter().map(|entry| (entry.key.clone(), entry)).collect();
    for key in decided.waiting() {
        let Some(piece) = standing.get(&key).and_then(|entry| Piece::read(&entry.value)) else { continue };
        for change in piece.changes(revision) {
            match change {
                Change::Deleted { key, .. } => drop(standing.remove(&key)),
                Change::Put(entry) => {
                    let before = standing.get(&entry.key).map_or(revision, |before| before.create_revision);
                    standing.insert(entry.key.clone(), Entry { create_revision: before, ..entry });
                }
            }
        }
    }
    standing.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(key: &str, value: &[u8]) -> Entry {
        Entry { key: key.to_owned(), value: value.to_vec(), create_revision: 3, mod_revision: 4 }
    }

    fn value_of(operation: Operation) -> Vec<u8> {
        match operation {
            Operation::Put { value, .. } => value,
            Operation::Delete(key) => panic!("{key} is put"),
        }
    }

    fn place(name: usize) -> Operation {
        Operation::Put { key: format!("/poplin/v1/c/policy/p{name}"), value: b"new".to_vec(), lease: None }
    }

    #[test]
    fn a_decided_change_counts_before_it_is_carried_over() {
        let gone = Operation::Delete("/poplin/v1/c/policy/old".to_owned());
        let pieces = pieces((0..150).map(place).chain([gone]).collect());
        assert_eq!(pieces.len(), 2);
        let decided = Decided { id: "one".to_owned(), pieces: 2, done: 1 };
        let key = piece_key("one", 1);
        let second = entry(&key, &value_of(pieces[1].put_at(key.clone())));
        let entries = ["old", "p120"].map(|name| entry(&format!("/poplin/v1/c/policy/{name}"), b"old"));

        let after = carried_over(entries.into_iter().chain([second]).collect(), &decided, 9);

        let named = |name: &str| after.iter().find(|entry| entry.key.ends_with(name));
        assert_eq!(
            named("/p120").map(|entry| (&entry.value[..], entry.create_revision, entry.mod_revision)),
            Some((&b"new"[..], 3, 9))
        );
        assert_eq!(named("/p149").map(|entry| entry.create_revision), Some(9));
        assert_eq!(named("/old"), None);
        assert_eq!(named("/p20"), None, "what has been carried over stands for itself");
    }

    #[test]
    fn a_change_that_is_carried_over_leaves_an_empty_mark() {
        let decided = Decided { id: "one".to_owned(), pieces: 2, done: 0 };

        assert_eq!(decided.waiting().count(), 2);
        assert_eq!(decided.advanced().advanced(), Decided::default());
        assert_eq!(value_of(Decided::default().put()), b"{}");
    }

    #[test]
    fn large_values_have_pieces_of_their_own() {
        let large =
            |name: usize| Operation::Put { key: format!("/k{name}"), value: vec![b'a'; 400 << 10], lease: None };

        assert_eq!(pieces((0..3).map(large).collect()).len(), 3);
        assert_eq!(pieces(Vec::new()).len(), 0);
    }

    #[test]
    fn what_is_inside_is_nobodys_object() {
        let call = call_key("one");
        for key in [MARK, &call, &piece_key("one", 1), "/poplin/v1/x/c/addressset/big#00"] {
            assert!(is_inside(key) && crate::resource::key_of(key).is_none(), "{key}");
        }
        assert!(!is_inside("/poplin/v1/meta/declared") && !is_inside("/poplin/v1/c/policy/s"));
    }
}
