//! Who can be at an end of a packet and be found by labels.

use std::net::IpAddr;

use ipnet::IpNet;

use super::{PortProtocol, QualifiedName};
use crate::label::Labels;

/// One attached container interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoint {
    /// What subjects and peers select it by: its own labels and those it inherits.
    pub labels: Labels,
    /// Where it lives, if it lives in a namespace.
    pub namespace: Option<String>,
    /// Its addresses, at most one of each family; no other endpoint has them.
    pub addresses: Vec<IpAddr>,
    /// What rules call some of its ports.
    pub ports: Vec<NamedPort>,
}

/// A name for a port of an endpoint or of a host. One name may stand for several ports.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NamedPort {
    /// What rules call it.
    pub name: String,
    /// Its protocol.
    pub protocol: PortProtocol,
    /// Its number.
    pub port: u16,
}

/// A named, labelled list of prefixes. No policy governs it; it only stands at the other end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddressSet {
    /// Unique among sets.
    pub name: QualifiedName,
    /// What peers select it by.
    pub labels: Labels,
    /// What is in it, of both families; they may overlap.
    pub nets: Vec<IpNet>,
}

impl NamedPort {
    /// Whether it is that port, called so.
    pub fn means(&self, name: &str, protocol: PortProtocol, port: u16) -> bool {
        (self.name.as_str(), self.protocol, self.port) == (name, protocol, port)
    }
}

impl AddressSet {
    /// What rules see of the addresses of a service.
    pub fn of_service(service: &str, labels: Labels, addresses: impl IntoIterator<Item = IpAddr>) -> Self {
        Self { name: Self::service_end(service), labels, nets: addresses.into_iter().map(IpNet::from).collect() }
    }

    /// How that set is called: as nobody can declare one.
    pub fn service_end(service: &str) -> QualifiedName {
        QualifiedName::global(format!("service {service}"))
    }

    /// Whether one of its prefixes holds the address.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.nets.iter().any(|net| net.contains(&address))
    }
}
