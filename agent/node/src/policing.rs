//! Which rules this host needs, and which it has loaded.
//!
//! In: the store as last heard, and who is attached here. Out: the changes of the kernel's table, and the memory of what
//! stands there. The compiling itself is the `policy` crate's.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use poplin_policy::compile::compile;
use poplin_policy::delta::{Change, between};
use poplin_policy::host::Host as PolicyHost;
use poplin_policy::packet::Packet;
use poplin_policy::ruleset::{Field, HookPoint, Interface, Match, Rule, Ruleset, Then};
use poplin_policy::walk::{ConntrackState, Outcome, SYN, Transit, walk};
use poplin_policy::world::World;

use crate::kernel::INTERFACE_PREFIX;
use crate::mirror::Mirror;
use crate::object::Endpoint;

/// The rules of this host: wanted and loaded.
#[derive(Debug, Default)]
pub struct Policing {
    /// What our table holds; absent = unknown, so it is begun anew.
    loaded: Option<Arc<Loaded>>,
    /// What it should hold; absent = to be compiled again.
    wanted: Option<Arc<Loaded>>,
    /// Something else than newcomers has touched what is wanted since it was last loaded.
    may_deny_more: bool,
}

/// A ruleset, the world it was compiled from, and the endpoints it was compiled for.
#[derive(Debug)]
pub struct Loaded {
    ruleset: Ruleset,
    world: World,
    /// Names of the local endpoints, by link.
    names: BTreeMap<Interface, String>,
    links: BTreeMap<IpAddr, Interface>,
    /// Whether it may deny what the rules before it allowed.
    pub may_deny_more: bool,
}

impl Loaded {
    /// The fabric as these rules see it.
    pub fn world(&self) -> &World {
        &self.world
    }

    /// The local endpoint of this link.
    pub fn endpoint_at(&self, interface: &Interface) -> Option<&str> {
        self.names.get(interface).map(String::as_str)
    }

    /// Addresses of the local endpoints.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.links.keys().copied()
    }

    /// The link of the local endpoint with this address.
    pub fn link_of(&self, address: IpAddr) -> Option<&Interface> {
        self.links.get(&address)
    }

    /// Whether a flow may begin with this packet, to this host itself or through it; absent if none of its ends is a local endpoint.
    pub fn admits(&self, packet: &Packet, is_to_host: bool) -> Option<bool> {
        let (source, destination) = (self.link_of(packet.source), self.link_of(packet.destination));
        source.or(destination)?;
        let far = Interface::new(FAR).expect("it is a name");
        let transit = Transit {
            hook: if is_to_host { HookPoint::Input } else { HookPoint::Forward },
            interface_in: Some(source.unwrap_or(&far).clone()),
            interface_out: (!is_to_host).then(|| destination.unwrap_or(&far).clone()),
            packet: *packet,
            hop_limit: 64,
            tcp_flags: SYN,
            state: ConntrackState::New,
        };
        Some(walk(&self.ruleset, &transit) == Outcome::Accept)
    }

    /// Whether flows that differ in their source port only may fare differently.
    pub fn looks_at_source_ports(&self) -> bool {
        let is_source_port = |condition: &Match| match condition {
            Match::Range { field, .. } => *field == Field::SourcePort,
            Match::Member { fields, .. } => fields.contains(&Field::SourcePort),
            Match::InterfacePrefix { .. } | Match::Bits { .. } | Match::Conntrack(_) => false,
        };
        let looks = |rule: &Rule| match &rule.then {
            Then::Lookup { fields, .. } if fields.contains(&Field::SourcePort) => true,
            Then::Verdict(_) | Then::Log(_) | Then::Lookup { .. } | Then::Dispatch { .. } => {
                rule.matches.iter().any(is_source_port)
            }
        };
        self.ruleset.chains.values().flat_map(|chain| &chain.rules).any(looks)
    }
}

/// An interface that is not ours, for what comes from elsewhere or goes there; whose it is does not matter to any rule.
const FAR: &str = "elsewhere";

impl Policing {
    /// Something that rules depend on has changed.
    pub fn touch(&mut self) {
        self.wanted = None;
        self.may_deny_more = true;
    }

    /// Endpoints came that were not there before; nothing that stands can be denied for that.
    pub fn touch_by_newcomers(&mut self) {
        self.wanted = None;
    }

    /// Our table is not as we thought.
    pub fn forget(&mut self) {
        self.loaded = None;
    }

    /// The changes that are due, and what will be loaded once they are done; nothing if all is as it should be.
    pub fn due<'a>(
        &mut self,
        mirror: &Mirror,
        local: impl Iterator<Item = &'a Endpoint>,
    ) -> Option<(Vec<Change>, Arc<Loaded>)> {
        let wanted = self.wanted.get_or_insert_with(|| Arc::new(compiled(mirror, local, self.may_deny_more)));
        if self.loaded.as_ref().is_some_and(|loaded| Arc::ptr_eq(loaded, wanted)) {
            return None; // the usual case, asked with every event
        }
        let changes = between(self.loaded.as_ref().map(|loaded| &loaded.ruleset), &wanted.ruleset);
        let wanted = wanted.clone();
        if changes.is_empty() {
            self.load(wanted);
            return None;
        }
        Some((changes, wanted))
    }

    /// The changes were done.
    pub fn load(&mut self, loaded: Arc<Loaded>) {
        if self.wanted.as_ref().is_some_and(|wanted| Arc::ptr_eq(wanted, &loaded)) {
            self.may_deny_more = false;
        }
        self.loaded = Some(loaded);
    }

    /// The rules in force; absent while nobody knows what our table holds.
    pub fn loaded(&self) -> Option<Arc<Loaded>> {
        self.loaded.clone()
    }

    /// Whether the loaded rules know this interface.
    pub fn covers(&self, interface: &Interface) -> bool {
        self.loaded.as_ref().is_some_and(|loaded| loaded.names.contains_key(interface))
    }
}

fn compiled<'a>(mirror: &Mirror, local: impl Iterator<Item = &'a Endpoint>, may_deny_more: bool) -> Loaded {
    let (mut interfaces, mut links) = (BTreeMap::new(), BTreeMap::new());
    for endpoint in local {
        interfaces.insert(endpoint.name.to_string(), endpoint.interface.clone());
        links.extend(endpoint.addresses.iter().map(|address| (*address, endpoint.interface.clone())));
    }
    let host = PolicyHost {
        interfaces: interfaces.clone(),
        interface_prefix: INTERFACE_PREFIX.to_owned(),
        workload_to_host: mirror.fabric().workload_to_host,
    };
    let world = world(mirror);
    let names = interfaces.into_iter().map(|(name, interface)| (interface, name)).collect();
    Loaded { ruleset: compile(&world, &host), world, names, links, may_deny_more }
}

/// The store as policy sees it.
pub fn world(mirror: &Mirror) -> World {
    World {
        tiers: mirror.tiers().map(|tier| (tier.name.clone(), tier.clone())).collect(),
        policies: mirror.policies().map(|policy| (policy.name.clone(), policy.clone())).collect(),
        sets: mirror.address_sets().map(|set| (set.name.clone(), set.clone())).collect(),
        endpoints: mirror.endpoints().map(|one| (one.name.to_string(), one.into())).collect(),
    }
}
