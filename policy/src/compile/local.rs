//! Endpoints of this host, and the paths their packets take.

use std::collections::{BTreeMap, BTreeSet};

use super::dispatch::sources_name;
use super::family::address_atom;
use super::front::Start;
use super::node::{Blueprint, Drawing, Nodes};
use super::path::Path;
use super::ports::Ports;
use super::question::Question;
use super::table::{Ground, Tables};
use super::{Compiler, DIRECTIONS};
use crate::model::{Direction, Endpoint, IpVersion, NamedPort, Policy, QualifiedName, Selection};
use crate::ruleset::{Atom, Chain, Element, Interface, Name, Verdict};

/// An endpoint of this host.
#[derive(Clone, Debug)]
pub(super) struct Local {
    interface: Interface,
    /// The addresses it may send from now: its own, and those it was lent.
    sources: BTreeSet<std::net::IpAddr>,
    /// Addresses that are not its own and that it speaks for.
    lent: BTreeSet<std::net::IpAddr>,
    /// Its paths, in the order of [`DIRECTIONS`].
    paths: [Option<Name>; 2],
}

impl Local {
    pub(super) fn new(interface: Interface) -> Self {
        Self { interface, sources: BTreeSet::new(), lent: BTreeSet::new(), paths: [None, None] }
    }
}

/// A path that stands.
#[derive(Clone, Debug)]
pub(super) struct PathState {
    uses: usize,
    pub(super) policies: BTreeSet<QualifiedName>,
    pub(super) asks_for_names: bool,
    /// Whether it is to be drawn again.
    pub(super) is_stale: bool,
    /// The selections it asks about, and whether any address set was selected when it was drawn.
    pub(super) places: BTreeMap<Selection, bool>,
    /// Where packets come upon it.
    pub(super) entry: Verdict,
    ports: Option<Ports>,
    below: BTreeSet<Name>,
    tables: Vec<Name>,
}

impl Compiler {
    /// These addresses, which are nobody's own, an endpoint of this host may send from, too, as long as it has its interface.
    pub fn lend(&mut self, name: &str, addresses: BTreeSet<std::net::IpAddr>) {
        if let Some(local) = self.locals.get_mut(name) {
            local.lent = addresses;
            self.refresh(name);
        }
    }

    /// Puts local endpoints on the paths they should be on; stale paths are drawn again.
    pub(super) fn refresh_all(&mut self, names: BTreeSet<String>) {
        for name in names {
            self.refresh(&name);
        }
    }

    pub(super) fn refresh(&mut self, name: &str) {
        let Some(endpoint) = self.endpoints.get(name).cloned() else { return self.leave(name) };
        let lent = self.locals.get(name).map(|local| local.lent.clone()).unwrap_or_default();
        self.set_sources(name, endpoint.addresses.iter().copied().chain(lent).collect());
        for (index, direction) in DIRECTIONS.into_iter().enumerate() {
            self.set_path(name, &endpoint, index, direction);
        }
    }

