//! Which rules this host needs, and which it has loaded.
//!
//! In: what changed in the store, and who is attached here. Out: the changes of the kernel's table, and the memory of what
//! stands there. The compiling itself is the `policy` crate's, which follows the store thing by thing.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use poplin_policy::compile::{Compiler, Counted, Form, Mark, Past, Touched};
use poplin_policy::delta::{Change, between};
use poplin_policy::host::{Doorway, HostEndpoint, Settings};
use poplin_policy::model::PortProtocol;
use poplin_policy::model::QualifiedName;
use poplin_policy::nat::{Floating, Publication};
use poplin_policy::ruleset::{Interface, Name, Rule, Ruleset};
use poplin_policy::verdict::RuleName;

use crate::course::Course;
use crate::floating;
use crate::kernel::INTERFACE_PREFIX;
use crate::mirror::Mirror;
use crate::name::{EndpointName, FloatingName, HostName, PoolName};
use crate::object::{Endpoint, Fabric, FloatingAddress, Object, ObjectKey, Service};
use crate::outlook;
use crate::quarantine::{self, stand_in_name};
use crate::tunnel;

mod host_ports;
mod rules;

use host_ports::HostPorts;
pub use rules::Rules;

/// So many elements are kept of what was touched: whoever missed more looks at everything, which is hardly dearer then.
const MOST_TOUCHED: usize = 1 << 16;

/// The rules of this host: wanted and loaded.
#[derive(Debug)]
pub struct Policing {
    /// Whether it serves names, if the fabric does.
    serves_names: bool,
    /// Whose rules these are.
    host: HostName,
    compiler: Compiler,
    /// Where a device of tunnels receives that stands here.
    standing_port: Option<u16>,
    /// Host endpoints of this host, and where each stands.
    doorways: BTreeMap<String, Doorway>,
    /// What ports of hosts are called.
    host_ports: HostPorts,
    /// Whose each floating address was when it was told last.
    floating: BTreeMap<FloatingName, EndpointName>,
    /// What the compiler has not been told of yet.
    news: News,
    /// Who is attached here, as the compiler knows it.
    local: Arc<Local>,
    /// Addresses that endpoints are to speak for beside their own.
    lent: BTreeMap<EndpointName, BTreeSet<IpAddr>>,
    /// Who was attached here when our table was last changed; absent = what stands there is not known, so it is begun anew.
    loaded: Option<Arc<Local>>,
    /// Changes that were to be made and were not tried.
    waiting: Vec<Change>,
    /// How often what is wanted has changed.
    generation: u64,
    /// What was touched of what is wanted since somebody last asked, change by change; absent = nobody asks, or it was too much to keep.
    touched: Option<Vec<Touched>>,
    /// Something else than newcomers has touched what is wanted since it was last loaded.
    may_deny_more: bool,
}

/// A chain that a packet comes through.
#[derive(Clone, Debug)]
pub struct Passage {
    /// Its name.
    pub chain: Name,
    /// What it does; absent where it is no policy's.
    pub form: Option<Form>,
    /// Its rules.
    pub rules: Vec<Rule>,
}

/// What changed in the store.
#[derive(Debug)]
enum News {
    /// These objects, and whether it may be others who are attached here.
    Some { objects: BTreeSet<ObjectKey>, local: bool },
    /// Anything.
    Anything,
}

/// The endpoints of this host.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Local {
    interfaces: BTreeMap<Arc<str>, Interface>,
    /// Where an address leads. One that several endpoints speak for leads nowhere certain, and is not here.
    links: BTreeMap<IpAddr, Interface>,
    lent: BTreeMap<String, BTreeSet<IpAddr>>,
    published: BTreeMap<String, Publication>,
    /// Floating addresses that lead to them, by their names.
    floating: BTreeMap<String, Floating>,
}

/// Changes of our table that are due, and what will be true once they are made.
#[derive(Clone, Debug)]
pub struct Load {
    /// The changes, shared with whoever carries them out.
    pub changes: Arc<Vec<Change>>,
    local: Arc<Local>,
    /// Whether they may deny what was allowed.
    pub may_deny_more: bool,
}

