//! A world's rules in the order they are asked, and what they ask of ends: each different question once.
//!
//! Endpoints that no question of labels, namespaces or named ports tells apart are one kind, so a fabric of thousands of
//! endpoints asks each selector only as often as there are kinds. Logging rules decide nothing and are not here.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::ops::Range;

use super::bits::Bits;
use crate::label::Labels;
use crate::model::{
    Action, Direction, Endpoint, NamedPort, Peers, Policy, PortMatch, PortProtocol, QualifiedName, Rule, Selection,
};
use crate::world::{Rank, World};

/// What a caller asks of ends besides what rules ask.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Extra<'w> {
    /// Demands on addresses.
    pub(crate) peers: &'w [Peers],
    /// Ports whose names matter.
    pub(crate) ports: &'w [PortMatch],
}

/// All that is asked in one world.
#[derive(Debug)]
pub(crate) struct Book<'w> {
    pub(crate) world: &'w World,
    pub(crate) ranks: Vec<Rank<'w>>,
    lists: [List<'w>; 2],
    /// Every different demand on an end.
    pub(crate) peers: Vec<&'w Peers>,
    /// Where in `peers` those stand that no rule asks for, but the caller does.
    pub(crate) extra: Vec<usize>,
    /// Every different selection, of subjects and of demands.
    pub(crate) selections: Vec<&'w Selection>,
    selection_places: HashMap<&'w Selection, usize>,
    pub(crate) kinds: Vec<Kind>,
    /// Those named ports of hosts that rules speak of, by address.
    pub(crate) host_ports: Vec<(IpAddr, Vec<NamedPort>)>,
    kind_of: HashMap<&'w str, usize>,
}

/// The rules of one direction.
#[derive(Debug, Default)]
struct List<'w> {
    entries: Vec<Entry<'w>>,
    governances: Vec<Governance>,
}

/// One rule and where it stands.
#[derive(Debug)]
pub(crate) struct Entry<'w> {
    /// Place of its tier among `ranks`.
    pub(crate) rank: usize,
    pub(crate) policy: &'w Policy,
    pub(crate) rule: &'w Rule,
    /// Places of its demands among `peers`.
    pub(crate) source: usize,
    pub(crate) destination: usize,
}

/// A policy that governs the direction: for whom, and which entries are its.
#[derive(Debug)]
struct Governance {
    rank: usize,
    subject: usize,
    entries: Range<usize>,
}

/// Endpoints that no selection and no named port tells apart.
#[derive(Debug)]
pub(crate) struct Kind {
    /// Which selections mean them.
    pub(crate) selected: Bits,
    /// Those of their named ports that rules speak of.
    pub(crate) ports: Vec<NamedPort>,
    /// What governs them, a direction each.
    pub(crate) governed: [Governed; 2],
}

/// Which tiers and rules an endpoint is governed by in one direction.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Governed {
    pub(crate) ranks: Bits,
    pub(crate) entries: Bits,
}

/// Where a direction's things stand in a pair.
pub(crate) fn side_of(direction: Direction) -> usize {
    match direction {
        Direction::Egress => 0,
        Direction::Ingress => 1,
    }
}

/// Both directions, in the order a packet meets them.
pub(crate) const DIRECTIONS: [Direction; 2] = [Direction::Egress, Direction::Ingress];

impl<'w> Book<'w> {
    /// Writes down all that is asked, and what the caller asks besides.
    pub(crate) fn of(world: &'w World, extra: Extra<'w>) -> Self {
        let mut book = Self {
            world,
            ranks: world.ranks(),
            lists: [List::default(), List::default()],
            peers: Vec::new(),
            extra: Vec::new(),
            selections: Vec::new(),
            selection_places: HashMap::new(),
            kinds: Vec::new(),
            host_ports: Vec::new(),
            kind_of: HashMap::new(),
        };
        let mut peers = HashMap::new();
        for direction in DIRECTIONS {
            book.write_rules(direction, &mut peers);
        }
        book.extra = extra.peers.iter().map(|asked| book.write_peers(asked, &mut peers)).collect();
        let mut names = book.port_names();
        names.extend(extra.ports.iter().filter_map(name_of));
        book.find_kinds(&names);
        let of_hosts = world.host_ports.iter().map(|(address, ports)| (*address, spoken_of(ports, &names)));
        book.host_ports = of_hosts.filter(|(_, ports)| !ports.is_empty()).collect();
        book
    }

    pub(crate) fn entries(&self, direction: Direction) -> &[Entry<'w>] {
        &self.lists[side_of(direction)].entries
    }

    /// Which kind an endpoint of this world is of.
    pub(crate) fn kind_of(&self, endpoint: &str) -> Option<usize> {
        self.kind_of.get(endpoint).copied()
    }

    /// Place of a selection that rules or subjects ask for.
    pub(crate) fn selection(&self, selection: &Selection) -> Option<usize> {
        self.selection_places.get(selection).copied()
    }

