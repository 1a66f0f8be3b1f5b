//! Host endpoints of this host, and the paths of what passes them.
//!
//! In: where each stands, and what the world says of policies. Out: base chains of their own, each a few rules and a dispatch by
//! interface like that of workloads; the rule after it is for whatever interface nobody names. A lane in which nothing is asked has no
//! chain, and a host without host endpoints has none at all. There are few, so each change looks at all of them.

use std::collections::{BTreeMap, BTreeSet};

use super::Compiler;
use super::condition::when;
use super::local::{Drawn, PathState};
use super::name::{id_key, id_of};
use super::node::Drawing;
use super::part::{Part, Standing};
use super::path::Path;
use super::round::Round;
use super::table::Ground;
use super::{dispatch, lane, ports};
use crate::gate::Lane;
use crate::host::Doorway;
use crate::label::Labels;
use crate::model::{Policy, PortProtocol};
use crate::ruleset::{Atom, Chain, Datatype, Element, Form, Interface, Map, MapElements, Name, Origin, Rule, Verdict};

/// Host endpoints of this host.
#[derive(Clone, Debug, Default)]
pub(super) struct Gates {
    /// Where each stands.
    doorways: BTreeMap<String, Doorway>,
    /// What stands besides paths and what they hold at single ports.
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
        let (mut wanted, spares) = (Part::default(), self.may_spare());
        for lane in Lane::ALL {
            let enforced = Round::at_hosts(lane);
            for round in [enforced.staged(), enforced] {
                self.refresh_gate(lane, round, spares, &mut wanted);
            }
        }
        wanted.chains.extend(spares.then(lane::spared));
        if !wanted.chains.is_empty() {
            for direction in super::DIRECTIONS {
                wanted.maps.insert(lane::failsafe_name(direction), failsafe(self.settings.failsafe.ports(direction)));
            }
        }
        self.gates.others.put(wanted, &mut self.edited);
    }

    fn refresh_gate(&mut self, lane: Lane, round: Round, spares: bool, wanted: &mut Part) {
        let paths = self.wanted_paths(round);
        self.keep_paths(round, &paths.values().cloned().collect());
        if paths.is_empty() {
            ports::end(round, &mut self.edited);
            return;
        }
        let spared = if spares { lane::spares(lane, round) } else { Vec::new() };
        add_gate(wanted, lane, round, spared, &paths, &self.paths[&round]);
        wanted.chains.insert(lane::chain_name(round), lane::chain(&self.settings, lane, round, spares));
    }

    /// Whether a rule before translation may say that its host endpoint asks a packet no more.
    fn may_spare(&self) -> bool {
        let round = Round::at_hosts(Lane::PreDnat);
        let may_allow = |name| Path::through_host(&self.world, round, self.governing(name)).may_allow();
        self.gates.doorways.keys().any(|name| may_allow(name))
    }

    /// Whether anything is asked in a lane. What goes through the host is looked at both ways, if it is asked about at all: a connection that was
    /// ended in one lane is not to go on by the other.
    fn is_asked(&self, round: Round) -> bool {
        const FORWARDED: [Lane; 3] = [Lane::PreDnat, Lane::ForwardIn, Lane::ForwardOut];
        let lets_all_pass =
            |round, name: &String| Path::through_host(&self.world, round, self.governing(name)).is_open();
        let asks = |round| !self.gates.doorways.keys().all(|name| lets_all_pass(round, name));
        let is_forward = [Lane::ForwardIn, Lane::ForwardOut].map(Round::at_hosts).contains(&round);
        if is_forward { FORWARDED.map(Round::at_hosts).into_iter().any(asks) } else { asks(round) }
    }

    /// The path of each doorway; nothing if nothing is asked.
    fn wanted_paths(&mut self, round: Round) -> BTreeMap<Doorway, Name> {
        if !self.is_asked(round) {
            return BTreeMap::new();
        }
        let mut named = BTreeMap::new();
        let mut drawn = Vec::new();
        for (name, doorway) in &self.gates.doorways {
            if named.contains_key(doorway) {
                continue;
            }
            let path = Path::through_host(&self.world, round, self.governing(name));
            let path_name = path.name();
            let stands = self.paths.get(&round).and_then(|paths| paths.get(&path_name));
            if stands.is_none_or(|state| state.is_stale) {
                let drawing = Drawing::new(&self.world, &self.places);
                drawn.push((path_name.clone(), Drawn::of(&path, &path_name, &self.known, drawing)));
            }
            named.insert(doorway.clone(), path_name);
        }
        let Self { world, places, population, edited, tables, nodes, paths, .. } = self;
        ports::begin(round, edited);
        let mut ground = Ground { world, places, population, edited };
        for (name, drawn) in drawn {
            drawn.stand(paths.entry(round).or_default(), &name, nodes, tables, &mut ground);
        }
        named
    }

    fn governing(&self, host_endpoint: &str) -> impl Iterator<Item = &Policy> {
        let labels = self.world.host_endpoints.get(host_endpoint);
        let selects = move |policy: &&Policy| {
            labels.is_some_and(|labels| self.world.selects_host_endpoint(&policy.subject, labels))
        };
        self.world.policies.values().filter(selects)
    }

    /// Ends all other paths of a round.
    fn keep_paths(&mut self, round: Round, kept: &BTreeSet<Name>) {
        let Self { world, places, population, edited, tables, nodes, paths, .. } = self;
        let mut ground = Ground { world, places, population, edited };
        let Some(paths) = paths.get_mut(&round) else { return };
        let ended: Vec<Name> = paths.keys().filter(|name| !kept.contains(*name)).cloned().collect();
        for name in ended {
            let state = paths.remove(&name).expect("its name was just seen");
            state.end(nodes, tables, &mut ground);
        }
    }
}

