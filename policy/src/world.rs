//! Everything a verdict depends on: what was declared, and who is there.
//!
//! Values by name, plus the orders and look-ups that give them meaning. Knows nothing of hosts, rules of a kernel or packets.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::host::HostEndpoint;
use crate::label::Labels;
use crate::model::{
    ADMIN_TIER, AddressSet, BASELINE_TIER, DEFAULT_TIER, Endpoint, Mode, NamedPort, Order, Policy, QualifiedName,
    Scope, Selection, Tier,
};

/// The whole fabric, as policy sees it. Each map's key is the name of what it holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct World {
    /// Declared tiers; the built-in ones exist even if they are not here.
    pub tiers: BTreeMap<String, Tier>,
    /// Policies.
    pub policies: BTreeMap<QualifiedName, Policy>,
    /// Address sets.
    pub sets: BTreeMap<QualifiedName, AddressSet>,
    /// Labels of namespaces; a namespace that is not here has none but those every namespace has.
    pub namespaces: BTreeMap<String, Labels>,
    /// Endpoints of all hosts. An address belongs to one endpoint; were it two, the first by name counts.
    pub endpoints: BTreeMap<String, Endpoint>,
    /// Labels of the host endpoints of all hosts, with those they inherit. They live in no namespace; their addresses stand among the sets.
    pub host_endpoints: BTreeMap<String, Labels>,
    /// What rules call ports of hosts, by the addresses of their host endpoints; sorted, each once. An endpoint with such an address goes first.
    pub host_ports: BTreeMap<IpAddr, Vec<NamedPort>>,
}

/// A tier with its policies, in the order they are asked.
#[derive(Clone, Debug)]
pub struct Rank<'w> {
    /// The tier.
    pub tier: Cow<'w, Tier>,
    /// All enforced policies that stand in it.
    pub policies: Vec<&'w Policy>,
}

/// One end of a packet: an address, and whose it is.
#[derive(Clone, Copy, Debug)]
pub struct End<'w> {
    /// The address.
    pub address: IpAddr,
    /// The endpoint that has it, if it is one of ours.
    pub endpoint: Option<(&'w str, &'w Endpoint)>,
    /// What rules call its ports.
    pub ports: &'w [NamedPort],
}

impl World {
    /// Makes a host endpoint part of it, by the labels it has; tells whether it was before.
    pub fn add_host_endpoint(&mut self, endpoint: &HostEndpoint) -> bool {
        let other_end = endpoint.as_other_end();
        self.sets.insert(other_end.name.clone(), other_end);
        if !endpoint.ports.is_empty() {
            for address in &endpoint.addresses {
                let ports = self.host_ports.entry(*address).or_default();
                *ports = together([&ports[..], &endpoint.ports]);
            }
        }
        self.host_endpoints.insert(endpoint.name.clone(), endpoint.labels.clone()).is_some()
    }

