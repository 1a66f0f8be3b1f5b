//! Draws lists and pieces as chains.
//!
//! A list of a question or two is asked rule by rule. Any longer one becomes two look-ups of the address, however long it is: whose is
//! it, and if that tells nothing, where does it lie. A list in which a rule only logs is asked rule by rule at any length, since each
//! such rule a packet fits must be carried out on the way; and so is one that asks for both ends, as one look-up knows one address.

use std::collections::{BTreeMap, BTreeSet};

use super::condition::{look_up, member, when, within};
use super::family::address_atom;
use super::list::{Act, Entry, List, OPEN, Settled};
use super::lookup::everybody;
use super::node::{Blueprint, Drawing, Form};
use super::outcome::outcome;
use super::table::Question;
use super::traffic::Piece;
use super::who::Who;
use crate::model::{Direction, IpVersion};
use crate::place::Place;
use crate::ruleset::{
    Atom, Datatype, Element, Field, Form as SetForm, Map, MapElements, MapKey, Match, Name, Rule, Then, Verdict,
};

/// Up to so many questions are asked one by one: a look-up of the address costs as much.
const FEW: usize = 2;

/// What holds for one family of a chain: rules for its packets alone, and what becomes of those that fit none.
struct Half {
    rules: Vec<Rule>,
    end: Verdict,
    maps: Vec<(Name, Map)>,
    tables: BTreeSet<Question>,
    form: Form,
}

/// The verdict that leads to a list.
pub(super) fn list(list: &List, drawing: &mut Drawing) -> Verdict {
    if let Some(settled) = list.constant() {
        return outcome(&settled, list.direction, drawing);
    }
    let name = Drawing::name(&format!("list{}", list.family.digit()), list);
    drawing.draw(name.clone(), |drawing| {
        let half = of_list(list, &name, drawing);
        let end = when(Vec::new(), half.end.clone());
        chain(vec![half], vec![end])
    })
}

/// The verdict that leads to what holds at a port: one chain for both families, unless they fare alike.
pub(super) fn pair(pieces: [&Piece; 2], drawing: &mut Drawing) -> Verdict {
    let name = Drawing::name("list", &pieces);
    let halves = pieces.map(|piece| of_piece(piece, &name, drawing));
    let [four, six] = &halves;
    let is_one = four.end == six.end;
    if is_one && four.rules.is_empty() && six.rules.is_empty() {
        return four.end.clone();
    }
    let last = when(Vec::new(), six.end.clone());
    let ends = if is_one { vec![last] } else { vec![when(vec![IpVersion::V4.is_it()], four.end.clone()), last] };
    drawing.draw(name, |_| chain(halves.into(), ends))
}

fn chain(halves: Vec<Half>, ends: Vec<Rule>) -> Blueprint {
    let form = halves.iter().map(|half| half.form).max().expect("a chain has a half");
    let mut blueprint = Blueprint {
        rules: Vec::new(),
        maps: Vec::new(),
        tables: BTreeSet::new(),
        below: BTreeSet::new(),
        form,
        counts: None,
    };
    for half in halves {
        blueprint.rules.extend(half.rules);
        blueprint.maps.extend(half.maps);
        blueprint.tables.extend(half.tables);
    }
    blueprint.rules.extend(ends);
    let of_rules = blueprint.rules.iter().filter_map(|rule| match &rule.then {
        Then::Verdict(verdict) => verdict.target().cloned(),
        Then::Log(_) | Then::Notrack | Then::Lookup { .. } | Then::Dispatch { .. } => None,
    });
    let of_maps = blueprint.maps.iter().flat_map(|(_, map)| map.elements.targets()).cloned();
    blueprint.below = of_rules.chain(of_maps).collect();
    blueprint
}

