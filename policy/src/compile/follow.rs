//! The world changes, and whom that concerns.
//!
//! In: one thing at a time as it is declared, changed or withdrawn. Out: what holds already where that is elements of maps and sets; and what is
//! due: endpoints to be put on their paths, paths to be drawn again. That is done once for all that came together, when changes are taken.
//! Nobody is asked whom a change cannot concern: policies are found by the address sets, the selections and the ports they name.

use std::collections::{BTreeMap, BTreeSet};

use super::Compiler;
use super::mention::Mentions;
use super::population::Readmitted;
use super::slab::Id;
use crate::label::Labels;
use crate::model::{
    AddressSet, Direction, Policy, PortMatch, PortProtocol, QualifiedName, Rule, Rules, Scope, Selection, Tier,
};

/// What is to be done once all that came together was told.
#[derive(Clone, Debug, Default)]
pub(super) struct Due {
    /// Endpoints of this host that may have to take other paths.
    pub(super) locals: BTreeSet<String>,
    /// Whether host endpoints may have to.
    pub(super) gates: bool,
}

/// How much was looked at, since the beginning: what a change costs, whatever the machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Effort {
    /// Policies that were asked about an endpoint or a host endpoint, for each time and each direction or lane.
    pub policies: usize,
    /// Paths that were drawn.
    pub paths: usize,
    /// Tables that were filled because what they ask about changed, and not one element of it.
    pub tables: usize,
}

/// Policies by what they name.
#[derive(Clone, Debug, Default)]
pub(super) struct Named {
    sets: Mentions<QualifiedName>,
    ports: BTreeMap<(PortProtocol, String), BTreeSet<QualifiedName>>,
}

impl Named {
    /// A policy names what it names, or does not any more.
    fn note(&mut self, policy: &Policy, is_declared: bool) {
        for rule in rules(policy) {
            for peers in [&rule.source, &rule.destination] {
                peers.sets.iter().for_each(|set| self.sets.name(set, &policy.name, is_declared));
                let selections = peers.select.iter().chain(&peers.not_select);
                selections.for_each(|selection| self.sets.select(selection, &policy.name, is_declared));
            }
            named_ports(rule).for_each(|port| self.note_port(port, &policy.name, is_declared));
        }
    }

    fn note_port(&mut self, port: (PortProtocol, &String), policy: &QualifiedName, is_declared: bool) {
        let port = (port.0, port.1.clone());
        if is_declared {
            self.ports.entry(port).or_default().insert(policy.clone());
        } else if let Some(policies) = self.ports.get_mut(&port) {
            policies.remove(policy);
            if policies.is_empty() {
                self.ports.remove(&port);
            }
        }
    }
}

fn rules(policy: &Policy) -> impl Iterator<Item = &Rule> {
    policy.ingress.iter().chain(&policy.egress).flatten()
}

fn named_ports(rule: &Rule) -> impl Iterator<Item = (PortProtocol, &String)> {
    rule.all_ports().filter_map(|port| match port {
        PortMatch::Named { protocol, name } => Some((*protocol, name)),
        PortMatch::Ports { .. } | PortMatch::Icmp { .. } | PortMatch::Protocol(_) => None,
    })
}

/// Whether a policy asks something of the endpoint it governs.
fn asks_of_the_governed(policy: &Policy) -> bool {
    let asks = |direction, rules: &Option<Rules>| rules.iter().flatten().any(|rule| !rule.own(direction).is_anybody());
    asks(Direction::Ingress, &policy.ingress) || asks(Direction::Egress, &policy.egress)
}

impl Compiler {
    /// A policy is declared, changed or withdrawn.
    pub fn set_policy(&mut self, name: &QualifiedName, policy: Option<Policy>) {
        if self.world.policies.get(name) == policy.as_ref() {
            return;
        }
        let subject = policy.as_ref().map(|policy| self.population.ask(&policy.subject));
        let former = match subject {
            Some(id) => self.subjects.insert(name.clone(), id),
            None => self.subjects.remove(name),
        };
        for id in former.into_iter().chain(subject) {
            self.due.locals.extend(self.locals_of(id));
        }
        if let Some(id) = former {
            self.ungovern(id, name);
        }
        if let Some(id) = subject {
            self.policies_of.entry(id).or_default().insert(name.clone());
        }
        let before = match policy {
            Some(policy) => self.world.policies.insert(name.clone(), policy),
            None => self.world.policies.remove(name),
        };
        let after = self.world.policies.get(name);
        before.iter().for_each(|policy| self.named.note(policy, false));
        after.iter().for_each(|policy| self.named.note(policy, true));
        self.due.gates |= self.gates.govern(name, after, &self.world);
        self.paths.spoil(name, |_| true);
    }

    /// A policy is not any more among those of a subject.
    fn ungovern(&mut self, subject: Id, name: &QualifiedName) {
        if let Some(names) = self.policies_of.get_mut(&subject) {
            names.remove(name);
            if names.is_empty() {
                self.policies_of.remove(&subject);
            }
        }
        self.population.forget(subject);
    }

    /// A tier is declared, changed or withdrawn.
    pub fn set_tier(&mut self, name: &str, tier: Option<Tier>) {
        if self.world.tiers.get(name) == tier.as_ref() {
            return;
        }
        match tier {
            Some(tier) => self.world.tiers.insert(name.to_owned(), tier),
            None => self.world.tiers.remove(name),
        };
        for (name, _) in self.world.policies.iter().filter(|(_, policy)| policy.tier == name) {
            self.due.locals.extend(self.paths.users(name).cloned());
            self.due.gates |= self.gates.has(name);
            self.paths.spoil(name, |_| true);
        }
    }

