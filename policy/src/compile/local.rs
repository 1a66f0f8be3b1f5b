//! Endpoints of this host, and the paths their packets take.

use std::collections::{BTreeMap, BTreeSet};

use super::dispatch::{self, sources_name};
use super::family::address_atom;
use super::front::Start;
use super::node::{Blueprint, Drawing, Nodes};
use super::path::Path;
use super::paths::Paths;
use super::ports::Ports;
use super::question::Question;
use super::round::Round;
use super::table::{Ground, Tables};
use super::{Compiler, ROUNDS};
use crate::model::{Endpoint, IpVersion, NamedPort, Policy, QualifiedName, Selection};
use crate::ruleset::{Atom, Element, Interface, Name, Verdict};

/// An endpoint of this host.
#[derive(Clone, Debug)]
pub(super) struct Local {
    interface: Interface,
    /// The addresses it may send from now: its own, and those it was lent.
    sources: BTreeSet<std::net::IpAddr>,
    /// Addresses that are not its own and that it speaks for.
    lent: BTreeSet<std::net::IpAddr>,
    /// Its path in each round that it is in.
    paths: BTreeMap<Round, Name>,
}

impl Local {
    pub(super) fn new(interface: Interface) -> Self {
        Self { interface, sources: BTreeSet::new(), lent: BTreeSet::new(), paths: BTreeMap::new() }
    }
}

/// A path that stands.
#[derive(Clone, Debug)]
pub(super) struct PathState {
    /// The endpoints of this host that take it; nobody, if it is a host endpoint's.
    pub(super) users: BTreeSet<String>,
    pub(super) policies: BTreeSet<QualifiedName>,
    pub(super) asks_for_names: bool,
    /// The selections it asks about, and whether any address set was selected when it was drawn.
    pub(super) places: BTreeMap<Selection, bool>,
    /// Whereto packets go that nothing holds for at their port.
    pub(super) entry: Verdict,
    ports: Ports,
    below: BTreeSet<Name>,
    tables: Vec<Name>,
}

impl Compiler {
    /// These addresses, which are nobody's own, an endpoint of this host may send from, too, as long as it has its interface.
    pub fn lend(&mut self, name: &str, addresses: BTreeSet<std::net::IpAddr>) {
        if let Some(local) = self.locals.get_mut(name) {
            local.lent = addresses;
            self.due.locals.insert(name.to_owned());
        }
    }

    /// Puts a local endpoint on the paths it should be on; they are drawn if they do not stand as they should.
    pub(super) fn refresh(&mut self, name: &str) {
        let Some(endpoint) = self.endpoints.get(name).cloned() else { return self.leave(name) };
        let lent = self.locals.get(name).map(|local| local.lent.clone()).unwrap_or_default();
        self.set_sources(name, endpoint.addresses.iter().copied().chain(lent).collect());
        for round in ROUNDS {
            self.set_path(name, &endpoint, round);
        }
    }

    /// Takes a local endpoint off its paths: its interface passes nothing.
    pub(super) fn leave(&mut self, name: &str) {
        if !self.locals.contains_key(name) {
            return;
        }
        self.set_sources(name, BTreeSet::new());
        for round in ROUNDS {
            self.move_to(name, round, None);
        }
    }

    fn set_sources(&mut self, name: &str, addresses: BTreeSet<std::net::IpAddr>) {
        let Some(local) = self.locals.get_mut(name) else { return };
        let before = std::mem::replace(&mut local.sources, addresses);
        for address in before.symmetric_difference(&local.sources) {
            let key = vec![Atom::Interface(local.interface.clone()), address_atom(*address)];
            let set = sources_name(IpVersion::of(*address));
            self.edited.set_element(&set, Element::exactly(key), local.sources.contains(address));
        }
    }

    fn set_path(&mut self, name: &str, endpoint: &Endpoint, round: Round) {
        let Some(class) = self.population.class_named(name) else { return };
        let admitted = self.population.admitted(class);
        let governing = admitted.iter().filter_map(|id| self.policies_of.get(&id)).flatten();
        let governing: Vec<&Policy> = governing.filter_map(|name| self.world.policies.get(name)).collect();
        self.effort.policies += governing.len();
        let path = Path::new(&self.world, round, endpoint, governing.into_iter());
        if round.is_staged && path.is_open() {
            return self.move_to(name, round, None);
        }
        let path_name = path.name();
        if !self.paths.is_good(round, &path_name) {
            let drawn = Drawn::of(&path, &path_name, &self.known, Drawing::new(&self.world, &self.places));
            self.stand(round, &path_name, drawn);
        }
        self.move_to(name, round, Some(path_name));
    }

    fn stand(&mut self, round: Round, path: &Name, drawn: Drawn) {
        if !dispatch::stands(round, &self.edited) {
            dispatch::begin(round, &mut self.edited);
            self.set_base_chains();
        }
        let Self { world, places, population, edited, tables, nodes, paths, .. } = self;
        let mut ground = Ground { world, places, population, edited };
        let entry = drawn.stand(paths, round, path, nodes, tables, &mut ground);
        dispatch::set_path(round, path, Some(entry), edited);
        self.effort.paths += 1;
    }

