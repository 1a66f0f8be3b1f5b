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
        let reach = self.mirror.as_ref().map_or(Reach::Everything, |mirror| reach(mirror, &puts, &deletes));
        if let Some(mirror) = &mut self.mirror {
            mirror.change(revision, puts, deletes);
        }
        match reach {
            Reach::Nothing => {}
            Reach::Newcomers => self.policing.touch_by_newcomers(),
            Reach::Everything => self.policing.touch(),
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

/// How far a change reaches into the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Reach {
    /// Rules do not depend on it.
    Nothing,
    /// It brings endpoints, and leaves everything else as it was.
    Newcomers,
    /// It may be about anything that stands.
    Everything,
}

fn reach(mirror: &Mirror, puts: &[Versioned<Object>], deletes: &[ObjectKey]) -> Reach {
    let deleted = deletes.iter().filter(|key| bears_on_rules(key)).map(|_| Reach::Everything);
    let put = puts.iter().filter(|put| bears_on_rules(&put.value.key())).map(|put| match &put.value {
        // Also what this node wrote itself and hears of again.
        Object::Endpoint(endpoint) if mirror.endpoint(&endpoint.name).is_none_or(|known| known == endpoint) => {
            Reach::Newcomers
        }
        _ => Reach::Everything,
    });
    deleted.chain(put).max().unwrap_or(Reach::Nothing)
}

/// Whether an object can change what the compiler makes. Written out, so that a new kind asks to be thought of.
pub(super) fn bears_on_rules(key: &ObjectKey) -> bool {
    match key {
        ObjectKey::Endpoint(_)
        | ObjectKey::Policy(_)
        | ObjectKey::Tier(_)
        | ObjectKey::AddressSet(_)
        | ObjectKey::Fabric => true,
        ObjectKey::Pool(_) | ObjectKey::Block(..) | ObjectKey::Host(_) | ObjectKey::Peer(_) => false,
    }
}
