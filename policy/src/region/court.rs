//! Settles pairs of classes, each different question once.
//!
//! Two pairs whose rules that can fit are the same, with the same named ports, share their settlement; so the work grows with
//! the number of different questions, not with the square of the endpoints.

use std::collections::HashMap;
use std::rc::Rc;

use super::bits::Bits;
use super::book::{Book, DIRECTIONS, Governed, side_of};
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
    /// For each class and direction, its number as the governed end and as the other.
    owns: Vec<[Option<usize>; 2]>,
    peers: Vec<[usize; 2]>,
    settled: HashMap<(Direction, usize, usize), Rc<Settlement>>,
    outcomes: HashMap<Question, Rc<[Outcome]>>,
}

/// What two directions are asked: each the numbers of its two ends.
type Question = [Option<(usize, usize)>; 2];

impl<'a, 'w> Court<'a, 'w> {
    pub(crate) fn of(books: &'a [Book<'w>], chart: &'a Chart<'w>, world: usize) -> Self {
        let (mut owns, mut peers) = (Numbers::<(&Governed, &[NamedPort])>::default(), Numbers::default());
        let sides = || chart.classes.iter().map(|class| &class.sides[world]);
        let owns = sides().map(|side| {
            DIRECTIONS.map(|direction| Some(owns.of((&side.own.as_ref()?[side_of(direction)], &side.ports[..]))))
        });
        let owns = owns.collect();
        let peers = sides().map(|side| {
            DIRECTIONS.map(|direction| {
                let key: (&Bits, &[NamedPort]) = (&side.peer[side_of(direction)], &side.ports);
                peers.of(key)
            })
        });
        let peers = peers.collect();
        Self { book: &books[world], chart, world, owns, peers, settled: HashMap::new(), outcomes: HashMap::new() }
    }

    /// The outcomes of all traffic from one class to another, different addresses taken; disjoint, together everything.
    pub(crate) fn pair(&mut self, source: usize, destination: usize) -> Rc<[Outcome]> {
        let question = self.question(source, destination);
        if let Some(known) = self.outcomes.get(&question) {
            return Rc::clone(known);
        }
        let egress = self.settlement(Direction::Egress, source, destination);
        let ingress = self.settlement(Direction::Ingress, source, destination);
        let outcomes: Rc<[Outcome]> = joined(egress.as_deref(), ingress.as_deref()).into();
        self.outcomes.insert(question, Rc::clone(&outcomes));
        outcomes
    }

    /// What makes one pair's outcomes differ from another's.
    pub(crate) fn question(&self, source: usize, destination: usize) -> Question {
        let [egress, ingress] = DIRECTIONS.map(side_of);
        [
            self.owns[source][egress].map(|own| (own, self.peers[destination][egress])),
            self.owns[destination][ingress].map(|own| (own, self.peers[source][ingress])),
        ]
    }

    /// One direction's settlement; nothing if no endpoint is there to be governed.
    pub(crate) fn settlement(
        &mut self,
        direction: Direction,
        source: usize,
        destination: usize,
    ) -> Option<Rc<Settlement>> {
        let (own, peer) = self.question(source, destination)[side_of(direction)]?;
        let key = (direction, own, peer);
        if let Some(known) = self.settled.get(&key) {
            return Some(Rc::clone(known));
        }
        let settled = Rc::new(settle(self.book, direction, self.ends(direction, source, destination)?));
        self.settled.insert(key, Rc::clone(&settled));
        Some(settled)
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
