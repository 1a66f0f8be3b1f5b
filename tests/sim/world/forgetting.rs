//! A store that is saved and restored, and what hosts have of it on their disks.

use poplin_node::object::{ObjectKey, Versioned};
use poplin_node::status::Contested;

use super::*;

/// What a host last heard of the store.
#[derive(Debug, Default)]
pub(super) struct Memory {
    revision: i64,
    objects: BTreeMap<ObjectKey, Versioned<Object>>,
}

impl Memory {
    pub(super) fn hear(&mut self, event: &Event) {
        match event {
            Event::StoreRead { revision, objects, .. } => {
                self.revision = *revision;
                self.objects = objects.iter().map(|object| (object.value.key(), object.clone())).collect();
            }
            Event::StoreChanged { revision, puts, deletes, .. } => {
                self.revision = *revision;
                self.objects.extend(puts.iter().map(|object| (object.value.key(), object.clone())));
                deletes.iter().for_each(|key| drop(self.objects.remove(key)));
            }
            _ => {}
        }
    }
}

impl World {
    /// Somebody saves the store.
    pub fn save(&mut self) {
        let revision = self.store.revision();
        self.tell(|| format!("the store is saved at {revision}"));
        self.backup = Some(self.store.clone());
    }

    /// Somebody restores what was saved; everybody loses sight of the store for a while.
    pub fn restore(&mut self) {
        let Some(backup) = self.backup.clone() else { return };
        let (from, to) = (self.store.revision(), backup.revision());
        self.tell(|| format!("the store is restored: it was at {from} and is at {to}"));
        (self.store, self.is_forgetful) = (backup, true);
        for host in 0..self.hosts.len() {
            let during = self.chance.between_ms(20, 4000);
            self.lose_store(host, during);
        }
    }

    /// Endpoints of a host that are closed off, as their address is another's.
    pub fn contested(&self, host: HostId) -> Vec<Contested> {
        let now = self.base + self.now;
        self.hosts[host].node.as_ref().map(|node| node.status(now).contested).unwrap_or_default()
    }

    /// A node that starts is told what an earlier life wrote down.
    pub(super) fn remember(&mut self, host: HostId) {
        let one = &self.hosts[host];
        if one.memory.revision == 0 {
            return;
        }
        let kept = one.kept.iter().map(|object| Versioned { value: object.clone(), version: 0 });
        let objects = one.memory.objects.values().cloned().chain(kept).collect();
        self.handle(host, Event::StoreRemembered { revision: self.hosts[host].memory.revision, objects });
    }
}
