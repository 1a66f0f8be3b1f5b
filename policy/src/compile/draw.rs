//! Draws lists and pieces as chains.
//!
//! In: lists, and what holds at a port for each family. Out: the verdict that leads there, or what to look up together with the port. A list
//! becomes two look-ups of the address, however long it is: whose is it, and if that tells nothing, where does it lie. The few that cannot
//! are [`linear`](super::linear) and [`both`](super::both).

use std::collections::BTreeSet;

use super::answer::{Answers, MapNames};
use super::both::both_ends;
use super::condition::{look_up, member, when};
use super::linear::{few, is_few, logged, noted};
use super::list::{Act, Entry, List, Settled};
use super::name::hash_of;
use super::node::{Blueprint, Drawing, Form};
use super::outcome::{Outcome, outcome};
use super::question::Question;
use super::table::who_name;
use super::traffic::Piece;
use super::way::Foremost;
use super::who::{Ends, Who};
use crate::model::{Direction, IpVersion, QualifiedName};
use crate::ruleset::{
    Atom, Counter, Datatype, Dispatch, Element, Field, Form as SetForm, Map, MapElements, Name, Origin, Rule, Then,
    Verdict,
};

/// What holds for one family of a chain: rules for its packets alone, and what becomes of those that fit none.
pub(super) struct Half {
    pub(super) rules: Vec<Rule>,
    pub(super) end: Outcome,
    answers: Answers,
    pub(super) tables: BTreeSet<Question>,
    /// What it refers to besides its rules' targets and counters.
    pub(super) below: BTreeSet<Name>,
    pub(super) form: Form,
}

impl Half {
    /// Every packet fares alike.
    pub(super) fn certain(end: Outcome) -> Self {
        let (answers, tables, below) = (Answers::default(), BTreeSet::new(), BTreeSet::new());
        Self { rules: Vec::new(), end, answers, tables, below, form: Form::Outcome }
    }
}

/// What is asked of an address's owner.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asking {
    /// It is asked here.
    Here,
    /// It was asked before, and told nothing.
    Before,
}

/// The chain a list is drawn into.
struct Chain {
    names: MapNames,
    /// What stands for the list's questions where owners are looked up.
    id: u64,
    /// Whether its answers differ from the other family's; see [`Shape`](super::list::Shape).
    is_apart: bool,
    asking: Asking,
}

/// What the port of a packet leads to, before anything is asked of its address.
pub(super) enum Found {
    /// That settles it.
    Settled(Outcome),
    /// A list.
    List(Asked),
}

/// A list whose owners are asked for together with the port.
pub(super) struct Asked {
    /// What stands for its questions where owners are looked up.
    pub(super) id: u64,
    pub(super) tables: BTreeSet<Question>,
    /// Where the answers of both families lead; none if nobody is asked.
    pub(super) answers: Vec<(u64, Outcome)>,
    /// What becomes of packets whose owner tells nothing.
    pub(super) rest: Outcome,
}

/// The verdict that leads to a list.
pub(super) fn list(list: &List, drawing: &mut Drawing<'_>) -> Verdict {
    if let Some(fate) = list.fate() {
        return done(&fate, Foremost::Passing, list.direction, drawing).alone(drawing);
    }
    let name = Drawing::name(&format!("list{}", list.family.digit()), &(list, all_places(list, drawing)));
    let id = hash_of(&list.shape(false));
    let chain = Chain { names: MapNames::of(&name), id, is_apart: false, asking: Asking::Here };
    let half = of_list(list, &chain, drawing);
    Verdict::Goto(chain_of(name, half, drawing))
}

/// The chain of what holds for one family.
pub(super) fn chain_of(name: Name, half: Half, drawing: &mut Drawing<'_>) -> Name {
    let end = half.end.rule();
    drawing.draw(name.clone(), |_| blueprint(MapNames::of(&name), [half], vec![end]));
    name
}

/// The verdict that leads to what holds at a port: one chain for both families, unless they fare alike.
pub(super) fn pair(pieces: [&Piece; 2], drawing: &mut Drawing<'_>) -> Verdict {
    joined("list", pieces, Asking::Here, drawing)
}