    /// All tiers in the order they are asked, each with its enforced policies in theirs.
    pub fn ranks(&self) -> Vec<Rank<'_>> {
        let mut ranks: BTreeMap<&str, Rank<'_>> = BTreeMap::new();
        let enforced = || self.policies.values().filter(|policy| policy.mode == Mode::Enforce);
        let built_in = [ADMIN_TIER, DEFAULT_TIER, BASELINE_TIER];
        let names = self.tiers.keys().map(String::as_str).chain(enforced().map(|policy| policy.tier.as_str()));
        for name in names.chain(built_in) {
            ranks.entry(name).or_insert_with(|| Rank { tier: self.tier(name), policies: Vec::new() });
        }
        for policy in enforced() {
            ranks.entry(&policy.tier).and_modify(|rank| rank.policies.push(policy));
        }
        let mut ranks: Vec<_> = ranks.into_values().collect();
        ranks.sort_by(|left, right| left.tier.standing().cmp(&right.tier.standing()));
        for rank in &mut ranks {
            rank.policies.sort_by_key(|policy| Order::standing(policy.order, &policy.name));
        }
        ranks
    }

    /// A tier, as declared or as it is without a declaration.
    pub fn tier<'w>(&'w self, name: &str) -> Cow<'w, Tier> {
        match self.tiers.get(name) {
            Some(tier) => Cow::Borrowed(tier),
            None => Cow::Owned(Tier::undeclared(name)),
        }
    }

    /// The same world with every staged policy enforced: what would be.
    pub fn promoted(&self) -> Self {
        let mut world = self.clone();
        for policy in world.policies.values_mut().filter(|policy| policy.mode == Mode::Stage) {
            policy.mode = Mode::Enforce;
        }
        world
    }

    /// An address, and the endpoint it belongs to.
    pub fn end(&self, address: IpAddr) -> End<'_> {
        let mut endpoints = self.endpoints.iter().map(|(name, endpoint)| (name.as_str(), endpoint));
        self.end_of(address, endpoints.find(|(_, endpoint)| endpoint.addresses.contains(&address)))
    }

    /// An address, of which it is known whose it is.
    pub(crate) fn end_of<'w>(&'w self, address: IpAddr, endpoint: Option<(&'w str, &'w Endpoint)>) -> End<'w> {
        let of_host = || self.host_ports.get(&address).map(Vec::as_slice).unwrap_or_default();
        End { address, endpoint, ports: endpoint.map_or_else(of_host, |(_, endpoint)| &endpoint.ports) }
    }

    /// The endpoint an address belongs to.
    pub fn endpoint_of(&self, address: IpAddr) -> Option<(&str, &Endpoint)> {
        self.end(address).endpoint
    }

    /// Whether an end is an endpoint, or lies in an address set, that is selected.
    pub fn selects(&self, selection: &Selection, end: End<'_>) -> bool {
        end.endpoint.is_some_and(|(_, endpoint)| self.selects_endpoint(selection, endpoint))
            || self.sets.values().any(|set| set.contains(end.address) && self.selects_set(selection, set))
    }

    /// Whether an endpoint is selected.
    pub fn selects_endpoint(&self, selection: &Selection, endpoint: &Endpoint) -> bool {
        self.is_in(&selection.scope, endpoint.namespace.as_deref()) && selection.labels.admits(&endpoint.labels)
    }

    /// Whether a host endpoint with these labels is selected.
    pub fn selects_host_endpoint(&self, selection: &Selection, labels: &Labels) -> bool {
        self.is_in(&selection.scope, None) && selection.labels.admits(labels)
    }

    /// Whether an address set is selected.
    pub fn selects_set(&self, selection: &Selection, set: &AddressSet) -> bool {
        self.is_in(&selection.scope, set.name.namespace()) && selection.labels.admits(&set.labels)
    }

    /// Whether what lives in that namespace, or in none, is within a scope.
    pub fn is_in(&self, scope: &Scope, namespace: Option<&str>) -> bool {
        is_in(&self.namespaces, scope, namespace)
    }

    /// A namespace's labels: those that were declared, and its name under the keys that Kubernetes' and Calico's users know.
    pub fn namespace_labels(&self, namespace: &str) -> Labels {
        namespace_labels(&self.namespaces, namespace)
    }
}

/// What several call their ports, sorted, each once.
pub fn together<'p>(ports: impl IntoIterator<Item = &'p [NamedPort]>) -> Vec<NamedPort> {
    let all: BTreeSet<&NamedPort> = ports.into_iter().flatten().collect();
    all.into_iter().cloned().collect()
}

/// Whether what lives in that namespace, or in none, is within a scope; the namespaces are those that were declared.
pub(crate) fn is_in(declared: &BTreeMap<String, Labels>, scope: &Scope, namespace: Option<&str>) -> bool {
    scope.has(namespace, namespace.and_then(|name| declared.get(name)))
}

impl Scope {
    /// Whether what lives in that namespace, or in none, is within it; `declared` are the labels the namespace was declared with, if it was.
    pub fn has(&self, namespace: Option<&str>, declared: Option<&Labels>) -> bool {
        match (self, namespace) {
            (Self::Anywhere, _) => true,
            (Self::Namespace(wanted), namespace) => namespace == Some(wanted),
            (Self::Namespaces(selector), Some(namespace)) => selector.admits(&known_by(namespace, declared)),
            (Self::Namespaces(_), None) => false,
            (Self::Global, namespace) => namespace.is_none(),
        }
    }
}

fn namespace_labels(declared: &BTreeMap<String, Labels>, namespace: &str) -> Labels {
    known_by(namespace, declared.get(namespace))
}

fn known_by(namespace: &str, declared: Option<&Labels>) -> Labels {
    let names = NAMESPACE_NAME_KEYS.map(|key| (key, namespace));
    let named = Labels::try_from_pairs(names).unwrap_or_default();
    declared.map_or(named.clone(), |declared| named.over(declared))
}

/// Labels every namespace has: its name.
pub const NAMESPACE_NAME_KEYS: [&str; 2] = ["kubernetes.io/metadata.name", "projectcalico.org/name"];
