//! Takes a host that is gone for good out of the fabric.
//!
//! In: all objects, and the host. Out: small transactions in an order that leaves nothing half done wherever it stops: an endpoint goes
//! together with its addresses, and the host's own record, by which the others meet it, goes last. The same again continues.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;

use crate::name::{EndpointName, HostName};
use crate::object::{Block, Endpoint, Lineage, Object, ObjectKey};
use crate::prefix::ordinal_of;

/// Endpoints in one transaction: with a block for each of two addresses they stay below what etcd takes, 128 operations.
const ENDPOINTS_AT_ONCE: usize = 32;

/// Blocks in one transaction.
const BLOCKS_AT_ONCE: usize = 100;

/// What the removal of a host does.
#[derive(Clone, Debug, PartialEq)]
pub struct Removal {
    /// Endpoints that go.
    pub endpoints: BTreeSet<EndpointName>,
    /// Addresses that become free.
    pub addresses_freed: usize,
    /// Blocks that become free.
    pub blocks_freed: BTreeSet<IpNet>,
    /// Blocks that go to a host with addresses out of them.
    pub blocks_moved: BTreeMap<IpNet, HostName>,
    /// The transactions, in order.
    pub steps: Vec<Step>,
}

/// One transaction. All it touches must still be as it was given.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Step {
    /// What is written.
    pub puts: Vec<Object>,
    /// What is deleted.
    pub deletes: Vec<ObjectKey>,
}

/// Plans the removal.
pub fn removal(host: &HostName, standing: &BTreeMap<ObjectKey, Object>) -> Removal {
    let blocks = standing.values().filter_map(|object| <&Block>::try_from(object).ok());
    let mut removal = Removal {
        endpoints: BTreeSet::new(),
        addresses_freed: 0,
        blocks_freed: BTreeSet::new(),
        blocks_moved: BTreeMap::new(),
        steps: Vec::new(),
    };
    let mut plan = Plan { blocks: blocks.map(|block| (Object::Block(block.clone()).key(), block.clone())).collect() };
    let (gone, others): (Vec<&Endpoint>, Vec<_>) = endpoints(standing).partition(|endpoint| endpoint.host == *host);
    for some in gone.chunks(ENDPOINTS_AT_ONCE) {
        removal.endpoints.extend(some.iter().map(|endpoint| endpoint.name.clone()));
        removal.steps.push(plan.without(some, &mut removal.addresses_freed));
    }
    let heir = standing.keys().find_map(|key| match key {
        ObjectKey::Host(name) if name != host => Some(name),
        _ => None,
    });
    plan.give_up_blocks(host, &others, heir, &mut removal);
    removal.steps.push(Step {
        puts: without_waiting(host, standing).map(Object::Lineage).into_iter().collect(),
        deletes: standing
            .contains_key(&ObjectKey::Host(host.clone()))
            .then(|| ObjectKey::Host(host.clone()))
            .into_iter()
            .collect(),
    });
    removal
}

/// What the store says of itself once nobody waits any more for what that host has to tell; absent = nobody does.
pub fn without_waiting(host: &HostName, standing: &BTreeMap<ObjectKey, Object>) -> Option<Lineage> {
    let mut lineage = <&Lineage>::try_from(standing.get(&ObjectKey::Lineage)?).ok()?.clone();
    lineage.awaited.remove(host).then_some(lineage)
}

/// Whether a host is written down, or something is that it holds, or it is awaited.
pub fn is_known(host: &HostName, standing: &BTreeMap<ObjectKey, Object>) -> bool {
    let mut blocks = standing.values().filter_map(|object| <&Block>::try_from(object).ok());
    standing.contains_key(&ObjectKey::Host(host.clone()))
        || endpoints(standing).any(|endpoint| endpoint.host == *host)
        || blocks.any(|block| block.host == *host)
        || without_waiting(host, standing).is_some()
}

fn endpoints(standing: &BTreeMap<ObjectKey, Object>) -> impl Iterator<Item = &Endpoint> {
    standing.values().filter_map(|object| object.try_into().ok())
}

/// The blocks as they will be after the steps so far.
struct Plan {
    blocks: BTreeMap<ObjectKey, Block>,
}

impl Plan {
    /// Some endpoints go, and their addresses with them.
    fn without(&mut self, endpoints: &[&Endpoint], freed: &mut usize) -> Step {
        let mut touched = BTreeSet::new();
        for endpoint in endpoints {
            for (key, block) in &mut self.blocks {
                let before = block.taken.len();
                release(block, endpoint);
                *freed += before - block.taken.len();
                touched.extend((block.taken.len() < before).then(|| key.clone()));
            }
        }
        let puts = touched.iter().filter_map(|key| self.blocks.get(key)).cloned().map(Object::Block).collect();
        Step { puts, deletes: endpoints.iter().map(|endpoint| ObjectKey::Endpoint(endpoint.name.clone())).collect() }
    }

    /// The host's blocks go: those with addresses at other hosts to one of these, those with addresses that are kept for somebody to an heir, the
    /// others back to their pools.
    fn give_up_blocks(
        &mut self,
        host: &HostName,
        others: &[&Endpoint],
        heir: Option<&HostName>,
        removal: &mut Removal,
    ) {
        let held: Vec<_> = self.blocks.iter_mut().filter(|(_, block)| block.host == *host).collect();
        let mut steps: Vec<Step> = Vec::new();
        for (index, (key, block)) in held.into_iter().enumerate() {
            if index % BLOCKS_AT_ONCE == 0 {
                steps.push(Step::default());
            }
            let step = steps.last_mut().expect("the first block begins a step");
            let users: BTreeMap<u32, &Endpoint> = users(block, others);
            removal.addresses_freed += block.taken.len() - users.len();
            let heir = heir.filter(|_| !block.kept.is_empty());
            match users.values().next().map(|user| &user.host).or(heir) {
                Some(next) => {
                    block.taken.retain(|ordinal, _| users.contains_key(ordinal));
                    block.host = next.clone();
                    removal.blocks_moved.insert(block.cidr, next.clone());
                    step.puts.push(Object::Block(block.clone()));
                }
                None => {
                    removal.blocks_freed.insert(block.cidr);
                    step.deletes.push(key.clone());
                }
            }
        }
        removal.steps.extend(steps);
    }
}

fn release(block: &mut Block, endpoint: &Endpoint) {
    for address in &endpoint.addresses {
        if let Some(ordinal) = block.ordinal_of(*address) {
            block.release(ordinal, &endpoint.attachment, endpoint.keeper());
        }
    }
}

/// Which of the endpoints have addresses of a block, by ordinal.
fn users<'e>(block: &Block, endpoints: &[&'e Endpoint]) -> BTreeMap<u32, &'e Endpoint> {
    let of_endpoint = |endpoint: &&'e Endpoint| {
        let endpoint = *endpoint;
        let within = endpoint.addresses.iter().filter(|address| block.cidr.contains(*address));
        let ordinals: Vec<u32> = within.map(|address| ordinal_of(block.cidr, *address)).collect();
        ordinals.into_iter().map(move |ordinal| (ordinal, endpoint)).collect::<Vec<_>>()
    };
    let all = endpoints.iter().flat_map(of_endpoint);
    all.filter(|(ordinal, endpoint)| block.taken.get(ordinal) == Some(&endpoint.attachment)).collect()
}
