//! One host under a ToR whose uplink is a host endpoint.

use std::net::{IpAddr, Ipv4Addr};

/// The host of these stories, as the ToR reaches it, and the ToR.
pub(crate) const HOST: IpAddr = IpAddr::V4(Ipv4Addr::new(172, 31, 1, 2));
pub(crate) const TOR: IpAddr = IpAddr::V4(Ipv4Addr::new(172, 31, 1, 1));

/// Without addresses: the interface alone says which packets it is asked about.
pub(crate) const EDGE: &str = "
apiVersion: poplin.dev/v1
kind: HostEndpoint
metadata: {name: edge, labels: {role: edge}}
spec: {host: h1, interface: uplink}
";

/// A policy for it.
pub(crate) fn policy(spec: &str) -> String {
    format!(
        "{{apiVersion: poplin.dev/v1, kind: Policy, metadata: {{name: edge}}, spec: {{subject: role == 'edge', {spec}}}}}"
    )
}