/// What is found of a port that is looked up by itself.
pub(super) fn found(pieces: [&Piece; 2], direction: Direction, drawing: &mut Drawing<'_>) -> Found {
    if let [Piece::List(four), Piece::List(six)] = pieces
        && let Some(fate) = four.fate().filter(|fate| Some(fate) == six.fate().as_ref())
    {
        return Found::Settled(done(&fate, Foremost::Passing, direction, drawing).in_maps(&fate.1));
    }
    let id = questions(pieces);
    let (mut tables, mut answers) = (BTreeSet::new(), Vec::new());
    for (piece, is_apart) in pieces.into_iter().zip(are_apart(pieces)) {
        let Some(list) = mapped_list(piece).filter(|list| list.asks_whose()) else { continue };
        tables.insert(Question::Who(id, list.shape(is_apart)));
        answers.extend(outcomes(list, is_apart, drawing));
    }
    // Where something is looked up it is counted, and if as nothing yet.
    outcome(&Settled::Open, direction, drawing);
    let rest = Outcome::at(joined("rest", pieces, Asking::Before, drawing)).in_maps(&Settled::Open);
    Found::List(Asked { id, tables, answers, rest })
}

/// What is done with a packet that is counted on its way, if it is, and then settled.
fn done(
    (passed, settled): &(Vec<Settled>, Settled),
    foremost: Foremost,
    direction: Direction,
    drawing: &mut Drawing<'_>,
) -> Outcome {
    let settled = outcome(settled, direction, drawing);
    let counters = passed.iter().filter_map(|passed| outcome(passed, direction, drawing).counter);
    let counters: Vec<Name> = counters.collect();
    match (counters.split_first(), foremost) {
        (None, _) => settled,
        (Some((first, others)), Foremost::Passing) => {
            Outcome { counter: Some(first.clone()), verdict: settled.after(others, drawing) }
        }
        (Some(_), Foremost::Settling) => {
            let Outcome { counter, verdict } = settled;
            Outcome { counter, verdict: Outcome::at(verdict).after(&counters, drawing) }
        }
    }
}

/// What stands for the questions of a piece for each family.
fn questions(pieces: [&Piece; 2]) -> u64 {
    let [four, six] = are_apart(pieces);
    let shape = |piece, is_apart| mapped_list(piece).map(|list| list.shape(is_apart));
    hash_of(&[shape(pieces[0], four), shape(pieces[1], six)])
}

/// The list that is looked up, if it is one.
fn mapped_list(piece: &Piece) -> Option<&List> {
    match piece {
        Piece::List(list) => Some(list).filter(|list| is_mapped(list)),
        Piece::BySource(_) => None,
    }
}

fn is_mapped(list: &List) -> bool {
    list.constant().is_none() && !list.notes_anything() && !list.asks_own() && !is_few(list)
}

fn joined(kind: &str, pieces: [&Piece; 2], asking: Asking, drawing: &mut Drawing<'_>) -> Verdict {
    let name = Drawing::name(kind, &(pieces, pieces.map(|piece| piece_places(piece, drawing))));
    let id = questions(pieces);
    let names = MapNames::of(&name);
    let [four, six] = are_apart(pieces).map(|is_apart| Chain { names: names.clone(), id, is_apart, asking });
    let [of_four, of_six] = pieces;
    let halves = [of_piece(of_four, &four, drawing), of_piece(of_six, &six, drawing)];
    let ends = [&halves[0].end, &halves[1].end];
    let is_one = ends[0] == ends[1];
    if is_one && halves.iter().all(|half| half.rules.is_empty()) {
        return ends[0].alone(drawing);
    }
    let last = ends[1].rule();
    let of_four = Rule { matches: vec![IpVersion::V4.is_it()], ..ends[0].rule() };
    let ends = if is_one { vec![last] } else { vec![of_four, last] };
    drawing.draw(name, |_| blueprint(names, halves, ends))
}

/// Of IPv4's list and IPv6's, whose answers are not to be taken for those of the other: IPv6's, if an entry of the same place does something else.
fn are_apart(pieces: [&Piece; 2]) -> [bool; 2] {
    let acts = |piece| mapped_list(piece).map(|list| list.entries.iter().map(|entry| &entry.act).collect::<Vec<_>>());
    let [four, six] = pieces.map(acts);
    [false, four.zip(six).is_some_and(|(four, six)| four != six)]
}

