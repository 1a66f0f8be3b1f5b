//! The store as last heard: every object, by kind and name, with the version it was read at.
//!
//! In: what was read, what others changed, what this node itself committed. Out: typed look-ups. An object never goes back to
//! an older version: news of a commit may overtake the watch that also tells of it.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;
use poplin_policy::circle::Circle;
use poplin_policy::host::HostEndpoint;
use poplin_policy::model::{AddressSet, Namespace, Policy, Profile, QualifiedName, Tier};

use crate::name::{
    AttachmentId, EndpointName, HostName, NetworkName, PeerName, PoolName, RouteMapName, ServiceName, StaticRouteName,
};
use crate::object::{
    Block, Endpoint, Fabric, Host, Lineage, Network, Object, ObjectKey, Peer, Pool, RouteMap, Service, StaticRoute,
    Versioned,
};
use crate::quarantine::{self, Quarantine, Unreadable, stand_in, stand_in_name};
use crate::transaction::Transaction;

mod lapse;

pub use lapse::owner;

/// The store as last heard.
#[derive(Clone, Debug, Default)]
pub struct Mirror {
    objects: BTreeMap<ObjectKey, Versioned<Object>>,
    /// What is known to be gone, and since when, until the watch has told of it too.
    removed: BTreeMap<ObjectKey, i64>,
    revision: i64,
    /// The endpoint of each attachment on each host.
    attached: BTreeMap<(AttachmentId, HostName), EndpointName>,
    /// The endpoints of each host.
    endpoints_on: BTreeMap<HostName, BTreeSet<EndpointName>>,
    /// The blocks of each host.
    blocks_of: BTreeMap<HostName, BTreeSet<(PoolName, IpNet)>>,
    /// Blocks that came, changed or went since somebody asked.
    altered: BTreeSet<(PoolName, IpNet)>,
    /// What bears on names and has changed since somebody took it: at most one for each object there is or was.
    renamed: BTreeSet<ObjectKey>,
    /// What stands in the store and cannot be read. Its last good form, if one is known, is among the objects.
    quarantine: Quarantine,
    /// What the store forgot: here as last known, with what the store has in its place, if anything.
    lapsed: BTreeMap<ObjectKey, Option<Versioned<Object>>>,
    /// Whether that has changed since somebody asked.
    is_lapse_news: bool,
}

impl Mirror {
    /// The highest revision read or watched.
    pub fn revision(&self) -> i64 {
        self.revision
    }

    /// Everything was read at `revision`. What this node committed after that stays, and so does the last good form of
    /// what could not be read. A store that stands before what was watched is a restored backup: nothing newer is true in it.
    pub fn replace(&mut self, revision: i64, objects: Vec<Versioned<Object>>, unreadable: Vec<Unreadable>) {
        let went_back = revision < self.revision;
        let kept: BTreeSet<&ObjectKey> = unreadable.iter().map(|one| &one.key).collect();
        let listed: BTreeSet<ObjectKey> = match self.lapsed.is_empty() {
            true => BTreeSet::new(),
            false => objects.iter().map(|object| object.value.key()).collect(),
        };
        if !self.lapsed.is_empty() {
            self.vacate(|key| !listed.contains(key));
        }
        let is_lapsed = |key: &ObjectKey| match self.lapsed.get(key) {
            Some(in_place) => in_place.is_none() || listed.contains(key),
            None => false,
        };
        let stays =
            |key: &ObjectKey, version: i64| kept.contains(key) || is_lapsed(key) || (version > revision && !went_back);
        let gone = self.objects.iter().filter(|(key, object)| !stays(key, object.version));
        for key in gone.map(|(key, _)| key.clone()).collect::<Vec<_>>() {
            self.remove(&key);
        }
        self.removed.retain(|_, removed_at| *removed_at > revision && !went_back);
        self.revision = revision;
        self.quarantine = Quarantine::default();
        for object in objects {
            self.hear(object);
        }
        for one in unreadable {
            if let Some(known) = self.objects.get_mut(&one.key).filter(|_| went_back) {
                known.version = known.version.min(one.version - 1); // its number was one of a history that never was
            }
            self.doubt(one);
        }
    }

    /// Somebody's transaction.
    pub fn change(
        &mut self,
        revision: i64,
        puts: Vec<Versioned<Object>>,
        unreadable: Vec<Unreadable>,
        deletes: Vec<ObjectKey>,
    ) {
        self.revision = self.revision.max(revision);
        unreadable.into_iter().for_each(|one| self.doubt(one));
        for object in puts {
            self.hear(object);
        }
        for key in deletes {
            self.delete(&key, revision);
        }
        self.removed.retain(|_, removed_at| *removed_at > revision);
    }