fn of_piece(piece: &Piece, chain: &Name, drawing: &mut Drawing) -> Half {
    match piece {
        Piece::List(one) => of_list(one, chain, drawing),
        Piece::BySource(lists) => {
            let ranges = lists.iter().map(|(range, one)| (*range, list(one, drawing))).collect();
            certain(by_port(Field::SourcePort, ranges, drawing))
        }
    }
}

fn certain(end: Verdict) -> Half {
    Half { rules: Vec::new(), end, maps: Vec::new(), tables: BTreeSet::new(), form: Form::Outcome }
}

fn of_list(list: &List, chain: &Name, drawing: &mut Drawing) -> Half {
    match list.constant() {
        Some(settled) => certain(outcome(&settled, list.direction, drawing)),
        None if list.logs() || list.asks_own() || list.questions() <= FEW => linear(list, drawing),
        None => mapped(list, chain, drawing),
    }
}

/// The verdict that leads to a chain which looks a port up. The ranges cover all ports.
pub(super) fn by_port(field: Field, ranges: Vec<((u16, u16), Verdict)>, drawing: &mut Drawing) -> Verdict {
    let form = if field == Field::SourcePort { Form::SourcePorts } else { Form::Ports };
    let name = Drawing::name("ports", &(field, &ranges));
    drawing.draw(name.clone(), |_| {
        let below = ranges.iter().filter_map(|(_, verdict)| verdict.target().cloned()).collect();
        let port = |(low, high): (u16, u16)| Element::range(Atom::Port(low), Atom::Port(high));
        let elements = ranges.into_iter().map(|(range, verdict)| (port(range), verdict)).collect();
        let map = Map {
            key: vec![MapKey::Field(Datatype::Port)],
            form: SetForm::Interval,
            elements: MapElements::Verdicts(elements),
        };
        // Every port is in the map; what has none, for it is cut short, is dropped.
        let found = look_up(Vec::new(), Then::Lookup { fields: vec![field], map: name.clone() });
        let rules = vec![found, when(Vec::new(), Verdict::Drop)];
        Blueprint { rules, maps: vec![(name, map)], tables: BTreeSet::new(), below, form, counts: None }
    })
}

fn linear(list: &List, drawing: &mut Drawing) -> Half {
    let form = if list.logs() { Form::Logging } else { Form::Few };
    let (mut rules, mut tables, mut end) = (Vec::new(), BTreeSet::new(), Verdict::Return);
    for entry in &list.entries {
        let then = match &entry.act {
            Act::Settle(settled) => Then::Verdict(outcome(settled, list.direction, drawing)),
            Act::Pass => Then::Verdict(self::list(&list.after(entry.tier), drawing)),
            Act::Log(_) => Then::Log(Place::Logged(list.direction).log()),
        };
        if let (true, Then::Verdict(verdict)) = (is_certain(entry), &then) {
            // What comes after is for those who were passed on, and they have left.
            end = verdict.clone();
            break;
        }
        let peer = ways_to_fit(list.family, list.direction, &entry.who.peer, &mut tables);
        let own = ways_to_fit(list.family, opposite(list.direction), &entry.who.own, &mut tables);
        for (peer, own) in peer.iter().flat_map(|peer| own.iter().map(move |own| (peer, own))) {
            rules.push(look_up(all_of(peer, own), then.clone()));
        }
    }
    Half { rules, end, maps: Vec::new(), tables, form }
}

fn is_certain(entry: &Entry) -> bool {
    entry.who.is_anybody() && matches!(entry.act, Act::Settle(_))
}

