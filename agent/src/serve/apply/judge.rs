//! What no object can tell by itself: whether it fits the others.
//!
//! In: the objects of a call, and the store. Out: everything that does not fit.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;
use poplin_manifest::Document;
use poplin_manifest::field::Invalid;
use poplin_node::name::RouteMapName;
use poplin_node::network::overlap;
use poplin_node::object::{Block, Network, Object, ObjectKey, Pool, RouteMaps};
use poplin_node::resize::is_resized;
use poplin_policy::model::{ADMIN_TIER, BASELINE_TIER, DEFAULT_TIER, Policy, QualifiedName, Tier};
use poplin_proto::{Failure, nearest};
use tonic::Code;

use super::{floating, lan, service, wrapped};
use crate::resource::{decode, key_of, path_of};
use crate::serve::bearing::Bearing;
use crate::store::{Entry, Snapshot};

/// An object and the document it came from.
pub(super) type Checked<'a> = (&'a Document, Object);

/// What of the store is wanted, in the head's words. What cannot be read is left out.
pub(in crate::serve) fn declared(
    snapshot: &Snapshot,
    is_wanted: impl Fn(&ObjectKey) -> bool,
) -> BTreeMap<ObjectKey, Object> {
    decoded(snapshot.entries.iter().filter(|entry| key_of(&entry.key).is_some_and(|key| is_wanted(&key))))
}

/// Entries in the head's words.
pub(in crate::serve) fn decoded<'a>(entries: impl Iterator<Item = &'a Entry>) -> BTreeMap<ObjectKey, Object> {
    entries.filter_map(|entry| decode(entry)?.ok()).map(|object| (object.value.key(), object.value)).collect()
}

/// The keys of what is wanted and cannot be read here: a damaged value, or one that a newer agent wrote.
pub(in crate::serve) fn unreadable(snapshot: &Snapshot, is_wanted: impl Fn(&ObjectKey) -> bool) -> Vec<String> {
    let wanted = snapshot.entries.iter().filter(|entry| key_of(&entry.key).is_some_and(|key| is_wanted(&key)));
    wanted.filter(|entry| matches!(decode(entry), Some(Err(_)))).map(|entry| entry.key.clone()).collect()
}

/// Refuses to free anything while it may be in use by what cannot be read.
pub(in crate::serve) fn all_readable(unreadable: &[String]) -> Result<(), Failure> {
    let [first, others @ ..] = unreadable else { return Ok(()) };
    let more = if others.is_empty() { String::new() } else { format!(" and {} more", others.len()) };
    let message = format!("{first}{more} cannot be read by this agent, and may say who uses which address");
    Err(Failure::new(Code::FailedPrecondition, "UNREADABLE", message)
        .advice("upgrade this agent to the newest in the fabric, or mend the value; nothing was changed"))
}