    /// An address set is declared, changed or withdrawn.
    pub fn set_address_set(&mut self, name: &QualifiedName, set: Option<AddressSet>) {
        if self.world.sets.get(name) == set.as_ref() {
            return;
        }
        let before = match set {
            Some(set) => self.world.sets.insert(name.clone(), set),
            None => self.world.sets.remove(name),
        };
        let (before, after) = (before.map(|set| set.labels), self.world.sets.get(name).map(|set| set.labels.clone()));
        self.places.set(name, before.as_ref(), after.as_ref());
        let mut labels: Vec<&Labels> = before.iter().chain(&after).collect();
        labels.dedup();
        let declared = name.namespace().and_then(|namespace| self.world.namespaces.get(namespace));
        self.tables.spoil_set(name, &labels, declared);
        let concerned = self.named.sets.of_set(name, &labels, declared);
        if before != after {
            self.follow_places(&concerned, |selection| labels.iter().any(|labels| selection.labels.admits(labels)));
        }
        self.ask_the_governed(&concerned);
    }

    /// Paths that ask where only because some address set was selected, or do not because none was, are to be drawn again. Only
    /// selections that fit can have changed.
    fn follow_places(&mut self, policies: &BTreeSet<QualifiedName>, fits: impl Fn(&Selection) -> bool) {
        let Self { world, places, paths, .. } = self;
        for policy in policies {
            paths.spoil(policy, |state| {
                let mut asked = state.places.iter().filter(|(selection, _)| fits(selection));
                asked.any(|(selection, selected)| places.selected(world, selection).is_empty() == *selected)
            });
        }
    }

    /// What endpoints answer to rules that ask something of themselves may be another.
    fn ask_the_governed(&mut self, policies: &BTreeSet<QualifiedName>) {
        for name in policies.iter().filter(|name| asks_of_the_governed(&self.world.policies[*name])) {
            self.due.locals.extend(self.locals_of(self.subjects[name]));
        }
    }

    /// A namespace's labels are declared, changed or withdrawn.
    pub fn set_namespace(&mut self, name: &str, labels: Option<Labels>) {
        if self.world.namespaces.get(name) == labels.as_ref() {
            return;
        }
        let before = match labels.clone() {
            Some(labels) => self.world.namespaces.insert(name.to_owned(), labels),
            None => self.world.namespaces.remove(name),
        };
        let readmitted = self.population.set_namespace(name, labels.clone());
        self.tables.spoil_selections(readmitted.iter().map(|(id, _)| *id));
        self.follow_subjects(&readmitted);
        let differing = self.named.sets.of_namespace(name, before.as_ref(), labels.as_ref());
        let concerned: BTreeSet<_> = differing.flat_map(|(_, policies)| policies.keys()).cloned().collect();
        if concerned.is_empty() {
            return;
        }
        for set in self.world.sets.values().filter(|set| set.name.namespace() == Some(name)) {
            for declared in [before.as_ref(), labels.as_ref()] {
                self.tables.spoil_set(&set.name, &[&set.labels], declared);
            }
        }
        self.follow_places(&concerned, |selection| matches!(selection.scope, Scope::Namespaces(_)));
        self.ask_the_governed(&concerned);
    }

    /// Policies govern others than they did.
    fn follow_subjects(&mut self, readmitted: &[Readmitted]) {
        let subjects = readmitted.iter().filter(|(id, _)| self.policies_of.contains_key(id));
        let members = subjects.flat_map(|(_, classes)| classes).flat_map(|class| self.population.members(*class));
        self.due.locals.extend(members.filter(|name| self.locals.contains_key(*name)).map(str::to_owned));
    }

    /// Others have named ports than had, and so rules that name them ask about others.
    fn follow_named_ports(&mut self) {
        let moved = self.population.take_moved_ports();
        if moved.is_empty() {
            return;
        }
        self.known = self.population.named_ports().cloned().collect();
        let names: BTreeSet<_> = moved.into_iter().map(|port| (port.protocol, port.name)).collect();
        for policy in names.iter().filter_map(|name| self.named.ports.get(name)).flatten() {
            self.paths.spoil(policy, |state| state.asks_for_names);
        }
    }

    /// The endpoints of this host that a selection admits.
    fn locals_of(&self, subject: Id) -> Vec<String> {
        let classes = self.population.classes(subject);
        let count: usize = classes.iter().map(|class| self.population.count(*class)).sum();
        if count <= self.locals.len() {
            let members = classes.iter().flat_map(|class| self.population.members(*class));
            return members.filter(|name| self.locals.contains_key(*name)).map(str::to_owned).collect();
        }
        let is_in = |name: &&String| self.population.class_named(name).is_some_and(|class| classes.contains(&class));
        self.locals.keys().filter(is_in).cloned().collect()
    }

    /// Whether nothing is due.
    pub(super) fn is_nothing_due(&self) -> bool {
        let is_spoiled = self.paths.is_spoiled() || self.tables.is_spoiled() || self.population.has_moved_ports();
        self.due.locals.is_empty() && !self.due.gates && !is_spoiled
    }

    /// Does what is due.
    pub(super) fn settle(&mut self) {
        self.follow_named_ports();
        for name in std::mem::take(&mut self.due.locals) {
            self.refresh(&name);
        }
        while let Some(name) = self.paths.next_spoiled() {
            self.refresh(&name);
        }
        if std::mem::take(&mut self.due.gates) || self.paths.has_spoiled_gates() {
            self.refresh_gates();
        }
        let (tables, mut ground) = self.ground();
        self.effort.tables += tables.settle(&mut ground);
    }
}