    fn move_to(&mut self, name: &str, round: Round, path: Option<Name>) {
        let Some(local) = self.locals.get_mut(name) else { return };
        if local.paths.get(&round) == path.as_ref() {
            return;
        }
        dispatch::set(round, &local.interface, path.as_ref(), &mut self.edited);
        let former = match path {
            Some(path) => {
                self.paths.enter(round, &path, name);
                local.paths.insert(round, path)
            }
            None => local.paths.remove(&round),
        };
        if let Some(former) = former.filter(|former| self.paths.leave(round, former, name)) {
            self.end_path(round, &former);
        }
    }

    /// Nobody takes a path any more.
    fn end_path(&mut self, round: Round, name: &Name) {
        let Self { world, places, population, edited, tables, nodes, paths, .. } = self;
        let state = paths.take(round, name).expect("a path that is left stands");
        state.end(nodes, tables, &mut Ground { world, places, population, edited });
        dispatch::set_path(round, name, None, edited);
        if round.is_staged && paths.of(round).next().is_none() {
            dispatch::end(round, edited);
            self.set_base_chains();
        }
    }
}

/// A path that is drawn and does not stand yet.
pub(super) struct Drawn {
    start: Start,
    blueprints: BTreeMap<Name, Blueprint>,
    places: BTreeMap<Selection, bool>,
    policies: BTreeSet<QualifiedName>,
    asks_for_names: bool,
}

impl Drawn {
    pub(super) fn of(path: &Path<'_>, name: &Name, known: &[NamedPort], mut drawing: Drawing<'_>) -> Self {
        let start = path.draw(name, known, &mut drawing);
        let Drawing { blueprints, places, .. } = drawing;
        Self { start, blueprints, places, policies: path.policies(), asks_for_names: path.asks_for_names() }
    }

    /// Makes it stand, in the place of what was called so before. Who takes it is as it was. Tells where packets go that nothing holds for
    /// at their port.
    pub(super) fn stand(
        self,
        paths: &mut Paths,
        round: Round,
        name: &Name,
        nodes: &mut Nodes,
        tables: &mut Tables,
        ground: &mut Ground<'_>,
    ) -> Verdict {
        let Self { start: Start { ports, tables: questions, entry, below }, blueprints, .. } = self;
        for name in &below {
            nodes.acquire(name, &blueprints, tables, ground);
        }
        for question in &questions {
            tables.acquire(question, ground);
        }
        let mut former = paths.take(round, name);
        ports.put(former.as_ref().map(|state| &state.ports), ground.edited);
        let users = former.as_mut().map(|state| std::mem::take(&mut state.users)).unwrap_or_default();
        if let Some(state) = former {
            state.release(nodes, tables, ground);
        }
        let state = PathState {
            users,
            policies: self.policies,
            asks_for_names: self.asks_for_names,
            places: self.places,
            entry: entry.clone(),
            ports,
            below,
            tables: questions.iter().map(Question::name).collect(),
        };
        paths.put(round, name, state);
        entry
    }
}

impl PathState {
    /// Nobody takes it any more.
    pub(super) fn end(self, nodes: &mut Nodes, tables: &mut Tables, ground: &mut Ground<'_>) {
        self.ports.end(ground.edited);
        self.release(nodes, tables, ground);
    }

    fn release(self, nodes: &mut Nodes, tables: &mut Tables, ground: &mut Ground<'_>) {
        for below in &self.below {
            nodes.release(below, tables, ground);
        }
        for table in &self.tables {
            tables.release(table, ground);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::{Failsafe, Settings, WorkloadToHost};
    use std::net::IpAddr;

    #[test]
    fn an_endpoint_may_send_from_what_it_is_lent_until_it_is_not_or_its_interface_is_gone() {
        let settings = Settings {
            interface_prefix: "pop".to_owned(),
            workload_to_host: WorkloadToHost::Drop,
            serves_names: false,
            failsafe: Failsafe::default(),
        };
        let mut compiler = Compiler::new(settings);
        let [own, lent]: [IpAddr; 2] = ["10.77.0.1", "198.51.100.7"].map(|text| text.parse().unwrap());
        let interface = Interface::new("pop1").unwrap();
        compiler.set_endpoint("dns", Some(&Endpoint { addresses: vec![own], ..Endpoint::default() }));
        compiler.set_interface("dns", Some(interface.clone()));
        compiler.take_changes();
        let alone = compiler.ruleset().clone();
        let sources = |compiler: &Compiler| compiler.ruleset().sets[&sources_name(IpVersion::V4)].elements.len();

        compiler.lend("dns", [lent].into());
        compiler.take_changes();
        assert_eq!(sources(&compiler), 2);

        compiler.lend("dns", BTreeSet::new());
        compiler.take_changes();
        assert_eq!(*compiler.ruleset(), alone);
        compiler.lend("dns", [lent].into());
        compiler.set_interface("dns", None);
        compiler.set_interface("dns", Some(interface));
        compiler.take_changes();
        assert_eq!(*compiler.ruleset(), alone);
    }
}
