//! What one host adds to the world: its own endpoints' interfaces, and how it treats what they send to itself.

use std::collections::BTreeMap;

use crate::ruleset::Interface;

/// One host, as the compiler sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Local endpoints by name, and the host side of each one's link. An endpoint the world does not know gets no
    /// policy, and so its interface passes nothing.
    pub interfaces: BTreeMap<String, Interface>,
    /// How the host treats its endpoints.
    pub settings: Settings,
}

/// What holds for all endpoints of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How the names of all our interfaces on this host begin, and nobody else's; 1 to 14 octets.
    pub interface_prefix: String,
    /// What endpoints may open to the host itself.
    pub workload_to_host: WorkloadToHost,
}

/// What endpoints may open to their own host, after their egress policy allowed it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WorkloadToHost {
    /// Everything.
    Accept,
    /// ICMP and ICMPv6 echo requests only.
    #[default]
    Drop,
}
