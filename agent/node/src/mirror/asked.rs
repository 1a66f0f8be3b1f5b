//! What the mirror is asked: objects by kind and name, and what is known of each.
//!
//! In: keys and names. Out: objects as last heard, or as they last could be read. Nothing here changes anything.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use ipnet::IpNet;
use poplin_policy::circle::Circle;
use poplin_policy::host::HostEndpoint;
use poplin_policy::model::{AddressSet, Namespace, Policy, Profile, QualifiedName, Tier};

use super::Mirror;
use crate::name::{
    AttachmentId, EndpointName, FloatingName, HostName, NetworkName, PeerName, PoolName, RouteMapName, ServiceName,
    StaticRouteName,
};
use crate::object::{
    Block, Endpoint, Fabric, FloatingAddress, Host, Lineage, Network, Object, ObjectKey, Peer, Pool, RouteMap, Service,
    StaticRoute, Versioned,
};
use crate::quarantine::{self, Unreadable, stand_in, stand_in_name};
use crate::transaction::Compare;

/// The settings of a fabric that says nothing of them.
static UNDECLARED: LazyLock<Fabric> = LazyLock::new(Fabric::default);

impl Mirror {
    /// The objects from a key on, as long as they are of one kind: kinds stand together in the order of keys.
    pub(super) fn of_kind<'m, T: 'm>(&'m self, first: ObjectKey) -> impl Iterator<Item = &'m T> + Clone
    where
        &'m T: TryFrom<&'m Object>,
    {
        self.objects.range(first..).map_while(|(_, object)| <&T>::try_from(&object.value).ok())
    }

    /// One object.
    pub(super) fn one<'m, T: 'm>(&'m self, key: &ObjectKey) -> Option<&'m T>
    where
        &'m T: TryFrom<&'m Object>,
    {
        <&T>::try_from(&self.objects.get(key)?.value).ok()
    }

    /// The version of an object, if it exists: also of one that cannot be read.
    pub fn version(&self, key: &ObjectKey) -> Option<i64> {
        let version = || self.in_store(key).map(|object| object.version);
        self.quarantine.version(key).or_else(version)
    }

    /// Whether that is so, as far as is known.
    pub fn bears_out(&self, compare: &Compare) -> bool {
        match compare {
            Compare::Absent(key) => self.version(key).is_none(),
            Compare::Unchanged(key, version) => self.version(key) == Some(*version),
        }
    }

    /// Whether all of that is known: this node wrote it, and hears of it again.
    pub fn knows(&self, puts: &[Versioned<Object>], unreadable: &[Unreadable], deletes: &[ObjectKey]) -> bool {
        let is_known =
            |put: &Versioned<Object>| self.objects.get(&put.value.key()).is_some_and(|known| **known == *put);
        self.lapsed.is_empty()
            && unreadable.is_empty()
            && puts.iter().all(|put| is_known(put) && !self.is_unreadable(&put.value.key()))
            && deletes.iter().all(|key| self.version(key).is_none())
    }

    /// The version of the form of an object that is known, whether or not it can still be read.
    pub fn form(&self, key: &ObjectKey) -> Option<i64> {
        self.objects.get(key).map(|object| object.version)
    }

    /// Whether the object stands in the store and cannot be read.
    pub fn is_unreadable(&self, key: &ObjectKey) -> bool {
        self.quarantine.version(key).is_some()
    }

    /// Everything that cannot be read, and whether its last good form is known.
    pub fn unreadable(&self) -> impl Iterator<Item = (&Unreadable, bool)> {
        self.quarantine.all().map(|one| (one, self.objects.contains_key(&one.key)))
    }

    /// Those of which no good form was ever known.
    pub fn unknown(&self) -> impl Iterator<Item = &ObjectKey> {
        self.unreadable().filter(|(_, is_known)| !is_known).map(|(one, _)| &one.key)
    }

    /// Every object, by kind and name.
    pub fn all(&self) -> impl Iterator<Item = &Object> + Clone {
        self.objects.values().map(|object| &object.value)
    }

    /// The pools, by name.
    pub fn pools(&self) -> impl Iterator<Item = &Pool> {
        self.of_kind(ObjectKey::Pool(PoolName::new("")))
    }

    /// The pool of that name.
    pub fn pool(&self, name: &PoolName) -> Option<&Pool> {
        self.one(&ObjectKey::Pool(name.clone()))
    }

    /// All claimed blocks, by pool and prefix.
    pub fn blocks(&self) -> impl Iterator<Item = &Block> {
        self.of_kind(ObjectKey::Block(PoolName::new(""), IpNet::default()))
    }

    /// One block, if somebody claimed it.
    pub fn block(&self, pool: &PoolName, cidr: IpNet) -> Option<&Block> {
        self.one(&ObjectKey::Block(pool.clone(), cidr))
    }

    /// The hosts, by name.
    pub fn hosts(&self) -> impl Iterator<Item = &Host> {
        self.of_kind(ObjectKey::Host(HostName::new("")))
    }

    /// The host of that name.
    pub fn host(&self, name: &HostName) -> Option<&Host> {
        self.one(&ObjectKey::Host(name.clone()))
    }

    /// The endpoint of that name.
    pub fn endpoint(&self, name: &EndpointName) -> Option<&Endpoint> {
        self.one(&ObjectKey::Endpoint(name.clone()))
    }

    /// All endpoints, by name.
    pub fn endpoints(&self) -> impl Iterator<Item = &Endpoint> {
        self.of_kind(ObjectKey::Endpoint(EndpointName::new("")))
    }

    /// The endpoints of one host, by name.
    pub fn endpoints_on(&self, host: &HostName) -> impl Iterator<Item = &Endpoint> {
        let here = self.endpoints_on.get(host).into_iter().flat_map(BTreeMap::values);
        here.filter_map(|object| <&Endpoint>::try_from(&object.value).ok())
    }

    /// The blocks one host holds, by pool and prefix.
    pub fn blocks_of(&self, host: &HostName) -> impl Iterator<Item = &Block> {
        self.blocks_of.get(host).into_iter().flatten().filter_map(|(pool, cidr)| self.block(pool, *cidr))
    }

    /// The endpoint of that attachment on that host.
    pub fn endpoint_on(&self, attachment: &AttachmentId, host: &HostName) -> Option<&Endpoint> {
        self.attached(attachment).find(|endpoint| endpoint.host == *host)
    }

    /// The endpoint of that attachment on any host; if several have one, that of `host`.
    pub fn endpoint_of(&self, attachment: &AttachmentId, host: &HostName) -> Option<&Endpoint> {
        self.endpoint_on(attachment, host).or_else(|| self.attached(attachment).next())
    }

    /// The endpoints of an attachment on any host, by name.
    fn attached(&self, attachment: &AttachmentId) -> impl Iterator<Item = &Endpoint> {
        let hash = attachment.digest();
        let alike = self.attached.range((hash, EndpointName::default())..).take_while(move |(other, _)| *other == hash);
        alike.filter_map(|(_, name)| self.endpoint(name)).filter(move |endpoint| endpoint.attachment == *attachment)
    }

    /// The policies, by name.
    pub fn policies(&self) -> impl Iterator<Item = &Policy> {
        self.of_kind(ObjectKey::Policy(QualifiedName::default()))
    }

    /// The policy of that name: declared, made of a network, or standing in for what could never be read.
    pub fn policy(&self, name: &QualifiedName) -> Option<Policy> {
        let of_network = || {
            let network = name.namespace().filter(|_| name.name() == Circle::POLICY)?;
            self.network(&NetworkName::new(network)).map(|network| network.circle.policy())
        };
        let stands_in = || {
            let mut names = self.unknown().filter_map(stand_in_name);
            names.find(|other| other == name).map(stand_in)
        };
        self.one(&ObjectKey::Policy(name.clone())).cloned().or_else(of_network).or_else(stands_in)
    }

    /// The networks, by name.
    pub fn networks(&self) -> impl Iterator<Item = &Network> + Clone {
        self.of_kind(ObjectKey::Network(NetworkName::new("")))
    }

    /// The network of that name.
    pub fn network(&self, name: &NetworkName) -> Option<&Network> {
        self.one(&ObjectKey::Network(name.clone()))
    }

    /// The tier of that name, if it is declared, or is that of what stands in.
    pub fn tier(&self, name: &str) -> Option<Tier> {
        let stands_in = || {
            let mut unknown = self.unknown();
            (name == quarantine::TIER && unknown.any(|key| stand_in_name(key).is_some())).then(quarantine::tier)
        };
        self.one(&ObjectKey::Tier(name.to_owned())).cloned().or_else(stands_in)
    }

    /// The address set of that name.
    pub fn address_set(&self, name: &QualifiedName) -> Option<&AddressSet> {
        self.one(&ObjectKey::AddressSet(name.clone()))
    }

    /// The namespace of that name, if it or a network of that name is declared.
    pub fn namespace(&self, name: &str) -> Option<Namespace> {
        let declared: Option<&Namespace> = self.one(&ObjectKey::Namespace(name.to_owned()));
        match self.network(&NetworkName::new(name)) {
            Some(network) => Some(network.circle.namespace(declared)),
            None => declared.cloned(),
        }
    }

    /// The profile of that name, if it is declared.
    pub fn profile(&self, name: &str) -> Option<&Profile> {
        self.one(&ObjectKey::Profile(name.to_owned()))
    }

    /// The host endpoint of that name.
    pub fn host_endpoint(&self, name: &str) -> Option<&HostEndpoint> {
        self.one(&ObjectKey::HostEndpoint(name.to_owned()))
    }

    /// The host endpoints of all hosts, by name.
    pub fn host_endpoints(&self) -> impl Iterator<Item = &HostEndpoint> {
        self.of_kind(ObjectKey::HostEndpoint(String::new()))
    }

    /// The BGP peers outside the fabric, by name.
    pub fn peers(&self) -> impl Iterator<Item = &Peer> {
        self.of_kind(ObjectKey::Peer(PeerName::new("")))
    }

    /// The route map of that name.
    pub fn route_map(&self, name: &RouteMapName) -> Option<&RouteMap> {
        self.one(&ObjectKey::RouteMap(name.clone()))
    }

    /// The services, by name.
    pub fn services(&self) -> impl Iterator<Item = &Service> {
        self.of_kind(ObjectKey::Service(ServiceName::new("")))
    }

    /// The service of that name.
    pub fn service(&self, name: &ServiceName) -> Option<&Service> {
        self.one(&ObjectKey::Service(name.clone()))
    }

    /// The routes that people wrote, by name.
    pub fn static_routes(&self) -> impl Iterator<Item = &StaticRoute> {
        self.of_kind(ObjectKey::StaticRoute(StaticRouteName::new("")))
    }

    /// The floating addresses, by name.
    pub fn floating_addresses(&self) -> impl Iterator<Item = &FloatingAddress> {
        self.of_kind(ObjectKey::FloatingAddress(FloatingName::new("")))
    }

    /// The floating address of that name.
    pub fn floating_address(&self, name: &FloatingName) -> Option<&FloatingAddress> {
        self.one(&ObjectKey::FloatingAddress(name.clone()))
    }

    /// The floating addresses that are to lead to that endpoint, by name.
    pub fn floating_of(&self, endpoint: &EndpointName) -> impl Iterator<Item = &FloatingAddress> {
        self.floating_of.get(endpoint).into_iter().flatten().filter_map(|name| self.floating_address(name))
    }

    /// Which fabric the store is of, and which of its histories it tells, as the store has it.
    pub fn lineage(&self) -> Option<&Lineage> {
        self.one(&ObjectKey::Lineage)
    }

    /// The settings of the fabric.
    pub fn fabric(&self) -> &Fabric {
        self.one(&ObjectKey::Fabric).unwrap_or(&UNDECLARED)
    }
}
