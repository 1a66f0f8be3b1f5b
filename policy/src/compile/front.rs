//! Where a path begins: protocol and port are looked up, and lead to what holds for them.
//!
//! In: the pieces of both families. Out: one chain, or two. Ports that stand alone are found together with their protocol in one
//! hash look-up, and what is asked of an address's owner there by one more; a protocol with wide ranges has a chain of its own that looks
//! its port up among them.

use std::collections::{BTreeMap, BTreeSet};

use super::answer::{Answers, MapNames, PORT};
use super::condition::look_up;
use super::draw::{Asked, Found, by_port, found, pair};
use super::name::hash_of;
use super::node::{Blueprint, Drawing, Form};
use super::outcome::Outcome;
use super::question::Question;
use super::table::who_name;
use super::traffic::{Piece, Pieces, has_messages, has_ports};
use crate::model::{Direction, IpVersion};
use crate::ruleset::{
    Atom, Datatype, Dispatch, Element, Field, Form as SetForm, Map, MapElements, Name, Origin, Rule, Then, Verdict,
};

/// A range of at most so many ports is found port by port.
const FEW_PORTS: u32 = 16;

/// What is looked up at the beginning of a path.
struct Front {
    exact: Exact,
    protocols: BTreeMap<Element, Verdict>,
    others: Verdict,
}

/// What is found port by port.
#[derive(Default)]
struct Exact {
    /// What stands for the questions to be asked, by protocol and port.
    ids: BTreeMap<Element, u64>,
    /// What is to be done at ports, and where answers of owners lead, by family.
    at_ports: Answers,
    of_owners: BTreeMap<IpVersion, Answers>,
    /// Whether some port settles a packet by itself.
    settles: bool,
    /// Whether some port leads on.
    leads: bool,
    tables: BTreeSet<Question>,
}

/// The chain a path begins with; `name` is its own. `families` are IPv4's and IPv6's pieces.
pub(super) fn front(name: &Name, direction: Direction, families: &[Pieces; 2], drawing: &mut Drawing<'_>) -> Blueprint {
    let [four, six] = families;
    let others = [&four.others, &six.others].map(|list| Piece::List(list.clone()));
    let others = pair([&others[0], &others[1]], drawing);
    let mut front = Front { exact: Exact::default(), protocols: BTreeMap::new(), others };
    for (protocol, ranges) in &four.protocols {
        front.add(*protocol, &joined(ranges, &six.protocols[protocol]), drawing);
    }
    if front.exact.is_empty() {
        return front.by_protocol(name);
    }
    let after = Drawing::name("protocols", &(&front.protocols, &front.others));
    let rest = front.by_protocol(&after);
    let rest = drawing.draw(after, |_| rest);
    front.exact.blueprint(name, direction, &rest)
}

/// What holds for both families on a range of ports.
type Both<'p> = ((u16, u16), [&'p Piece; 2]);

