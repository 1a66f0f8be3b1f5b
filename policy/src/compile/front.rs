//! Where a path begins: protocol and port are looked up, and lead to what holds for them.
//!
//! In: the pieces of both families. Out: one chain, or two. Ports that stand alone are found together with their protocol in one
//! hash look-up; a protocol with wide ranges has a chain of its own that looks its port up among them.

use std::collections::{BTreeMap, BTreeSet};

use super::condition::{look_up, when};
use super::draw::{by_port, pair};
use super::node::{Blueprint, Drawing, Form};
use super::traffic::{Piece, Pieces, has_messages, has_ports};
use crate::ruleset::{Atom, Datatype, Element, Field, Form as SetForm, Map, MapElements, MapKey, Name, Then, Verdict};

/// A range of at most so many ports is found port by port.
const FEW_PORTS: u32 = 16;

/// What is looked up at the beginning of a path.
struct Front {
    /// Protocol, port.
    exact: BTreeMap<Element, Verdict>,
    protocols: BTreeMap<Element, Verdict>,
    others: Verdict,
}

/// The chain a path begins with; `name` is its own. `families` are IPv4's and IPv6's pieces.
pub(super) fn front(name: &Name, families: &[Pieces; 2], drawing: &mut Drawing) -> Blueprint {
    let [four, six] = families;
    let others = [&four.others, &six.others].map(|list| Piece::List(list.clone()));
    let others = pair([&others[0], &others[1]], drawing);
    let mut front = Front { exact: BTreeMap::new(), protocols: BTreeMap::new(), others };
    for (protocol, ranges) in &four.protocols {
        front.add(*protocol, ranges, &six.protocols[protocol], drawing);
    }
    if front.exact.is_empty() {
        return front.by_protocol(name);
    }
    let after = Drawing::name("protocols", &(&front.protocols, &front.others));
    let rest = front.by_protocol(&after);
    let rest = drawing.draw(after, |_| rest);
    front.by_exact_port(name, rest)
}

/// Pieces of both families on the same ranges.
type Ranges = [((u16, u16), Piece)];

impl Front {
    fn add(&mut self, protocol: u8, four: &Ranges, six: &Ranges, drawing: &mut Drawing) {
        let of_protocol = vec![Atom::Octet(protocol)];
        let targets = joined(four, six, drawing);
        let usual = usual(&targets);
        let is_usual = |target: &Verdict| *target == usual;
        let are_few =
            |((low, high), target): &((u16, u16), Verdict)| is_usual(target) || width((*low, *high)) <= FEW_PORTS;
        if targets.len() == 1 || (has_ports(protocol) && targets.iter().all(are_few)) {
            for ((low, high), target) in targets.into_iter().filter(|(_, target)| !is_usual(target)) {
                for port in low..=high {
                    let key = vec![Atom::Octet(protocol), Atom::Port(port)];
                    self.exact.insert(Element::exactly(key), target.clone());
                }
            }
            self.protocols.insert(Element::exactly(of_protocol), usual);
        } else {
            let field = if has_messages(protocol) { Field::IcmpMessage } else { Field::DestinationPort };
            self.protocols.insert(Element::exactly(of_protocol), by_port(field, targets, drawing));
        }
    }

    fn by_exact_port(&self, name: &Name, rest: Verdict) -> Blueprint {
        let fields = vec![Field::Protocol, Field::DestinationPort];
        // Its name is another than that of the map the chain might have without such ports, for its key is another.
        let exact = Name::new(format!("x-{name}"));
        let found = look_up(Vec::new(), Then::Lookup { fields, map: exact.clone() });
        let below = targets(self.exact.values().chain([&rest]));
        Blueprint {
            rules: vec![found, when(Vec::new(), rest)],
            maps: vec![(exact, map(&[Datatype::Octet, Datatype::Port], &self.exact))],
            tables: BTreeSet::new(),
            below,
            form: Form::Ports,
            counts: None,
        }
    }

    fn by_protocol(&self, name: &Name) -> Blueprint {
        let mut rules = Vec::new();
        let mut maps = Vec::new();
        if !self.protocols.is_empty() {
            rules.push(look_up(Vec::new(), Then::Lookup { fields: vec![Field::Protocol], map: name.clone() }));
            maps.push((name.clone(), map(&[Datatype::Octet], &self.protocols)));
        }
        rules.push(when(Vec::new(), self.others.clone()));
        Blueprint {
            rules,
            maps,
            tables: BTreeSet::new(),
            below: targets(self.protocols.values().chain([&self.others])),
            form: Form::Ports,
            counts: None,
        }
    }
}

/// Where both families are cut, and what leads to what holds there; neighbours that fare alike are one.
fn joined(four: &Ranges, six: &Ranges, drawing: &mut Drawing) -> Vec<((u16, u16), Verdict)> {
    let cuts: BTreeSet<u16> = four.iter().chain(six).map(|((low, _), _)| *low).collect();
    let mut starts = cuts.into_iter().peekable();
    let mut joined: Vec<((u16, u16), Verdict)> = Vec::new();
    while let Some(low) = starts.next() {
        let high = starts.peek().map_or(u16::MAX, |next| next - 1);
        let target = pair([at(four, low), at(six, low)], drawing);
        match joined.last_mut() {
            Some(((_, end), last)) if *last == target => *end = high,
            _ => joined.push(((low, high), target)),
        }
    }
    joined
}

fn at(ranges: &Ranges, port: u16) -> &Piece {
    let after = ranges.partition_point(|((low, _), _)| *low <= port);
    &ranges[after - 1].1
}

fn width((low, high): (u16, u16)) -> u32 {
    u32::from(high - low) + 1
}

/// What holds on most ports.
fn usual(targets: &[((u16, u16), Verdict)]) -> Verdict {
    let mut ports: BTreeMap<&Verdict, u32> = BTreeMap::new();
    for (range, target) in targets {
        *ports.entry(target).or_default() += width(*range);
    }
    let most = ports.into_iter().max_by_key(|(_, count)| *count);
    most.map(|(target, _)| target.clone()).expect("ranges cover every port")
}

fn targets<'a>(verdicts: impl Iterator<Item = &'a Verdict>) -> BTreeSet<Name> {
    verdicts.filter_map(|verdict| verdict.target().cloned()).collect()
}

fn map(key: &[Datatype], elements: &BTreeMap<Element, Verdict>) -> Map {
    let key = key.iter().map(|datatype| MapKey::Field(*datatype)).collect();
    Map { key, form: SetForm::Hash, elements: MapElements::Verdicts(elements.clone()) }
}
