//! The table of all names, kept up change by change: a question costs a few look-ups, whatever the size of the fabric.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use poplin_policy::ruleset::Interface;

use super::{Holder, Home, Naming, Records};
use crate::name::{EndpointName, HostName, NetworkName};

/// Something about names is not as it was.
#[derive(Clone, Debug, PartialEq)]
pub enum NameChange {
    /// An endpoint is known so from now on, or not at all.
    Endpoint(EndpointName, Option<Box<Holder>>),
    /// A network is known so from now on, or not at all.
    Network(NetworkName, Option<NetworkNames>),
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
#[derive(Clone, Debug)]
pub struct Names {
    /// This host, whose endpoints may ask.
    here: HostName,
    pub(super) naming: Naming,
    pub(super) networks: BTreeMap<NetworkName, NetworkNames>,
    pub(super) holders: BTreeMap<EndpointName, Holder>,
    /// By home and name in it.
    pub(super) called: BTreeMap<(Home, String), BTreeSet<EndpointName>>,
    pub(super) at: BTreeMap<IpAddr, BTreeSet<EndpointName>>,
    /// The endpoints of this host, by their containers.
    pub(super) of_container: BTreeMap<String, BTreeSet<EndpointName>>,
    on: BTreeMap<Interface, EndpointName>,
}

impl Names {
    /// No names yet.
    pub fn of(here: HostName) -> Self {
        Self {
            here,
            naming: Naming::default(),
            networks: BTreeMap::new(),
            holders: BTreeMap::new(),
            called: BTreeMap::new(),
            at: BTreeMap::new(),
            of_container: BTreeMap::new(),
            on: BTreeMap::new(),
        }
    }

    /// Something is not as it was.
    pub fn change(&mut self, change: NameChange) {
        match change {
            NameChange::Endpoint(name, holder) => {
                self.forget(&name);
                if let Some(holder) = holder {
                    self.learn(name, *holder);
                }
            }
            NameChange::Network(name, Some(network)) => drop(self.networks.insert(name, network)),
            NameChange::Network(name, None) => drop(self.networks.remove(&name)),
            NameChange::Naming(naming) => self.naming = naming,
        }
    }

    /// The endpoint of this host that has the address.
    pub fn endpoint_at(&self, address: IpAddr) -> Option<&EndpointName> {
        let is_here = |name: &&EndpointName| self.holders.get(*name).is_some_and(|holder| holder.host == self.here);
        self.at.get(&address)?.iter().find(is_here)
    }

    /// The endpoint of this host at the end of a link.
    pub fn endpoint_on(&self, interface: &Interface) -> Option<&EndpointName> {
        self.on.get(interface)
    }

    /// The link of an endpoint.
    pub fn link_of(&self, endpoint: &EndpointName) -> Option<&Interface> {
        self.holders.get(endpoint).map(|holder| &holder.interface)
    }

    /// How many endpoints have names.
    pub fn count(&self) -> usize {
        self.holders.len()
    }

    fn learn(&mut self, name: EndpointName, holder: Holder) {
        for called in holder.names() {
            self.called.entry((holder.home.clone(), called.clone())).or_default().insert(name.clone());
        }
        for address in &holder.addresses {
            self.at.entry(*address).or_default().insert(name.clone());
        }
        if holder.host == self.here {
            self.of_container.entry(holder.container.clone()).or_default().insert(name.clone());
            self.on.insert(holder.interface.clone(), name.clone());
        }
        self.holders.insert(name, holder);
    }

    fn forget(&mut self, name: &EndpointName) {
        let Some(holder) = self.holders.remove(name) else { return };
        for called in holder.names() {
            leave(&mut self.called, &(holder.home.clone(), called.clone()), name);
        }
        for address in &holder.addresses {
            leave(&mut self.at, address, name);
        }
        leave(&mut self.of_container, &holder.container, name);
        if self.on.get(&holder.interface) == Some(name) {
            self.on.remove(&holder.interface);
        }
    }
}

fn leave<K: Ord>(index: &mut BTreeMap<K, BTreeSet<EndpointName>>, key: &K, name: &EndpointName) {
    if let Some(names) = index.get_mut(key) {
        names.remove(name);
        if names.is_empty() {
            index.remove(key);
        }
    }
}
