//! The exact difference between two worlds at hosts' own interfaces: which packets a host endpoint lets go on in one and not in the other.
//!
//! In: two worlds. Out: regions of packets, lane by lane, each with one example that [`host_verdict`] was asked about in both; none means that
//! every host endpoint treats every packet alike. Left out: the failsafe ports, which pass in both. A host endpoint that is not there lets
//! everything go on.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::rc::Rc;

use super::rectangle::{Pairs, rectangles};
use super::{Census, Crowd};
use crate::gate::{GateRuling, Lane, governing, host_verdict};
use crate::host::Failsafe;
use crate::label::Labels;
use crate::model::{Action, DefaultAction, Hosts, IpVersion, NamedPort, Peers, PortMatch, Rule};
use crate::packet::Packet;
use crate::region::{Atlas, Bits, Chart, Extra, Names, Side, Traffic, demanded};
use crate::world::{Rank, World};

/// Packets that host endpoints treat otherwise, all in the same way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostChange {
    /// The host endpoints, by name.
    pub host_endpoints: Vec<String>,
    /// Where on the kernel's path.
    pub lane: Lane,
    /// What becomes of them.
    pub turn: HostTurn,
    /// The family whose packets are meant.
    pub family: IpVersion,
    /// Whence.
    pub sources: Crowd,
    /// Whither.
    pub destinations: Crowd,
    /// Their transport headers.
    pub traffic: Traffic,
    /// One of them.
    pub example: HostExample,
}

/// Which way a host endpoint's word turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum HostTurn {
    /// Was dropped, may go on.
    Opened,
    /// Might go on, is dropped.
    Closed,
    /// Goes on as before, and is not tracked any more: no tracked lane asks it again.
    Untracked,
    /// Goes on as before, and is tracked.
    Tracked,
    /// Goes on as before, and no later lane of the host endpoint asks it any more.
    Spared,
    /// Goes on as before, and later lanes of the host endpoint ask it.
    Asked,
}

/// A packet, and what the first of the host endpoints says of it in both worlds; nothing where there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostExample {
    /// The packet.
    pub packet: Packet,
    /// The first world's word.
    pub before: Option<GateRuling>,
    /// The second's.
    pub after: Option<GateRuling>,
}

impl HostChange {
    /// Whether a packet is one of these. The caller knows which ends are endpoints, in either world.
    pub fn holds(&self, packet: &Packet, is_endpoint: impl Fn(IpAddr) -> bool) -> bool {
        self.sources.contains(packet.source, is_endpoint(packet.source))
            && self.destinations.contains(packet.destination, is_endpoint(packet.destination))
            && self.traffic.contains(packet.transport)
    }
}

/// All differences at host endpoints.
pub fn diff_hosts(before: &World, after: &World) -> Vec<HostChange> {
    let worlds = [before, after];
    let rules: Vec<&Rule> = worlds.into_iter().flat_map(spoken).collect();
    let peers: Vec<Peers> = rules.iter().flat_map(|rule| [&rule.source, &rule.destination]).cloned().collect();
    let ports: Vec<PortMatch> = rules.iter().flat_map(|rule| all_ports(rule)).cloned().collect();
    let atlas = Atlas::asking(&worlds, Extra { peers: &peers, ports: &ports });
    let places: Places<'_> = peers.iter().zip(0..).collect();
    let census = Census::of(&worlds);
    let mut changes = Vec::new();
    for (labels, names) in alike(worlds) {
        for lane in Lane::ALL {
            let gate =
                Gate { lane, sides: [0, 1].map(|side| Guard::of(worlds[side], labels[side], lane)), places: &places };
            for chart in &atlas.charts {
                changes.extend(gate.changes(chart, &census, worlds, &names));
            }
        }
    }
    changes
}

/// The rules that speak to host endpoints.
fn spoken(world: &World) -> impl Iterator<Item = &Rule> {
    let policies = world.policies.values().filter(|policy| policy.hosts != Hosts::Never);
    policies.flat_map(|policy| policy.ingress.iter().chain(&policy.egress).flatten())
}

fn all_ports(rule: &Rule) -> impl Iterator<Item = &PortMatch> {
    let Rule { ports, not_ports, source_ports, not_source_ports, .. } = rule;
    [ports, not_ports, source_ports, not_source_ports].into_iter().flatten()
}

/// Host endpoints with equal labels are treated alike.
fn alike(worlds: [&World; 2]) -> BTreeMap<[Option<&Labels>; 2], Vec<String>> {
    let mut groups: BTreeMap<_, Vec<String>> = BTreeMap::new();
    let names: BTreeSet<_> = worlds.iter().flat_map(|world| world.host_endpoints.keys()).collect();
    for name in names {
        let labels = worlds.map(|world| world.host_endpoints.get(name));
        groups.entry(labels).or_default().push(name.clone());
    }
    groups
}

/// Where each demand stands among those that were asked of every class; of equal ones the last.
type Places<'p> = HashMap<&'p Peers, usize>;

/// What governs a host endpoint in a lane of one world; nothing if it is not there.
struct Guard<'w>(Option<Vec<Rank<'w>>>);

impl<'w> Guard<'w> {
    fn of(world: &'w World, labels: Option<&'w Labels>, lane: Lane) -> Self {
        Self(labels.map(|labels| governing(world, labels, lane).collect()))
    }
}

