//! Draws a list as rules that are asked one by one.
//!
//! In: a list of few questions which comparing answers; or one, however long, which asks for both ends, as one look-up knows one address
//! ([`both`](super::both)). And lists in which rules only log, since each such rule a packet fits must be carried out on the way. Out: rules.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::condition::{count, member, when, within};
use super::draw::Half;
use super::family::address_atom;
use super::list::{Act, Entry, List};
use super::lookup::everybody;
use super::node::{Blueprint, Counted, Drawing, Effect, Form};
use super::outcome::{Outcome, outcome};
use super::question::Question;
use super::who::Who;
use crate::model::{Direction, IpVersion};
use crate::place::Place;
use crate::ruleset::{Counter, Match, Name, Rule, Then, Verdict};
use crate::verdict::{By, RuleName};

/// Up to so many questions are asked one by one, if comparing answers them: a look-up of the address costs as much.
const FEW: usize = 2;

/// Whether so few are asked that asking them one by one takes no longer.
pub(super) fn is_few(list: &List) -> bool {
    list.questions() <= FEW && list.entries.iter().all(is_compared)
}

/// Whether nothing need be looked up to answer it.
fn is_compared(entry: &Entry) -> bool {
    let Who { select, not_select, nets, not_nets, sets, outside, ports } = &*entry.who.peer;
    let asks_owner = select.is_some() || not_select.is_some() || *outside || !ports.is_empty() || !sets.is_empty();
    !asks_owner && nets.as_ref().is_none_or(|nets| nets.len() == 1) && not_nets.len() <= 1
}

/// What holds of a list's own family, if so few are asked. Whoever is passed on leaves for a list of the tiers after, unless all are.
pub(super) fn few(list: &List, drawing: &mut Drawing<'_>) -> Half {
    let mut half = Half::certain(Outcome::at(Verdict::Return));
    half.form = Form::Few;
    for entry in &list.entries {
        let done = match &entry.act {
            Act::Settle(settled) => outcome(settled, list.direction, drawing),
            Act::Pass(counted) if entry.who.is_anybody() => {
                let counter = counted.iter().filter_map(|counted| outcome(counted, list.direction, drawing).counter);
                half.rules.extend(counter.map(|counter| count(vec![list.family.is_it()], counter)));
                continue;
            }
            Act::Pass(counted) => {
                let counter = counted.iter().find_map(|counted| outcome(counted, list.direction, drawing).counter);
                Outcome { counter, verdict: super::draw::list(&list.after(entry.tier), drawing) }
            }
            Act::Log(_) => continue,
        };
        if entry.is_certain() {
            // What comes after is for those who were passed on, and they have left.
            half.end = done;
            break;
        }
        half.ask(list, entry, &[done.rule()]);
    }
    half
}

/// What holds of a list's own family, if some of its entries only log, or count aside whom they pass on: that is done by itself, and then the others settle.
pub(super) fn noted(list: &List, drawing: &mut Drawing<'_>) -> Half {
    let mut half = Half::certain(Outcome::at(super::draw::list(&list.without_notes(), drawing)));
    half.form = Form::Logging;
    for note in list.notes() {
        if let Verdict::Goto(chain) = super::draw::list(&note, drawing) {
            half.rules.push(when(vec![list.family.is_it()], Verdict::Jump(chain)));
        }
    }
    half
}

/// What holds of a list's own family, if its first entry only logs: that, and whatever comes after it.
pub(super) fn logged(list: &List, entry: &Entry, after: &List, drawing: &mut Drawing<'_>) -> Half {
    let mut half = Half::certain(Outcome::at(super::draw::list(after, drawing)));
    half.form = Form::Logging;
    half.log(list, entry, drawing);
    half
}

impl Half {
    /// Tells of what fits an entry that only logs, and by which rule.
    pub(super) fn log(&mut self, list: &List, entry: &Entry, drawing: &mut Drawing<'_>) {
        let Act::Log(rule) = &entry.act else { return };
        self.ask(list, entry, &[when(Vec::new(), Verdict::Jump(telling(rule, list.direction, drawing)))]);
    }

    /// Does what rules say, one after the other, with what fits an entry.
    pub(super) fn ask(&mut self, list: &List, entry: &Entry, rules: &[Rule]) {
        let peer = ways_to_fit(list.family, list.direction, &entry.who.peer, &mut self.tables);
        let own = ways_to_fit(list.family, opposite(list.direction), &entry.who.own, &mut self.tables);
        for (peer, own) in peer.iter().flat_map(|peer| own.iter().map(move |own| (peer, own))) {
            self.rules.extend(rules.iter().map(|rule| Rule { matches: all_of(peer, own), ..rule.clone() }));
        }
    }
}

/// The chain that tells of packets by a rule that only logs, and counts them, be they told or too many.
pub(super) fn telling(rule: &Arc<RuleName>, direction: Direction, drawing: &mut Drawing<'_>) -> Name {
    let name = Drawing::name("log", &(rule, direction));
    let log = Then::Log(Place::Logged(direction).log_by(&name));
    let told = Rule { matches: Vec::new(), counter: Some(Counter::Named(name.clone())), then: log };
    let by = By::Rule(RuleName::clone(rule));
    drawing.draw(name.clone(), |_| Blueprint {
        rules: vec![told],
        counts: Some(Counted { direction, by, effect: Effect::Log, is_staged: false }.into()),
        logs: Some(rule.clone()),
        ..Blueprint::of(Form::Telling)
    });
    name
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
