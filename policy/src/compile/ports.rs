//! What holds on a path at single ports: elements of maps that all paths share, and rules that look there.
//!
//! In: what is asked and done at protocols and ports. Out: edits of elements, and the rules. The kernel takes longer for each set, chain and rule that
//! stands, and goes through all that look into a map for each element, and through all elements for each rule; so there are three maps and
//! three rules for all paths of a round, and a path is its elements.

use std::collections::BTreeMap;

use super::condition::look_up;
use super::few::Few;
use super::outcome::Outcome;
use super::round::Round;
use super::table::who_name;
use crate::edit::Edited;
use crate::model::IpVersion;
use crate::ruleset::{Asks, AtPort, Atom, Datatype, Element, Form, Key, Map, MapElements, Name, Origin, Rule, Then};

/// What holds at single ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ports {
    round: Round,
    /// The path's id; nought as long as there is none.
    path: u64,
    /// By protocol and port.
    at: BTreeMap<(u8, u16), AtOne>,
}

/// What holds at one port.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct AtOne {
    /// What is to be asked of an address's owner.
    question: Option<u64>,
    /// What is done by the answer.
    answers: Few<u64, Outcome>,
}

impl Ports {
    /// Nothing holds anywhere, on no path yet.
    pub(super) fn new(round: Round) -> Self {
        Self { round, path: 0, at: BTreeMap::new() }
    }

    /// The same on a path.
    pub(super) fn on(self, path: u64) -> Self {
        Self { path, ..self }
    }

    /// An answer at a port is carried out so; the outcome is counted. The answer of whom nobody asked is [`AtPort::UNASKED`].
    pub(super) fn answer(&mut self, at: (u8, u16), answer: u64, outcome: Outcome) {
        self.at.entry(at).or_default().answers.insert(answer, outcome);
    }

    /// This is asked at a port.
    pub(super) fn ask(&mut self, at: (u8, u16), question: u64) {
        self.at.entry(at).or_default().question = Some(question);
    }

    /// The chains and counters they lead to.
    pub(super) fn nodes(&self) -> impl Iterator<Item = &Name> {
        let outcomes = self.at.values().flat_map(|one| one.answers.iter());
        outcomes.flat_map(|(_, outcome)| outcome.verdict.target().into_iter().chain(&outcome.counter))
    }

    /// Makes this hold on its path in the place of what held there before.
    pub(super) fn put(&self, former: Option<&Self>, edited: &mut Edited) {
        let (nowhere, nothing) = (Self::new(self.round), AtOne::default());
        let former = former.unwrap_or(&nowhere);
        for (at, one) in former.at.iter().filter(|(at, one)| self.at.get(at) != Some(one)) {
            self.at.get(at).unwrap_or(&nothing).change(one, self.place(*at), self.round, edited);
        }
        for (at, one) in self.at.iter().filter(|(at, _)| !former.at.contains_key(at)) {
            one.change(&nothing, self.place(*at), self.round, edited);
        }
    }

    /// Nothing of it holds any more.
    pub(super) fn end(&self, edited: &mut Edited) {
        Self::new(self.round).on(self.path).put(Some(self), edited);
    }

    /// Where the elements of a port stand.
    fn place(&self, (protocol, port): (u8, u16)) -> Key {
        Key::from_iter([Atom::Octet(protocol), Atom::Port(port), Atom::Id(self.path)])
    }
}

impl AtOne {
    fn change(&self, former: &Self, at: Key, round: Round, edited: &mut Edited) {
        if self.question != former.question {
            edited.set_id(&questions(round), Element { low: at.clone(), high: None }, self.question);
        }
        for answer in former.answers.keys().filter(|answer| self.answers.get(answer).is_none()) {
            set_outcome(&at, *answer, None, round, edited);
        }
        for (answer, outcome) in self.answers.iter().filter(|(answer, now)| former.answers.get(answer) != Some(now)) {
            set_outcome(&at, *answer, Some(outcome), round, edited);
        }
    }
}

fn set_outcome(at: &Key, answer: u64, outcome: Option<&Outcome>, round: Round, edited: &mut Edited) {
    let key = Element::exactly(at.atoms().chain([Atom::Id(answer)]));
    edited.set_counted(&counters(round), key.clone(), outcome.and_then(|outcome| outcome.counter.clone()));
    edited.set_verdict(&verdicts(round), key, outcome.map(|outcome| outcome.verdict.clone()));
}

/// Makes a round's maps, empty, if they do not stand.
pub(super) fn begin(round: Round, edited: &mut Edited) {
    if edited.ruleset().maps.contains_key(&questions(round)) {
        return;
    }
    let place = [Datatype::Octet, Datatype::Port, Datatype::Id];
    let answered = [&place[..], &[Datatype::Id]].concat();
    let map = |key: &[Datatype], elements| Some(Map { key: key.to_vec(), form: Form::Hash, elements });
    edited.set_map(&questions(round), map(&place, MapElements::Ids(BTreeMap::new())));
    edited.set_map(&counters(round), map(&answered, MapElements::Counters(BTreeMap::new())));
    edited.set_map(&verdicts(round), map(&answered, MapElements::Verdicts(BTreeMap::new())));
}

/// Ends them.
pub(super) fn end(round: Round, edited: &mut Edited) {
    for name in [questions(round), counters(round), verdicts(round)] {
        edited.set_map(&name, None);
    }
}

/// The rules that look at what holds at single ports.
pub(super) fn rules(round: Round, path: &Origin) -> [Rule; 3] {
    let [four, six] = IpVersion::BOTH.map(|family| asking(round, path, family));
    [four, six, unasked(round, path)]
}

/// What settles a packet because of the owner of its other end's address, and its port.
fn asking(round: Round, path: &Origin, family: IpVersion) -> Rule {
    let field = family.peer_field(round.direction());
    let asks = Asks { questions: questions(round), field, owners: who_name(family) };
    look_up(vec![family.is_it()], at_port(round, path, Some(asks)))
}

/// What the port alone leads to.
fn unasked(round: Round, path: &Origin) -> Rule {
    look_up(Vec::new(), at_port(round, path, None))
}

fn at_port(round: Round, path: &Origin, asks: Option<Asks>) -> Then {
    let (counters, verdicts) = (counters(round), verdicts(round));
    Then::AtPort(Box::new(AtPort { path: path.clone(), asks, counters, verdicts }))
}

fn questions(round: Round) -> Name {
    round.name_of("questions")
}

fn counters(round: Round) -> Name {
    round.name_of("counters")
}

fn verdicts(round: Round) -> Name {
    round.name_of("verdicts")
}
