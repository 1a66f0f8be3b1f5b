//! What happened to the store and the kernel, noted down.

use crate::action::{Action, Note};
use crate::kernel::KernelState;
use crate::mirror::Mirror;
use crate::object::{Object, ObjectKey, Versioned};
use crate::quarantine::Unreadable;

use super::Node;

impl Node {
    pub(super) fn store_read(
        &mut self,
        revision: i64,
        mut objects: Vec<Versioned<Object>>,
        unreadable: Vec<Unreadable>,
    ) {
        self.take_up_memory(&unreadable);
        self.without_former(&mut objects);
        let overtaken = self.overtaken(&objects);
        let mirror = self.mirror.get_or_insert_with(Mirror::default);
        let is_another = std::mem::take(&mut self.reassertion.is_another_store);
        let is_forgetful = mirror.has_forgotten(&self.identity.host, revision, &objects, &unreadable)
            || (self.history.before().is_none() && mirror.is_of_another_history(&objects));
        match is_another || is_forgetful {
            true => self.store_forgot(revision, objects, unreadable),
            false => {
                mirror.replace(revision, objects, unreadable);
                mirror.release_of_nobody();
                self.stand_beside(overtaken);
            }
        }
        (self.store_error, self.write_error) = (None, None);
        self.doubtful.clear();
        (self.is_recalled, self.keeps_rules) = (false, false);
        self.is_untidy = true;
        self.policing.touch();
    }

    pub(super) fn importing(&mut self, is_under_way: bool) {
        self.is_untidy |= self.is_importing && !is_under_way;
        self.is_importing = is_under_way;
    }

    /// What an earlier life knew, and is not to be applied: the store is there to be read.
    pub(super) fn store_remembered(&mut self, revision: i64, objects: Vec<Versioned<Object>>, shared: i64) {
        if self.mirror.is_none() {
            let objects = self.recall_history(objects, shared);
            self.remembered = Some(Mirror::recalled(revision, objects));
        }
    }

    /// The first listing is compared with what an earlier life knew. A host's record its own agent writes anew, so no good form of it is wanted.
    fn take_up_memory(&mut self, unreadable: &[Unreadable]) {
        let Some(mut memory) = self.remembered.take().filter(|_| self.mirror.is_none()) else { return };
        let hosts = unreadable.iter().map(|one| &one.key).filter(|key| matches!(key, ObjectKey::Host(_)));
        hosts.for_each(|key| memory.believe(key));
        // An earlier life may have died before it had told all.
        self.reassertion.is_to_be_told |= memory.lapsed().next().is_some();
        self.mirror = Some(memory);
    }

    pub(super) fn store_changed(
        &mut self,
        revision: i64,
        puts: Vec<Versioned<Object>>,
        unreadable: Vec<Unreadable>,
        deletes: Vec<ObjectKey>,
    ) {
        self.write_error = None; // it takes what somebody writes
        let is_emptied = puts.is_empty() && unreadable.is_empty();
        let is_news = !self.mirror.as_ref().is_some_and(|mirror| mirror.knows(&puts, &unreadable, &deletes));
        self.is_plan_due |= is_news;
        let before = self.moves_here();
        if is_emptied && self.mirror.as_ref().is_some_and(|mirror| mirror.is_emptied_by(&deletes)) {
            self.policing.touch();
            self.has_world_moved = true;
            return self.store_forgot(revision, Vec::new(), Vec::new());
        }
        let keys = puts.iter().map(|put| put.value.key()).chain(deletes.iter().cloned());
        self.is_untidy |= keys.into_iter().any(|key| bears_on_blocks(&key));
        if is_news {
            self.touch_rules_by(&puts, &unreadable, &deletes);
        }
        let (spoken, overtaken) = (self.who_speaks(&puts), self.overtaken(&puts));
        let is_as_written =
            self.mirror.as_mut().is_none_or(|mirror| mirror.change(revision, puts, unreadable, deletes));
        if !is_as_written {
            self.actions.push_back(Action::ReadStore);
        }
        self.stand_beside(overtaken);
        self.believe_of(spoken);
        self.has_world_moved |= self.moves_here() != before;
    }

    /// Another value wherever the store is otherwise for this host.
    fn moves_here(&self) -> Option<(u64, u64)> {
        self.mirror.as_ref().map(|mirror| mirror.moves_for(&self.identity.host))
    }

    fn touch_rules_by(&mut self, puts: &[Versioned<Object>], unreadable: &[Unreadable], deletes: &[ObjectKey]) {
        for put in puts {
            let is_newcomer = self.mirror.as_ref().is_some_and(|mirror| is_newcomer(mirror, &put.value));
            self.touch_rules(put.value.key(), !is_newcomer);
        }
        for key in deletes.iter().chain(unreadable.iter().map(|one| &one.key)) {
            self.touch_rules(key.clone(), true);
        }
    }

    /// An object has changed; the rules may depend on it.
    pub(super) fn touch_rules(&mut self, key: ObjectKey, may_deny_more: bool) {
        if bears_on_rules(&key) {
            let may_deny_more = may_deny_more && !matches!(key, ObjectKey::Host(_)); // where hosts are, no flow is asked
            self.policing.touch_object(key, may_deny_more);
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
        let state = self.concerning(state);
        if self.kernel.as_ref() == Some(&state) {
            return; // as it was thought to be: nothing comes of it
        }
        self.has_world_moved = true;
        self.adopt(&state);
        self.groups.doubt();
        self.kernel = Some(state);
    }

    pub(super) fn rules_altered(&mut self) {
        self.note(Note::Warning("another program changed our rules; they are loaded anew".to_owned()));
        self.policing.forget();
        self.keeps_rules = false;
        if let Some(batch) = &mut self.batch {
            batch.doubt_rules();
        }
    }
}

/// Whether all that an object does is to bring an endpoint. Also what this node wrote itself and hears of again.
pub(super) fn is_newcomer(mirror: &Mirror, object: &Object) -> bool {
    match object {
        Object::Endpoint(endpoint) => mirror.endpoint(&endpoint.name).is_none_or(|known| known == endpoint),
        _ => false,
    }
}

/// Whether an object can make a block one that is not needed. Blocks themselves are looked at wherever the news come from.
fn bears_on_blocks(key: &ObjectKey) -> bool {
    matches!(key, ObjectKey::Pool(_) | ObjectKey::Host(_) | ObjectKey::Fabric)
}

/// Whether an object can change what the compiler makes. Written out, so that a new kind asks to be thought of.
fn bears_on_rules(key: &ObjectKey) -> bool {
    match key {
        ObjectKey::Endpoint(_)
        | ObjectKey::Policy(_)
        | ObjectKey::Tier(_)
        | ObjectKey::AddressSet(_)
        | ObjectKey::Namespace(_)
        | ObjectKey::Profile(_)
        | ObjectKey::HostEndpoint(_)
        | ObjectKey::Network(_)
        | ObjectKey::Service(_)
        | ObjectKey::FloatingAddress(_)
        | ObjectKey::Pool(_)
        | ObjectKey::Host(_)
        | ObjectKey::Fabric => true,
        ObjectKey::Block(..)
        | ObjectKey::Peer(_)
        | ObjectKey::RouteMap(_)
        | ObjectKey::StaticRoute(_)
        | ObjectKey::Lineage => false,
    }
}