impl Front {
    fn add(&mut self, protocol: u8, ranges: &[Both<'_>], drawing: &mut Drawing<'_>) {
        let of_protocol = Element::exactly([Atom::Octet(protocol)]);
        let usual = usual(ranges);
        let are_few = |(range, pieces): &Both<'_>| *pieces == usual || width(*range) <= FEW_PORTS;
        if ranges.len() == 1 || (has_ports(protocol) && ranges.iter().all(are_few)) {
            let otherwise = pair(usual, drawing);
            for ((low, high), pieces) in ranges.iter().filter(|(_, pieces)| *pieces != usual) {
                let found = found(*pieces, drawing);
                for port in *low..=*high {
                    self.exact.add(&[Atom::Octet(protocol), Atom::Port(port)], &found, &otherwise);
                }
            }
            self.protocols.insert(of_protocol, otherwise);
        } else {
            let field = if has_messages(protocol) { Field::IcmpMessage } else { Field::DestinationPort };
            let targets = ranges.iter().map(|(range, pieces)| (*range, pair(*pieces, drawing))).collect();
            self.protocols.insert(of_protocol, by_port(field, targets, drawing));
        }
    }

    fn by_protocol(&self, name: &Name) -> Blueprint {
        let mut rules = Vec::new();
        let mut maps = Vec::new();
        if !self.protocols.is_empty() {
            rules.push(look_up(Vec::new(), Then::Lookup { fields: vec![Field::Protocol], map: name.clone() }));
            let elements = MapElements::Verdicts(self.protocols.clone());
            maps.push((name.clone(), Map { key: vec![Datatype::Octet], form: SetForm::Hash, elements }));
        }
        rules.push(Outcome::at(self.others.clone()).rule());
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

/// What answers are found at.
const AT: [Field; 2] = [Field::Protocol, Field::DestinationPort];

impl Exact {
    fn is_empty(&self) -> bool {
        !self.settles && !self.leads && self.ids.is_empty()
    }

    /// What is not found at a port fares as its protocol does otherwise. Nothing need lead there: each verdict that leads to a chain makes
    /// the kernel validate the whole table when it comes.
    fn add(&mut self, at: &[Atom], found: &Found, otherwise: &Verdict) {
        match found {
            Found::Settled(outcome) => {
                self.settles = true;
                self.at_ports.add(at, PORT, outcome);
            }
            Found::List(Asked { id, tables, lists, rest }) => {
                if rest != otherwise {
                    self.leads = true;
                    self.at_ports.add(at, PORT, &Outcome::at(rest.clone()));
                }
                self.tables.extend(tables.iter().cloned());
                for (family, outcomes) in lists {
                    self.ids.insert(Element::exactly(at.iter().cloned()), *id);
                    let answers = self.of_owners.entry(*family).or_default();
                    outcomes.iter().for_each(|(answer, outcome)| answers.add(at, *answer, outcome));
                }
            }
        }
    }

    fn blueprint(mut self, name: &Name, direction: Direction, rest: &Verdict) -> Blueprint {
        let (names, at) = (MapNames::of(name, None), AT.map(Field::datatype));
        let mut below: BTreeSet<Name> = self.at_ports.nodes().chain(rest.target()).cloned().collect();
        let mut rules = Vec::new();
        let mut maps = Vec::new();
        if !self.ids.is_empty() {
            // Its name is another than that of the map the chain might have without such ports, for its key is.
            let ids = Name::new(format!("x-{name}"));
            for (family, answers) in std::mem::take(&mut self.of_owners) {
                below.extend(answers.nodes().cloned());
                let own = MapNames::of(name, Some(family));
                let apart = self.at_ports.join(answers).err();
                let names = if apart.is_some() { &own } else { &names };
                rules.push(ask_owners(family, direction, &ids, names));
                maps.extend(apart.into_iter().flat_map(|answers| answers.maps(&own, &at)));
            }
            let elements = MapElements::Ids(self.ids);
            maps.push((ids, Map { key: at.to_vec(), form: SetForm::Hash, elements }));
        }
        // What is settled by the port is counted, what leads on is not.
        let counters = [self.settles.then_some(Some(&names.counters)), self.leads.then_some(None)];
        rules.extend(counters.into_iter().flatten().map(|counters| look_at_port(counters, &names)));
        rules.push(Outcome::at(rest.clone()).rule());
        maps.extend(self.at_ports.maps(&names, &at));
        Blueprint { rules, maps, tables: self.tables, below, form: Form::Ports, counts: None }
    }
}

/// What settles a packet because of the owner of its other end's address, and its port.
fn ask_owners(family: IpVersion, direction: Direction, ids: &Name, names: &MapNames) -> Rule {
    let then = Then::Dispatch(Dispatch {
        from: Origin::Fields { fields: AT.to_vec(), ids: ids.clone() },
        and: Some((family.peer_field(direction), who_name(family))),
        at: AT.to_vec(),
        counters: Some(names.counters.clone()),
        verdicts: names.verdicts.clone(),
    });
    look_up(vec![family.is_it()], then)
}

/// What the port alone leads to.
fn look_at_port(counters: Option<&Name>, names: &MapNames) -> Rule {
    let (from, verdicts) = (Origin::Constant(PORT), names.verdicts.clone());
    let then = Dispatch { from, and: None, at: AT.to_vec(), counters: counters.cloned(), verdicts };
    look_up(Vec::new(), Then::Dispatch(then))
}

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

fn targets<'a>(verdicts: impl Iterator<Item = &'a Verdict>) -> BTreeSet<Name> {
    verdicts.filter_map(|verdict| verdict.target().cloned()).collect()
}
