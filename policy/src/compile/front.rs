//! Where a path begins: protocol and port are looked up, and lead to what holds for them.
//!
//! In: the pieces of both families. Out: what holds at ports that stand alone, which are found together with their protocol in one
//! hash look-up, and what is asked of an address's owner there by one more; and the chain for the rest, in which a protocol with wide
//! ranges has a chain of its own that looks its port up among them.

use std::collections::{BTreeMap, BTreeSet};

use super::condition::look_up;
use super::draw::{Asked, Found, by_port, found, pair};
use super::name::{hash_of, id_of};
use super::node::{Blueprint, Drawing, Form};
use super::outcome::Outcome;
use super::ports::Ports;
use super::question::Question;
use super::round::Round;
use super::traffic::{Piece, Pieces, has_messages, has_ports};
use crate::ruleset::{AtPort, Atom, Datatype, Element, Field, Form as SetForm, Map, MapElements, Name, Then, Verdict};

/// A range of at most so many ports is found port by port.
const FEW_PORTS: u32 = 16;

/// What is looked up at the beginning of a path.
pub(super) struct Front {
    round: Round,
    /// What is found port by port.
    ports: Ports,
    tables: BTreeSet<Question>,
    protocols: BTreeMap<Element, Verdict>,
    /// What becomes of everything else.
    others: Verdict,
}

/// How packets come upon a path.
pub(super) struct Start {
    /// What holds at single ports, which is looked at first.
    pub(super) ports: Ports,
    pub(super) tables: BTreeSet<Question>,
    /// Whereto those go that nothing holds for at their port.
    pub(super) entry: Verdict,
    /// The chains and counters it leads to.
    pub(super) below: BTreeSet<Name>,
}

impl Front {
    /// `families` are IPv4's and IPv6's pieces.
    pub(super) fn new(round: Round, families: &[Pieces; 2], drawing: &mut Drawing<'_>) -> Self {
        let [four, six] = families;
        let others = [&four.others, &six.others].map(|list| Piece::List(list.clone()));
        let others = pair([&others[0], &others[1]], drawing);
        let (ports, tables) = (Ports::new(round), BTreeSet::new());
        let mut front = Self { round, ports, tables, protocols: BTreeMap::new(), others };
        for (protocol, ranges) in &four.protocols {
            front.add(*protocol, &joined(ranges, &six.protocols[protocol]), drawing);
        }
        front
    }

    fn add(&mut self, protocol: u8, ranges: &[Both<'_>], drawing: &mut Drawing<'_>) {
        let of_protocol = Element::exactly([Atom::Octet(protocol)]);
        let usual = usual(ranges);
        let are_few = |(range, pieces): &Both<'_>| *pieces == usual || width(*range) <= FEW_PORTS;
        if ranges.len() == 1 || (has_ports(protocol) && ranges.iter().all(are_few)) {
            let otherwise = pair(usual, drawing);
            for ((low, high), pieces) in ranges.iter().filter(|(_, pieces)| *pieces != usual) {
                let found = found(*pieces, self.round.direction(), drawing);
                for port in *low..=*high {
                    self.add_port((protocol, port), &found, &otherwise);
                }
            }
            self.protocols.insert(of_protocol, otherwise);
        } else {
            let field = if has_messages(protocol) { Field::IcmpMessage } else { Field::DestinationPort };
            let targets = ranges.iter().map(|(range, pieces)| (*range, pair(*pieces, drawing))).collect();
            self.protocols.insert(of_protocol, by_port(field, targets, drawing));
        }
    }

    /// What is not found at a port fares as its protocol does otherwise. Nothing need lead there: each verdict that leads to a chain makes
    /// the kernel validate the whole table when it comes.
    fn add_port(&mut self, at: (u8, u16), found: &Found, otherwise: &Verdict) {
        match found {
            Found::Settled(outcome) => self.ports.answer(at, AtPort::UNASKED, outcome.clone()),
            Found::List(Asked { id, tables, answers, rest }) => {
                if rest.verdict != *otherwise {
                    self.ports.answer(at, AtPort::UNASKED, rest.clone());
                }
                if !answers.is_empty() {
                    self.ports.ask(at, *id);
                }
                self.tables.extend(tables.iter().cloned());
                answers.iter().for_each(|(answer, outcome)| self.ports.answer(at, *answer, outcome.clone()));
            }
        }
    }

    /// What is found by protocol alone.
    fn rest(&self, drawing: &mut Drawing<'_>) -> Verdict {
        if self.protocols.is_empty() {
            return self.others.clone();
        }
        let name = Drawing::name("protocols", &(&self.protocols, &self.others));
        drawing.draw(name.clone(), |_| {
            let rules = vec![
                look_up(Vec::new(), Then::Lookup { fields: vec![Field::Protocol], map: name.clone() }),
                Outcome::at(self.others.clone()).rule(),
            ];
            let elements = MapElements::Verdicts(self.protocols.clone());
            let map = Map { key: vec![Datatype::Octet], form: SetForm::Hash, elements };
            let below = self.protocols.values().chain([&self.others]).filter_map(Verdict::target).cloned().collect();
            Blueprint { rules, maps: vec![(name, map)], below, ..Blueprint::of(Form::Ports) }
        })
    }

    /// The beginning of a path of this name.
    pub(super) fn start(self, name: &Name, drawing: &mut Drawing<'_>) -> Start {
        let entry = self.rest(drawing);
        let below = self.ports.nodes().chain(entry.target()).cloned().collect();
        Start { ports: self.ports.on(id_of(name)), tables: self.tables, entry, below }
    }
}

/// What holds for both families on a range of ports.
type Both<'p> = ((u16, u16), [&'p Piece; 2]);

/// Where both families are cut, and what holds there; neighbours that fare alike are one.
fn joined<'p>(four: &'p [((u16, u16), Piece)], six: &'p [((u16, u16), Piece)]) -> Vec<Both<'p>> {
    let cuts: BTreeSet<u16> = four.iter().chain(six).map(|((low, _), _)| *low).collect();
    let mut starts = cuts.into_iter().peekable();
    let mut joined: Vec<Both<'p>> = Vec::new();
    while let Some(low) = starts.next() {
        let high = starts.peek().map_or(u16::MAX, |next| next - 1);
        let pieces = [at(four, low), at(six, low)];
        match joined.last_mut() {
            Some(((_, end), last)) if *last == pieces => *end = high,
            _ => joined.push(((low, high), pieces)),
        }
    }
    joined
}

fn at(ranges: &[((u16, u16), Piece)], port: u16) -> &Piece {
    let after = ranges.partition_point(|((low, _), _)| *low <= port);
    &ranges[after - 1].1
}

fn width((low, high): (u16, u16)) -> u32 {
    u32::from(high - low) + 1
}

/// What holds on most ports.
fn usual<'p>(ranges: &[Both<'p>]) -> [&'p Piece; 2] {
    // By hash, for comparing lists takes longer the more alike they are.
    let mut ports: BTreeMap<u64, (u32, [&Piece; 2])> = BTreeMap::new();
    for (range, pieces) in ranges {
        ports.entry(hash_of(pieces)).or_insert((0, *pieces)).0 += width(*range);
    }
    let most = ports.into_values().max_by_key(|(count, _)| *count);
    most.map(|(_, pieces)| pieces).expect("ranges cover every port")
}
