//! The exact difference between two worlds: whose traffic is decided otherwise.
//!
//! In: two worlds. Out: regions of packets, each with one example that [`verdict`] was asked about in both; none means that the
//! two are equivalent. Disjoint in decision changes, and complete: a packet that lies in none is decided alike.
//!
//! After Liu's change impact of firewall policies (TOIT 2012), on regions in place of decision diagrams.

mod host;
mod rectangle;
mod tell;

pub use self::host::{Guarded, HostChange, HostExample, HostTurn, diff_hosts};
pub use self::tell::told;

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use self::rectangle::{Pairs, rectangles};
use crate::crowd::{Census, Crowd};
use crate::model::{Direction, IpVersion};
use crate::packet::Packet;
use crate::region::{Atlas, Chart, Court, Outcome, Traffic};
use crate::verdict::{By, Decision, verdict};
use crate::world::World;

/// What counts as a difference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Concern {
    /// Whether packets pass.
    #[default]
    Decisions,
    /// By whose word, too.
    Deciders,
}

/// Packets that are decided otherwise, all in the same way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What becomes of them.
    pub turn: Turn,
    /// Families whose packets are meant.
    pub families: Vec<IpVersion>,
    /// Whence. An address that is in both crowds still reaches itself: packets between two different addresses are meant.
    pub sources: Crowd,
    /// Whither.
    pub destinations: Crowd,
    /// Their transport headers.
    pub traffic: Traffic,
    /// One of them.
    pub example: Example,
}

/// Which way a decision turns.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Turn {
    /// Was denied, is allowed.
    Opened,
    /// Was allowed, is denied.
    Closed,
    /// Stays as it is, by another's word; only with [`Concern::Deciders`].
    Kept {
        /// Whether it is allowed.
        allowed: bool,
        /// By whose word it was and by whose it is, at the source and at the destination; nothing where it stays the same.
        egress: Option<(String, String)>,
        /// The same at the destination.
        ingress: Option<(String, String)>,
    },
}

/// A packet, and what both worlds say of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// The packet.
    pub packet: Packet,
    /// The first world's verdict.
    pub before: Decision,
    /// The second's.
    pub after: Decision,
}

/// All differences: what opens, what closes, what is decided by another.
pub fn diff(before: &World, after: &World, concern: Concern) -> Vec<Change> {
    let atlas = Atlas::of(&[before, after]);
    let census = Census::of(&[before, after]);
    let mut changes: Vec<Change> = Vec::new();
    for chart in &atlas.charts {
        for change in of_family(&atlas, chart, &census, concern) {
            let fitting = changes.iter_mut().find_map(|known| Some((known.with_family(&change)?, known)));
            match fitting {
                Some((both, known)) => *known = both,
                None => changes.push(change),
            }
        }
    }
    changes.sort_by(|left, right| left.standing().cmp(&right.standing()));
    changes
}

impl Change {
    /// Whether a packet between two different addresses is one of these. The caller knows which ends are endpoints, in either
    /// world.
    pub fn holds(&self, packet: &Packet, is_endpoint: impl Fn(std::net::IpAddr) -> bool) -> bool {
        packet.source != packet.destination
            && self.sources.contains(packet.source, is_endpoint(packet.source))
            && self.destinations.contains(packet.destination, is_endpoint(packet.destination))
            && self.traffic.contains(packet.transport)
    }

    fn with_family(&self, other: &Self) -> Option<Self> {
        let is_other_family = !self.families.contains(&other.families[0]);
        let is_same = is_other_family && self.turn == other.turn && self.traffic == other.traffic;
        let sources = self.sources.with_family(&other.sources).filter(|_| is_same)?;
        let destinations = self.destinations.with_family(&other.destinations)?;
        let families = self.families.iter().chain(&other.families).copied().collect();
        Some(Self { families, sources, destinations, ..self.clone() })
    }

    fn standing(&self) -> (&Turn, &Crowd, &Crowd) {
        (&self.turn, &self.destinations, &self.sources)
    }
}

