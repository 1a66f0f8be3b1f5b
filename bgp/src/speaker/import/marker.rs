//! Marks what was heard of a neighbour that is away for long.
//!
//! In: what was heard. Out: the same with the mark, shared by all routes of which the same was heard. Rules: RFC 9494 §4.2.

use std::{collections::BTreeMap, sync::Arc};

use crate::wire::{Attributes, Community};

/// Marks the routes of one neighbour.
#[derive(Default)]
pub(super) struct Marker {
    /// What was heard, kept so that its place in memory is its name, and the same with the mark.
    marked: BTreeMap<*const Attributes, (Arc<Attributes>, Arc<Attributes>)>,
}

impl Marker {
    pub(super) fn marked(&mut self, heard: &Arc<Attributes>) -> Arc<Attributes> {
        if heard.is_long_lived_stale() {
            return Arc::clone(heard);
        }
        let (_, marked) = self.marked.entry(Arc::as_ptr(heard)).or_insert_with(|| {
            let mut attributes = Attributes::clone(heard);
            attributes.communities.push(Community::LLGR_STALE);
            (Arc::clone(heard), Arc::new(attributes))
        });
        Arc::clone(marked)
    }
}
