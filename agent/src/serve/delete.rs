//! Delete: one object, or many in one transaction, if nothing leans on them that stays.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use poplin_node::name::{NetworkName, PoolName, RouteMapName};
use poplin_node::object::{Block, Network, Object, ObjectKey};
use poplin_node::removal::without_waiting;
use poplin_policy::model::{Policy, Rule};
use poplin_proto::Failure;
use poplin_proto::v1::{DeleteAllRequest, DeleteAllResponse, DeleteRequest, DeleteResponse};
use tonic::{Code, Status};

use super::apply::{MOST_OBJECTS, TRIES, check_of_agents, contended, fence, rest_on_fence};
use super::bearing::Bearing;
use super::list::{not_found, unknown_kind};
use super::store_failure;
use crate::resource::{ROOT, decode, decode_resource, encode, key_of, path_of, path_of_name};
use crate::store::{Compare, Entry, Operation, Outcome, Snapshot, Store, Transaction};

pub(crate) async fn delete(store: &dyn Store, request: &DeleteRequest) -> Result<DeleteResponse, Failure> {
    let path = path_of_name(&request.kind, &request.name).ok_or_else(|| unknown_kind(&request.kind))?;
    let missing = || match request.allow_missing {
        true => Ok(DeleteResponse { resource: None }),
        false => Err(not_found(&request.kind, &request.name)),
    };
    let Some(key) = key_of(&path) else { return missing() };
    let parts = Bearing::on_removal(&key).parts();
    for _ in 0..TRIES {
        let snapshot = store.select(&parts).await.map_err(|error| store_failure(&error))?;
        let Some(entry) = snapshot.entry(&path) else { return missing() };
        check_version(request, entry)?;
        let resource = decode_resource(entry).ok();
        let removal = removal(&BTreeSet::from([key.clone()]), &snapshot);
        let mut transaction = removal.map_err(|mut all| all.swap_remove(0))?;
        fence(&mut transaction, &snapshot);
        if request.dry_run {
            return Ok(DeleteResponse { resource });
        }
        match store.transact(transaction).await.map_err(|error| store_failure(&error))? {
            Outcome::Committed { .. } => return Ok(DeleteResponse { resource }),
            Outcome::Refused { .. } => {} // somebody was faster: judge again by what stands now
        }
    }
    Err(contended())
}

/// A version that was sent along must be the one that stands.
fn check_version(request: &DeleteRequest, entry: &Entry) -> Result<(), Failure> {
    let (wanted, stands) = (request.resource_version, entry.mod_revision);
    if wanted == 0 || wanted == stands {
        return Ok(());
    }
    let message = format!("{} {} is at version {stands}, not {wanted}", request.kind, request.name);
    Err(Failure::new(Code::Aborted, "CONFLICT", message).advice("read it again before you delete it"))
}

/// All of them, or none.
pub(crate) async fn delete_all(store: &dyn Store, request: DeleteAllRequest) -> Result<DeleteAllResponse, Status> {
    check_size(&request)?;
    let request = Arc::new(request);
    for _ in 0..TRIES {
        let snapshot = Arc::new(store.snapshot(ROOT).await.map_err(|error| store_failure(&error))?);
        let (mut transaction, were_there) = judged(&request, &snapshot).await?;
        if request.dry_run || transaction.operations.is_empty() {
            return Ok(DeleteAllResponse { were_there });
        }
        fence(&mut transaction, &snapshot);
        check_of_agents(&transaction)?;
        rest_on_fence(&mut transaction);
        match store.transact(transaction).await.map_err(|error| store_failure(&error))? {
            Outcome::Committed { .. } => return Ok(DeleteAllResponse { were_there }),
            Outcome::Refused { .. } => {} // somebody was faster: judge again by what stands now
        }
    }
    Err(contended().into())
}

fn check_size(request: &DeleteAllRequest) -> Result<(), Failure> {
    let count = request.objects.len();
    let message = format!("{count} objects in one call, at most {MOST_OBJECTS} may be");
    let failure = Failure::new(Code::InvalidArgument, "TOO_MANY", message).advice("delete them in several calls");
    if count > MOST_OBJECTS { Err(failure) } else { Ok(()) }
}

/// Thousands of objects take their time, in which others are answered.
async fn judged(request: &Arc<DeleteAllRequest>, snapshot: &Arc<Snapshot>) -> Result<(Transaction, Vec<bool>), Status> {
    let (request, snapshot) = (request.clone(), snapshot.clone());
    let judged = tokio::task::spawn_blocking(move || {
        let (keys, were_there) = found(&request, &snapshot)?;
        removal(&keys, &snapshot).map(|transaction| (transaction, were_there))
    });
    judged.await.map_err(|error| Status::internal(error.to_string()))?.map_err(Failure::combine)
}