impl Policing {
    /// The rules of a host of which nothing is known.
    pub fn of(host: HostName) -> Self {
        Self {
            host,
            compiler: Compiler::new(settings(&Fabric::default(), true)),
            serves_names: true,
            standing_port: None,
            doorways: BTreeMap::new(),
            host_ports: HostPorts::default(),
            floating: BTreeMap::new(),
            news: News::Anything,
            local: Arc::default(),
            lent: BTreeMap::new(),
            loaded: None,
            waiting: Vec::new(),
            generation: 0,
            touched: None,
            may_deny_more: true,
        }
    }

    /// This host serves no names, whatever the fabric does.
    pub fn without_names(self) -> Self {
        let compiler = Compiler::new(settings(&Fabric::default(), false));
        Self { serves_names: false, compiler, ..self }
    }

    /// Anything may have changed.
    pub fn touch(&mut self) {
        self.news = News::Anything;
        self.may_deny_more = true;
    }

    /// An object has changed; `may_deny_more` unless all it does is to bring somebody who was not there.
    pub fn touch_object(&mut self, key: ObjectKey, may_deny_more: bool) {
        self.may_deny_more |= may_deny_more;
        if let News::Some { objects, .. } = &mut self.news {
            objects.extend(told_as(key));
        }
    }

    /// Others may be attached here than were.
    pub fn touch_local(&mut self) {
        self.may_deny_more = true;
        if let News::Some { local, .. } = &mut self.news {
            *local = true;
        }
    }

    /// These are all the addresses that endpoints may send from beside their own.
    pub fn lend(&mut self, lent: &BTreeMap<EndpointName, BTreeSet<IpAddr>>) {
        if self.lent != *lent {
            self.lent.clone_from(lent);
            self.touch_local();
        }
    }

    /// A device of tunnels stands that receives at this port, or none does: it is guarded as long as it does.
    pub fn guard(&mut self, port: Option<u16>) {
        if self.standing_port != port {
            self.standing_port = port;
            self.touch_object(ObjectKey::Fabric, true);
        }
    }

    /// Our table is not as we thought.
    pub fn forget(&mut self) {
        self.loaded = None;
        self.waiting.clear();
    }

    /// Changes were not made, and our table is as it was.
    pub fn put_back(&mut self, load: Load) {
        self.may_deny_more |= load.may_deny_more;
        let later = std::mem::replace(&mut self.waiting, Arc::unwrap_or_clone(load.changes));
        self.waiting.extend(later);
    }