/// A lane of some host endpoints, in both worlds.
struct Gate<'w, 'p> {
    lane: Lane,
    sides: [Guard<'w>; 2],
    places: &'p Places<'p>,
}

/// What decides of two classes what is let go on between them: their demands and named ports, in both worlds.
type Question<'c> = [(&'c Bits, &'c Bits, &'c [NamedPort], &'c [NamedPort]); 2];

type Turns = Vec<(HostTurn, Traffic)>;

/// What a lane lets go on.
struct Passage {
    all: Traffic,
    /// Of it, what no later lane asks.
    settled: Traffic,
}

impl Gate<'_, '_> {
    fn changes(
        &self,
        chart: &Chart<'_>,
        census: &Census<'_>,
        worlds: [&World; 2],
        names: &[String],
    ) -> Vec<HostChange> {
        let mut changes = Vec::new();
        for ((turn, traffic), pairs) in self.differing_pairs(chart) {
            for (sources, destinations) in rectangles(&pairs, |class| chart.classes[class].is_one_address()) {
                let Some(packet) = sample(chart, (&sources, &destinations), &traffic, &pairs) else { continue };
                let [before, after] =
                    worlds.map(|world| host_verdict(world, &Failsafe::none(), &names[0], self.lane, &packet));
                changes.push(HostChange {
                    host_endpoints: names.to_vec(),
                    lane: self.lane,
                    turn,
                    family: chart.line.version(),
                    sources: Crowd::of(chart, &sources, census),
                    destinations: Crowd::of(chart, &destinations, census),
                    traffic: traffic.clone(),
                    example: HostExample { packet, before, after },
                });
            }
        }
        changes
    }

    fn differing_pairs(&self, chart: &Chart<'_>) -> BTreeMap<(HostTurn, Traffic), Pairs> {
        let mut known: HashMap<Question<'_>, Rc<Turns>> = HashMap::new();
        let mut differing: BTreeMap<(HostTurn, Traffic), Pairs> = BTreeMap::new();
        let classes = || 0..chart.classes.len();
        let is_alone = |class: usize| chart.classes[class].is_one_address();
        let pairs = classes().flat_map(|source| classes().map(move |to| (source, to)));
        // Packets between two different addresses are meant.
        for (source, destination) in pairs.filter(|(source, to)| source != to || !is_alone(*source)) {
            let sides = [0, 1].map(|world| [source, destination].map(|class| &chart.classes[class].sides[world]));
            let question = sides.map(|[from, to]| (&from.extra, &to.extra, &from.ports[..], &to.ports[..]));
            let turns = known.entry(question).or_insert_with(|| Rc::new(self.turns(sides, chart.line.version())));
            for (turn, traffic) in turns.iter() {
                differing.entry((*turn, traffic.clone())).or_default().insert((source, destination));
            }
        }
        differing
    }

    fn turns(&self, sides: [[&Side; 2]; 2], family: IpVersion) -> Turns {
        let [before, after] = [0, 1].map(|world| self.let_go_on(world, sides[world], family));
        let both = before.all.and(&after.all);
        let (settled, unsettled) = match self.lane.is_untracked() {
            true => (HostTurn::Untracked, HostTurn::Tracked),
            false => (HostTurn::Spared, HostTurn::Asked),
        };
        let turns = [
            (HostTurn::Opened, after.all.without(&before.all)),
            (HostTurn::Closed, before.all.without(&after.all)),
            (settled, both.and(&after.settled).without(&before.settled)),
            (unsettled, both.and(&before.settled).without(&after.settled)),
        ];
        turns
            .into_iter()
            .filter(|(_, traffic)| !traffic.is_empty())
            .map(|(turn, all)| (turn, all.canonical()))
            .collect()
    }

    /// What may go on between two classes: every rule takes its share of what those before it left, as `host_verdict` does packet by packet.
    fn let_go_on(&self, world: usize, sides: [&Side; 2], family: IpVersion) -> Passage {
        let Guard(Some(ranks)) = &self.sides[world] else {
            return Passage { all: Traffic::all(), settled: Traffic::none() };
        };
        let (mut left, mut allowed) = (Traffic::all(), Traffic::none());
        for rank in ranks {
            let mut passed = Traffic::none();
            for rule in rank.policies.iter().flat_map(|policy| self.lane.rules(policy).unwrap_or_default()) {
                if rule.action == Action::Log || !self.fits(rule, sides, family) {
                    continue;
                }
                let names = Names { source: &sides[0].ports, destination: &sides[1].ports };
                let hit = left.and(&demanded(rule, family, names));
                left = left.without(&hit);
                match rule.action {
                    Action::Allow => allowed = allowed.or(&hit),
                    Action::Pass => passed = passed.or(&hit),
                    Action::Deny | Action::Log => {}
                }
            }
            left = match rank.tier.default_action {
                DefaultAction::Deny => passed,
                DefaultAction::Pass => passed.or(&left),
            };
        }
        let settled = if self.lane.settles() { allowed.clone() } else { Traffic::none() };
        Passage { all: if self.lane.is_closed() { allowed } else { allowed.or(&left) }, settled }
    }

    fn fits(&self, rule: &Rule, [source, destination]: [&Side; 2], family: IpVersion) -> bool {
        source.extra.contains(self.places[&rule.source])
            && destination.extra.contains(self.places[&rule.destination])
            && rule.ip_version.is_none_or(|wanted| wanted == family)
    }
}

/// A packet of the first pair of the rectangle.
fn sample(
    chart: &Chart<'_>,
    (sources, destinations): (&[usize], &[usize]),
    traffic: &Traffic,
    pairs: &Pairs,
) -> Option<Packet> {
    let mut all = sources.iter().flat_map(|source| destinations.iter().map(move |to| (*source, *to)));
    let (source, destination) = all.find(|pair| pairs.contains(pair))?;
    let (source, destination) = (chart.classes[source].sample()?, chart.classes[destination].last()?);
    Some(Packet { source, destination, transport: traffic.sample()? })
}
