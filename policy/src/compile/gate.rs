//! Host endpoints of this host, and the paths of what passes them.
//!
//! In: where each stands, and what the world says of policies. Out: base chains of their own, each a few rules and a dispatch by
//! interface like that of workloads; the rule after it is for whatever interface nobody names. A lane in which nothing is asked has no
//! chain, and a host without host endpoints has none at all. There are few, so what concerns one looks at all of them; which policies govern
//! each is kept.

use std::collections::{BTreeMap, BTreeSet};

use super::Compiler;
use super::condition::when;
use super::local::Drawn;
use super::name::{id_key, id_of};
use super::node::Drawing;
use super::part::{Part, Standing};
use super::path::Path;
use super::paths::Paths;
use super::round::Round;
use super::table::Ground;
use super::{dispatch, lane, ports};
use crate::gate::Lane;
use crate::host::Doorway;
use crate::label::Labels;
use crate::model::{Hosts, Policy, PortProtocol, QualifiedName};
use crate::ruleset::{Atom, Chain, Datatype, Element, Form, Interface, Map, MapElements, Name, Origin, Rule, Verdict};
use crate::world::World;

/// Host endpoints of this host.
#[derive(Clone, Debug, Default)]
pub(super) struct Gates {
    /// Where each stands.
    doorways: BTreeMap<String, Doorway>,
    /// Policies that speak for host endpoints.
    speaking: BTreeSet<QualifiedName>,
    /// Those of them that govern each that stands here.
    governing: BTreeMap<String, BTreeSet<QualifiedName>>,
    /// What stands besides paths and what they hold at single ports.
    others: Standing,
}

/// What each host endpoint asks in a round, in the order of their names.
type Asked<'w> = Vec<(&'w Doorway, Path<'w>)>;

/// What is to stand in a round: the path of each doorway, and those that are drawn anew.
struct Plan {
    lane: Lane,
    round: Round,
    paths: BTreeMap<Doorway, Name>,
    drawn: Vec<(Name, Drawn)>,
}

impl Gates {
    /// A policy is so now, or is not any more. Whether it governs a host endpoint that stands here, or did.
    pub(super) fn govern(&mut self, name: &QualifiedName, policy: Option<&Policy>, world: &World) -> bool {
        let policy = policy.filter(|policy| policy.hosts != Hosts::Never);
        match policy {
            Some(_) => self.speaking.insert(name.clone()),
            None => self.speaking.remove(name),
        };
        let mut concerns = false;
        for (host_endpoint, policies) in &mut self.governing {
            let is_in = policy.is_some_and(|policy| governs(world, policy, host_endpoint));
            let was_in = if is_in { !policies.insert(name.clone()) } else { policies.remove(name) };
            concerns |= is_in || was_in;
        }
        concerns
    }

    /// Whether a policy governs a host endpoint that stands here.
    pub(super) fn has(&self, policy: &QualifiedName) -> bool {
        self.governing.values().any(|policies| policies.contains(policy))
    }

    /// A host endpoint stands somewhere else than it did, or has other labels.
    fn find_governing(&mut self, host_endpoint: &str, world: &World) {
        if !self.doorways.contains_key(host_endpoint) {
            self.governing.remove(host_endpoint);
            return;
        }
        let is_governing = |name: &&QualifiedName| governs(world, &world.policies[*name], host_endpoint);
        let governing = self.speaking.iter().filter(is_governing).cloned().collect();
        self.governing.insert(host_endpoint.to_owned(), governing);
    }
}

