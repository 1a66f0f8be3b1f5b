//! What ports of hosts are called, address by address.
//!
//! In: host endpoints as they come, change and go. Out: for each address that this concerns, all names its ports have. Several host endpoints may
//! have one address, such as one for every interface and one for the uplink; what any of them says holds there.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use poplin_policy::host::HostEndpoint;
use poplin_policy::model::NamedPort;
use poplin_policy::world::together;

/// The named ports of all hosts.
#[derive(Debug, Default)]
pub(super) struct HostPorts {
    /// Those of each host endpoint that has any, and its addresses.
    declared: BTreeMap<String, (BTreeSet<IpAddr>, Vec<NamedPort>)>,
    /// The host endpoints that name ports of an address.
    naming: BTreeMap<IpAddr, BTreeSet<String>>,
}

impl HostPorts {
    /// A host endpoint comes, changes or goes. Tells of its addresses, those it had before too, what their ports are called now.
    pub(super) fn set(&mut self, name: &str, known: Option<&HostEndpoint>) -> Vec<(IpAddr, Vec<NamedPort>)> {
        let former = self.declared.remove(name).map(|(addresses, _)| addresses).unwrap_or_default();
        for address in &former {
            let names = self.naming.get_mut(address).expect("who names ports of an address is known there");
            names.remove(name);
            if names.is_empty() {
                self.naming.remove(address);
            }
        }
        let mut concerned = former;
        if let Some(one) = known.filter(|one| !one.ports.is_empty()) {
            for address in &one.addresses {
                self.naming.entry(*address).or_default().insert(name.to_owned());
            }
            concerned.extend(&one.addresses);
            self.declared.insert(name.to_owned(), (one.addresses.clone(), one.ports.clone()));
        }
        concerned.into_iter().map(|address| (address, self.at(address))).collect()
    }

    fn at(&self, address: IpAddr) -> Vec<NamedPort> {
        let names = self.naming.get(&address).into_iter().flatten();
        together(names.map(|name| &self.declared[name].1[..]))
    }
}