    /// What is due; nothing if all is as it should be.
    pub fn due<'a>(&mut self, mirror: &Mirror, local: impl Iterator<Item = &'a Endpoint>) -> Option<Load> {
        self.tell(mirror, local);
        let news = self.take_changes();
        let changes = match &self.loaded {
            None => {
                // The whole table is due: what was to lead there step by step is part of it.
                self.waiting.clear();
                between(None, self.compiler.ruleset())
            }
            Some(_) => {
                let mut changes = std::mem::take(&mut self.waiting);
                changes.extend(news);
                changes
            }
        };
        let may_deny_more = std::mem::take(&mut self.may_deny_more);
        let load = Load { changes: changes.into(), local: self.local.clone(), may_deny_more };
        if load.changes.is_empty() {
            self.load(&load);
            return None;
        }
        Some(load)
    }

    /// Hears the news, and leaves our table as it is: what stands there is not known, so the whole is due when somebody asks.
    pub fn look<'a>(&mut self, mirror: &Mirror, local: impl Iterator<Item = &'a Endpoint>) {
        self.tell(mirror, local);
        self.take_changes();
        self.forget();
    }

    fn take_changes(&mut self) -> Vec<Change> {
        let changes = self.compiler.take_changes();
        self.generation += u64::from(!changes.is_empty());
        if let Some(touched) = self.touched.as_mut().filter(|_| !changes.is_empty()) {
            touched.push(Touched::of(&changes));
            let elements: usize = touched.iter().map(Touched::len).sum();
            self.touched.take_if(|_| elements > MOST_TOUCHED);
        }
        changes
    }

    /// What of the rules that are wanted was touched since this was last asked; absent = perhaps everything.
    pub fn take_touched(&mut self) -> Option<Vec<Touched>> {
        self.touched.replace(Vec::new())
    }

    /// Nobody will ask.
    pub fn forget_touched(&mut self) {
        self.touched = None;
    }

    /// The rules as they are wanted.
    pub fn wanted(&self) -> &Ruleset {
        self.compiler.ruleset()
    }

    /// Another number whenever they have become others.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The changes were made.
    pub fn load(&mut self, load: &Load) {
        self.loaded = Some(load.local.clone());
    }

    /// Whether the loaded rules know this interface.
    pub fn covers(&self, interface: &Interface) -> bool {
        self.loaded.as_ref().is_some_and(|local| local.interfaces.values().any(|known| known == interface))
    }

    /// Whether our table is as the store wants it, as far as was told.
    pub fn is_settled(&self) -> bool {
        self.loaded.is_some() && self.waiting.is_empty() && self.compiler.is_settled()
    }

    /// The same of what it was not told yet.
    pub fn is_in_force(&self) -> bool {
        matches!(&self.news, News::Some { objects, local: false } if objects.is_empty()) && self.is_settled()
    }

    /// Whether rules stand that may be about to be followed by some that deny more.
    pub fn is_being_tightened(&self) -> bool {
        self.may_deny_more && self.is_settled()
    }

    /// Tells the compiler the news.
    fn tell<'a>(&mut self, mirror: &Mirror, local: impl Iterator<Item = &'a Endpoint>) {
        let quiet = News::Some { objects: BTreeSet::new(), local: false };
        match std::mem::replace(&mut self.news, quiet) {
            News::Anything => {
                self.tell_everything(mirror);
                self.tell_tunnels(mirror);
                self.tell_local(mirror, local);
            }
            News::Some { objects, local: has_moved } => {
                for key in &objects {
                    self.tell_object(mirror, key);
                }
                self.tell_heirs(mirror, &objects);
                if objects.iter().any(|key| matches!(key, ObjectKey::Fabric | ObjectKey::Pool(_) | ObjectKey::Host(_)))
                {
                    self.tell_tunnels(mirror);
                }
                if has_moved || objects.iter().any(|key| self.is_of_who_is_here(mirror, key)) {
                    self.tell_local(mirror, local);
                }
            }
        }
    }

    /// Whether it may be others who are attached here for what became of an object.
    fn is_of_who_is_here(&self, mirror: &Mirror, key: &ObjectKey) -> bool {
        match key {
            ObjectKey::Endpoint(name) => {
                let is_here = || mirror.endpoint(name).is_some_and(|endpoint| endpoint.host == self.host);
                self.local.interfaces.contains_key(name.as_str()) || is_here()
            }
            ObjectKey::FloatingAddress(_) => true,
            _ => false,
        }
    }

    fn tell_everything(&mut self, mirror: &Mirror) {
        let known = self.compiler.known();
        let gone = known.endpoints.iter().map(|name| ObjectKey::Endpoint(EndpointName::new(name.as_str())));
        let gone = gone.chain(known.policies.into_iter().map(ObjectKey::Policy));
        let of_hosts = known.host_endpoints.iter().map(|name| HostEndpoint::other_end(name));
        let of_services = mirror.services().map(|service| Service::other_end(&service.name));
        let other_ends: BTreeSet<_> = of_hosts.chain(of_services).collect();
        let sets = known.address_sets.into_iter().filter(|name| !other_ends.contains(name));
        let gone = gone.chain(sets.map(ObjectKey::AddressSet));
        let gone = gone.chain(known.tiers.into_iter().map(ObjectKey::Tier));
        let gone = gone.chain(known.namespaces.into_iter().map(ObjectKey::Namespace));
        let gone = gone.chain(known.host_endpoints.into_iter().map(ObjectKey::HostEndpoint));
        let gone = gone.chain(known.pools.into_iter().map(|name| ObjectKey::Pool(PoolName::new(name))));
        let floating: BTreeSet<String> =
            mirror.floating_addresses().map(|one| FloatingAddress::inside_name(&one.name)).collect();
        let hosts = known.hosts.into_iter().filter(|name| !floating.contains(name));
        let hosts = hosts.filter(|name| !other_ends.contains(&QualifiedName::global(name.as_str())));
        let gone = gone.chain(hosts.map(|name| ObjectKey::Host(HostName::new(name))));
        let keys = mirror.all().map(Object::key).chain(mirror.unknown().cloned()).flat_map(told_as);
        self.floating.retain(|name, _| mirror.floating_address(name).is_some());
        // Namespaces and sets come before those who live in them or are selected by them: each is then told once.
        let keys: BTreeSet<(u8, ObjectKey)> = gone.chain(keys).map(|key| (rank(&key), key)).collect();
        for (_, key) in keys {
            self.tell_object(mirror, &key);
        }
    }

    /// Tunnels depend on what pools ask for, on hosts and on the fabric's settings; no host endpoint closes them.
    fn tell_tunnels(&mut self, mirror: &Mirror) {
        let ends = tunnel::ends(mirror, &self.host, self.standing_port);
        let mut settings = settings(mirror.fabric(), self.serves_names);
        let ports = || ends.iter().flat_map(|ends| &ends.ports).map(|port| (PortProtocol::Udp, *port));
        settings.failsafe.inbound.extend(ports());
        settings.failsafe.outbound.extend(ports());
        self.compiler.set_settings(settings);
        self.compiler.set_tunnel_ends(ends);
    }

    fn tell_object(&mut self, mirror: &Mirror, key: &ObjectKey) {
        match key {
            ObjectKey::Endpoint(name) => {
                let endpoint = mirror.endpoint(name).map(|one| outlook::seen(mirror, one));
                self.compiler.set_endpoint(name.as_str(), endpoint.as_ref());
            }
            ObjectKey::Policy(name) => self.compiler.set_policy(name, mirror.policy(name)),
            ObjectKey::AddressSet(name) => self.compiler.set_address_set(name, mirror.address_set(name).cloned()),
            ObjectKey::Tier(name) => self.compiler.set_tier(name, mirror.tier(name)),
            ObjectKey::Namespace(name) => {
                let declared = mirror.namespace(name);
                self.compiler.set_namespace(name, declared.as_ref().map(|namespace| namespace.labels.clone()));
            }
            ObjectKey::Profile(_) => {} // told with those who inherit from it
            ObjectKey::HostEndpoint(name) => {
                let known = mirror.host_endpoint(name).map(|one| one.heir(|profile| mirror.profile(profile)));
                let is_here = |one: &&HostEndpoint| one.host == self.host.as_str();
                let doorway = known.as_ref().filter(is_here).map(|one| one.doorway.clone());
                let other_end = known.as_ref().map(HostEndpoint::as_other_end);
                self.compiler.set_address_set(&HostEndpoint::other_end(name), other_end);
                for (address, ports) in self.host_ports.set(name, known.as_ref()) {
                    self.compiler.set_host_ports(address, &ports);
                }
                self.compiler.set_host_endpoint(name, known.map(|one| one.labels));
                match doorway.clone() {
                    Some(doorway) => self.doorways.insert(name.clone(), doorway),
                    None => self.doorways.remove(name),
                };
                self.compiler.set_doorway(name, doorway);
            }
            ObjectKey::Service(name) => {
                let (known, end) = (mirror.service(name), Service::other_end(name));
                self.compiler.set_fabric_addresses(&end.to_string(), known.map(|service| service.addresses.clone()));
                self.compiler.set_address_set(&end, known.map(Service::as_other_end));
            }
            ObjectKey::FloatingAddress(name) => self.tell_floating(mirror, name),
            ObjectKey::Pool(name) => self.compiler.set_pool(name.as_str(), mirror.pool(name).map(outlook::pool)),
            ObjectKey::Host(name) => {
                let addresses = mirror.host(name).map(|host| host.addresses.clone());
                self.compiler.set_fabric_addresses(name.as_str(), addresses);
            }
            ObjectKey::Fabric // told with the tunnels
            | ObjectKey::Block(..)
            | ObjectKey::Peer(_)
            | ObjectKey::RouteMap(_)
            | ObjectKey::StaticRoute(_)
            | ObjectKey::Lineage => {}
            ObjectKey::Network(_) => {} // told as what it is made into
        }
    }

    /// A floating address is inside of the fabric, and an address of who has it; who had it has it no more first.
    fn tell_floating(&mut self, mirror: &Mirror, name: &FloatingName) {
        let known = mirror.floating_address(name);
        let addresses = known.map(|one| BTreeSet::from([one.address]));
        self.compiler.set_fabric_addresses(&FloatingAddress::inside_name(name), addresses);
        let has_it = known.and_then(|one| one.endpoint.clone());
        let had_it = match &has_it {
            Some(endpoint) => self.floating.insert(name.clone(), endpoint.clone()),
            None => self.floating.remove(name),
        };
        for endpoint in had_it.into_iter().chain(has_it) {
            self.tell_object(mirror, &ObjectKey::Endpoint(endpoint));
        }
    }

    /// Endpoints and host endpoints may inherit otherwise than they did. They are gone through once for all namespaces and profiles that changed.
    fn tell_heirs(&mut self, mirror: &Mirror, changed: &BTreeSet<ObjectKey>) {
        let (mut namespaces, mut profiles) = (BTreeSet::new(), BTreeSet::new());
        for key in changed {
            match key {
                ObjectKey::Namespace(name) => _ = namespaces.insert(name),
                ObjectKey::Profile(name) => _ = profiles.insert(name),
                _ => {}
            }
        }
        if namespaces.is_empty() && profiles.is_empty() {
            return;
        }
        let names_one = |named: &[String]| named.iter().any(|name| profiles.contains(name));
        let inherits = |one: &&Endpoint| {
            one.namespace.as_ref().is_some_and(|name| namespaces.contains(name)) || names_one(&one.profiles)
        };
        for one in mirror.endpoints().filter(inherits) {
            self.compiler.set_endpoint(one.name.as_str(), Some(&outlook::seen(mirror, one)));
        }
        for one in mirror.host_endpoints().filter(|one| names_one(&one.profiles)) {
            self.tell_object(mirror, &ObjectKey::HostEndpoint(one.name.clone()));
        }
    }

    fn tell_local<'a>(&mut self, mirror: &Mirror, local: impl Iterator<Item = &'a Endpoint>) {
        let here: Vec<&Endpoint> = local.collect();
        let addresses = here.iter().flat_map(|one| one.addresses.iter().map(move |address| (*address, one)));
        let mut now = Local {
            interfaces: here.iter().map(|one| (one.name.text(), one.interface.clone())).collect(),
            links: addresses.map(|(address, one)| (address, one.interface.clone())).collect(),
            ..Local::default()
        };
        for endpoint in here {
            now.published.extend(outlook::publication(endpoint).map(|one| (endpoint.name.to_string(), one)));
            let floating = floating::leading_to(mirror, endpoint);
            now.floating.extend(floating.map(|(one, floating)| (one.name.to_string(), floating)));
            now.lent.extend(self.lent.get(&endpoint.name).map(|lent| (endpoint.name.to_string(), lent.clone())));
        }
        now.lead_to_only_speakers();
        if now == *self.local {
            return;
        }
        // An interface may be another endpoint's now, so whoever leaves goes first.
        for (name, interface) in &self.local.interfaces {
            if now.interfaces.get(name) != Some(interface) {
                self.compiler.set_interface(name, None);
            }
        }
        for (name, interface) in &now.interfaces {
            if self.local.interfaces.get(name) != Some(interface) {
                self.compiler.set_interface(name, Some(interface.clone()));
            }
            if self.local.lent_on(name, interface) != now.lent_on(name, interface) {
                self.compiler.lend(name, now.lent_on(name, interface).cloned().unwrap_or_default());
            }
        }
        self.may_deny_more |= now.floating != self.local.floating; // flows go on to who had an address
        let floating: BTreeSet<&String> = self.local.floating.keys().chain(now.floating.keys()).collect();
        for name in floating {
            self.compiler.set_floating(name, now.floating.get(name).copied());
        }
        self.may_deny_more |= now.published != self.local.published; // datagrams may have to go elsewhere than they do
        let publishers: BTreeSet<&String> = self.local.published.keys().chain(now.published.keys()).collect();
        for name in publishers {
            self.compiler.set_published(name, now.published.get(name).cloned());
        }
        self.local = Arc::new(now);
    }
}

