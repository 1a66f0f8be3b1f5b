//! Blocks. They are no part of the wire contract: only agents write them.

use std::collections::BTreeMap;

use poplin_node::name::{AttachmentId, EndpointName, HostName, PoolName};
use poplin_node::object::Block;
use serde::{Deserialize, Serialize};

/// A block as it stands in the store. What a later agent wrote beside it is passed over.
#[derive(Serialize, Deserialize)]
pub(super) struct StoredBlock {
    pool: String,
    cidr: String,
    host: String,
    /// Ordinal of the address → `container/interface`.
    taken: BTreeMap<u32, String>,
    /// Ordinals that were given back, the first one first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    freed: Vec<u32>,
    /// Ordinal of the address → the endpoint it waits for.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    kept: BTreeMap<u32, String>,
}

impl From<&Block> for StoredBlock {
    fn from(block: &Block) -> Self {
        let taken = block.taken.iter().map(|(ordinal, holder)| (*ordinal, holder.to_string())).collect();
        let kept = block.kept.iter().map(|(ordinal, name)| (*ordinal, name.to_string())).collect();
        Self {
            pool: block.pool.to_string(),
            cidr: block.cidr.to_string(),
            host: block.host.to_string(),
            taken,
            freed: block.freed.clone(),
            kept,
        }
    }
}

impl StoredBlock {
    /// The block, unless its prefix or a holder is none.
    pub(super) fn check(self) -> Option<Block> {
        let holder = |(ordinal, holder): (u32, String)| Some((ordinal, AttachmentId::parse(&holder)?));
        let taken = self.taken.into_iter().map(holder).collect::<Option<_>>()?;
        Some(Block {
            pool: PoolName::new(self.pool),
            cidr: self.cidr.parse().ok()?,
            host: HostName::new(self.host),
            taken,
            freed: self.freed,
            kept: self.kept.into_iter().map(|(ordinal, name)| (ordinal, EndpointName::new(name))).collect(),
        })
    }
}