    /// This node's own transaction was committed. News the watch has passed already is no news: others may have gone on.
    pub fn commit(&mut self, revision: i64, transaction: Transaction) {
        // What the store lacks already goes without a revision of its own.
        for key in
            transaction.deletes.iter().filter(|key| self.lapsed.get(key) == Some(&None)).cloned().collect::<Vec<_>>()
        {
            self.remove(&key);
        }
        for key in transaction.puts.iter().map(Object::key) {
            if self.in_place(&key).is_some_and(|told| told.version == revision) {
                self.believe(&key); // the watch has told of it before
            }
        }
        if revision <= self.revision {
            return;
        }
        for value in transaction.puts {
            self.put(Versioned { value, version: revision });
        }
        for key in transaction.deletes {
            self.bury(key, revision);
        }
    }

    /// A refused transaction told how the compared objects are at `revision`. What is neither among those that can be read nor among
    /// the others does not exist.
    pub fn correct(
        &mut self,
        revision: i64,
        compared: Vec<ObjectKey>,
        current: Vec<Versioned<Object>>,
        unreadable: Vec<Unreadable>,
    ) {
        if revision <= self.revision {
            return;
        }
        for key in compared {
            let is_read = current.iter().any(|object| object.value.key() == key);
            let is_known_to_lack = self.lapsed.get(&key).is_some_and(Option::is_none);
            if !is_read && !is_known_to_lack && !unreadable.iter().any(|one| one.key == key) {
                self.bury(key, revision);
            }
        }
        unreadable.into_iter().for_each(|one| self.doubt(one));
        for object in current {
            self.hear(object);
        }
    }

    /// Somebody wrote an object. Of a block that the store forgot and its host has not told again, what was known of it stays beside what others told.
    fn hear(&mut self, object: Versioned<Object>) {
        let key = object.value.key();
        let version = object.version;
        let still_lapsed = self.is_lapsed(&key).then(|| self.objects.get(&key)).flatten();
        let both = still_lapsed.and_then(|known| lapse::joined(&known.value, &object.value));
        self.put(object);
        let is_heard = !self.is_lapsed(&key) && self.form(&key) == Some(version);
        if let Some(value) = both.filter(|_| is_heard) {
            let in_place = self.objects.get(&key).cloned();
            self.lapse(value, in_place);
        }
    }

    fn put(&mut self, object: Versioned<Object>) {
        let key = object.value.key();
        let is_stale = self.removed.get(&key).is_some_and(|removed_at| *removed_at >= object.version)
            || self.objects.get(&key).is_some_and(|known| known.version > object.version)
            || self.in_place(&key).is_some_and(|one| one.version >= object.version);
        if !is_stale {
            self.removed.remove(&key);
            self.quarantine.lift(&key, object.version);
            self.remove(&key);
            self.index(&object.value);
            self.objects.insert(key, object);
        }
    }

    /// A value cannot be read: the object's last good form stays, whatever there is in its place by now.
    fn doubt(&mut self, one: Unreadable) {
        let is_stale = self.removed.get(&one.key).is_some_and(|removed_at| *removed_at >= one.version)
            || self.version(&one.key).is_some_and(|known| known > one.version);
        if !is_stale {
            self.removed.remove(&one.key);
            self.quarantine.put(one);
        }
    }

    /// Something is gone, and the watch, which has not come so far, may still tell of how it was.
    fn bury(&mut self, key: ObjectKey, revision: i64) {
        self.delete(&key, revision);
        self.removed.insert(key, revision);
    }

    fn delete(&mut self, key: &ObjectKey, revision: i64) {
        self.quarantine.lift(key, revision);
        if self.objects.get(key).is_some_and(|known| known.version <= revision) {
            self.vacate(|other| other == key);
            if self.lapsed.get(key) != Some(&None) {
                self.remove(key);
            }
        }
    }

    fn index(&mut self, object: &Object) {
        match object {
            Object::Endpoint(endpoint) => {
                self.attached.insert((endpoint.attachment.clone(), endpoint.host.clone()), endpoint.name.clone());
                self.endpoints_on.entry(endpoint.host.clone()).or_default().insert(endpoint.name.clone());
            }
            Object::Block(block) => {
                let key = (block.pool.clone(), block.cidr);
                self.altered.insert(key.clone());
                self.blocks_of.entry(block.host.clone()).or_default().insert(key);
            }
            Object::Pool(_)
            | Object::Host(_)
            | Object::Policy(_)
            | Object::Tier(_)
            | Object::AddressSet(_)
            | Object::Peer(_)
            | Object::Fabric(_)
            | Object::Namespace(_)
            | Object::HostEndpoint(_)
            | Object::RouteMap(_)
            | Object::Network(_)
            | Object::Service(_)
            | Object::StaticRoute(_)
            | Object::Profile(_)
            | Object::Lineage(_) => {}
        }
    }

