//! Which store to use, and how to open it.

use super::{Embedded, Etcd, Store, StoreError};
use std::path::PathBuf;
use std::sync::Arc;

/// Where the store is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// A file of our own, for a single host. Created if it does not exist, with its directory.
    Embedded(PathBuf),
    /// The endpoints of an etcd cluster, such as `http://10.0.0.1:2379`; at least one.
    Etcd(Vec<String>),
}

/// Opens the store. An embedded one is read and locked. An etcd is not asked yet: an agent must start while etcd is away.
pub async fn open(location: &Location) -> Result<Arc<dyn Store>, StoreError> {
    Ok(match location {
        Location::Embedded(path) => Arc::new(Embedded::open(path).await?),
        Location::Etcd(endpoints) => Arc::new(Etcd::connect(endpoints).await?),
    })
}
