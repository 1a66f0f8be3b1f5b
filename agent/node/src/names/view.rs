//! What one container sees of the names.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use super::{Home, Names};
use crate::name::EndpointName;

/// What a container that asks may know.
#[derive(Debug)]
pub struct View<'a> {
    names: &'a Names,
    homes: BTreeSet<&'a Home>,
}

/// What became of a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// It is reached there; in both families, whichever was asked for.
    Addresses(BTreeSet<IpAddr>),
    /// It is the domain itself, or what stands between it and names: there are names below and no addresses.
    Empty,
    /// If anybody is called so, he who asks may not know.
    Nobody,
    /// It is no name of the fabric.
    NotOurs,
}

impl Names {
    /// What the container of an endpoint of this host sees.
    pub fn seen_by(&self, endpoint: &EndpointName) -> Option<View<'_>> {
        let holder = self.holders.get(endpoint)?;
        let siblings = self.of_container.get(&holder.here.as_ref()?.container)?.iter();
        let homes = siblings.filter_map(|sibling| self.holders.get(sibling)).map(|sibling| &sibling.home).collect();
        Some(View { names: self, homes })
    }
}

impl View<'_> {
    /// Who is called so; the name is in lower case and does not end with a dot.
    pub fn find(&self, name: &str) -> Found {
        let domain = self.names.naming.domain.as_str();
        let inside = name.strip_suffix(domain).and_then(|rest| rest.strip_suffix('.'));
        let addresses = self.addresses(inside.unwrap_or(name));
        match inside {
            _ if !addresses.is_empty() => Found::Addresses(addresses),
            None if name == domain => Found::Empty,
            Some(inside) if self.is_a_home(inside) => Found::Empty,
            Some(_) => Found::Nobody,
            None => Found::NotOurs,
        }
    }

    /// What is at an address, in full; nothing if it is no endpoint's, no service's and in no record he who asks may know, and an empty list if he may not know.
    pub fn names_at(&self, address: IpAddr) -> Option<Vec<String>> {
        if let Some(service) = self.names.service_at(address) {
            return Some(vec![format!("{service}.{}", self.names.naming.domain)]);
        }
        let mut holders = self.names.at(address).filter_map(|name| self.names.holders.get(name)).peekable();
        if holders.peek().is_none() {
            return Some(self.recorded_at(address)).filter(|names| !names.is_empty());
        }
        let seen = holders.filter(|holder| self.homes.iter().any(|home| home.network == holder.home.network));
        let full = seen.map(|holder| format!("{}.{}", holder.home.qualify(&holder.own), self.names.naming.domain));
        Some(full.collect())
    }

    /// What records say is there: those of the networks he who asks is in, then those of the fabric.
    fn recorded_at(&self, address: IpAddr) -> Vec<String> {
        let own = self.homes.iter().filter_map(|home| Some((*home, self.names.networks.get(home.network.as_ref()?)?)));
        let own =
            own.flat_map(|(home, network)| network.records.iter().map(move |(name, at)| (home.qualify(name), at)));
        let everybodys = self.names.naming.records.iter().map(|(name, at)| (name.clone(), at));
        let all = own.chain(everybodys).filter(|(_, at)| at.contains(&address));
        all.map(|(name, _)| format!("{name}.{}", self.names.naming.domain)).collect()
    }

    /// Whether it may ask for names outside of the fabric.
    pub fn is_open_outside(&self) -> bool {
        self.homes.iter().any(|home| match &home.network {
            Some(network) => self.names.networks.get(network).is_some_and(|network| network.is_open_outside),
            None => true,
        })
    }

    /// What everybody sees comes after what one's own home has: first records of the fabric, then services.
    fn addresses(&self, name: &str) -> BTreeSet<IpAddr> {
        let at_home: BTreeSet<IpAddr> = self.homes.iter().flat_map(|home| self.at_home(home, name)).collect();
        match at_home.is_empty() {
            true => {
                let record = self.names.naming.records.get(name);
                record.or_else(|| self.names.service(name)).cloned().unwrap_or_default()
            }
            false => at_home,
        }
    }

    fn at_home(&self, home: &Home, name: &str) -> BTreeSet<IpAddr> {
        let nearest = self.nearest(home, name).into_iter();
        let holders = nearest.filter_map(|holder| self.names.holders.get(holder));
        let mut addresses: BTreeSet<IpAddr> = holders.flat_map(|holder| holder.addresses.iter().copied()).collect();
        if let Some(network) = &home.network {
            let bare = name.strip_suffix(network.as_str()).and_then(|rest| rest.strip_suffix('.')).unwrap_or(name);
            let records = self.names.networks.get(network).map(|network| &network.records);
            addresses.extend(records.and_then(|records| records.get(bare)).into_iter().flatten());
        }
        addresses
    }

    /// Nearer names hide those farther off: those of one's own namespace come first, then those that name another one, then those of none. So
    /// nobody takes a name of a namespace by being called `db.shop` outside of it.
    fn nearest(&self, home: &Home, name: &str) -> Vec<&EndpointName> {
        let called = |namespace: Option<&str>, name: &str| {
            let home = Home { network: home.network.clone(), namespace: namespace.map(Arc::from) };
            Some(self.names.called(&home, name).collect()).filter(|found: &Vec<_>| !found.is_empty())
        };
        let own = home.namespace.as_deref().and_then(|own| called(Some(own), name));
        let mut parts = name.match_indices('.').map(|(dot, _)| (&name[..dot], &name[dot + 1..]));
        let anywhere = own.or_else(|| parts.find_map(|(name, namespace)| called(Some(namespace), name)));
        anywhere.or_else(|| called(None, name)).unwrap_or_default()
    }

    fn is_a_home(&self, name: &str) -> bool {
        self.homes.iter().any(|home| home.namespace.as_deref() == Some(name))
    }
}