    fn rename(&mut self, key: &ObjectKey) {
        if let ObjectKey::Endpoint(_) | ObjectKey::Network(_) | ObjectKey::Fabric = key {
            self.renamed.insert(key.clone());
        }
    }

    /// What bears on names and has changed since the last time.
    pub fn take_renamed(&mut self) -> BTreeSet<ObjectKey> {
        std::mem::take(&mut self.renamed)
    }

    fn remove(&mut self, key: &ObjectKey) {
        self.rename(key);
        self.is_lapse_news |= self.lapsed.remove(key).is_some();
        match self.objects.remove(key).map(|object| object.value) {
            Some(Object::Endpoint(endpoint)) => {
                let attached = (endpoint.attachment, endpoint.host);
                if self.attached.get(&attached) == Some(&endpoint.name) {
                    self.attached.remove(&attached);
                }
                if let Some(names) = self.endpoints_on.get_mut(&attached.1) {
                    names.remove(&endpoint.name);
                }
            }
            Some(Object::Block(block)) => {
                let key = (block.pool, block.cidr);
                if let Some(keys) = self.blocks_of.get_mut(&block.host) {
                    keys.remove(&key);
                }
                self.altered.insert(key);
            }
            Some(
                Object::Pool(_)
                | Object::Host(_)
                | Object::Policy(_)
                | Object::Tier(_)
                | Object::AddressSet(_)
                | Object::Peer(_)
                | Object::Fabric(_)
                | Object::Namespace(_)
                | Object::HostEndpoint(_)
                | Object::RouteMap(_)
                | Object::Network(_)
                | Object::Service(_)
                | Object::StaticRoute(_)
                | Object::Profile(_)
                | Object::Lineage(_),
            )
            | None => {}
        }
    }

