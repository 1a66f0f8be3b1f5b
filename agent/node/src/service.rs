//! Addresses that several endpoints serve, on one host or many, and how their health is seen.
//!
//! Values only: who serves what on this host is found in `serving`, who is healthy in `health`.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use poplin_policy::label::Labels;
use poplin_policy::model::{AddressSet, QualifiedName};
use poplin_policy::selector::Selector;

use crate::name::ServiceName;

/// One service: whoever sends to its addresses reaches one of its endpoints, the nearest by BGP.
#[derive(Clone, Debug, PartialEq)]
pub struct Service {
    /// Its name.
    pub name: ServiceName,
    /// What rules select its addresses by.
    pub labels: Labels,
    /// Its addresses, of either family, in no pool.
    pub addresses: BTreeSet<IpAddr>,
    /// The endpoints that serve it; they answer to its addresses themselves.
    pub endpoints: Selector,
    /// How it is seen whether an endpoint is healthy; absent = it is as long as it is attached.
    pub health: Option<HealthCheck>,
}

impl Service {
    /// Its addresses as what stands at the other end of rules.
    pub fn as_other_end(&self) -> AddressSet {
        AddressSet::of_service(self.name.as_str(), self.labels.clone(), self.addresses.iter().copied())
    }

    /// The name of that address set.
    pub fn other_end(name: &ServiceName) -> QualifiedName {
        AddressSet::service_end(name.as_str())
    }
}

/// How an endpoint is asked whether it is healthy: a TCP connection to its own address, and on it a question if there is one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HealthCheck {
    /// Where it listens.
    pub port: u16,
    /// What is fetched by HTTP/1.1 GET, and answered by a status of 200 to 399; absent = the connection is enough.
    pub http_path: Option<String>,
    /// From the end of one probe to the beginning of the next.
    pub interval: Duration,
    /// How long a probe may take.
    pub timeout: Duration,
    /// After so many failures in a row a healthy endpoint is one no more; at least 1.
    pub failures: u32,
    /// After so many successes in a row it is one again; at least 1.
    pub successes: u32,
}

/// One question whether an endpoint is healthy. Services that ask the same share the answer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Probe {
    /// The endpoint's own address.
    pub address: IpAddr,
    /// How it is asked.
    pub check: HealthCheck,
}

impl Probe {
    /// Where it is asked.
    pub fn target(&self) -> SocketAddr {
        SocketAddr::new(self.address, self.check.port)
    }
}

impl fmt::Display for Probe {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.check.http_path {
            Some(path) => write!(out, "http://{}{path}", self.target()),
            None => write!(out, "tcp {}", self.target()),
        }
    }
}