    /// The kinds of endpoints that a subject selects.
    pub(crate) fn kinds_of(&self, subject: &Selection) -> impl Iterator<Item = usize> + '_ {
        let place = self.selection(subject);
        (0..self.kinds.len()).filter(move |kind| place.is_some_and(|place| self.kinds[*kind].selected.contains(place)))
    }

    fn write_rules(&mut self, direction: Direction, peers: &mut HashMap<&'w Peers, usize>) {
        let policies: Vec<(usize, &'w Policy)> = self
            .ranks
            .iter()
            .enumerate()
            .flat_map(|(place, rank)| rank.policies.iter().map(move |policy| (place, *policy)))
            .collect();
        for (rank, policy) in policies {
            let Some(rules) = policy.rules(direction) else { continue };
            let first = self.entries(direction).len();
            for rule in rules.iter().filter(|rule| rule.action != Action::Log) {
                let source = self.write_peers(&rule.source, peers);
                let destination = self.write_peers(&rule.destination, peers);
                self.lists[side_of(direction)].entries.push(Entry { rank, policy, rule, source, destination });
            }
            let subject = self.write_selection(&policy.subject);
            let list = &mut self.lists[side_of(direction)];
            list.governances.push(Governance { rank, subject, entries: first..list.entries.len() });
        }
    }

    fn write_peers(&mut self, asked: &'w Peers, places: &mut HashMap<&'w Peers, usize>) -> usize {
        for selection in [&asked.select, &asked.not_select].into_iter().flatten() {
            self.write_selection(selection);
        }
        *places.entry(asked).or_insert_with(|| {
            self.peers.push(asked);
            self.peers.len() - 1
        })
    }

    fn write_selection(&mut self, selection: &'w Selection) -> usize {
        *self.selection_places.entry(selection).or_insert_with(|| {
            self.selections.push(selection);
            self.selections.len() - 1
        })
    }

    fn find_kinds(&mut self, names: &BTreeSet<(PortProtocol, &str)>) {
        // Two steps: equal labels are asked once, and equal answers are one kind, however many labels tell them apart.
        let mut asked: HashMap<(&Labels, Option<&str>, Vec<NamedPort>), usize> = HashMap::new();
        let mut answers: HashMap<(Bits, Vec<NamedPort>), usize> = HashMap::new();
        for (name, endpoint) in &self.world.endpoints {
            let ports = spoken_of(&endpoint.ports, names);
            let key = (&endpoint.labels, endpoint.namespace.as_deref(), ports);
            let place = match asked.get(&key) {
                Some(place) => *place,
                None => {
                    let answer = (self.selected(endpoint), key.2.clone());
                    let place = match answers.get(&answer) {
                        Some(place) => *place,
                        None => {
                            self.kinds.push(self.kind(answer.0.clone(), answer.1.clone()));
                            answers.insert(answer, self.kinds.len() - 1);
                            self.kinds.len() - 1
                        }
                    };
                    asked.insert(key, place);
                    place
                }
            };
            self.kind_of.insert(name, place);
        }
    }

    fn selected(&self, endpoint: &Endpoint) -> Bits {
        Bits::where_(self.selections.len(), |place| self.world.selects_endpoint(self.selections[place], endpoint))
    }

    fn kind(&self, selected: Bits, ports: Vec<NamedPort>) -> Kind {
        let governed = DIRECTIONS.map(|direction| self.governed(direction, &selected));
        Kind { selected, ports, governed }
    }

    fn governed(&self, direction: Direction, selected: &Bits) -> Governed {
        let list = &self.lists[side_of(direction)];
        let mut governed = Governed { ranks: Bits::none(self.ranks.len()), entries: Bits::none(list.entries.len()) };
        for governance in list.governances.iter().filter(|governance| selected.contains(governance.subject)) {
            governed.ranks.insert(governance.rank);
            governance.entries.clone().for_each(|entry| governed.entries.insert(entry));
        }
        governed
    }

    /// The tiers that govern endpoints of a kind, each with the policies of it that do.
    pub(crate) fn governing(&self, kind: usize, direction: Direction) -> Vec<Rank<'w>> {
        let selected = &self.kinds[kind].selected;
        let governs = |policy: &&'w Policy| {
            let subject = self.selection(&policy.subject);
            policy.rules(direction).is_some() && subject.is_some_and(|subject| selected.contains(subject))
        };
        let of_kind = |rank: &Rank<'w>| Rank {
            tier: rank.tier.clone(),
            policies: rank.policies.iter().copied().filter(governs).collect(),
        };
        self.ranks.iter().map(of_kind).filter(|rank| !rank.policies.is_empty()).collect()
    }

    /// The names of ports that rules speak of.
    fn port_names(&self) -> BTreeSet<(PortProtocol, &'w str)> {
        let rules = self.lists.iter().flat_map(|list| &list.entries).map(|entry| entry.rule);
        rules.flat_map(Rule::all_ports).filter_map(name_of).collect()
    }

    /// The sets that a selection means.
    pub(crate) fn sets_of(&self, selection: &'w Selection) -> impl Iterator<Item = &'w QualifiedName> {
        let world = self.world;
        let meant = world.sets.iter().filter(move |(_, set)| world.selects_set(selection, set));
        meant.map(|(name, _)| name)
    }
}

fn name_of(port: &PortMatch) -> Option<(PortProtocol, &str)> {
    match port {
        PortMatch::Named { protocol, name } => Some((*protocol, name)),
        PortMatch::Ports { .. } | PortMatch::Icmp { .. } | PortMatch::Protocol(_) => None,
    }
}

fn spoken_of(ports: &[NamedPort], names: &BTreeSet<(PortProtocol, &str)>) -> Vec<NamedPort> {
    let is_meant = |port: &&NamedPort| names.contains(&(port.protocol, port.name.as_str()));
    let ports: BTreeSet<NamedPort> = ports.iter().filter(is_meant).cloned().collect();
    ports.into_iter().collect()
}
