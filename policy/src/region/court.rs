//! Settles pairs of classes, each different question once.
//!
//! Two pairs whose rules that can fit are the same, with the same named ports, share their settlement; so the work grows with
//! the number of different questions, not with the square of the endpoints.

use std::collections::HashMap;
use std::rc::Rc;

use super::bits::Bits;
use super::book::{Book, DIRECTIONS, side_of};
use super::chart::Chart;
use super::demand::Names;
use super::settle::{Pair, Settlement, Word, settle};
use super::traffic::Traffic;
use crate::model::{Direction, NamedPort};

/// Traffic between two classes that both directions decide alike.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) traffic: Traffic,
    pub(crate) allowed: bool,
    /// By whose word at the source; nothing if no endpoint is there.
    pub(crate) egress: Option<Word>,
    /// By whose word at the destination.
    pub(crate) ingress: Option<Word>,
}

/// One world's answers for the pairs of one chart.
#[derive(Debug)]
pub(crate) struct Court<'a, 'w> {
    book: &'a Book<'w>,
    chart: &'a Chart<'w>,
    /// Which of the chart's worlds it is.
    world: usize,
    /// For each class and direction, the number of the tiers that govern it.
    tiers: Vec<[Option<usize>; 2]>,
    /// For each class, the number of its named ports.
    ports: Vec<usize>,
    settlements: Vec<Rc<Settlement>>,
    places: HashMap<Key, usize>,
    outcomes: HashMap<Question, Rc<[Outcome]>>,
}

/// All that a settlement depends on: direction, governing tiers, the rules that can fit, both ends' named ports.
type Key = (Direction, usize, Vec<usize>, [usize; 2]);

/// The numbers of both directions' settlements; nothing where no endpoint is asked.
pub(crate) type Question = [Option<usize>; 2];

impl<'a, 'w> Court<'a, 'w> {
    pub(crate) fn of(books: &'a [Book<'w>], chart: &'a Chart<'w>, world: usize) -> Self {
        let (mut tiers, mut ports) = (Numbers::<&Bits>::default(), Numbers::<&[NamedPort]>::default());
        let sides = || chart.classes.iter().map(|class| &class.sides[world]);
        let tiers = sides()
            .map(|side| DIRECTIONS.map(|direction| Some(tiers.of(&side.own.as_ref()?[side_of(direction)].ranks))));
        let tiers = tiers.collect();
        let ports = sides().map(|side| ports.of(&side.ports)).collect();
        let (settlements, places, outcomes) = Default::default();
        Self { book: &books[world], chart, world, tiers, ports, settlements, places, outcomes }
    }

    /// The outcomes of all traffic from one class to another, different addresses taken; disjoint, together everything.
    pub(crate) fn pair(&mut self, source: usize, destination: usize) -> Rc<[Outcome]> {
        let question = self.question(source, destination);
        self.answer(question)
    }

    /// The outcomes of a question.
    pub(crate) fn answer(&mut self, question: Question) -> Rc<[Outcome]> {
        if let Some(known) = self.outcomes.get(&question) {
            return Rc::clone(known);
        }
        let [egress, ingress] = question.map(|number| number.map(|number| &*self.settlements[number]));
        let outcomes: Rc<[Outcome]> = joined(egress, ingress).into();
        self.outcomes.insert(question, Rc::clone(&outcomes));
        outcomes
    }

    /// What makes one pair's outcomes differ from another's.
    pub(crate) fn question(&mut self, source: usize, destination: usize) -> Question {
        DIRECTIONS.map(|direction| self.number(direction, source, destination))
    }

    /// One direction's settlement; nothing if no endpoint is there to be governed.
    pub(crate) fn settlement(
        &mut self,
        direction: Direction,
        source: usize,
        destination: usize,
    ) -> Option<Rc<Settlement>> {
        let number = self.number(direction, source, destination)?;
        Some(Rc::clone(&self.settlements[number]))
    }

    /// The number of a settlement, which is made if its question is new.
    fn number(&mut self, direction: Direction, source: usize, destination: usize) -> Option<usize> {
        let ends = self.ends(direction, source, destination)?;
        let own = if direction == Direction::Egress { source } else { destination };
        let asked: Vec<usize> = ends.governed.entries.both(ends.peer).collect();
        let ports = if asked.is_empty() { [0, 0] } else { [self.ports[source], self.ports[destination]] };
        let key = (direction, self.tiers[own][side_of(direction)]?, asked, ports);
        if let Some(known) = self.places.get(&key) {
            return Some(*known);
        }
        self.settlements.push(Rc::new(settle(self.book, direction, ends)));
        self.places.insert(key, self.settlements.len() - 1);
        Some(self.settlements.len() - 1)
    }

    /// The two ends as one direction sees them.
    pub(crate) fn ends(&self, direction: Direction, source: usize, destination: usize) -> Option<Pair<'a>> {
        let [from, to] = [source, destination].map(|class| &self.chart.classes[class].sides[self.world]);
        let (own, peer) = match direction {
            Direction::Egress => (from, to),
            Direction::Ingress => (to, from),
        };
        Some(Pair {
            version: self.chart.line.version(),
            governed: &own.own.as_ref()?[side_of(direction)],
            peer: &peer.peer[side_of(direction)],
            names: Names { source: &from.ports, destination: &to.ports },
        })
    }
}

/// Both directions' shares, crossed.
fn joined(egress: Option<&Settlement>, ingress: Option<&Settlement>) -> Vec<Outcome> {
    let shares = |settlement: Option<&Settlement>| match settlement {
        Some(settlement) => {
            settlement.shares.iter().map(|share| (share.traffic.clone(), share.allowed, Some(share.word))).collect()
        }
        None => vec![(Traffic::all(), true, None)],
    };
    let (egress, ingress) = (shares(egress), shares(ingress));
    let mut outcomes = Vec::new();
    for (out, may_leave, egress) in &egress {
        for (into, may_enter, ingress) in &ingress {
            let traffic = out.and(into);
            let allowed = *may_leave && *may_enter;
            if !traffic.is_empty() {
                outcomes.push(Outcome { traffic, allowed, egress: *egress, ingress: *ingress });
            }
        }
    }
    outcomes
}

/// Numbers equal things alike.
#[derive(Debug)]
struct Numbers<K>(HashMap<K, usize>);

impl<K> Default for Numbers<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: std::hash::Hash + Eq> Numbers<K> {
    fn of(&mut self, key: K) -> usize {
        let next = self.0.len();
        *self.0.entry(key).or_insert(next)
    }
}
