//! What authors leave to the server: of networks a number, prefixes where they named a pool, and addresses where they named nothing; of hosts what
//! only their agents say.
//!
//! In: the documents of a call, and the store. Out: the same documents, and of networks whole ones. What a network has once, it keeps.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use poplin_manifest::Document;
use poplin_manifest::field::{Invalid, checked_labels};
use poplin_node::name::{HostName, NetworkName, PoolName};
use poplin_node::network::{carve, free_index};
use poplin_node::object::{Block, Network, Object, ObjectKey, Pool};
use poplin_policy::label::Labels;
use poplin_proto::Failure;
use poplin_proto::v1;
use poplin_proto::v1::resource::Object as Message;

use super::judge::declared;
use crate::resource::check;
use crate::store::Snapshot;

/// The documents with nothing left open, or everything for which there is no room. Those that leave nothing open are not copied: ten thousand policies are
/// tens of megabytes.
pub(super) fn complete<'d>(
    documents: &'d [Document],
    snapshot: &Snapshot,
) -> Result<Cow<'d, [Document]>, Vec<Failure>> {
    if !documents.iter().any(|document| is_network(document) || is_host(document)) {
        return Ok(Cow::Borrowed(documents));
    }
    let mut documents = documents.to_vec();
    keep_agents_word(&mut documents, snapshot);
    if !documents.iter().any(is_network) {
        return Ok(documents.into());
    }
    let mut known = Known::of(&documents, snapshot);
    let mut failures = Vec::new();
    for document in &mut documents {
        let name = document.resource.name().to_owned();
        let labels = checked_labels(document.resource.metadata()).unwrap_or_default(); // bad ones are told when it is checked
        let Some(Message::Network(network)) = &mut document.resource.object else { continue };
        match known.finish((&name, &labels), network.spec.get_or_insert_default()) {
            Ok(()) => known.networks.extend(check(&document.resource).ok().and_then(network_in)),
            Err(invalid) => failures.push(document.failure(invalid)),
        }
    }
    if failures.is_empty() { Ok(documents.into()) } else { Err(failures) }
}

/// What its agent alone says of a host goes on to stand: nobody else can know.
fn keep_agents_word(documents: &mut [Document], snapshot: &Snapshot) {
    for document in documents {
        let key = ObjectKey::Host(HostName::new(document.resource.name()));
        let Some(Message::Host(host)) = &mut document.resource.object else { continue };
        let (told, machine, release) = match declared(snapshot, |other| *other == key).remove(&key) {
            Some(Object::Host(standing)) => (standing.told, standing.machine, standing.release),
            _ => (None, None, None),
        };
        let spec = host.spec.get_or_insert_default();
        spec.told = told.map(|told| told.to_string()).unwrap_or_default();
        spec.machine = machine.map(|machine| machine.to_string()).unwrap_or_default();
        spec.schema = release.as_ref().map_or(0, |release| release.schema);
        spec.agent_version = release.map(|release| release.version).unwrap_or_default();
    }
}

fn is_network(document: &Document) -> bool {
    matches!(document.resource.object, Some(Message::Network(_)))
}

fn is_host(document: &Document) -> bool {
    matches!(document.resource.object, Some(Message::Host(_)))
}

fn network_in(object: Object) -> Option<Network> {
    match object {
        Object::Network(network) => Some(network),
        _ => None,
    }
}

/// What there is already, and in the same call.
#[derive(Default)]
struct Known {
    pools: Vec<Pool>,
    blocks: Vec<Block>,
    networks: Vec<Network>,
    /// The labels of namespaces.
    namespaces: BTreeMap<String, Labels>,
}

impl Known {
    fn of(documents: &[Document], snapshot: &Snapshot) -> Self {
        let is_asked = |key: &ObjectKey| {
            matches!(key, ObjectKey::Pool(_) | ObjectKey::Block(..) | ObjectKey::Network(_) | ObjectKey::Namespace(_))
        };
        let mut known = Self::default();
        let called = documents.iter().filter(|document| !is_network(document));
        let mut objects = declared(snapshot, is_asked);
        objects.extend(called.filter_map(|one| check(&one.resource).ok()).map(|object| (object.key(), object)));
        for object in objects.into_values() {
            match object {
                Object::Pool(pool) => known.pools.push(pool),
                Object::Block(block) => known.blocks.push(block),
                Object::Network(network) => known.networks.push(network),
                Object::Namespace(namespace) => _ = known.namespaces.insert(namespace.name, namespace.labels),
                _ => {}
            }
        }
        known
    }

    /// Fills in what is left open.
    fn finish(&self, (name, labels): (&str, &Labels), spec: &mut v1::NetworkSpec) -> Result<(), Invalid> {
        let name = NetworkName::new(name);
        let any = |is_v6, former| self.any(is_v6, &name, labels, former);
        let former = self.networks.iter().find(|network| network.name == name);
        if spec.index == 0 {
            let taken: BTreeSet<u16> = self.networks.iter().map(|network| network.index).collect();
            let index = former.map(|network| network.index).or_else(|| free_index(name.as_str(), &taken));
            spec.index = index.map(u32::from).ok_or_else(|| no_room("spec.index", "every number is taken"))?;
        }
        for subnet in &mut spec.subnets {
            if let Some(is_v6) = family(subnet) {
                *subnet = any(is_v6, former).ok_or_else(no_addresses)?;
            } else if let Some(pool) = self.pools.iter().find(|pool| pool.name == PoolName::new(subnet.as_str())) {
                *subnet = pool.cidr.to_string();
            }
        }
        if spec.subnets.is_empty() {
            spec.subnets = match former {
                Some(network) => network.subnets.iter().map(ToString::to_string).collect(),
                None => [false, true].into_iter().filter_map(|is_v6| any(is_v6, None)).collect(),
            };
        }
        if spec.subnets.is_empty() { Err(no_addresses()) } else { Ok(()) }
    }

    /// What the network has of a family already, or else what is nobody's.
    fn any(&self, is_v6: bool, name: &NetworkName, labels: &Labels, former: Option<&Network>) -> Option<String> {
        let mut had = former.into_iter().flat_map(|network| &network.subnets);
        let had = had.find(|subnet| subnet.addr().is_ipv6() == is_v6).copied();
        let home = name.as_str();
        let declared = self.namespaces.get(home);
        let admits = |pool: &&Pool| {
            pool.networks.as_ref().is_none_or(|networks| networks.admits(labels))
                && pool.namespaces.has(Some(home), declared)
        };
        let pools = || self.pools.iter().filter(admits);
        let carve = || carve(is_v6, name, pools(), self.networks.iter(), self.blocks.iter());
        had.or_else(carve).map(|subnet| subnet.to_string())
    }
}

/// The words for any subnet of a family.
fn family(word: &str) -> Option<bool> {
    match word {
        "ipv4" => Some(false),
        "ipv6" => Some(true),
        _ => None,
    }
}

fn no_addresses() -> Invalid {
    no_room("spec.subnets", "no pool has 256 addresses that are nobody's")
}

fn no_room(field: &str, message: &str) -> Invalid {
    Invalid::new(field, "NO_ROOM", message).advice("add a pool, or name a prefix of one; see `poplin get pools`")
}
