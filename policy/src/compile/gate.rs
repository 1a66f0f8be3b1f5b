//! Host endpoints of this host, and the paths of what passes them.
//!
//! In: where each stands, and what the world says of policies. Out: base chains of their own, each a few rules and a dispatch by
//! interface like that of workloads; the rule after it is for whatever interface nobody names. A lane in which nothing is asked has no
//! chain, and a host without host endpoints has none at all. There are few, so each change looks at all of them.

use std::collections::{BTreeMap, BTreeSet};

use super::Compiler;
use super::base;
use super::condition::{look_up, when};
use super::dispatch::{by_id, steps};
use super::local::{Drawn, PathState};
use super::name::id_of;
use super::node::Drawing;
use super::part::{Part, Standing};
use super::path::Path;
use super::table::Ground;
use crate::gate::Lane;
use crate::host::Doorway;
use crate::label::Labels;
use crate::model::{Policy, PortProtocol};
use crate::ruleset::{Atom, Chain, Datatype, Element, Field, Form, Map, MapElements, Name, Verdict};

/// Host endpoints of this host.
#[derive(Clone, Debug, Default)]
pub(super) struct Gates {
    /// Where each stands.
    doorways: BTreeMap<String, Doorway>,
    /// The paths that stand.
    pub(super) paths: BTreeMap<Lane, BTreeMap<Name, PathState>>,
    /// What stands besides paths.
    others: Standing,
}

impl Compiler {
    /// A host endpoint of any host comes, changes or goes. Its addresses are told as those of a set.
    pub fn set_host_endpoint(&mut self, name: &str, labels: Option<Labels>) {
        if self.world.host_endpoints.get(name) == labels.as_ref() {
            return;
        }
        match labels {
            Some(labels) => self.world.host_endpoints.insert(name.to_owned(), labels),
            None => self.world.host_endpoints.remove(name),
        };
        self.refresh_gates();
    }

    /// A host endpoint gets its place on this host, or loses it. One the world does not know is governed by no policy.
    pub fn set_doorway(&mut self, name: &str, doorway: Option<Doorway>) {
        match doorway {
            Some(doorway) => self.gates.doorways.insert(name.to_owned(), doorway),
            None => self.gates.doorways.remove(name),
        };
        self.refresh_gates();
    }

    /// Puts what passes each host endpoint on the path it should be on; stale paths are drawn again.
    pub(super) fn refresh_gates(&mut self) {
        let mut wanted = Part::default();
        let (mut lanes, mut may_spare) = (BTreeSet::new(), false);
        for lane in Lane::ALL {
            let (paths, spares) = self.wanted_paths(lane);
            may_spare |= spares;
            if paths.is_empty() {
                self.keep_paths(lane, &BTreeSet::new());
                continue;
            }
            lanes.insert(lane);
            self.keep_paths(lane, &paths.values().cloned().collect());
            add_dispatch(&mut wanted, lane, &paths);
        }
        wanted.chains.extend(base::host_chains(&self.settings, &lanes, may_spare));
        if !lanes.is_empty() {
            for direction in super::DIRECTIONS {
                wanted.maps.insert(base::failsafe_name(direction), failsafe(self.settings.failsafe.ports(direction)));
            }
        }
        self.gates.others.put(wanted, &mut self.edited);
    }

    /// The path of each doorway, nothing if all of them let everything pass; and whether one may say that no later lane asks.
    fn wanted_paths(&mut self, lane: Lane) -> (BTreeMap<Doorway, Name>, bool) {
        let mut named = BTreeMap::new();
        let mut drawn = Vec::new();
        let (mut is_open, mut may_spare) = (true, false);
        for (name, doorway) in &self.gates.doorways {
            if named.contains_key(doorway) {
                continue;
            }
            let path = Path::through_host(&self.world, lane, self.governing(name));
            let path_name = path.name();
            is_open &= path.is_open();
            may_spare |= path.may_spare();
            let stands = self.gates.paths.get(&lane).and_then(|paths| paths.get(&path_name));
            if stands.is_none_or(|state| state.is_stale) {
                let drawing = Drawing::new(&self.world, &self.places);
                drawn.push((path_name.clone(), Drawn::of(&path, &path_name, &self.known, drawing)));
            }
            named.insert(doorway.clone(), path_name);
        }
        if is_open {
            return (BTreeMap::new(), false);
        }
        let Self { world, places, population, edited, tables, nodes, gates, .. } = self;
        let mut ground = Ground { world, places, population, edited };
        for (name, drawn) in drawn {
            drawn.stand(gates.paths.entry(lane).or_default(), &name, nodes, tables, &mut ground);
        }
        (named, may_spare)
    }

    fn governing(&self, host_endpoint: &str) -> impl Iterator<Item = &Policy> {
        let labels = self.world.host_endpoints.get(host_endpoint);
        let selects = move |policy: &&Policy| {
            labels.is_some_and(|labels| self.world.selects_host_endpoint(&policy.subject, labels))
        };
        self.world.policies.values().filter(selects)
    }

    /// Ends all other paths of a lane.
    fn keep_paths(&mut self, lane: Lane, kept: &BTreeSet<Name>) {
        let Self { world, places, population, edited, tables, nodes, gates, .. } = self;
        let mut ground = Ground { world, places, population, edited };
        let Some(paths) = gates.paths.get_mut(&lane) else { return };
        let ended: Vec<Name> = paths.keys().filter(|name| !kept.contains(*name)).cloned().collect();
        for name in ended {
            let state = paths.remove(&name).expect("its name was just seen");
            state.end(&name, nodes, tables, &mut ground);
        }
    }
}

fn add_dispatch(part: &mut Part, lane: Lane, paths: &BTreeMap<Doorway, Name>) {
    let (ids_name, verdicts_name) = (Name::new(format!("{lane}-ids")), Name::new(format!("{lane}-chains")));
    let mut by_interface = BTreeMap::new();
    let mut rules = Vec::new();
    for (doorway, path) in paths {
        match doorway {
            Doorway::Named(interface) => {
                let key = Element::exactly([Atom::Interface(interface.clone())]);
                by_interface.insert(key, id_of(path));
            }
            Doorway::Every => rules.push(when(Vec::new(), Verdict::Goto(path.clone()))),
        }
    }
    let field = match lane {
        Lane::Input | Lane::ForwardIn | Lane::PreDnat | Lane::UntrackedIn => Field::InterfaceIn,
        Lane::Output | Lane::ForwardOut | Lane::UntrackedOut => Field::InterfaceOut,
    };
    rules.insert(0, look_up(Vec::new(), steps(field, ids_name.clone(), verdicts_name.clone())));
    part.chains.insert(base::gate_name(lane), Chain { hook: None, rules });
    let key = vec![Datatype::Interface];
    part.maps.insert(ids_name, Map { key, form: Form::Hash, elements: MapElements::Ids(by_interface) });
    part.maps.insert(verdicts_name, by_id(paths.values()));
}

/// The ports that stay open.
fn failsafe(ports: &BTreeSet<(PortProtocol, u16)>) -> Map {
    let key = vec![Datatype::Octet, Datatype::Port];
    let element =
        |(protocol, port): &(PortProtocol, u16)| Element::exactly([Atom::Octet(protocol.number()), Atom::Port(*port)]);
    let elements = ports.iter().map(|port| (element(port), Verdict::Accept)).collect();
    Map { key, form: Form::Hash, elements: MapElements::Verdicts(elements) }
}
