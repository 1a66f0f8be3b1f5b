//! Names of containers: what of them has changed, and where this host can be asked.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::action::Action;
use crate::mirror::Mirror;
use crate::name::HostName;
use crate::names::{Holder, NameChange, NameDoor, NetworkNames, Resolver};
use crate::network::{gateway, gateway_v4};
use crate::object::{Endpoint, Network, ObjectKey};
use crate::plan;

use super::{Node, Role};

impl Node {
    /// The same node, serving no names whatever the fabric's settings say.
    #[must_use]
    pub fn without_names(self) -> Self {
        Self { serves_names: false, policing: self.policing.without_names(), ..self }
    }

    /// Tells what of the names has changed, and where they may be asked for.
    pub(super) fn name(&mut self) {
        let is_host = self.role == Role::Host;
        let Some(mirror) = &mut self.mirror else { return };
        let renamed = mirror.take_renamed(); // also where nobody asks: it would grow for ever
        if !is_host || !self.serves_names {
            return;
        }
        if !renamed.is_empty() {
            let changes = renamed.into_iter().filter_map(|key| change(mirror, key, &self.identity.host)).collect();
            self.actions.push_back(Action::ChangeNames(changes));
        }
        if self.has_world_moved {
            let doors = self.doors();
            if doors != self.name_doors {
                self.name_doors.clone_from(&doors);
                self.actions.push_back(Action::OpenNameDoors(doors));
            }
        }
        debug_assert_eq!(self.doors(), self.name_doors, "names are to be asked for elsewhere");
    }

    /// Every gateway on `lo`, and the gateway of each link whose endpoint has IPv6 alone.
    fn doors(&self) -> BTreeSet<NameDoor> {
        let (Some(mirror), Some(kernel)) = (&self.mirror, &self.kernel) else { return self.name_doors.clone() };
        if !self.is_serving_names() {
            return BTreeSet::new();
        }
        let here: Vec<&Endpoint> = mirror.endpoints_on(&self.identity.host).collect(); // each is looked up once
        let local = || here.iter().copied();
        let networks: BTreeSet<_> = local().filter_map(|endpoint| endpoint.network.as_ref()).collect();
        let networks = networks.into_iter().filter_map(|name| mirror.network(name));
        let gateways = networks.map(|network| gateway_v4(network.index)).chain([plan::GATEWAY_V4]);
        let without_v4 = local().filter(|endpoint| !endpoint.addresses.iter().any(IpAddr::is_ipv4));
        let links = without_v4.filter_map(|endpoint| {
            let link = kernel.links.get(&endpoint.interface).filter(|link| link.is_up && link.index != 0)?;
            let network = endpoint.network.as_ref().and_then(|name| mirror.network(name));
            Some(NameDoor::Link(gateway(network, true), endpoint.interface.clone(), link.index))
        });
        gateways.map(NameDoor::Gateway).chain(links).chain(self.doors_inside(mirror, local())).collect()
    }

    /// Those whose interfaces are in their containers reach no gateway here: they ask where they are, at the same addresses. A container with several
    /// such interfaces has one `lo`, and asks there as the first of them.
    fn doors_inside<'a>(
        &'a self,
        mirror: &'a Mirror,
        local: impl Iterator<Item = &'a Endpoint> + 'a,
    ) -> impl Iterator<Item = NameDoor> + 'a {
        let inside = local.filter(|endpoint| self.sandboxes.stand(endpoint));
        let mut taken = BTreeSet::new();
        let doors = inside.flat_map(|endpoint| {
            let network = endpoint.network.as_ref().and_then(|name| mirror.network(name));
            let gateways = [plan::GATEWAY_V4].into_iter().chain(network.map(|network| gateway_v4(network.index)));
            gateways.map(move |gateway| (gateway, endpoint))
        });
        let free = doors.filter(move |(gateway, endpoint)| taken.insert((*gateway, &endpoint.netns)));
        free.map(|(gateway, one)| NameDoor::Sandbox(gateway, one.interface.clone(), one.netns.clone()))
    }

    fn is_serving_names(&self) -> bool {
        self.serves_names && self.mirror.as_ref().is_some_and(|mirror| mirror.fabric().naming.is_served)
    }

    /// Where an endpoint may ask for names.
    pub(super) fn resolver(&self, endpoint: &Endpoint, network: Option<&Network>) -> Option<Resolver> {
        let mirror = self.mirror.as_ref().filter(|_| self.is_serving_names())?;
        let is_v6 = !endpoint.addresses.iter().any(IpAddr::is_ipv4);
        let address = gateway(network, is_v6);
        let nameserver = match is_v6 {
            true => format!("{address}%{}", endpoint.attachment.interface),
            false => address.to_string(),
        };
        let domain = &mirror.fabric().naming.domain;
        let own = endpoint.namespace.as_ref().map(|namespace| format!("{namespace}.{domain}"));
        Some(Resolver { nameserver, search: own.into_iter().chain([domain.clone()]).collect() })
    }
}

fn change(mirror: &Mirror, key: ObjectKey, host: &HostName) -> Option<NameChange> {
    match key {
        ObjectKey::Endpoint(name) => {
            let holder = mirror.endpoint(&name).map(|endpoint| Box::new(Holder::of(endpoint, host)));
            Some(NameChange::Endpoint(name, holder))
        }
        ObjectKey::Network(name) => {
            let network = mirror.network(&name).map(|network| NetworkNames {
                records: network.records.clone(),
                is_open_outside: network.circle.is_open_outside,
            });
            Some(NameChange::Network(name, network))
        }
        ObjectKey::Service(name) => {
            let addresses = mirror.service(&name).map(|service| service.addresses.clone()).unwrap_or_default();
            Some(NameChange::Service(name, addresses))
        }
        ObjectKey::Fabric => Some(NameChange::Naming(mirror.fabric().naming.clone())),
        ObjectKey::Pool(_)
        | ObjectKey::Block(..)
        | ObjectKey::Host(_)
        | ObjectKey::Policy(_)
        | ObjectKey::Tier(_)
        | ObjectKey::AddressSet(_)
        | ObjectKey::Peer(_)
        | ObjectKey::Namespace(_)
        | ObjectKey::HostEndpoint(_)
        | ObjectKey::RouteMap(_)
        | ObjectKey::StaticRoute(_)
        | ObjectKey::Profile(_)
        | ObjectKey::FloatingAddress(_)
        | ObjectKey::Lineage => None,
    }
}