impl Local {
    /// What an endpoint speaks for on that interface.
    fn lent_on(&self, name: &str, interface: &Interface) -> Option<&BTreeSet<IpAddr>> {
        self.lent.get(name).filter(|_| self.interfaces.get(name) == Some(interface))
    }

    /// Where a floating address leads to.
    fn floats_to(&self, address: IpAddr) -> Option<IpAddr> {
        self.floating.values().find(|one| one.outside == address).map(|one| one.inside)
    }

    fn lead_to_only_speakers(&mut self) {
        let mut speakers: BTreeMap<IpAddr, Vec<&Interface>> = BTreeMap::new();
        for (address, name) in self.lent.iter().flat_map(|(name, lent)| lent.iter().map(move |address| (address, name)))
        {
            speakers.entry(*address).or_default().extend(self.interfaces.get(name.as_str()));
        }
        let only = speakers.into_iter().filter_map(|(address, speakers)| match speakers[..] {
            [one] => Some((address, one.clone())),
            _ => None,
        });
        self.links.extend(only.collect::<Vec<_>>());
    }
}

fn rank(key: &ObjectKey) -> u8 {
    match key {
        ObjectKey::Namespace(_) | ObjectKey::Tier(_) => 0,
        ObjectKey::AddressSet(_) | ObjectKey::HostEndpoint(_) | ObjectKey::Service(_) => 1,
        ObjectKey::Endpoint(_) => 2,
        ObjectKey::FloatingAddress(_) => 3,
        ObjectKey::Profile(_) => 3, // who inherits from it is told by name
        ObjectKey::Policy(_) => 4,
        ObjectKey::Pool(_)
        | ObjectKey::Block(..)
        | ObjectKey::Host(_)
        | ObjectKey::Peer(_)
        | ObjectKey::Fabric
        | ObjectKey::Network(_)
        | ObjectKey::RouteMap(_)
        | ObjectKey::StaticRoute(_)
        | ObjectKey::Lineage => 5,
    }
}

