//! Whether the rules that an answer is made of are those this host's kernel holds.
//!
//! In: what is declared, as it was read from the store. Out: nothing if so, or a sentence. It is waited for a little: right after a declaration it
//! mostly becomes so in a millisecond, and whoever asks then means what he declared.

use poplin_node::Role;
use poplin_node::object::ObjectKey;

use super::{Desk, HEARING};
use crate::resource::key_of;
use crate::store::Snapshot;

impl Desk {
    /// What has to be said beside an answer that is made of these declarations.
    pub(super) async fn not_in_force(&self, snapshot: &Snapshot) -> Option<String> {
        if matches!(self.role, Role::Speaker { .. }) {
            return None; // no packet of a container comes through here
        }
        let means_something = |key: &ObjectKey| !matches!(key, ObjectKey::Block(..));
        let declared =
            snapshot.entries.iter().filter(|entry| key_of(&entry.key).is_some_and(|key| means_something(&key)));
        let newest = declared.map(|entry| entry.mod_revision).max().unwrap_or_default();
        self.until_heard(newest).await;
        if *self.heard.borrow() < newest {
            let missed = "this host has not heard of all that is declared: its rules are older; `poplin status` says whether its store answers";
            return Some(missed.to_owned());
        }
        let mut in_force = self.in_force.clone();
        let late = "this host's kernel does not have all of these rules yet; `poplin status` says what is in the way, if anything is";
        match tokio::time::timeout(HEARING, in_force.wait_for(|are_in_force| *are_in_force)).await {
            Ok(_) => None,
            Err(_) => Some(late.to_owned()),
        }
    }
}