/// The objects that are there, and of each that was asked for, whether it is; or all that are not and should be.
fn found(request: &DeleteAllRequest, snapshot: &Snapshot) -> Result<(BTreeSet<ObjectKey>, Vec<bool>), Vec<Failure>> {
    let standing: BTreeSet<&str> = snapshot.entries.iter().map(|entry| entry.key.as_str()).collect();
    let (mut keys, mut were_there, mut failures) = (BTreeSet::new(), Vec::new(), Vec::new());
    for object in &request.objects {
        let path = path_of_name(&object.kind, &object.name);
        let Some((key, path)) = path.and_then(|path| Some((key_of(&path)?, path))) else {
            failures.push(unknown_kind(&object.kind));
            continue;
        };
        let is_there = standing.contains(path.as_str());
        were_there.push(is_there);
        if is_there {
            keys.insert(key);
        } else if !request.allow_missing {
            failures.push(not_found(&object.kind, &object.name));
        }
    }
    if failures.is_empty() { Ok((keys, were_there)) } else { Err(failures) }
}

/// The transaction by which objects go that are there, with what goes along with them; or all that leans on them and stays.
pub(super) fn removal(keys: &BTreeSet<ObjectKey>, snapshot: &Snapshot) -> Result<Transaction, Vec<Failure>> {
    let mut standing = Bearing::on_removals(keys).in_words(snapshot);
    let going: Vec<(&ObjectKey, Option<Object>)> = keys.iter().map(|key| (key, standing.remove(key))).collect();
    let (mut paths, mut failures, mut lineage) = (BTreeSet::new(), Vec::new(), None);
    for (key, object) in going {
        // It is asked about alone: nobody who goes along leans on it.
        standing.extend(object.map(|object| (key.clone(), object)));
        failures.extend(leaned_on(key, &standing));
        paths.extend(empty_blocks(key, &standing).iter().chain([key]).map(path_of));
        standing.remove(key);
        // Nobody waits for what a host has to tell that is not there any more.
        if let ObjectKey::Host(host) = key
            && let Some(without) = without_waiting(host, &standing)
        {
            standing.insert(ObjectKey::Lineage, Object::Lineage(without.clone()));
            lineage = Some(without);
        }
    }
    if !failures.is_empty() {
        return Err(failures);
    }
    let told = lineage.map(|lineage| {
        let value = encode(&Object::Lineage(lineage)).expect("agents write what a store says of itself");
        Operation::Put { key: path_of(&ObjectKey::Lineage), value, lease: None }
    });
    let operations: Vec<Operation> = paths.into_iter().map(Operation::Delete).chain(told).collect();
    let written: BTreeSet<&str> = operations.iter().map(Operation::key).collect();
    let unchanged = |entry: &Entry| Compare::Unchanged { key: entry.key.clone(), mod_revision: entry.mod_revision };
    let compares = snapshot.entries.iter().filter(|entry| written.contains(entry.key.as_str())).map(unchanged);
    Ok(Transaction { compares: compares.collect(), operations })
}

/// Of objects that are to go with other changes, those that cannot, and why. `undone` is how each key is to be after that; none = it goes.
pub(crate) fn leaned_on_since<'a>(
    undone: impl Iterator<Item = (&'a str, Option<&'a str>)>,
    snapshot: &Snapshot,
) -> BTreeMap<&'a str, Failure> {
    let undone: Vec<_> = undone.filter_map(|(path, value)| Some((path, key_of(path)?, value))).collect();
    let going: BTreeSet<ObjectKey> =
        undone.iter().filter(|(_, _, value)| value.is_none()).map(|(_, key, _)| key.clone()).collect();
    if going.is_empty() {
        return BTreeMap::new();
    }
    let mut standing = Bearing::on_removals(&going).in_words(snapshot);
    let gone: Vec<_> = going.iter().filter_map(|key| standing.remove_entry(key)).collect();
    for (path, key, value) in &undone {
        let before = value.and_then(|value| object_of(path, value));
        standing.extend(before.map(|object| (key.clone(), object)));
    }
    let paths: BTreeMap<&ObjectKey, &str> = undone.iter().map(|(path, key, _)| (key, *path)).collect();
    let mut failures = BTreeMap::new();
    for (key, object) in gone {
        standing.insert(key.clone(), object);
        failures.extend(leaned_on(&key, &standing).map(|failure| (paths[&key], failure)));
        standing.remove(&key);
    }
    failures
}

fn object_of(path: &str, value: &str) -> Option<Object> {
    let entry = Entry { key: path.to_owned(), value: value.as_bytes().to_vec(), create_revision: 0, mod_revision: 0 };
    Some(decode(&entry)?.ok()?.value)
}