/// A network is to the compiler what is made of it; and what could never be read well is a policy that stands in for it, or is not any more.
fn told_as(key: ObjectKey) -> Vec<ObjectKey> {
    let Some(stand_in) = stand_in_name(&key).map(ObjectKey::Policy) else { return vec![key] };
    let first = match key {
        ObjectKey::Network(name) => ObjectKey::Namespace(name.to_string()),
        other => other,
    };
    vec![ObjectKey::Tier(quarantine::TIER.to_owned()), first, stand_in]
}

fn settings(fabric: &Fabric, serves_names: bool) -> Settings {
    Settings {
        interface_prefix: INTERFACE_PREFIX.to_owned(),
        workload_to_host: fabric.workload_to_host,
        serves_names: serves_names && fabric.naming.is_served,
        failsafe: fabric.failsafe.clone(),
    }
}

/// A moment whose rules are remembered, to judge flows by them.
#[derive(Debug)]
pub struct Moment {
    /// Another number wherever the rules were others.
    pub generation: u64,
    mark: Mark,
    local: Arc<Local>,
    looks_at_source_ports: bool,
}

impl Policing {
    /// Remembers the rules as they are now.
    pub fn remember(&mut self) -> Moment {
        let looks_at_source_ports = self.compiler.looks_at_source_ports();
        let (generation, mark, local) = (self.generation, self.compiler.mark(), self.local.clone());
        Moment { generation, mark, local, looks_at_source_ports }
    }

