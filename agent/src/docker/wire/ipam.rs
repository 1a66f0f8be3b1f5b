//! Addresses: `IpamDriver.*`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Asks for a range to take addresses from.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(in crate::docker) struct RequestPool {
    /// `--subnet`; empty = any.
    pub pool: String,
    /// `--ip-range`; empty = all of it.
    pub sub_pool: String,
    /// `--ipam-opt`.
    pub options: Option<BTreeMap<String, String>>,
    /// Of which family.
    pub v6: bool,
}

/// The range.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::docker) struct Pool {
    /// What it is called from now on.
    #[serde(rename = "PoolID")]
    pub pool_id: String,
    /// What it is.
    pub pool: String,
    /// Says among other things which gateway there is.
    pub data: BTreeMap<&'static str, String>,
}

/// Under this key of [`Pool::data`] stands the gateway, and dockerd does not ask for one.
pub(in crate::docker) const GATEWAY: &str = "com.docker.network.gateway";

/// Asks for an address.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(in crate::docker) struct RequestAddress {
    /// Out of which range.
    #[serde(rename = "PoolID")]
    pub pool_id: String,
    /// Which; empty = any.
    pub address: String,
    /// What for, among other things.
    pub options: Option<BTreeMap<String, String>>,
}

/// Gives an address back.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(in crate::docker) struct ReleaseAddress {
    /// Which.
    pub address: String,
}
