//! Marks what was heard of a neighbour that is away for long.
//!
//! In: what it said. Out: the same with the mark, shared by all routes of which it said the same. What counts of it is judged anew.
//! Rules: RFC 9494 §4.2.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    rib::Word,
    wire::{Attributes, Community},
};

/// Marks the routes of one neighbour.
#[derive(Default)]
pub(super) struct Marker {
    /// What was said, kept so that its place in memory is its name, and the same with the mark.
    marked: BTreeMap<*const Word, (Arc<Word>, Arc<Word>)>,
}

impl Marker {
    pub(super) fn marked(&mut self, word: &Arc<Word>) -> Arc<Word> {
        if word.heard.is_long_lived_stale() {
            return Arc::clone(word);
        }
        let (_, marked) = self.marked.entry(Arc::as_ptr(word)).or_insert_with(|| {
            let mut heard = Attributes::clone(&word.heard);
            heard.communities.push(Community::LLGR_STALE);
            (Arc::clone(word), Arc::new(Word { heard: Arc::new(heard), ..Word::clone(word) }))
        });
        Arc::clone(marked)
    }
}
