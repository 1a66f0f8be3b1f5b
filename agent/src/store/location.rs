//! Which store to use, and how to open it.

use super::{Credentials, Embedded, Etcd, Guarded, Store, StoreError, Whole};
use crate::schema;
use std::path::PathBuf;
use std::sync::Arc;

/// Where the store is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// A file of our own, for a single host. Created if it does not exist, with its directory.
    Embedded(PathBuf),
    /// An etcd cluster.
    Etcd {
        /// Where its members are asked, such as `http://10.0.0.1:2379`; at least one.
        endpoints: Vec<String>,
        /// How we know it, and how it knows us.
        credentials: Credentials,
    },
}

impl Location {
    /// An etcd cluster that asks nobody who he is.
    pub fn etcd(endpoints: Vec<String>) -> Self {
        Self::Etcd { endpoints, credentials: Credentials::default() }
    }
}

/// Opens the store, as one that takes large things whole, and takes them from this agent only if it knows the schema. An embedded one is read and locked. An etcd is not asked yet: an agent must start while etcd is away.
pub async fn open(location: &Location) -> Result<Arc<dyn Store>, StoreError> {
    let store: Arc<dyn Store> = match location {
        Location::Embedded(path) => Arc::new(Embedded::open(path).await?),
        Location::Etcd { endpoints, credentials } => Arc::new(Etcd::connect(endpoints, credentials.clone()).await?),
    };
    Ok(Arc::new(Whole::over(Arc::new(Guarded::over(store, schema::release())))))
}
