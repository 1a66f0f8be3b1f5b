//! The table of all names, kept up change by change: a question costs a few look-ups, whatever the size of the fabric.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use poplin_policy::ruleset::Interface;

use super::{Holder, Home, Naming, Records};
use crate::name::{EndpointName, NetworkName, ServiceName};

/// Something about names is not as it was.
#[derive(Clone, Debug, PartialEq)]
pub enum NameChange {
    /// An endpoint is known so from now on, or not at all.
    Endpoint(EndpointName, Option<Box<Holder>>),
    /// A network is known so from now on, or not at all.
    Network(NetworkName, Option<NetworkNames>),
    /// A service has these addresses from now on; none = it is none.
    Service(ServiceName, BTreeSet<IpAddr>),
    /// These are the settings from now on.
    Naming(Naming),
}

/// What a network does to the names of its endpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkNames {
    /// Names they may ask for beside those of one another.
    pub records: Records,
    /// Whether they may ask for names outside of the fabric: not if they may not go there.
    pub is_open_outside: bool,
}

/// All names of the fabric, as one host knows them.
#[derive(Clone, Debug, Default)]
pub struct Names {
    pub(super) naming: Naming,
    pub(super) networks: BTreeMap<NetworkName, NetworkNames>,
    pub(super) holders: BTreeMap<EndpointName, Box<Holder>>,
    services: BTreeMap<ServiceName, BTreeSet<IpAddr>>,
    /// Which service is at an address; where people declare two at one, the last that was heard of.
    service_at: BTreeMap<IpAddr, ServiceName>,
    /// Names in each home, and who is called so. Most names lead to one, so these are pairs and no sets of their own.
    called: BTreeMap<Home, BTreeSet<(Arc<str>, EndpointName)>>,
    at: BTreeSet<(IpAddr, EndpointName)>,
    /// The endpoints of this host, by their containers.
    pub(super) of_container: BTreeMap<String, BTreeSet<EndpointName>>,
    on: BTreeMap<Interface, EndpointName>,
}

impl Names {
    /// Something is not as it was.
    pub fn change(&mut self, change: NameChange) {
        match change {
            NameChange::Endpoint(name, holder) => {
                self.forget(&name);
                if let Some(holder) = holder {
                    self.learn(name, holder);
                }
            }
            NameChange::Network(name, Some(network)) => drop(self.networks.insert(name, network)),
            NameChange::Network(name, None) => drop(self.networks.remove(&name)),
            NameChange::Service(name, addresses) => self.learn_service(name, addresses),
            NameChange::Naming(naming) => self.naming = naming,
        }
    }

    /// The endpoint of this host that has the address.
    pub fn endpoint_at(&self, address: IpAddr) -> Option<&EndpointName> {
        let is_here = |name: &&EndpointName| self.holders.get(*name).is_some_and(|holder| holder.here.is_some());
        self.at(address).find(is_here)
    }

    /// The endpoint of this host at the end of a link.
    pub fn endpoint_on(&self, interface: &Interface) -> Option<&EndpointName> {
        self.on.get(interface)
    }

    /// The link of an endpoint of this host.
    pub fn link_of(&self, endpoint: &EndpointName) -> Option<&Interface> {
        self.holders.get(endpoint)?.here.as_ref().map(|asker| &asker.interface)
    }

    /// How many endpoints have names.
    pub fn count(&self) -> usize {
        self.holders.len()
    }

    /// Who has an address.
    pub(super) fn at(&self, address: IpAddr) -> impl Iterator<Item = &EndpointName> {
        beside(&self.at, address)
    }

    /// Who is called so in a home.
    pub(super) fn called(&self, home: &Home, name: &str) -> impl Iterator<Item = &EndpointName> {
        let names = self.called.get(home);
        names.into_iter().flat_map(|names| beside(names, name.into()))
    }

    /// Where a service is reached.
    pub(super) fn service(&self, name: &str) -> Option<&BTreeSet<IpAddr>> {
        self.services.get(&ServiceName::new(name))
    }

    /// The service that is reached at an address.
    pub(super) fn service_at(&self, address: IpAddr) -> Option<&ServiceName> {
        self.service_at.get(&address)
    }

    fn learn_service(&mut self, name: ServiceName, addresses: BTreeSet<IpAddr>) {
        for address in self.services.remove(&name).unwrap_or_default() {
            if self.service_at.get(&address) == Some(&name) {
                self.service_at.remove(&address);
            }
        }
        if !addresses.is_empty() {
            self.service_at.extend(addresses.iter().map(|address| (*address, name.clone())));
            self.services.insert(name, addresses);
        }
    }

    fn learn(&mut self, name: EndpointName, mut holder: Box<Holder>) {
        if let Some((known, _)) = self.called.get_key_value(&holder.home) {
            holder.home = known.clone(); // its text is there once for all
        }
        let called = self.called.entry(holder.home.clone()).or_default();
        called.extend(holder.names().map(|one| (one, name.clone())));
        self.at.extend(holder.addresses.iter().map(|address| (*address, name.clone())));
        if let Some(asker) = &holder.here {
            self.of_container.entry(asker.container.clone()).or_default().insert(name.clone());
            self.on.insert(asker.interface.clone(), name.clone());
        }
        self.holders.insert(name, holder);
    }

    fn forget(&mut self, name: &EndpointName) {
        let Some(holder) = self.holders.remove(name) else { return };
        if let Some(called) = self.called.get_mut(&holder.home) {
            holder.names().for_each(|one| _ = called.remove(&(one, name.clone())));
            if called.is_empty() {
                self.called.remove(&holder.home);
            }
        }
        for address in &holder.addresses {
            self.at.remove(&(*address, name.clone()));
        }
        let Some(asker) = &holder.here else { return };
        if let Some(siblings) = self.of_container.get_mut(&asker.container) {
            siblings.remove(name);
            if siblings.is_empty() {
                self.of_container.remove(&asker.container);
            }
        }
        if self.on.get(&asker.interface) == Some(name) {
            self.on.remove(&asker.interface);
        }
    }
}

/// The names that stand beside a key, in order.
fn beside<K: Ord + Clone>(pairs: &BTreeSet<(K, EndpointName)>, key: K) -> impl Iterator<Item = &EndpointName> {
    let first = (key.clone(), EndpointName::default());
    pairs.range(first..).take_while(move |(other, _)| *other == key).map(|(_, name)| name)
}
