//! Values of the store: one JSON document an object, readable with etcdctl at three in the morning.

use poplin_node::object::{Object, ObjectKey, Versioned};
use poplin_proto::v1::Resource;

use super::block::StoredBlock;
use super::lineage::StoredLineage;
use super::{check, endpoint, floating, forward, host, key_of};
use crate::schema;
use crate::store::Entry;

/// A value that is not what stands under its key. The object is left out; everything else goes on.
#[derive(Debug, thiserror::Error)]
#[error("the value of {key} cannot be read: {reason}")]
pub struct StoredError {
    /// The key.
    pub key: String,
    /// What is wrong.
    pub reason: String,
}

/// Reads an entry as an object. Nothing: the key is none this version knows.
pub fn decode(entry: &Entry) -> Option<Result<Versioned<Object>, StoredError>> {
    let key = key_of(&entry.key)?;
    if let Some(feature) = schema::beyond(&entry.key, &entry.value, schema::release().schema) {
        let reason = format!("it has {}, which is of schema {}", feature.field, feature.schema);
        return Some(Err(StoredError { key: entry.key.clone(), reason }));
    }
    let read = match &key {
        ObjectKey::Block(..) => decode_block(&entry.value),
        ObjectKey::Lineage => decode_lineage(&entry.value),
        _ => decode_resource(entry)
            .map_err(|error| error.reason)
            .and_then(|resource| check(&resource).map_err(|invalids| invalids.to_string())),
    };
    let object = read.and_then(|object| match object.key() == key {
        true => Ok(object),
        false => Err("it is another object's".to_owned()),
    });
    Some(match object {
        Ok(value) => Ok(Versioned { value, version: entry.mod_revision }),
        Err(reason) => Err(StoredError { key: entry.key.clone(), reason }),
    })
}

fn decode_block(value: &[u8]) -> Result<Object, String> {
    let block: StoredBlock = serde_json::from_slice(value).map_err(|error| error.to_string())?;
    block
        .check()
        .map(Object::Block)
        .ok_or_else(|| "its cidr is no prefix, or a holder is not container/interface".to_owned())
}

fn decode_lineage(value: &[u8]) -> Result<Object, String> {
    let lineage: StoredLineage = serde_json::from_slice(value).map_err(|error| error.to_string())?;
    lineage.check().map(Object::Lineage).ok_or_else(|| "an id in it is not 16 hexadecimal digits".to_owned())
}

/// Reads an entry as a message of the wire contract, with uid and version filled in from the store.
pub fn decode_resource(entry: &Entry) -> Result<Resource, StoredError> {
    let error = |reason: String| StoredError { key: entry.key.clone(), reason };
    let key = key_of(&entry.key).ok_or_else(|| error("the key is of no kind".to_owned()))?;
    let kind = super::key::kind_of(&key)
        .ok_or_else(|| error("blocks, and what a store says of itself, have no document".to_owned()))?;
    let text = std::str::from_utf8(&entry.value).map_err(|cause| error(cause.to_string()))?;
    let read = match key {
        ObjectKey::Host(_) | ObjectKey::Endpoint(_) => forward::read(kind, text),
        _ => Resource::from_json(kind, text),
    };
    let mut resource = read.map_err(|cause| error(cause.to_string()))?;
    if let Some(metadata) = resource.metadata_mut() {
        metadata.resource_version = entry.mod_revision;
        metadata.uid = format!("{}-{}", kind.to_ascii_lowercase(), entry.create_revision);
    }
    Ok(resource)
}

/// The value of an object that agents write. Declared objects are stored as their author wrote them.
pub fn encode(object: &Object) -> Option<Vec<u8>> {
    let document = match object {
        Object::Block(block) => return serde_json::to_vec(&StoredBlock::from(block)).ok(),
        Object::Lineage(lineage) => return serde_json::to_vec(&StoredLineage::from(lineage)).ok(),
        Object::Host(one) => Resource::from(host::show(one)),
        Object::Endpoint(one) => Resource::from(endpoint::show(one)),
        Object::FloatingAddress(one) => Resource::from(floating::show(one)),
        Object::Pool(_)
        | Object::Policy(_)
        | Object::Tier(_)
        | Object::AddressSet(_)
        | Object::Peer(_)
        | Object::Fabric(_)
        | Object::Namespace(_)
        | Object::HostEndpoint(_)
        | Object::RouteMap(_)
        | Object::Network(_)
        | Object::Service(_)
        | Object::StaticRoute(_)
        | Object::Profile(_) => return None,
    };
    document.to_json().ok().map(String::into_bytes)
}