fn of_family(atlas: &Atlas<'_>, chart: &Chart<'_>, census: &Census<'_>, concern: Concern) -> Vec<Change> {
    let worlds: Vec<&World> = atlas.books.iter().map(|book| book.world).collect();
    let mut changes = Vec::new();
    for ((turn, traffic), pairs) in differing_pairs(atlas, chart, concern) {
        let is_alone = |class: usize| chart.classes[class].is_one_address();
        for (sources, destinations) in rectangles(&pairs, is_alone) {
            let Some(example) = example(chart, &worlds, (&sources, &destinations), &traffic, &pairs) else { continue };
            changes.push(Change {
                turn: turn.clone(),
                families: vec![chart.line.version()],
                sources: Crowd::of(chart, &sources, census),
                destinations: Crowd::of(chart, &destinations, census),
                traffic: traffic.clone(),
                example,
            });
        }
    }
    changes
}

type Turns = BTreeMap<Turn, Traffic>;

/// Pairs of classes, by what turns between them.
fn differing_pairs(atlas: &Atlas<'_>, chart: &Chart<'_>, concern: Concern) -> BTreeMap<(Turn, Traffic), Pairs> {
    let [mut before, mut after] = [0, 1].map(|world| Court::of(&atlas.books, chart, world));
    let mut known: HashMap<_, Rc<Turns>> = HashMap::new();
    let mut differing: BTreeMap<(Turn, Traffic), Pairs> = BTreeMap::new();
    for (source, destination) in chart.pairs() {
        let questions = [&mut before, &mut after].map(|court| court.question(source, destination));
        let turns = known.entry(questions).or_insert_with(|| {
            let outcomes = [before.answer(questions[0]), after.answer(questions[1])];
            Rc::new(turns(atlas, [&outcomes[0], &outcomes[1]], concern))
        });
        for (turn, traffic) in turns.iter() {
            differing.entry((turn.clone(), traffic.clone())).or_default().insert((source, destination));
        }
    }
    differing
}

fn turns(atlas: &Atlas<'_>, [before, after]: [&[Outcome]; 2], concern: Concern) -> Turns {
    let mut turns = Turns::new();
    for old in before {
        for new in after {
            let Some(turn) = turn(atlas, old, new, concern) else { continue };
            let traffic = old.traffic.and(&new.traffic);
            if !traffic.is_empty() {
                turns.entry(turn).and_modify(|all| *all = all.or(&traffic)).or_insert(traffic);
            }
        }
    }
    turns.into_iter().map(|(turn, traffic)| (turn, traffic.canonical())).collect()
}

fn turn(atlas: &Atlas<'_>, old: &Outcome, new: &Outcome, concern: Concern) -> Option<Turn> {
    match (old.allowed, new.allowed, concern) {
        (false, true, _) => Some(Turn::Opened),
        (true, false, _) => Some(Turn::Closed),
        (true, true, Concern::Decisions) | (false, false, Concern::Decisions) => None,
        (allowed, _, Concern::Deciders) => {
            let by = |direction, world: usize, word| -> Option<By> { Some(atlas.books[world].by(direction, word?)) };
            let change = |direction, old, new| {
                let (old, new) = (by(direction, 0, old), by(direction, 1, new));
                (old != new).then(|| (name(old.as_ref()), name(new.as_ref())))
            };
            let egress = change(Direction::Egress, old.egress, new.egress);
            let ingress = change(Direction::Ingress, old.ingress, new.ingress);
            (egress.is_some() || ingress.is_some()).then_some(Turn::Kept { allowed, egress, ingress })
        }
    }
}

fn name(by: Option<&By>) -> String {
    by.map_or_else(|| "nobody".to_owned(), ToString::to_string)
}

/// A packet of the first pair of the rectangle, as both worlds decide it.
fn example(
    chart: &Chart<'_>,
    worlds: &[&World],
    (sources, destinations): (&[usize], &[usize]),
    traffic: &Traffic,
    pairs: &Pairs,
) -> Option<Example> {
    let all = sources.iter().flat_map(|source| destinations.iter().map(move |destination| (*source, *destination)));
    let (source, destination) = all.into_iter().find(|pair| pairs.contains(pair))?;
    let (source, destination) = chart.sample(source, destination)?;
    let packet = Packet { source, destination, transport: traffic.sample()? };
    let [before, after] = [0, 1].map(|world| verdict(worlds[world], &packet));
    Some(Example { packet, before, after })
}