fn governs(world: &World, policy: &Policy, host_endpoint: &str) -> bool {
    let labels = world.host_endpoints.get(host_endpoint);
    labels.is_some_and(|labels| world.selects_host_endpoint(&policy.subject, labels))
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
        if self.gates.doorways.contains_key(name) {
            self.gates.find_governing(name, &self.world);
            self.due.gates = true;
        }
    }

    /// A host endpoint gets its place on this host, or loses it. One the world does not know is governed by no policy.
    pub fn set_doorway(&mut self, name: &str, doorway: Option<Doorway>) {
        if self.gates.doorways.get(name) == doorway.as_ref() {
            return;
        }
        match doorway {
            Some(doorway) => self.gates.doorways.insert(name.to_owned(), doorway),
            None => self.gates.doorways.remove(name),
        };
        self.gates.find_governing(name, &self.world);
        self.due.gates = true;
    }

    /// Puts what passes each host endpoint on the path it should be on; those that are not as they should be are drawn again.
    pub(super) fn refresh_gates(&mut self) {
        let (plans, spares) = self.plan_gates();
        let mut wanted = Part::default();
        for plan in plans {
            self.put_gate(plan, spares, &mut wanted);
        }
        wanted.chains.extend(spares.then(lane::spared));
        if !wanted.chains.is_empty() {
            for direction in super::DIRECTIONS {
                wanted.maps.insert(lane::failsafe_name(direction), failsafe(self.settings.failsafe.ports(direction)));
            }
        }
        self.gates.others.put(wanted, &mut self.edited);
    }

    /// What is to stand in each round, and whether a rule before translation may say that its host endpoint asks a packet no more.
    fn plan_gates(&mut self) -> (Vec<Plan>, bool) {
        let rounds = Lane::ALL.into_iter().flat_map(|lane| [Round::at_hosts(lane).staged(), Round::at_hosts(lane)]);
        let mut governing = Vec::new();
        for (name, doorway) in &self.gates.doorways {
            let policies = self.gates.governing[name].iter().map(|name| &self.world.policies[name]);
            governing.push((doorway, policies.collect::<Vec<&Policy>>()));
        }
        let mut asked: BTreeMap<Round, Asked<'_>> = BTreeMap::new();
        for round in rounds {
            let paths = governing.iter().map(|(doorway, policies)| {
                (*doorway, Path::through_host(&self.world, round, policies.iter().copied()))
            });
            asked.insert(round, paths.collect());
            self.effort.policies += governing.iter().map(|(_, policies)| policies.len()).sum::<usize>();
        }
        let plans = Lane::ALL.into_iter().flat_map(|lane| {
            let enforced = Round::at_hosts(lane);
            [enforced.staged(), enforced].map(|round| self.plan_gate(lane, round, &asked))
        });
        let spares = asked[&Round::at_hosts(Lane::PreDnat)].iter().any(|(_, path)| path.may_allow());
        (plans.collect(), spares)
    }

    /// The path of each doorway; nothing if nothing is asked.
    fn plan_gate(&self, lane: Lane, round: Round, asked: &BTreeMap<Round, Asked<'_>>) -> Plan {
        let mut plan = Plan { lane, round, paths: BTreeMap::new(), drawn: Vec::new() };
        if !is_asked(round, asked) {
            return plan;
        }
        for (doorway, path) in &asked[&round] {
            if plan.paths.contains_key(doorway) {
                continue;
            }
            let name = path.name();
            if !self.paths.is_good(round, &name) {
                let drawing = Drawing::new(&self.world, &self.places);
                plan.drawn.push((name.clone(), Drawn::of(path, &name, &self.known, drawing)));
            }
            plan.paths.insert((*doorway).clone(), name);
        }
        plan
    }

    fn put_gate(&mut self, Plan { lane, round, paths, drawn }: Plan, spares: bool, wanted: &mut Part) {
        if !paths.is_empty() {
            ports::begin(round, &mut self.edited);
        }
        self.effort.paths += drawn.len();
        for (name, drawn) in drawn {
            let Self { world, places, population, edited, tables, nodes, paths, .. } = self;
            let mut ground = Ground { world, places, population, edited };
            drawn.stand(paths, round, &name, nodes, tables, &mut ground);
        }
        self.keep_paths(round, &paths.values().cloned().collect());
        if paths.is_empty() {
            ports::end(round, &mut self.edited);
            return;
        }
        let spared = if spares { lane::spares(lane, round) } else { Vec::new() };
        add_gate(wanted, lane, round, spared, &paths, &self.paths);
        wanted.chains.insert(lane::chain_name(round), lane::chain(&self.settings, lane, round, spares));
    }

    /// Ends all other paths of a round.
    fn keep_paths(&mut self, round: Round, kept: &BTreeSet<Name>) {
        let Self { world, places, population, edited, tables, nodes, paths, .. } = self;
        let mut ground = Ground { world, places, population, edited };
        let ended: Vec<Name> =
            paths.of(round).map(|(name, _)| name).filter(|name| !kept.contains(*name)).cloned().collect();
        for name in ended {
            let state = paths.take(round, &name).expect("its name was just seen");
            state.end(nodes, tables, &mut ground);
        }
    }
}

/// Whether anything is asked in a lane. What goes through the host is looked at both ways, if it is asked about at all: a connection that was
/// ended in one lane is not to go on by the other.
fn is_asked(round: Round, asked: &BTreeMap<Round, Asked<'_>>) -> bool {
    const FORWARDED: [Lane; 3] = [Lane::PreDnat, Lane::ForwardIn, Lane::ForwardOut];
    let asks = |round| asked[&round].iter().any(|(_, path)| !path.is_open());
    let is_forward = [Lane::ForwardIn, Lane::ForwardOut].map(Round::at_hosts).contains(&round);
    if is_forward { FORWARDED.map(Round::at_hosts).into_iter().any(asks) } else { asks(round) }
}

/// Who speaks for which interface, and then who for all others.
fn add_gate(
    part: &mut Part,
    lane: Lane,
    round: Round,
    spared: Vec<Rule>,
    wanted: &BTreeMap<Doorway, Name>,
    paths: &Paths,
) {
    let entry = |path: &Name| paths.get(round, path).expect("a path stands before it is led to").entry.clone();
    let mut by_interface = BTreeMap::new();
    let mut of_others = Vec::new();
    for (doorway, path) in wanted {
        match doorway {
            Doorway::Named(interface) => {
                by_interface.insert(Element::exactly([Atom::Interface(interface.clone())]), id_of(path));
            }
            Doorway::Every => {
                of_others.extend(ports::rules(round, &Origin::Constant(id_of(path))));
                of_others.push(when(Vec::new(), entry(path)));
            }
        }
    }
    let no_mid_stream = lane::no_mid_stream(round, lane, spoken_for(wanted).into_iter());
    let rules = [no_mid_stream, spared, dispatch::rules(round), of_others].concat();
    part.chains.insert(lane::gate_name(round), Chain { hook: None, rules });
    let entries = wanted.values().map(|path| (id_key(id_of(path)), entry(path)));
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