/// Which entries are asked where an address lies: with that, and the piece itself, what is drawn of it is settled.
fn piece_places(piece: &Piece, drawing: &mut Drawing<'_>) -> Vec<bool> {
    match piece {
        Piece::List(list) => all_places(list, drawing),
        Piece::BySource(lists) => lists.iter().flat_map(|(_, list)| all_places(list, drawing)).collect(),
    }
}

/// The same of a list and of what comes after it.
fn all_places(list: &List, drawing: &mut Drawing<'_>) -> Vec<bool> {
    let mut all = places(list, drawing);
    let after = list.entries.iter().filter_map(|entry| match &entry.act {
        Act::Settle(Settled::After(rest)) => Some(rest),
        Act::Settle(_) | Act::Pass(_) | Act::Log(_) => None,
    });
    for rest in after {
        all.extend(all_places(rest, drawing));
    }
    all
}

fn blueprint(names: MapNames, halves: impl IntoIterator<Item = Half>, ends: Vec<Rule>) -> Blueprint {
    let mut blueprint = Blueprint::of(Form::Outcome);
    let mut answers = Answers::default();
    for half in halves {
        blueprint.rules.extend(half.rules);
        blueprint.tables.extend(half.tables);
        blueprint.below.extend(half.below);
        blueprint.form = blueprint.form.max(half.form);
        blueprint.below.extend(half.answers.nodes().cloned());
        answers.join(half.answers);
    }
    blueprint.maps.extend(answers.maps(names));
    blueprint.rules.extend(ends);
    blueprint.below.extend(blueprint.rules.iter().flat_map(nodes));
    blueprint
}

/// The chains and counters a rule refers to.
fn nodes(rule: &Rule) -> impl Iterator<Item = Name> {
    let target = match &rule.then {
        Then::Verdict(verdict) => verdict.target().cloned(),
        Then::Continue
        | Then::Log(_)
        | Then::Notrack
        | Then::Mark { .. }
        | Then::SourceNat(_)
        | Then::DestinationNat { .. }
        | Then::Exchange { .. }
        | Then::Lookup { .. }
        | Then::Dispatch(_)
        | Then::AtPort(_) => None,
    };
    let counter = match &rule.counter {
        Some(Counter::Named(name)) => Some(name.clone()),
        Some(Counter::Own) | None => None,
    };
    target.into_iter().chain(counter)
}

fn of_piece(piece: &Piece, chain: &Chain, drawing: &mut Drawing<'_>) -> Half {
    match piece {
        Piece::List(one) => of_list(one, chain, drawing),
        Piece::BySource(lists) => {
            let ranges = lists.iter().map(|(range, one)| (*range, list(one, drawing))).collect();
            Half::certain(Outcome::at(by_port(Field::SourcePort, ranges, drawing)))
        }
    }
}

fn of_list(list: &List, chain: &Chain, drawing: &mut Drawing<'_>) -> Half {
    if let Some(fate) = list.fate() {
        return Half::certain(done(&fate, Foremost::Passing, list.direction, drawing));
    }
    match list.log_first() {
        Some((entry, after)) => logged(list, entry, &after, drawing),
        None if list.asks_own() => both_ends(list, drawing),
        None if list.notes_anything() => noted(list, drawing),
        None if is_few(list) => few(list, drawing),
        None => mapped(list, chain, drawing),
    }
}

/// The verdict that leads to a chain which looks a port up. The ranges cover all ports.
pub(super) fn by_port(field: Field, ranges: Vec<((u16, u16), Verdict)>, drawing: &mut Drawing<'_>) -> Verdict {
    let form = if field == Field::SourcePort { Form::SourcePorts } else { Form::Ports };
    let name = Drawing::name("ports", &(field, &ranges));
    drawing.draw(name.clone(), |_| {
        let below = ranges.iter().filter_map(|(_, verdict)| verdict.target().cloned()).collect();
        let port = |(low, high): (u16, u16)| Element::range(Atom::Port(low), Atom::Port(high));
        let elements = ranges.into_iter().map(|(range, verdict)| (port(range), verdict)).collect();
        let map = Map { key: vec![Datatype::Port], form: SetForm::Interval, elements: MapElements::Verdicts(elements) };
        // Every port is in the map; what has none, for it is cut short, is dropped.
        let found = look_up(Vec::new(), Then::Lookup { fields: vec![field], map: name.clone() });
        let rules = vec![found, when(Vec::new(), Verdict::Drop)];
        Blueprint { rules, maps: vec![(name, map)], below, ..Blueprint::of(form) }
    })
}