/// Everything that does not fit.
pub(super) fn judge(objects: &[Checked<'_>], snapshot: &Snapshot) -> Vec<Failure> {
    let standing = Bearing::on(objects.iter().map(|(_, object)| object)).in_words(snapshot);
    let mut after = standing.clone();
    after.extend(objects.iter().map(|(_, object)| (object.key(), object.clone())));
    let mut failures = duplicates(objects);
    for (document, object) in objects {
        failures.extend(version_conflict(document, object, snapshot));
        let unfit = match object {
            Object::Pool(pool) => fits_pools(pool, &after)
                .or_else(|| keeps_blocks(pool, &standing))
                .or_else(|| service::spared_by(pool, &after))
                .or_else(|| floating::spared_by(pool, &after))
                .or_else(|| lan::spares_hosts(pool, &after))
                .or_else(|| wrapped::has_no_host(pool, &after)),
            Object::Service(service) => service::fits(service, &after).or_else(|| floating::is_beside(service, &after)),
            Object::FloatingAddress(one) => floating::fits(one, &after),
            Object::Policy(policy) => fits_policies(policy, &after, snapshot),
            Object::Host(_) | Object::Endpoint(_) => changes_only_labels(object, &standing),
            Object::Tier(tier) => builtin_tier(&tier.name),
            Object::Peer(peer) => unknown_map(["spec.import", "spec.export"], &peer.maps, &after),
            Object::Fabric(fabric) => unknown_map(["spec.meshImport", "spec.meshExport"], &fabric.routing.mesh, &after),
            Object::Network(network) => fits_networks(network, &after).or_else(|| keeps_endpoints(network, &standing)),
            Object::AddressSet(_)
            | Object::RouteMap(_)
            | Object::StaticRoute(_)
            | Object::Profile(_)
            | Object::Block(_)
            | Object::Namespace(_)
            | Object::HostEndpoint(_)
            | Object::Lineage(_) => None,
        };
        failures.extend(unfit.map(|invalid| document.failure(invalid)));
    }
    failures
}

/// The same object twice in one call: which one is meant?
fn duplicates(objects: &[Checked<'_>]) -> Vec<Failure> {
    let mut seen = BTreeSet::new();
    let repeated = objects.iter().filter(|(_, object)| !seen.insert(object.key()));
    repeated
        .map(|(document, _)| {
            let message = format!("{} is declared twice", document.title());
            document.failure(Invalid::new("metadata.name", "DUPLICATE", message))
        })
        .collect()
}

/// A version that was sent along makes the write a compare-and-swap.
fn version_conflict(document: &Document, object: &Object, snapshot: &Snapshot) -> Option<Failure> {
    let wanted = document.resource.metadata()?.resource_version;
    if wanted == 0 {
        return None;
    }
    let stands = snapshot.entry(&path_of(&object.key())).map_or(0, |entry| entry.mod_revision);
    if wanted == stands {
        return None;
    }
    let title = document.title();
    let message = match stands {
        0 => format!("{title} does not exist any more (you have version {wanted})"),
        _ => format!("{title} was changed since you read it (you have version {wanted}, it is at {stands})"),
    };
    let advice = "read it again, make your change, and apply that; or leave metadata.resourceVersion out";
    let mut failure = document.failure(Invalid::new("metadata.resourceVersion", "CONFLICT", message).advice(advice));
    failure.code = Code::Aborted;
    Some(failure)
}

fn fits_pools(pool: &Pool, after: &BTreeMap<ObjectKey, Object>) -> Option<Invalid> {
    let overlaps = |other: &IpNet| other.contains(&pool.cidr) || pool.cidr.contains(other);
    let other = after.values().find_map(|object| match object {
        Object::Pool(other) if other.name != pool.name && overlaps(&other.cidr) => Some(other),
        _ => None,
    })?;
    let message = format!("{} overlaps pool {} ({})", pool.cidr, other.name, other.cidr);
    Some(
        Invalid::new("spec.cidr", "POOL_OVERLAP", message)
            .advice("take a range no other pool has; see `poplin get pools`"),
    )
}

/// A network has a number and subnets of its own, and these lie in pools.
fn fits_networks(network: &Network, after: &BTreeMap<ObjectKey, Object>) -> Option<Invalid> {
    let mut others = after.values().filter_map(|object| <&Network>::try_from(object).ok());
    let pools = || after.values().filter_map(|object| <&Pool>::try_from(object).ok());
    for subnet in &network.subnets {
        if !pools().any(|pool| pool.cidr.contains(subnet)) {
            let message = format!("{subnet} lies in no pool");
            return Some(Invalid::new("spec.subnets", "NO_POOL", message).advice("apply a Pool that has it first"));
        }
        let elsewhere = pools().find(|pool| network.macvlan.is_some() && pool.cidr.contains(subnet) && !pool.is_lan);
        if let Some(pool) = elsewhere {
            let message =
                format!("{subnet} is to be on a LAN, and pool {} ({}) is routed by the fabric", pool.name, pool.cidr);
            let advice = "take a subnet that a Pool with `lan: true` has, or that no pool has";
            return Some(Invalid::new("spec.subnets", "NOT_OF_A_LAN", message).advice(advice));
        }
    }
    let shares = |other: &&Network| {
        other.name != network.name
            && (other.index == network.index
                || network.subnets.iter().any(|subnet| other.subnets.iter().any(|one| overlap(one, subnet))))
    };
    let other = others.find(shares)?;
    let message = format!("network {} has a subnet or the index of it already", other.name);
    Some(
        Invalid::new("spec.subnets", "NETWORK_OVERLAP", message)
            .advice("take a prefix no network has, or none and have one chosen; see `poplin get networks`"),
    )
}

/// What its endpoints were promised holds a network to its number and subnets.
fn keeps_endpoints(network: &Network, standing: &BTreeMap<ObjectKey, Object>) -> Option<Invalid> {
    let Some(Object::Network(now)) = standing.get(&ObjectKey::Network(network.name.clone())) else { return None };
    if (now.index, &now.subnets, &now.macvlan) == (network.index, &network.subnets, &network.macvlan) {
        return None;
    }
    let is_its =
        |object: &&Object| matches!(object, Object::Endpoint(one) if one.network.as_ref() == Some(&network.name));
    let count = standing.values().filter(is_its).count();
    let message = format!(
        "network {} has {count} endpoints, so neither its subnets nor its index nor its macvlan can change",
        now.name
    );
    (count > 0).then(|| Invalid::new("spec.subnets", "NETWORK_IN_USE", message).advice("make another network"))
}

/// Blocks in use hold a pool to its range, and to their size.
fn keeps_blocks(pool: &Pool, standing: &BTreeMap<ObjectKey, Object>) -> Option<Invalid> {
    let Some(Object::Pool(now)) = standing.get(&ObjectKey::Pool(pool.name.clone())) else { return None };
    if now.cidr == pool.cidr && now.block_bits == pool.block_bits {
        return None;
    }
    let blocks = || standing.values().filter_map(|object| <&Block>::try_from(object).ok());
    let count = blocks().filter(|block| block.pool == pool.name).count();
    // Nobody claims a block of a pool that is disabled, so none of the former size comes any more.
    let is_resized = !now.is_enabled && is_resized(&pool.name, pool.block_bits, blocks());
    if count == 0 || now.cidr == pool.cidr && is_resized {
        return None;
    }
    let (field, message, advice) = match now.cidr == pool.cidr {
        true => (
            "spec.blockSize",
            format!("hosts hold {count} blocks of {} that are of /{}", now.name, now.block_bits),
            format!("`poplin pool resize {} --block-size {}` changes them with it", now.name, pool.block_bits),
        ),
        false => (
            "spec.cidr",
            format!("hosts hold {count} blocks of {} (/{}), so its range cannot change", now.cidr, now.block_bits),
            format!("`poplin pool migrate {} --to {}` has that serve in its place", now.name, pool.cidr),
        ),
    };
    Some(Invalid::new(field, "POOL_IN_USE", message).advice(advice))
}

fn fits_policies(policy: &Policy, after: &BTreeMap<ObjectKey, Object>, snapshot: &Snapshot) -> Option<Invalid> {
    if !Tier::is_built_in(&policy.tier) && !after.contains_key(&ObjectKey::Tier(policy.tier.clone())) {
        let tiers = after.keys().filter_map(|key| match key {
            ObjectKey::Tier(name) => Some(name.clone()),
            _ => None,
        });
        let tiers = tiers.chain([ADMIN_TIER, DEFAULT_TIER, BASELINE_TIER].map(str::to_owned)).collect();
        return Some(unknown("spec.tier", "UNKNOWN_TIER", "tier", &policy.tier, tiers));
    }
    [("ingress", &policy.ingress), ("egress", &policy.egress)]
        .into_iter()
        .flat_map(|(direction, rules)| {
            rules.iter().flatten().enumerate().map(move |(index, rule)| (direction, index, rule))
        })
        .flat_map(|(direction, index, rule)| {
            let field = move |side: &str| format!("spec.{direction}[{index}].{side}.sets");
            [(field("from"), &rule.source.sets), (field("to"), &rule.destination.sets)]
        })
        .find_map(|(field, sets)| unknown_set(&field, sets, after, snapshot))
}

/// Sets are there by their keys alone: there may be many, and large.
fn unknown_set(
    field: &str,
    sets: &[QualifiedName],
    after: &BTreeMap<ObjectKey, Object>,
    snapshot: &Snapshot,
) -> Option<Invalid> {
    let missing = sets.iter().find(|set| !after.contains_key(&ObjectKey::AddressSet((*set).clone())))?;
    let standing = snapshot.entries.iter().filter_map(|entry| key_of(&entry.key));
    let known: BTreeSet<_> = after.keys().cloned().chain(standing).collect();
    let known = known.iter().filter_map(|key| match key {
        ObjectKey::AddressSet(name) => Some(name.to_string()),
        _ => None,
    });
    Some(unknown(field, "UNKNOWN_SET", "address set", &missing.to_string(), known.collect()))
}

fn unknown_map(fields: [&str; 2], maps: &RouteMaps, after: &BTreeMap<ObjectKey, Object>) -> Option<Invalid> {
    let named = fields.into_iter().zip([&maps.import, &maps.export]);
    let is_missing = |name: &&RouteMapName| !after.contains_key(&ObjectKey::RouteMap((*name).clone()));
    let (field, missing) = named.filter_map(|(field, name)| Some((field, name.as_ref().filter(is_missing)?))).next()?;
    let known = after.keys().filter_map(|key| match key {
        ObjectKey::RouteMap(name) => Some(name.to_string()),
        _ => None,
    });
    Some(unknown(field, "UNKNOWN_ROUTE_MAP", "route map", missing.as_str(), known.collect()))
}

fn unknown(field: &str, reason: &'static str, thing: &str, name: &str, known: Vec<String>) -> Invalid {
    let invalid = Invalid::new(field, reason, format!("there is no {thing} named {name:?}"));
    match nearest(name, known.iter().map(String::as_str)) {
        Some(near) => invalid.advice(format!("did you mean {near:?}?")),
        None => {
            let there = if known.is_empty() { "are none".to_owned() } else { format!("are: {}", known.join(", ")) };
            invalid.advice(format!("apply the {thing} first, or in the same call; there {there}"))
        }
    }
}

/// Hosts and endpoints are written by their agents; people may label them, and drain hosts.
fn changes_only_labels(object: &Object, standing: &BTreeMap<ObjectKey, Object>) -> Option<Invalid> {
    let advice = "agents write it; only metadata.labels may be changed, and spec.drain of hosts";
    let Some(now) = standing.get(&object.key()) else {
        return Some(
            Invalid::new("kind", "AGENT_OWNED", "there is no such object, and it cannot be made by hand")
                .advice(advice),
        );
    };
    let is_same = match (now, object) {
        (Object::Host(now), Object::Host(wanted)) => {
            (&now.addresses, now.asn, now.router_id) == (&wanted.addresses, wanted.asn, wanted.router_id)
        }
        (Object::Endpoint(now), Object::Endpoint(wanted)) => {
            let labels = wanted.labels.clone();
            poplin_node::object::Endpoint { labels, ..now.clone() } == *wanted
        }
        _ => false,
    };
    (!is_same).then(|| Invalid::new("spec", "AGENT_OWNED", "the spec differs from what stands").advice(advice))
}

fn builtin_tier(name: &str) -> Option<Invalid> {
    let advice = "name it differently; policies that name no tier stand in the tier default, which denies";
    Tier::is_built_in(name)
        .then(|| Invalid::new("metadata.name", "BUILTIN_TIER", format!("the tier {name} is built in")).advice(advice))
}