/// Why the object cannot go: something would lose its footing.
fn leaned_on(key: &ObjectKey, standing: &BTreeMap<ObjectKey, Object>) -> Option<Failure> {
    let in_use =
        |message: String, advice: &str| Some(Failure::new(Code::FailedPrecondition, "IN_USE", message).advice(advice));
    match key {
        ObjectKey::Endpoint(name) => in_use(
            format!("endpoint {name} belongs to its container"),
            &format!("detach the container on its host: `poplin detach {name}`"),
        ),
        ObjectKey::Host(name) => {
            let count =
                standing.values().filter(|object| matches!(object, Object::Endpoint(one) if one.host == *name)).count();
            if count == 0 {
                return None;
            }
            in_use(
                format!("host {name} has {count} endpoints"),
                &format!("detach its containers first; if it is gone for good: `poplin host remove {name}`"),
            )
        }
        ObjectKey::Pool(name) => {
            let blocks = standing.values().filter_map(|object| match object {
                Object::Block(block) if block.pool == *name => Some(block.taken.len() + block.kept.len()),
                _ => None,
            });
            match blocks.sum::<usize>() {
                0 => network_in(name, standing).and_then(|network| {
                    in_use(format!("pool {name} has the addresses of network {network}"), "delete the network first")
                }),
                taken => in_use(
                    format!("pool {name} is in use: {taken} of its addresses are taken or kept"),
                    "set disabled: true so that no new ones are taken, and replace its containers",
                ),
            }
        }
        ObjectKey::Network(name) => {
            let is_its =
                |object: &&Object| matches!(object, Object::Endpoint(one) if one.network.as_ref() == Some(name));
            match standing.values().filter(is_its).count() {
                0 => None,
                count => in_use(format!("network {name} has {count} endpoints"), "remove its containers first"),
            }
        }
        ObjectKey::Tier(name) => {
            let user = policies(standing).find(|policy| policy.tier == *name)?;
            in_use(
                format!("tier {name} holds policy {}", user.name),
                "delete its policies, or move them to another tier",
            )
        }
        ObjectKey::AddressSet(name) => {
            let names_it = |rule: &Rule| rule.source.sets.contains(name) || rule.destination.sets.contains(name);
            let user = policies(standing)
                .find(|policy| policy.ingress.iter().chain(&policy.egress).flatten().any(names_it))?;
            in_use(format!("address set {name} is named by policy {}", user.name), "change that policy first")
        }
        ObjectKey::RouteMap(name) => {
            let user = standing.values().find_map(|object| uses_map(object, name))?;
            in_use(format!("route map {name} is named by {user}"), "take it out there first: no route would pass")
        }
        ObjectKey::Policy(_)
        | ObjectKey::Peer(_)
        | ObjectKey::Fabric
        | ObjectKey::Namespace(_)
        | ObjectKey::HostEndpoint(_)
        | ObjectKey::Service(_)
        | ObjectKey::StaticRoute(_)
        | ObjectKey::Profile(_)
        | ObjectKey::FloatingAddress(_)
        | ObjectKey::Block(..)
        | ObjectKey::Lineage => None,
    }
}

/// A network whose addresses are in that pool.
fn network_in<'a>(pool: &PoolName, standing: &'a BTreeMap<ObjectKey, Object>) -> Option<&'a NetworkName> {
    let Some(Object::Pool(pool)) = standing.get(&ObjectKey::Pool(pool.clone())) else { return None };
    let networks = standing.values().filter_map(|object| <&Network>::try_from(object).ok());
    let mut inside = networks.filter(|network| network.subnets.iter().any(|subnet| pool.cidr.contains(subnet)));
    inside.next().map(|network| &network.name)
}

/// How the object is called, if it names this route map.
fn uses_map(object: &Object, name: &RouteMapName) -> Option<String> {
    let (maps, title) = match object {
        Object::Peer(peer) => (&peer.maps, format!("peer {}", peer.name)),
        Object::Fabric(fabric) => (&fabric.routing.mesh, "the fabric's configuration".to_owned()),
        _ => return None,
    };
    maps.named().any(|(_, named)| named == name).then_some(title)
}

fn policies(standing: &BTreeMap<ObjectKey, Object>) -> impl Iterator<Item = &Policy> {
    standing.values().filter_map(|object| object.try_into().ok())
}

/// Blocks that go with their pool, or with the host that held them; they have no address taken.
fn empty_blocks(key: &ObjectKey, standing: &BTreeMap<ObjectKey, Object>) -> Vec<ObjectKey> {
    let goes_along = |object: &&Object| match (object, key) {
        (Object::Block(block), ObjectKey::Pool(pool)) => block.pool == *pool && is_empty(block),
        (Object::Block(block), ObjectKey::Host(host)) => block.host == *host && is_empty(block),
        _ => false,
    };
    standing.values().filter(goes_along).map(Object::key).collect()
}

/// Whether nobody has an address of it, and nobody waits for one.
fn is_empty(block: &Block) -> bool {
    block.taken.is_empty() && block.kept.is_empty()
}
