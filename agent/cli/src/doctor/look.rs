//! Looks around: asks the agent, reads files, asks the kernel, probes. No judgement here.

mod agent;
mod arp;
mod door;
mod echo;
mod files;
mod ground;
mod icmp;
mod rival;
mod rules;
mod switches;
mod tunnel;
mod wrap;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::time::SystemTime;

use super::finding::Unseen;
use super::reading::{Reading, Told, Way};
use files::Configured;

use crate::door::Door;

/// How many ways are probed; each takes a thread and some packets.
const WAYS: usize = 32;

pub(super) async fn around(door: &Door, config: &Path) -> Reading {
    let mut unseen = Vec::new();
    let told = agent::asked(door, &mut unseen).await;
    let mut reading = Reading { agent: Some(told), now: now(), ..Reading::default() };
    let configured = files::configured(config, &mut unseen);
    ground(&mut reading, &configured, &mut unseen);
    let told = reading.told().cloned();
    let files = Reading::files(told.as_ref(), configured.files());
    reading.certificates = files.iter().map(files::certificate).collect();
    store(&mut reading, told.as_ref(), &configured);
    others(&mut reading, told.as_ref(), &mut unseen);
    reading.unseen = unseen;
    reading
}

/// This host by itself.
fn ground(reading: &mut Reading, configured: &Configured, unseen: &mut Vec<Unseen>) {
    reading.switches = switches::read();
    reading.links = ground::links();
    reading.addresses = ground::addresses();
    reading.routes = ground::routes();
    reading.known_by = match reading.told() {
        Some(told) => told.status.addresses.iter().filter_map(|address| address.parse().ok()).collect(),
        None => configured.address.clone(),
    };
    reading.networkd_removes_routes = files::networkd_removes_routes();
    match rules::read() {
        Ok(rules) => reading.rules = Some(rules),
        Err(reason) => unseen.push(Unseen { what: "rules", reason }),
    }
    match rules::legacy() {
        Ok(rules) => reading.legacy_rules = rules,
        Err(reason) => unseen.push(Unseen { what: "rules of iptables-legacy", reason }),
    }
}

fn store(reading: &mut Reading, told: Option<&Told>, configured: &Configured) {
    let path = match told.and_then(|told| told.status.store.as_ref()) {
        Some(store) => (store.kind == "embedded").then(|| store.location.clone()),
        None => configured.data.as_ref().map(|path| path.display().to_string()),
    };
    reading.space = path.and_then(files::space);
    if told.is_none() {
        reading.stores = configured.etcd.iter().map(|endpoint| (endpoint.clone(), door::of_store(endpoint))).collect();
    }
}

/// Whom this host speaks to, and who speaks in its name.
fn others(reading: &mut Reading, told: Option<&Told>, unseen: &mut Vec<Unseen>) {
    let ways = told.map(wanted).unwrap_or_default();
    let mtu = told.and_then(|told| Some(told.fabric.mtu_bytes? + told.wrapping_octets()));
    match echo::all(&ways, mtu, reading) {
        Ok(ways) => reading.ways = ways,
        Err(reason) => unseen.push(Unseen { what: "ways to others and their clocks", reason }),
    }
    match told.filter(|told| told.wrapping_octets() > 0).map_or(Ok(Vec::new()), |told| tunnel::all(told, reading)) {
        Ok(tunnels) => reading.tunnels = tunnels,
        Err(reason) => unseen.push(Unseen { what: "tunnels", reason }),
    }
    let (found, refused) = rival::all(reading);
    reading.rivals = found;
    unseen.extend(refused.map(|reason| Unseen { what: "others with our addresses", reason }));
    reading.doors = told.map(door::of_neighbours).unwrap_or_default();
}

/// Hosts, neighbours and stores, by address.
fn wanted(told: &Told) -> Vec<Way> {
    let mut names: BTreeMap<Ipv4Addr, String> = BTreeMap::new();
    let stores =
        told.store.members.iter().filter_map(|member| Some((door::host_of(&member.location)?, "etcd".to_owned())));
    names.extend(stores);
    names.extend(told.status.sessions.iter().filter_map(|session| {
        let name = if session.name.is_empty() { &session.address } else { &session.name };
        Some((session.address.parse().ok()?, name.clone()))
    }));
    names.extend(told.hosts.iter().map(|(name, address)| (*address, name.clone())));
    names.retain(|address, _| {
        !told.status.addresses.contains(&IpAddr::V4(*address).to_string()) && !address.is_loopback()
    });
    let ways = names.into_iter().map(|(address, name)| Way { name, address: Some(address), ..Way::default() });
    ways.take(WAYS).collect()
}

fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
