//! Networks and what joins them: `NetworkDriver.*`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Declares a network. Its name is not told.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(in crate::docker) struct CreateNetwork {
    /// Docker's id of it.
    #[serde(rename = "NetworkID")]
    pub network_id: String,
    /// `-o` stands under `com.docker.network.generic`, the rest beside it.
    pub options: Option<BTreeMap<String, Value>>,
    /// Its ranges of IPv4.
    #[serde(rename = "IPv4Data")]
    pub ipv4_data: Option<Vec<IpamData>>,
    /// Its ranges of IPv6.
    #[serde(rename = "IPv6Data")]
    pub ipv6_data: Option<Vec<IpamData>>,
}

/// One range of a network.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(in crate::docker) struct IpamData {
    /// What it is.
    pub pool: String,
    /// `--gateway`, or what was given out with the range.
    pub gateway: String,
    /// `--aux-address`, by name.
    pub aux_addresses: Option<BTreeMap<String, String>>,
}

/// Names a network, and mostly an endpoint in it.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(in crate::docker) struct Named {
    /// Docker's id of the network.
    #[serde(rename = "NetworkID")]
    pub network_id: String,
    /// Docker's id of the endpoint.
    #[serde(rename = "EndpointID")]
    pub endpoint_id: String,
}

/// Says that a container is there.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(in crate::docker) struct Join {
    /// Docker's id of the network.
    #[serde(rename = "NetworkID")]
    pub network_id: String,
    /// Docker's id of the endpoint.
    #[serde(rename = "EndpointID")]
    pub endpoint_id: String,
    /// Path of the container's network namespace.
    pub sandbox_key: PathBuf,
}

/// Declares an endpoint.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(in crate::docker) struct CreateEndpoint {
    /// Of which network.
    #[serde(rename = "NetworkID")]
    pub network_id: String,
    /// Docker's id of it.
    #[serde(rename = "EndpointID")]
    pub endpoint_id: String,
    /// What it has already.
    pub interface: Option<Interface>,
    /// Ports, and `--driver-opt`.
    pub options: Option<BTreeMap<String, Value>>,
}

/// What an endpoint has. Of what dockerd gave, nothing may be said again.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", default)]
pub(in crate::docker) struct Interface {
    /// With its prefix length.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub address: String,
    /// The same for IPv6.
    #[serde(rename = "AddressIPv6", skip_serializing_if = "String::is_empty")]
    pub address_ipv6: String,
    /// `--mac-address`, else empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub mac_address: String,
}

/// How the container's side is to be furnished.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::docker) struct Joined {
    /// The interface that goes into the container.
    pub interface_name: InterfaceName,
    /// Next hop of the default route.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub gateway: String,
    /// The same for IPv6.
    #[serde(rename = "GatewayIPv6", skip_serializing_if = "String::is_empty")]
    pub gateway_ipv6: String,
    /// Routes beside it.
    pub static_routes: Vec<StaticRoute>,
    /// Whether Docker's own bridge to the outside has no part in it.
    pub disable_gateway_service: bool,
}

/// An interface to be moved.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::docker) struct InterfaceName {
    /// What it is called here.
    pub src_name: String,
    /// What its name begins with there.
    pub dst_prefix: String,
}

/// A route in the container.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::docker) struct StaticRoute {
    /// To where.
    pub destination: String,
    /// [`NEXT_HOP`] or [`CONNECTED`].
    pub route_type: u8,
    /// By whom; empty if connected.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub next_hop: String,
}

/// The destination is reached by a next hop.
pub(in crate::docker) const NEXT_HOP: u8 = 0;
/// The destination is on the link.
pub(in crate::docker) const CONNECTED: u8 = 1;
