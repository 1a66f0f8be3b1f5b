//! What one endpoint is called.

use std::collections::BTreeSet;
use std::net::IpAddr;

use poplin_policy::ruleset::Interface;

use crate::name::{HostName, NetworkName};
use crate::object::Endpoint;

/// One who has names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Where it is.
    pub host: HostName,
    /// The host side of its link.
    pub interface: Interface,
    /// Its container, among those of its host.
    pub container: String,
    /// Whom it shares names with.
    pub home: Home,
    /// What it is called first.
    pub own: String,
    /// What else it is called.
    pub aliases: BTreeSet<String>,
    /// Where it is reached.
    pub addresses: BTreeSet<IpAddr>,
}

/// Where names are shared.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Home {
    /// The network; absent = that of all who are in none.
    pub network: Option<NetworkName>,
    /// The namespace, which is that of the network if there is one.
    pub namespace: Option<String>,
}

impl Holder {
    /// What is known of an endpoint.
    pub fn of(endpoint: &Endpoint) -> Self {
        Self {
            host: endpoint.host.clone(),
            interface: endpoint.interface.clone(),
            container: container(endpoint),
            home: Home { network: endpoint.network.clone(), namespace: endpoint.namespace.clone() },
            own: own_name(endpoint).to_owned(),
            aliases: endpoint.aliases.clone(),
            addresses: endpoint.addresses.clone(),
        }
    }

    /// All its names, as it is called in its home.
    pub(super) fn names(&self) -> impl Iterator<Item = &String> {
        std::iter::once(&self.own).chain(&self.aliases)
    }
}

impl Home {
    /// How a name of this home is written in full, but for the domain.
    pub fn qualify(&self, name: &str) -> String {
        match &self.namespace {
            Some(namespace) => format!("{name}.{namespace}"),
            None => name.to_owned(),
        }
    }
}

/// Endpoint names are unique in the fabric, so those that runtimes make carry their network, and their host if two have the same.
fn own_name(endpoint: &Endpoint) -> &str {
    let full = endpoint.name.as_str();
    let Some(namespace) = &endpoint.namespace else { return full };
    let without_host = full.strip_suffix(endpoint.host.as_str()).and_then(|rest| rest.strip_suffix('.'));
    let bare = |name| without(name, namespace);
    without_host.and_then(bare).or_else(|| bare(full)).unwrap_or(full)
}

fn without<'a>(name: &'a str, namespace: &str) -> Option<&'a str> {
    name.strip_suffix(namespace)?.strip_suffix('.').filter(|rest| !rest.is_empty())
}

/// Interfaces of one container are told by what its runtime calls it, by their common namespace, or by who attached them.
fn container(endpoint: &Endpoint) -> String {
    match &endpoint.container {
        Some(container) => format!("container {container}"),
        None if endpoint.netns.as_os_str().is_empty() => format!("attachment {}", endpoint.attachment.container),
        None => format!("netns {}", endpoint.netns.display()),
    }
}