    /// The objects from a key on, as long as they are of one kind: kinds stand together in the order of keys.
    fn of_kind<'m, T: 'm>(&'m self, first: ObjectKey) -> impl Iterator<Item = &'m T> + Clone
    where
        &'m T: TryFrom<&'m Object>,
    {
        self.objects.range(first..).map_while(|(_, object)| <&T>::try_from(&object.value).ok())
    }

    /// One object.
    fn one<'m, T: 'm>(&'m self, key: &ObjectKey) -> Option<&'m T>
    where
        &'m T: TryFrom<&'m Object>,
    {
        <&T>::try_from(&self.objects.get(key)?.value).ok()
    }

    /// The blocks that came, changed or went since this was asked last.
    pub fn take_altered(&mut self) -> BTreeSet<(PoolName, IpNet)> {
        std::mem::take(&mut self.altered)
    }

    /// The version of an object, if it exists: also of one that cannot be read.
    pub fn version(&self, key: &ObjectKey) -> Option<i64> {
        let in_store = || match self.lapsed.get(key) {
            Some(in_place) => in_place.as_ref().map(|object| object.version),
            None => self.objects.get(key).map(|object| object.version),
        };
        self.quarantine.version(key).or_else(in_store)
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
        self.endpoints_on.get(host).into_iter().flatten().filter_map(|name| self.endpoint(name))
    }

    /// The blocks one host holds, by pool and prefix.
    pub fn blocks_of(&self, host: &HostName) -> impl Iterator<Item = &Block> {
        self.blocks_of.get(host).into_iter().flatten().filter_map(|(pool, cidr)| self.block(pool, *cidr))
    }

    /// The endpoint of that attachment on that host.
    pub fn endpoint_on(&self, attachment: &AttachmentId, host: &HostName) -> Option<&Endpoint> {
        self.endpoint(self.attached.get(&(attachment.clone(), host.clone()))?)
    }

    /// The endpoint of that attachment on any host; if several have one, that of `host`.
    pub fn endpoint_of(&self, attachment: &AttachmentId, host: &HostName) -> Option<&Endpoint> {
        let first = (attachment.clone(), HostName::new(""));
        let on_any = self.attached.range(first..).take_while(|((of, _), _)| of == attachment);
        self.endpoint_on(attachment, host).or_else(|| on_any.map(|(_, name)| name).find_map(|name| self.endpoint(name)))
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

    /// Which fabric the store is of, and which of its histories it tells, as the store has it.
    pub fn lineage(&self) -> Option<&Lineage> {
        self.one(&ObjectKey::Lineage)
    }

    /// The settings of the fabric.
    pub fn fabric(&self) -> Fabric {
        self.one(&ObjectKey::Fabric).cloned().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Mac;
    use crate::transaction::Compare;
    use poplin_policy::ruleset::Interface;

    fn endpoint(name: &str, host: &str) -> Object {
        Object::Endpoint(Endpoint {
            name: EndpointName::new(name),
            labels: poplin_policy::label::Labels::default(),
            namespace: None,
            ports: Vec::new(),
            published: Vec::new(),
            host: HostName::new(host),
            attachment: id(name),
            addresses: BTreeSet::new(),
            interface: Interface::new("pop0").unwrap(),
            mac: Mac([2, 0, 0, 0, 0, 1]),
            netns: "/run/netns/x".into(),
            mtu_bytes: 1500,
            network: None,
            is_sticky: false,
            profiles: Vec::new(),
            since: None,
            aliases: BTreeSet::new(),
            container: None,
        })
    }

    fn id(container: &str) -> AttachmentId {
        AttachmentId { container: container.to_owned(), interface: "eth0".to_owned() }
    }

    fn at(version: i64, value: Object) -> Versioned<Object> {
        Versioned { value, version }
    }

    /// The endpoint `web` as nobody can read it.
    fn garbage(version: i64) -> Unreadable {
        Unreadable { key: endpoint("web", "").key(), version, reason: "made so".to_owned() }
    }

    fn names(mirror: &Mirror) -> Vec<&str> {
        let endpoints = mirror.all().filter_map(|object| <&Endpoint>::try_from(object).ok());
        endpoints.map(|endpoint| endpoint.name.as_str()).collect()
    }

    fn removal_of(object: &Object) -> Transaction {
        let (puts, compares): (Vec<Object>, Vec<Compare>) = (vec![], vec![]);
        Transaction { puts, compares, deletes: vec![object.key()] }
    }

    #[test]
    fn an_object_never_goes_back_to_an_older_version() {
        let mut mirror = Mirror::default();
        let transaction = Transaction { puts: vec![endpoint("web", "h2")], ..Transaction::default() };
        mirror.commit(12, transaction);

        mirror.change(11, vec![at(11, endpoint("web", "h1"))], vec![], vec![]);

        assert_eq!(mirror.version(&endpoint("web", "").key()), Some(12));
        assert!(mirror.endpoint_on(&id("web"), &HostName::new("h2")).is_some());
        assert!(mirror.endpoint_on(&id("web"), &HostName::new("h1")).is_none());
    }

    #[test]
    fn what_was_removed_stays_removed_when_older_news_comes_late() {
        let web = endpoint("web", "h1");
        for is_told_by_refusal in [false, true] {
            let mut mirror = Mirror::default();
            match is_told_by_refusal {
                true => mirror.correct(12, vec![web.key()], vec![], vec![]),
                false => mirror.commit(12, removal_of(&web)),
            }

            mirror.change(11, vec![at(11, web.clone())], vec![], vec![]);
            mirror.replace(11, vec![at(11, web.clone())], vec![]);
            assert_eq!(names(&mirror), Vec::<&str>::new());

            mirror.change(13, vec![at(13, web.clone())], vec![], vec![]);
            assert_eq!(names(&mirror), vec!["web"]);
        }
    }

    #[test]
    fn an_answer_the_watch_has_overtaken_changes_nothing() {
        let mut mirror = Mirror::default();
        let web = endpoint("web", "h1");
        mirror.change(12, vec![at(12, web.clone())], vec![], vec![]);
        mirror.change(13, vec![], vec![], vec![web.key()]);

        mirror.commit(12, Transaction { puts: vec![web.clone()], ..Transaction::default() });
        mirror.correct(12, vec![web.key()], vec![at(12, web)], vec![]);

        assert_eq!(names(&mirror), Vec::<&str>::new());
    }

    #[test]
    fn a_restored_backup_is_believed() {
        let mut mirror = Mirror::default();
        mirror.change(20, vec![at(20, endpoint("late", "h1"))], vec![], vec![]);

        mirror.replace(15, vec![at(9, endpoint("early", "h1"))], vec![]);

        assert_eq!(names(&mirror), vec!["early"]);
        assert_eq!(mirror.endpoints_on(&HostName::new("h1")).count(), 1);
    }

    #[test]
    fn what_cannot_be_read_keeps_its_last_good_form() {
        let mut mirror = Mirror::default();
        mirror.change(20, vec![at(20, endpoint("web", "h1"))], vec![], vec![]);

        mirror.replace(25, vec![], vec![garbage(24)]);

        assert_eq!(names(&mirror), vec!["web"]);
        assert_eq!(mirror.version(&garbage(24).key), Some(24));
    }

    #[test]
    fn what_a_refusal_shows_as_unreadable_is_not_gone() {
        let mut mirror = Mirror::default();
        mirror.change(20, vec![at(20, endpoint("web", "h1"))], vec![], vec![]);

        mirror.correct(25, vec![garbage(24).key], vec![], vec![garbage(24)]);
        mirror.change(24, vec![], vec![garbage(24)], vec![]);

        assert_eq!(names(&mirror), vec!["web"]);
        assert!(mirror.is_unreadable(&garbage(24).key));
    }

    #[test]
    fn mended_or_deleted_it_is_as_if_nothing_had_been() {
        for is_mended in [true, false] {
            let mut mirror = Mirror::default();
            mirror.change(20, vec![at(20, endpoint("web", "h1"))], vec![], vec![]);
            mirror.change(24, vec![], vec![garbage(24)], vec![]);

            mirror.change(23, vec![at(23, endpoint("web", "h2"))], vec![], vec![]);
            assert!(mirror.is_unreadable(&garbage(24).key), "older news mend nothing");

            match is_mended {
                true => mirror.change(26, vec![at(26, endpoint("web", "h3"))], vec![], vec![]),
                false => mirror.change(26, vec![], vec![], vec![garbage(24).key]),
            }
            assert!(!mirror.is_unreadable(&garbage(24).key));
            assert_eq!(mirror.version(&garbage(24).key), is_mended.then_some(26));
        }
    }

    #[test]
    fn a_damage_that_was_overtaken_is_none() {
        let mut mirror = Mirror::default();
        mirror.change(26, vec![at(26, endpoint("web", "h1"))], vec![], vec![]);
        mirror.change(24, vec![], vec![garbage(24)], vec![]);
        assert!(!mirror.is_unreadable(&garbage(24).key));

        mirror.commit(28, removal_of(&endpoint("web", "h1")));
        mirror.change(27, vec![], vec![garbage(27)], vec![]);
        assert!(!mirror.is_unreadable(&garbage(27).key));
    }

    #[test]
    fn a_restored_backup_with_a_damage_keeps_the_last_good_form_and_is_mended_by_any_later_write() {
        let mut mirror = Mirror::default();
        mirror.change(50, vec![at(50, endpoint("web", "h1"))], vec![], vec![]);

        mirror.replace(15, vec![], vec![garbage(9)]);
        assert_eq!(names(&mirror), vec!["web"]);
        mirror.change(16, vec![at(16, endpoint("web", "h2"))], vec![], vec![]);

        assert_eq!(mirror.version(&garbage(9).key), Some(16));
    }

    #[test]
    fn a_policy_that_was_never_read_well_closes_its_namespace() {
        let mut mirror = Mirror::default();
        let name = QualifiedName::within("shop", "db");
        let key = ObjectKey::Policy(name.clone());
        mirror.replace(25, vec![], vec![Unreadable { key, ..garbage(24) }]);

        let policy = mirror.policy(&name).expect("something stands in for it");

        assert_eq!(policy.subject.scope, poplin_policy::model::Scope::Namespace("shop".to_owned()));
        assert!(policy.ingress.is_some() && policy.egress.is_some());
        assert_eq!(mirror.policy(&QualifiedName::within("shop", "web")), None);
    }

    #[test]
    fn an_attachment_on_two_hosts_is_first_that_of_the_host_who_asks() {
        let mut mirror = Mirror::default();
        let twin = |name: &str, host: &str| match endpoint(name, host) {
            Object::Endpoint(endpoint) => Object::Endpoint(Endpoint { attachment: id("c"), ..endpoint }),
            other => other,
        };
        mirror.change(5, vec![at(5, twin("a", "h1")), at(5, twin("b", "h2"))], vec![], vec![]);

        let seen_from = |host| mirror.endpoint_of(&id("c"), &HostName::new(host)).map(|one| one.name.as_str());

        assert_eq!((seen_from("h1"), seen_from("h2"), seen_from("h3")), (Some("a"), Some("b"), Some("a")));
    }
}
