//! What of the store bears on a call: which keys it takes to judge that objects come, change or go.
//!
//! In: the documents or keys of a call. Out: parts of the store. All else need neither be read nor decoded: of a large fabric that would be most of
//! what one label costs.

use std::collections::{BTreeMap, BTreeSet};

use poplin_manifest::Document;
use poplin_node::object::{Object, ObjectKey};
use poplin_policy::model::{Policy, QualifiedName};
use poplin_proto::v1::resource::Object as Message;

use super::apply::{decoded, fence_key};
use crate::resource::{ROOT, check, kind_prefix, path_of, path_of_name};
use crate::store::{Part, Snapshot};

/// Calls of more objects read the whole store at once, instead of many parts of it.
const FEW: usize = 16;

/// Keys of the store, one by one and by what they begin with.
#[derive(Default)]
pub(super) struct Bearing {
    keys: BTreeSet<String>,
    under: BTreeSet<String>,
}

impl Bearing {
    /// All that it takes to complete and judge a call of few objects, and to write them; `None` if they are not few.
    pub(super) fn of_few(documents: &[Document]) -> Option<Self> {
        if documents.len() > FEW {
            return None;
        }
        let mut bearing = Self::default();
        for Document { resource, .. } in documents {
            bearing.keys.extend(path_of_name(resource.kind(), &resource.qualified_name()));
            match (&resource.object, check(resource)) {
                // It may have things left open, so that it cannot be checked yet.
                (Some(Message::Network(_)), _) => bearing.add_completing(),
                (_, Ok(object)) => bearing.add(&object),
                (_, Err(_)) => {} // that it is wrong takes no store to say
            }
        }
        bearing.keys.insert(fence_key());
        Some(bearing)
    }

    /// All that it takes to judge these objects.
    pub(super) fn on<'a>(objects: impl Iterator<Item = &'a Object>) -> Self {
        let mut bearing = Self::default();
        objects.for_each(|object| bearing.add(object));
        bearing
    }

    /// All that it takes to judge that an object goes, and to take it away.
    pub(super) fn on_removal(key: &ObjectKey) -> Self {
        let mut bearing = Self { keys: BTreeSet::from([path_of(key), fence_key()]), ..Self::default() };
        bearing.add_leaning(key);
        bearing
    }

    /// The same of several.
    pub(super) fn on_removals(keys: &BTreeSet<ObjectKey>) -> Self {
        let mut bearing = Self { keys: keys.iter().map(path_of).collect(), ..Self::default() };
        keys.iter().for_each(|key| bearing.add_leaning(key));
        bearing
    }

    fn add(&mut self, object: &Object) {
        self.keys.insert(path_of(&object.key()));
        match object {
            Object::Pool(_) => self.add_kinds(["Pool", "Block", "Service", "FloatingAddress", "Host"]),
            Object::Service(_) => self.add_kinds(["Pool", "Service", "Host", "FloatingAddress"]),
            Object::FloatingAddress(_) => self.add_kinds(["Pool", "Service", "Host", "FloatingAddress"]),
            Object::Policy(policy) => {
                self.add_kinds(["Tier"]);
                self.keys.extend(sets_of(policy).map(|set| path_of(&ObjectKey::AddressSet(set.clone()))));
            }
            Object::Tier(_) => self.add_kinds(["Tier"]),
            Object::Peer(_) | Object::Fabric(_) => self.add_kinds(["RouteMap"]),
            Object::Network(_) => self.add_kinds(["Network", "Pool", "Endpoint"]),
            Object::Block(_)
            | Object::Host(_)
            | Object::Endpoint(_)
            | Object::AddressSet(_)
            | Object::RouteMap(_)
            | Object::StaticRoute(_)
            | Object::Profile(_)
            | Object::Namespace(_)
            | Object::HostEndpoint(_)
            | Object::Lineage(_) => {}
        }
    }

    /// What completes a network, and then judges it.
    fn add_completing(&mut self) {
        self.add_kinds(["Pool", "Block", "Network", "Namespace", "Endpoint"]);
    }

    /// What may lean on an object, or goes along with it.
    fn add_leaning(&mut self, key: &ObjectKey) {
        match key {
            ObjectKey::Host(_) => {
                self.add_kinds(["Endpoint", "Block"]);
                self.keys.insert(path_of(&ObjectKey::Lineage));
            }
            ObjectKey::Pool(_) => self.add_kinds(["Block", "Network"]),
            ObjectKey::Network(_) => self.add_kinds(["Endpoint"]),
            ObjectKey::Tier(_) | ObjectKey::AddressSet(_) => self.add_kinds(["Policy"]),
            ObjectKey::RouteMap(_) => self.add_kinds(["Peer", "FabricConfig"]),
            ObjectKey::Endpoint(_)
            | ObjectKey::Policy(_)
            | ObjectKey::Peer(_)
            | ObjectKey::Fabric
            | ObjectKey::Namespace(_)
            | ObjectKey::HostEndpoint(_)
            | ObjectKey::Service(_)
            | ObjectKey::StaticRoute(_)
            | ObjectKey::Profile(_)
            | ObjectKey::FloatingAddress(_)
            | ObjectKey::Block(..)
            | ObjectKey::Lineage => {}
        }
    }

    fn add_kinds<const N: usize>(&mut self, kinds: [&str; N]) {
        let prefix = |kind| if kind == "Block" { Some(format!("{ROOT}b/")) } else { kind_prefix(kind) };
        self.under.extend(kinds.into_iter().filter_map(prefix));
    }

    /// The parts of the store to be read.
    pub(super) fn parts(&self) -> Vec<Part> {
        let keys = self.keys.iter().filter(|key| !self.is_under(key)).cloned().map(Part::Key);
        keys.chain(self.under.iter().cloned().map(Part::Under)).collect()
    }

    /// What of the store bears, in the head's words. What cannot be read is left out.
    pub(super) fn in_words(&self, snapshot: &Snapshot) -> BTreeMap<ObjectKey, Object> {
        decoded(snapshot.entries.iter().filter(|entry| self.keys.contains(&entry.key) || self.is_under(&entry.key)))
    }

    fn is_under(&self, key: &str) -> bool {
        self.under.iter().any(|prefix| key.starts_with(prefix))
    }
}

/// The address sets that a policy names.
fn sets_of(policy: &Policy) -> impl Iterator<Item = &QualifiedName> {
    let rules = [&policy.ingress, &policy.egress].into_iter().flat_map(|rules| rules.iter().flatten());
    rules.flat_map(|rule| rule.source.sets.iter().chain(&rule.destination.sets))
}
