//! A store that is saved and restored, and what hosts have of it on their disks.

use std::collections::BTreeSet;

use ipnet::IpNet;
use poplin_agent::resource::decode;
use poplin_node::lineage::Lineage;
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
        let history = self.history();
        self.restored_histories.insert(history);
        for host in 0..self.hosts.len() {
            let during = self.chance.between_ms(20, 4000);
            self.lose_store(host, during);
        }
    }

    /// Which history the store tells.
    fn history(&self) -> Option<Id> {
        let lineages = self.store.snapshot(ROOT).entries.into_iter().filter_map(|entry| decode(&entry)?.ok());
        let mut lineages = lineages.filter_map(|object| <&Lineage>::try_from(&object.value).ok().cloned());
        lineages.next()?.history
    }

    /// Whether somebody has noticed that the store forgot.
    pub fn is_noticed(&self) -> bool {
        self.is_forgetful && !self.restored_histories.contains(&self.history())
    }

    /// A host dies and loses what it had on its disk.
    pub fn rob(&mut self, host: HostId) {
        self.tell(|| format!("host {host} is robbed"));
        self.kill(host);
        let one = &mut self.hosts[host];
        (one.memory, one.kept, one.shared, one.was_robbed) = (Memory::default(), Vec::new(), 0, true);
    }

    /// Endpoints of a host that are closed off, as their address is another's.
    pub fn contested(&self, host: HostId) -> Vec<Contested> {
        let now = self.instant();
        self.hosts[host].node.as_ref().map(|node| node.status(now).contested).unwrap_or_default()
    }

    /// Floating addresses that the store forgot and a host did not; their names are made of them.
    pub fn forgotten_floating(&self, host: HostId) -> BTreeSet<IpNet> {
        let now = self.instant();
        let lapsed = self.hosts[host].node.as_ref().map(|node| node.status(now).lapsed).unwrap_or_default();
        let address = |key: ObjectKey| {
            let ObjectKey::FloatingAddress(name) = key else { return None };
            let (family, number) = name.as_str().split_once('-')?;
            let text =
                if family == "f4" { format!("198.51.100.{number}/32") } else { format!("2001:db8::{number}/128") };
            text.parse().ok()
        };
        lapsed.into_iter().filter_map(address).collect()
    }

    /// A node that starts is told what an earlier life wrote down.
    pub(super) fn remember(&mut self, host: HostId) {
        let one = &self.hosts[host];
        if one.memory.revision == 0 {
            return;
        }
        let kept = one.kept.iter().map(|object| Versioned { value: object.clone(), version: 0 });
        let objects = one.memory.objects.values().cloned().chain(kept).collect();
        let (revision, shared) = (one.memory.revision, one.shared);
        self.handle(host, Event::StoreRemembered { revision, objects, shared });
    }
}