fn mapped(list: &List, chain: &Name, drawing: &mut Drawing) -> Half {
    let mut verdicts = BTreeMap::new();
    for (index, entry) in (0u32..).zip(&list.entries) {
        if let Act::Settle(settled) = &entry.act {
            verdicts.insert(index, outcome(settled, list.direction, drawing));
        }
    }
    // A pass may lead around even a certain end.
    let passes = list.entries.iter().any(|entry| entry.act == Act::Pass);
    if passes || !list.entries.last().is_some_and(is_certain) {
        verdicts.insert(OPEN, outcome(&Settled::Open, list.direction, drawing));
    }
    let name = Name::new(format!("{chain}-v{}", list.family.digit()));
    let field = list.family.peer_field(list.direction);
    let by = |question: &Question| {
        let then = Then::Dispatch { fields: vec![field], ids: question.name(), verdicts: name.clone() };
        look_up(vec![list.family.is_it()], then)
    };
    let mut tables = Vec::new();
    if list.entries.iter().any(|entry| asks_whose(&entry.who.peer)) {
        tables.push(Question::Who(list.clone()));
    }
    if list.entries.iter().any(|entry| asks_where(&entry.who.peer)) {
        tables.push(Question::Where(list.clone()));
    }
    let rules = tables.iter().map(by).collect();
    let end = verdicts[&list.settles_strangers()].clone();
    let map = Map { key: vec![MapKey::Id], form: SetForm::Hash, elements: MapElements::IdVerdicts(verdicts) };
    Half { rules, end, maps: vec![(name, map)], tables: tables.into_iter().collect(), form: Form::Mapped }
}

fn asks_whose(who: &Who) -> bool {
    who.select.is_some() || who.not_select.is_some() || who.outside || !who.ports.is_empty()
}

fn asks_where(who: &Who) -> bool {
    let by_labels = who.select.is_some() || who.not_select.is_some();
    by_labels || who.nets.is_some() || !who.not_nets.is_empty() || !who.sets.is_empty()
}

/// The direction in which the governed end would be the other.
fn opposite(direction: Direction) -> Direction {
    match direction {
        Direction::Ingress => Direction::Egress,
        Direction::Egress => Direction::Ingress,
    }
}

/// What both ask, without asking for the family twice.
fn all_of(peer: &[Match], own: &[Match]) -> Vec<Match> {
    let own = own.iter().filter(|condition| !peer.contains(condition));
    peer.iter().chain(own).cloned().collect()
}

/// The conjunctions of matches of which any is enough. What an address is selected by, its endpoint or an address set, makes two.
fn ways_to_fit(family: IpVersion, direction: Direction, who: &Who, tables: &mut BTreeSet<Question>) -> Vec<Vec<Match>> {
    let field = family.peer_field(direction);
    if who.is_anybody() {
        return vec![vec![family.is_it()]];
    }
    let mut ask = |question: Question, negated| {
        let asked = member(vec![field], question.name(), negated);
        tables.insert(question);
        asked
    };
    let mut always = vec![family.is_it()];
    always.extend(who.ports.iter().map(|(port, wanted)| ask(Question::Ports(port.clone(), family), !wanted)));
    if who.outside {
        always.push(ask(Question::Endpoints(everybody(), family), true));
    }
    if let Some(selection) = &who.not_select {
        always.push(ask(Question::Endpoints(selection.clone(), family), true));
        always.push(ask(Question::Labelled(selection.clone(), family), true));
    }
    let mut in_ranges = |bounds: &[(u128, u128)], negated| match bounds {
        [] => None,
        [(low, high)] => {
            let atom = |bits| address_atom(family.address(bits));
            let Match::Range { field, low, high, .. } = within(field, atom(*low), atom(*high)) else { return None };
            Some(Match::Range { field, low, high, negated })
        }
        many => Some(ask(Question::Ranges(many.to_vec(), family), negated)),
    };
    let nets = who.nets.as_deref().and_then(|nets| in_ranges(nets, false));
    let not_nets = in_ranges(&who.not_nets, true);
    always.extend(nets.into_iter().chain(not_nets));
    if !who.sets.is_empty() {
        always.push(ask(Question::Named(who.sets.clone(), family), false));
    }
    let Some(selection) = &who.select else { return vec![always] };
    let by = [Question::Endpoints(selection.clone(), family), Question::Labelled(selection.clone(), family)];
    by.map(|question| [always.clone(), vec![ask(question, false)]].concat()).into()
}