/// Who speaks for which interface, and then who for all others.
fn add_gate(
    part: &mut Part,
    lane: Lane,
    round: Round,
    spared: Vec<Rule>,
    wanted: &BTreeMap<Doorway, Name>,
    paths: &BTreeMap<Name, PathState>,
) {
    let mut by_interface = BTreeMap::new();
    let mut of_others = Vec::new();
    for (doorway, path) in wanted {
        match doorway {
            Doorway::Named(interface) => {
                by_interface.insert(Element::exactly([Atom::Interface(interface.clone())]), id_of(path));
            }
            Doorway::Every => {
                of_others.extend(ports::rules(round, &Origin::Constant(id_of(path))));
                of_others.push(when(Vec::new(), paths[path].entry.clone()));
            }
        }
    }
    let no_mid_stream = lane::no_mid_stream(round, lane, spoken_for(wanted).into_iter());
    let rules = [no_mid_stream, spared, dispatch::rules(round), of_others].concat();
    part.chains.insert(lane::gate_name(round), Chain { hook: None, rules });
    let entries = wanted.values().map(|path| (id_key(id_of(path)), paths[path].entry.clone()));
    part.maps.insert(dispatch::ids_name(round), dispatch::ids(by_interface));
    part.maps.insert(dispatch::verdicts_name(round), dispatch::verdicts(entries.collect()));
}

/// The interfaces that somebody speaks for; nothing stands for all of them.
fn spoken_for(wanted: &BTreeMap<Doorway, Name>) -> Vec<Option<&Interface>> {
    let named = wanted.keys().map(|doorway| match doorway {
        Doorway::Named(interface) => Some(interface),
        Doorway::Every => None,
    });
    let named: Vec<_> = named.collect();
    if named.contains(&None) { vec![None] } else { named }
}

/// The ports that stay open.
fn failsafe(ports: &BTreeSet<(PortProtocol, u16)>) -> Map {
    let key = vec![Datatype::Octet, Datatype::Port];
    let element =
        |(protocol, port): &(PortProtocol, u16)| Element::exactly([Atom::Octet(protocol.number()), Atom::Port(*port)]);
    let elements = ports.iter().map(|port| (element(port), Verdict::Accept)).collect();
    Map { key, form: Form::Hash, elements: MapElements::Verdicts(elements) }
}
