//! What one endpoint is called.

use std::collections::BTreeSet;
use std::sync::Arc;

use poplin_policy::ruleset::Interface;

use crate::addresses::Addresses;
use crate::name::{HostName, NetworkName};
use crate::object::Endpoint;

/// One who has names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Present: it is on this host, and may ask.
    pub here: Option<Box<Asker>>,
    /// Whom it shares names with.
    pub home: Home,
    /// What it is called first.
    pub own: Arc<str>,
    /// What else it is called.
    pub aliases: BTreeSet<String>,
    /// Where it is reached.
    pub addresses: Addresses,
}

/// What is known of one who may ask, beside its names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asker {
    /// The host side of its link.
    pub interface: Interface,
    /// Its container, among those of its host.
    pub container: String,
}

/// Where names are shared.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Home {
    /// The network; absent = that of all who are in none.
    pub network: Option<NetworkName>,
    /// The namespace, which is that of the network if there is one.
    pub namespace: Option<Arc<str>>,
}

impl Holder {
    /// What a host knows of an endpoint.
    pub fn of(endpoint: &Endpoint, host: &HostName) -> Self {
        let asker = || Box::new(Asker { interface: endpoint.interface.clone(), container: container(endpoint) });
        let namespace = endpoint.namespace.as_deref().map(Arc::from);
        let own = match own_name(endpoint) {
            full if full == endpoint.name.as_str() => endpoint.name.text(),
            part => part.into(),
        };
        Self {
            here: (endpoint.host == *host).then(asker),
            home: Home { network: endpoint.network.clone(), namespace },
            own,
            aliases: endpoint.aliases.clone(),
            addresses: endpoint.addresses.clone(),
        }
    }

    /// All its names, as it is called in its home.
    pub(super) fn names(&self) -> impl Iterator<Item = Arc<str>> {
        std::iter::once(self.own.clone()).chain(self.aliases.iter().map(|alias| alias.as_str().into()))
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
        None if !endpoint.is_in_a_namespace() => format!("attachment {}", endpoint.attachment.container),
        None => format!("netns {}", endpoint.netns.display()),
    }
}