fn mapped(list: &List, chain: &Chain, drawing: &mut Drawing<'_>) -> Half {
    let shape = list.shape(chain.is_apart);
    let stranger = shape.way_of_strangers();
    let mut half = Half::certain(done(&list.done(&stranger), Foremost::Passing, list.direction, drawing));
    half.form = Form::Mapped;
    let field = list.family.peer_field(list.direction);
    let mut steps = Vec::new();
    if chain.asking == Asking::Here && list.asks_whose() {
        steps.push((Origin::Constant(chain.id), Some((field, who_name(list.family)))));
        half.tables.insert(Question::Who(chain.id, shape.clone()));
    }
    let places = places(list, drawing);
    let held = by_sets(list, &places);
    if held.is_none() && places.contains(&true) {
        let question = Question::Where(shape.clone());
        steps.push((Origin::Fields { fields: vec![field], ids: question.name() }, None));
        half.tables.insert(question);
    }
    let is_answered = !steps.is_empty();
    for (from, and) in steps {
        let MapNames { counters, verdicts } = chain.names.clone();
        let then = Then::Dispatch(Box::new(Dispatch { from, and, counters: Some(counters), verdicts }));
        half.rules.push(look_up(vec![list.family.is_it()], then));
    }
    if let Some((by, sets)) = held {
        let way = shape.way_of_held(by);
        if way != stranger {
            let question = Question::Named(sets.clone(), list.family);
            let matches = vec![list.family.is_it(), member(vec![field], question.name(), false)];
            half.rules
                .push(Rule { matches, ..done(&list.done(&way), Foremost::Passing, list.direction, drawing).rule() });
            half.tables.insert(question);
        }
    }
    if is_answered {
        for (answer, outcome) in outcomes(list, chain.is_apart, drawing) {
            half.answers.add(answer, &outcome);
        }
    }
    half
}

/// The only entry that asks where an address lies, if all it asks is whether address sets hold it: one look-up in those tells that as well as one in a table of
/// the list's own, which would have to be told of each change of them. Ten thousand lists that name a thousand sets would have as many tables, and the
/// kernel goes through all of them for each it is told of by name (linux net/netfilter/nf_tables_api.c, `nft_set_lookup`).
fn by_sets<'l>(list: &'l List, places: &[bool]) -> Option<(u32, &'l Vec<QualifiedName>)> {
    let mut asking = (0u32..).zip(&list.entries).zip(places).filter(|(_, asks)| **asks).map(|(entry, _)| entry);
    let ((index, entry), None) = (asking.next()?, asking.next()) else { return None };
    let Who { select, not_select, nets, not_nets, sets, .. } = &*entry.who.peer;
    let is_by_sets = select.is_none() && not_select.is_none() && nets.is_none() && not_nets.is_empty();
    (is_by_sets && !sets.is_empty()).then_some((index, sets))
}

/// Where the answers of a list's ways lead.
fn outcomes(list: &List, is_apart: bool, drawing: &mut Drawing<'_>) -> Vec<(u64, Outcome)> {
    let (ways, unasked) = (list.ways(), list.way_unasked());
    let foremost = list.foremost(&ways);
    let asked = ways.iter().filter(|way| Some(*way) != unasked.as_ref());
    asked
        .map(|way| {
            let fate = list.done(way);
            (way.answer(is_apart), done(&fate, foremost, list.direction, drawing).in_maps(&fate.1))
        })
        .collect()
}

/// For each entry, whether it matters where an address lies. Labels matter only as long as some address set has them.
fn places(list: &List, drawing: &mut Drawing<'_>) -> Vec<bool> {
    let of_entry = |Entry { who: Ends { peer: who, .. }, .. }: &Entry| {
        let mut by_labels = false;
        for selection in who.select.iter().chain(&who.not_select) {
            by_labels |= drawing.selects_places(selection);
        }
        by_labels || who.nets.is_some() || !who.not_nets.is_empty() || !who.sets.is_empty()
    };
    list.entries.iter().map(of_entry).collect()
}
