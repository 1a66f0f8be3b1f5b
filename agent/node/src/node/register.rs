//! Keeps this host's own record in the store true.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Instant;

use crate::lineage::Id;
use crate::object::{Host, Object, ObjectKey};
use crate::stable::hash64;
use crate::transaction::{Compare, Transaction};

use super::transact::Purpose;
use super::{Node, Role};

impl Node {
    /// Writes this host down if it is not there or has changed.
    pub(super) fn register(&mut self, now: Instant) {
        if self.role != Role::Host || !self.may_transact(now) {
            return;
        }
        let (Some(mirror), Some(wanted)) = (&self.mirror, self.own_record()) else { return };
        if self.has_more_to_tell() || self.history_is_due() {
            return; // who writes itself down has told the store all it had to tell
        }
        let key = ObjectKey::Host(wanted.name.clone());
        // It is this host's to write, so what cannot be read of it is mended here, with the labels last known.
        let is_doubtful = mirror.is_unreadable(&key) || mirror.is_lapsed(&key) || self.reassertion.is_to_be_told;
        if mirror.host(&wanted.name) == Some(&wanted) && !is_doubtful {
            return;
        }
        let compare = match mirror.version(&key) {
            None => Compare::Absent(key),
            Some(version) => Compare::Unchanged(key, version),
        };
        let transaction =
            Transaction { compares: vec![compare], puts: vec![Object::Host(wanted)], deletes: Vec::new() };
        self.send(transaction, Purpose::Register);
    }

    /// This host as it should stand in the store: labels are people's, the rest is ours.
    fn own_record(&self) -> Option<Host> {
        let addresses = self.own_addresses()?;
        let known = self.me();
        let v4 = addresses.iter().find_map(|address| match address {
            IpAddr::V4(address) => Some(*address),
            IpAddr::V6(_) => None,
        });
        Some(Host {
            name: self.identity.host.clone(),
            labels: known.map_or_else(|| self.identity.labels.clone(), |host| host.labels.clone()),
            asn: self.identity.asn,
            router_id: self.identity.router_id.or(v4).unwrap_or_else(|| router_id_of(self.identity.host.as_str())),
            addresses,
            is_draining: known.is_some_and(|host| host.is_draining),
            told: self.has_told(known.and_then(|host| host.told)),
            machine: self.identity.machine.or(known.and_then(|host| host.machine)),
            release: self.identity.release.clone().or(known.and_then(|host| host.release.clone())),
        })
    }

    /// To which history this host has told all, once nothing stands here of which it knows nothing.
    fn has_told(&self, known: Option<Id>) -> Option<Id> {
        match self.told_history() {
            Some(history) if known != Some(history) && !self.has_links_of_nobody() => Some(history),
            Some(_) | None => known,
        }
    }

    /// Whether a container may still have an address here that this host cannot tell of, as it has lost what it knew.
    fn has_links_of_nobody(&self) -> bool {
        let (Some(mirror), Some(kernel)) = (&self.mirror, &self.kernel) else { return true };
        let known = mirror.endpoints_on(&self.identity.host).map(|endpoint| &endpoint.interface);
        let known: BTreeSet<_> = known.chain(self.contested_links()).collect();
        !self.has_strangers(mirror) && !kernel.links.keys().all(|link| known.contains(link))
    }
}

/// A BGP identifier for a host without IPv4: it only has to be unique and not zero (RFC 6286 §2.1).
fn router_id_of(host: &str) -> Ipv4Addr {
    let [.., a, b, c, d] = hash64(&["router-id", host]).to_be_bytes();
    Ipv4Addr::new(a | 1, b, c, d)
}
