//! Gives a host another name in the fabric, with all it has.
//!
//! In: all objects, the old name and the new one. Out: small transactions: endpoints and blocks first, and last, in one, the record of the host, by which its
//! agent knows that it may begin under the new name. The same again continues.

use std::collections::BTreeMap;

use crate::name::HostName;
use crate::object::{Host, Lineage, Object, ObjectKey};
use crate::removal::Step;

/// Endpoints and blocks in one transaction: each is compared and written, and etcd takes 128 operations.
const AT_ONCE: usize = 60;

/// What gives a host another name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Renaming {
    /// Endpoints that come along.
    pub endpoints: usize,
    /// Blocks that do.
    pub blocks: usize,
    /// The transactions, in order. Empty = nothing bears the old name.
    pub steps: Vec<Step>,
}

/// Plans it. Everything that stands under the new name already stays.
pub fn renaming(from: &HostName, to: &HostName, standing: &BTreeMap<ObjectKey, Object>) -> Renaming {
    let mut renaming = Renaming::default();
    let mut moved = Vec::new();
    for object in standing.values() {
        match object {
            Object::Endpoint(endpoint) if endpoint.host == *from => {
                renaming.endpoints += 1;
                let mut endpoint = endpoint.clone();
                endpoint.host = to.clone();
                moved.push(Object::Endpoint(endpoint));
            }
            Object::Block(block) if block.host == *from => {
                renaming.blocks += 1;
                let mut block = block.clone();
                block.host = to.clone();
                moved.push(Object::Block(block));
            }
            _ => {}
        }
    }
    renaming.steps = moved.chunks(AT_ONCE).map(|some| Step { puts: some.to_vec(), deletes: Vec::new() }).collect();
    renaming.steps.extend(last(from, to, standing));
    renaming
}

/// The record, and whom the others wait for.
fn last(from: &HostName, to: &HostName, standing: &BTreeMap<ObjectKey, Object>) -> Option<Step> {
    let host = <&Host>::try_from(standing.get(&ObjectKey::Host(from.clone()))?).ok()?;
    let awaited = standing.get(&ObjectKey::Lineage).and_then(|object| <&Lineage>::try_from(object).ok());
    let awaited = awaited.filter(|lineage| lineage.awaited.contains(from)).cloned().map(|mut lineage| {
        lineage.awaited.remove(from);
        lineage.awaited.insert(to.clone());
        Object::Lineage(lineage)
    });
    let renamed = Object::Host(Host { name: to.clone(), ..host.clone() });
    Some(Step { puts: [renamed].into_iter().chain(awaited).collect(), deletes: vec![ObjectKey::Host(from.clone())] })
}
