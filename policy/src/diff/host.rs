//! The exact difference between two worlds at hosts' own interfaces: which packets a host endpoint lets go on in one and not in the other.
//!
//! In: two worlds, and where their host endpoints stand. Out: regions of packets, lane by lane, each with one example that [`host_verdict`] was
//! asked about in both; none means that every interface of every host treats every packet alike. Left out: the failsafe ports, which pass in
//! both. Where no host endpoint stands everything goes on.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::rc::Rc;

use super::rectangle::{Pairs, rectangles};
use super::{Census, Crowd};
use crate::gate::{GateRuling, Lane, host_verdict};
use crate::host::{Doorway, Failsafe, HostEndpoint};
use crate::label::Labels;
use crate::model::{IpVersion, NamedPort, Peers, PortMatch, Rule};
use crate::packet::Packet;
use crate::region::{Atlas, Bits, Chart, Extra, Guard, Places, Side, Traffic, demands, spoken};
use crate::world::World;

/// Packets that host endpoints treat otherwise, all in the same way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostChange {
    /// The host endpoints, by name; where one stands in the place of another, `eth0 of h1`.
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
    /// Goes on as before, and is not tracked any more: no tracked lane asks it again but that by which it leaves.
    Untracked,
    /// Goes on as before, and is tracked.
    Tracked,
    /// Goes on as before, and no later lane of the host endpoint asks it any more.
    Spared,
    /// Goes on as before, and later lanes of the host endpoint ask it.
    Asked,
}

/// A packet, and what the host endpoint at the first of them says of it in both worlds; nothing where there is none.
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
    /// What is said of the example in one world: by whom, where that is not plain.
    pub fn told(&self, ruling: Option<&GateRuling>) -> String {
        match ruling {
            None => "allowed, there is no host endpoint".to_owned(),
            Some(ruling) if self.host_endpoints.contains(&ruling.host_endpoint) => ruling.reason(),
            Some(ruling) => format!("{}, {}", ruling.host_endpoint, ruling.reason()),
        }
    }

    /// Whether a packet is one of these. The caller knows which ends are endpoints, in either world.
    pub fn holds(&self, packet: &Packet, is_endpoint: impl Fn(IpAddr) -> bool) -> bool {
        self.sources.contains(packet.source, is_endpoint(packet.source))
            && self.destinations.contains(packet.destination, is_endpoint(packet.destination))
            && self.traffic.contains(packet.transport)
    }
}

/// A world, and where its host endpoints stand.
#[derive(Clone, Copy, Debug)]
pub struct Guarded<'w> {
    /// What is asked there.
    pub world: &'w World,
    /// Those the world knows.
    pub host_endpoints: &'w [HostEndpoint],
}

/// All differences at hosts' own interfaces.
pub fn diff_hosts(before: Guarded<'_>, after: Guarded<'_>) -> Vec<HostChange> {
    let worlds = [before.world, after.world];
    let rules: Vec<&Rule> = worlds.into_iter().flat_map(spoken).collect();
    let peers: Vec<Peers> = rules.iter().flat_map(|rule| demands(rule)).cloned().collect();
    let ports: Vec<PortMatch> = rules.iter().flat_map(|rule| rule.all_ports()).cloned().collect();
    let atlas = Atlas::asking(&worlds, Extra { peers: &peers, ports: &ports });
    let places: Places<'_> = peers.iter().zip(0..).collect();
    let census = Census::of(&worlds);
    let mut changes = Vec::new();
    for (labels, doors) in alike([before, after]) {
        for lane in Lane::ALL {
            let gate =
                Gate { lane, sides: [0, 1].map(|side| Guard::of(worlds[side], labels[side], lane)), places: &places };
            for chart in &atlas.charts {
                changes.extend(gate.changes(chart, &census, worlds, &doors));
            }
        }
    }
    changes
}

/// One of a host's own interfaces, or all those that nobody names, and the host endpoint that stands there in each world.
#[derive(Debug)]
struct Door<'w> {
    title: String,
    holders: [Option<&'w str>; 2],
}

/// Where a host endpoint stands: the host and which interface.
type Place<'w> = (&'w str, &'w Doorway);

/// Doors whose host endpoints have equal labels are treated alike. One that is named in one world only is in the other whoever's all others
/// are.
fn alike(sides: [Guarded<'_>; 2]) -> BTreeMap<[Option<&Labels>; 2], Vec<Door<'_>>> {
    let holders = sides.map(|side| holders(side.host_endpoints));
    let places: BTreeSet<Place<'_>> = holders.iter().flat_map(|holders| holders.keys().copied()).collect();
    let mut groups: BTreeMap<_, Vec<Door<'_>>> = BTreeMap::new();
    for place in places {
        let held = [0, 1]
            .map(|side| holders[side].get(&place).or_else(|| holders[side].get(&(place.0, &Doorway::Every))).copied());
        let labels = [0, 1].map(|side| sides[side].world.host_endpoints.get(held[side]?));
        groups.entry(labels).or_default().push(Door { title: title(place, held, &holders), holders: held });
    }
    groups
}

/// Which host endpoint holds each place; of two the first by name.
fn holders(host_endpoints: &[HostEndpoint]) -> BTreeMap<Place<'_>, &str> {
    let mut holders: BTreeMap<Place<'_>, &str> = BTreeMap::new();
    for endpoint in host_endpoints {
        let holder = holders.entry((&endpoint.host, &endpoint.doorway)).or_insert(&endpoint.name);
        *holder = (*holder).min(&endpoint.name);
    }
    holders
}

/// The name of the host endpoint, if it is the only one that stands there and stands nowhere else; else the place's.
fn title(place: Place<'_>, held: [Option<&str>; 2], holders: &[BTreeMap<Place<'_>, &str>; 2]) -> String {
    let name = held[0].or(held[1]).unwrap_or_default();
    let is_alone = held.iter().flatten().all(|holder| *holder == name);
    let stands_here_only = holders.iter().flatten().all(|(stands, holder)| *holder != name || *stands == place);
    let (host, doorway) = place;
    match doorway {
        _ if is_alone && stands_here_only => name.to_owned(),
        Doorway::Named(interface) => format!("{interface} of {host}"),
        Doorway::Every => format!("* of {host}"),
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
        doors: &[Door<'_>],
    ) -> Vec<HostChange> {
        let mut changes = Vec::new();
        for ((turn, traffic), pairs) in self.differing_pairs(chart) {
            for (sources, destinations) in rectangles(&pairs, |class| chart.is_one_address(class)) {
                let Some(packet) = sample(chart, (&sources, &destinations), &traffic, &pairs) else { continue };
                let said = |side: usize| {
                    host_verdict(worlds[side], &Failsafe::none(), doors[0].holders[side]?, self.lane, &packet)
                };
                let [before, after] = [0, 1].map(said);
                changes.push(HostChange {
                    host_endpoints: doors.iter().map(|door| door.title.clone()).collect(),
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
        for (source, destination) in chart.all_pairs() {
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

    /// What may go on between two classes.
    fn let_go_on(&self, world: usize, sides: [&Side; 2], family: IpVersion) -> Passage {
        let (mut all, mut settled) = (Traffic::none(), Traffic::none());
        for share in self.sides[world].shares(sides, family, self.places).into_iter().filter(|share| share.allowed) {
            all = all.or(&share.traffic);
            if share.is_settled {
                settled = settled.or(&share.traffic);
            }
        }
        Passage { all, settled }
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
    let (source, destination) = chart.any_sample(source, destination)?;
    Some(Packet { source, destination, transport: traffic.sample()? })
}