    /// Takes a local endpoint off its paths: its interface passes nothing.
    pub(super) fn leave(&mut self, name: &str) {
        if !self.locals.contains_key(name) {
            return;
        }
        self.set_sources(name, BTreeSet::new());
        for index in 0..DIRECTIONS.len() {
            self.move_to(name, index, None);
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

    fn set_path(&mut self, name: &str, endpoint: &Endpoint, index: usize, direction: Direction) {
        let Some(class) = self.population.class_named(name) else { return };
        let admitted = self.population.admitted(class);
        let governing = admitted.iter().filter_map(|id| self.policies_of.get(id)).flatten();
        let governing: Vec<&Policy> = governing.filter_map(|name| self.world.policies.get(name)).collect();
        let path = Path::new(&self.world, direction, endpoint, governing.into_iter());
        let path_name = path.name();
        let stands = self.paths[index].get(&path_name);
        if stands.is_none_or(|state| state.is_stale) {
            let drawn = Drawn::of(&path, &path_name, &self.known, Drawing::new(&self.world, &self.places));
            let Self { world, places, population, edited, tables, nodes, paths, .. } = self;
            let mut ground = Ground { world, places, population, edited };
            drawn.stand(&mut paths[index], &path_name, nodes, tables, &mut ground);
            let entry = &self.paths[index][&path_name].entry;
            self.dispatch[index].set_path(&path_name, Some(entry.clone()), &mut self.edited);
        }
        self.move_to(name, index, Some(path_name));
    }

    fn move_to(&mut self, name: &str, index: usize, path: Option<Name>) {
        let Some(local) = self.locals.get_mut(name) else { return };
        if local.paths[index] == path {
            return;
        }
        self.dispatch[index].set(&local.interface, path.as_ref(), &mut self.edited);
        if let Some(state) = path.as_ref().and_then(|path| self.paths[index].get_mut(path)) {
            state.uses += 1;
        }
        if let Some(former) = std::mem::replace(&mut local.paths[index], path) {
            self.release_path(index, &former);
        }
    }

    fn release_path(&mut self, index: usize, name: &Name) {
        let state = self.paths[index].get_mut(name).expect("a path that is left stands");
        state.uses -= 1;
        if state.uses > 0 {
            return;
        }
        let Self { world, places, population, edited, tables, nodes, paths, .. } = self;
        let state = paths[index].remove(name).expect("a path that is left stands");
        let mut ground = Ground { world, places, population, edited };
        state.end(name, nodes, tables, &mut ground);
        self.dispatch[index].set_path(name, None, &mut self.edited);
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

    /// Makes it stand, in the place of what was called so before. Who uses it is as it was.
    pub(super) fn stand(
        self,
        paths: &mut BTreeMap<Name, PathState>,
        name: &Name,
        nodes: &mut Nodes,
        tables: &mut Tables,
        ground: &mut Ground<'_>,
    ) {
        let Self { start: Start { entry, blueprint: first }, blueprints, places, policies, asks_for_names } = self;
        for below in &first.below {
            nodes.acquire(below, &blueprints, tables, ground);
        }
        for question in &first.tables {
            tables.acquire(question, ground);
        }
        let chain = (!first.rules.is_empty()).then_some(Chain { hook: None, rules: first.rules });
        ground.edited.set_chain(name, chain);
        let former = paths.remove(name);
        if let Some(ports) = &first.ports {
            ports.put(former.as_ref().and_then(|state| state.ports.as_ref()), ground.edited);
        }
        let state = PathState {
            uses: former.as_ref().map_or(0, |state| state.uses),
            policies,
            asks_for_names,
            is_stale: false,
            places,
            entry,
            ports: first.ports,
            below: first.below,
            tables: first.tables.iter().map(Question::name).collect(),
        };
        paths.insert(name.clone(), state);
        if let Some(state) = former {
            state.release(nodes, tables, ground);
        }
    }
}

impl PathState {
    /// Nobody takes it any more.
    pub(super) fn end(self, name: &Name, nodes: &mut Nodes, tables: &mut Tables, ground: &mut Ground<'_>) {
        ground.edited.set_chain(name, None);
        if let Some(ports) = &self.ports {
            ports.end(ground.edited);
        }
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
        let alone = compiler.ruleset().clone();
        let sources = |compiler: &Compiler| compiler.ruleset().sets[&sources_name(IpVersion::V4)].elements.len();

        compiler.lend("dns", [lent].into());
        assert_eq!(sources(&compiler), 2);

        compiler.lend("dns", BTreeSet::new());
        assert_eq!(*compiler.ruleset(), alone);
        compiler.lend("dns", [lent].into());
        compiler.set_interface("dns", None);
        compiler.set_interface("dns", Some(interface));
        assert_eq!(*compiler.ruleset(), alone);
    }
}