    /// Nobody asks about that moment any more.
    pub fn forget_moment(&mut self, moment: &Moment) {
        self.compiler.forget(moment.mark);
    }

    /// The rules of now.
    pub fn now(&self) -> Rules<'_, &Ruleset> {
        let looks_at_source_ports = self.compiler.looks_at_source_ports();
        Rules::of(self.compiler.ruleset(), &self.local, looks_at_source_ports)
    }

    /// The rules of a moment that is remembered.
    pub fn then<'p>(&'p self, moment: &'p Moment) -> Rules<'p, Past<'p>> {
        let looks_at_source_ports = moment.looks_at_source_ports;
        Rules::of(self.compiler.at(moment.mark), &moment.local, looks_at_source_ports)
    }

    /// The endpoint an address belongs to.
    pub fn endpoint_at(&self, address: IpAddr) -> Option<&str> {
        self.compiler.endpoint_at(address)
    }

    /// Where a floating address leads to here.
    pub fn floats_to(&self, address: IpAddr) -> Option<IpAddr> {
        self.local.floats_to(address)
    }

    /// The link of the local endpoint with this address.
    pub fn link_at(&self, address: IpAddr) -> Option<&Interface> {
        self.local.links.get(&address)
    }

    /// The local endpoint of a link.
    pub fn endpoint_on(&self, interface: &Interface) -> Option<&str> {
        let mut all = self.local.interfaces.iter();
        all.find(|(_, known)| *known == interface).map(|(name, _)| &**name)
    }

    /// The host endpoint that is asked at an interface of this host; of several the first by name.
    pub fn host_endpoint_at(&self, interface: Option<&Interface>) -> Option<&str> {
        let at =
            |wanted: &Doorway| self.doorways.iter().find(|(_, known)| *known == wanted).map(|(name, _)| name.as_str());
        let named = interface.and_then(|interface| at(&Doorway::Named(interface.clone())));
        named.or_else(|| at(&Doorway::Every))
    }

    /// Whether some port is published that needs no connection.
    pub fn leads_datagrams(&self) -> bool {
        let ports = self.local.published.values().flat_map(|publication| &publication.ports);
        ports.into_iter().any(|port| port.protocol() == PortProtocol::Udp)
    }

    /// What a chain counts, if it counts.
    pub fn counts(&self, chain: &Name) -> Option<&Counted> {
        self.compiler.counts(chain)
    }

    /// The rule that logs under a name and goes on.
    pub fn logs(&self, name: &Name) -> Option<&RuleName> {
        self.compiler.logs(name)
    }

    /// What each chain that counts counts.
    pub fn counted(&self) -> impl Iterator<Item = (&Name, &Counted)> {
        self.compiler.counted()
    }

    /// The chains the first packet of a flow comes through on this host, each with what it does and its rules; none if neither end
    /// is here, or nothing is asked of what the host itself sends and receives.
    pub fn passages(&self, course: &Course) -> Vec<Passage> {
        let chains = self.now().trail(course);
        let passage = |chain: Name| {
            let rules = self.compiler.ruleset().chains.get(&chain).map(|chain| chain.rules.clone()).unwrap_or_default();
            Passage { form: self.compiler.form(&chain), rules, chain }
        };
        chains.into_iter().map(passage).collect()
    }

    /// Addresses of the local endpoints, now.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.local.links.keys().copied()
    }
}

impl Moment {
    /// Addresses of the local endpoints, then.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.local.links.keys().copied()
    }
}

#[cfg(test)]
mod tests;
