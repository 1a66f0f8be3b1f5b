//! What happened to the store and the kernel, noted down.

use crate::action::Note;
use crate::kernel::KernelState;
use crate::mirror::Mirror;
use crate::object::{Object, ObjectKey, Versioned};

use super::Node;

impl Node {
    pub(super) fn store_read(&mut self, revision: i64, objects: Vec<Versioned<Object>>, unreadable: &[ObjectKey]) {
        self.mirror.get_or_insert_with(Mirror::default).replace(revision, objects, unreadable);
        self.store_error = None;
        self.policing.touch();
    }

    pub(super) fn store_changed(&mut self, revision: i64, puts: Vec<Versioned<Object>>, deletes: Vec<ObjectKey>) {
        let matters =
            puts.iter().map(|put| put.value.key()).chain(deletes.iter().cloned()).any(|key| bears_on_rules(&key));
        if let Some(mirror) = &mut self.mirror {
            mirror.change(revision, puts, deletes);
        }
        if matters {
            self.policing.touch();
        }
    }

    pub(super) fn store_lost(&mut self, reason: String) {
        if self.store_error.is_none() {
            self.note(Note::Warning(format!("the store is out of reach: {reason}; what runs goes on as it is")));
        }
        self.store_error = Some(reason);
    }

    pub(super) fn kernel_read(&mut self, state: KernelState) {
        // A batch under way was planned from what was seen before; its outcome is told first, then the kernel is read again.
        self.adopt(&state);
        self.kernel = Some(state);
    }

    pub(super) fn rules_altered(&mut self) {
        self.note(Note::Warning("another program changed our rules; they are loaded anew".to_owned()));
        self.policing.forget();
        if let Some(batch) = &mut self.batch {
            batch.doubt_rules();
        }
    }
}

/// Whether an object can change what the compiler makes. Written out, so that a new kind asks to be thought of.
pub(super) fn bears_on_rules(key: &ObjectKey) -> bool {
    match key {
        ObjectKey::Endpoint(_)
        | ObjectKey::Policy(_)
        | ObjectKey::Tier(_)
        | ObjectKey::AddressSet(_)
        | ObjectKey::Namespace(_)
        | ObjectKey::Fabric => true,
        ObjectKey::Pool(_) | ObjectKey::Block(..) | ObjectKey::Host(_) | ObjectKey::Peer(_) => false,
    }
}
