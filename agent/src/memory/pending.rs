//! What is to be written: by key, so that it never grows beyond what the store holds.

use std::collections::BTreeMap;

use crate::store::{Entry, Revision};

/// What is to be written.
#[derive(Debug, Default)]
pub(super) struct Pending {
    /// The whole truth, before the changes. Absent in it: what was known of that key stays.
    pub(super) whole: Option<BTreeMap<String, Option<Entry>>>,
    /// What came or, absent, went since.
    pub(super) changes: BTreeMap<String, Option<Entry>>,
    pub(super) revision: Option<Revision>,
    pub(super) cluster: Option<u64>,
    /// What the store forgot; absent value = what is written down of it.
    pub(super) kept: Option<Vec<(String, Option<Vec<u8>>)>>,
    /// How far the store was known that forgot it.
    pub(super) shared: Option<Revision>,
    /// Whether the store is being heard, so that this is how it is now.
    pub(super) is_heard: bool,
    pub(super) is_over: bool,
}

impl Pending {
    /// Takes what is there; whether the store is heard, and whether it is over, stays so.
    pub(super) fn take(&mut self) -> Self {
        let rest = Self { is_heard: self.is_heard, is_over: self.is_over, ..Self::default() };
        std::mem::replace(self, rest)
    }

    pub(super) fn has_news(&self) -> bool {
        self.whole.is_some() || self.revision.is_some() || self.kept.is_some()
    }

    /// A value that is not on the disk yet.
    pub(super) fn good_form(&self, key: &str) -> Option<Entry> {
        let in_whole = || self.whole.as_ref().and_then(|whole| whole.get(key));
        self.changes.get(key).or_else(in_whole).cloned().flatten()
    }

    /// This, and before it what could not be written.
    pub(super) fn after(mut self, mut lost: Self) -> Self {
        self.kept = self.kept.take().or(lost.kept.take());
        self.shared = self.shared.or(lost.shared);
        let unread = self.kept.iter_mut().flatten().filter(|(_, value)| value.is_none());
        unread.for_each(|(key, value)| *value = lost.good_form(key).map(|entry| entry.value));
        match &mut self.whole {
            Some(whole) => {
                let unread = whole.iter_mut().filter(|(_, form)| form.is_none());
                unread.for_each(|(key, form)| *form = lost.good_form(key));
                self
            }
            None => {
                let mut changes = lost.changes;
                changes.append(&mut self.changes);
                let revision = self.revision.or(lost.revision);
                Self { whole: lost.whole, cluster: lost.cluster, changes, revision, ..self }
            }
        }
    }
}
