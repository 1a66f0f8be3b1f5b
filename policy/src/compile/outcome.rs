//! What becomes of a settled packet: it is counted, and passes or is dropped.
//!
//! Each rule that settles has a counter of its own in the table, which goes on counting while what leads to it is rebuilt around it. Where
//! more is to be done than to let the packet pass, a chain of the counter's name does it.

use std::sync::Arc;

use super::condition::{count, look_up, when};
use super::draw::list;
use super::lane;
use super::linear::telling;
use super::list::Settled;
use super::node::{Blueprint, Counted, Drawing, Effect, Form};
use crate::model::Direction;
use crate::place::Place;
use crate::ruleset::{Counter, Name, Rule, Then, Verdict};
use crate::verdict::{By, RuleName};

/// The counter of what nothing settles.
const OPEN: &str = "open";

/// What is done with a packet.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Outcome {
    /// This counts it; nothing if nothing settled it, or it is not settled yet.
    pub(super) counter: Option<Name>,
    pub(super) verdict: Verdict,
}

impl Outcome {
    /// What is not settled goes on there.
    pub(super) fn at(verdict: Verdict) -> Self {
        Self { counter: None, verdict }
    }

    /// The same where whatever is done must be counted, even if nothing settled the packet.
    pub(super) fn in_maps(self, settled: &Settled) -> Self {
        let open = matches!(settled, Settled::Open | Settled::After(_) | Settled::Told(_)).then(|| Name::new(OPEN));
        Self { counter: self.counter.or(open), verdict: self.verdict }
    }

    /// The rule that carries it out.
    pub(super) fn rule(&self) -> Rule {
        let counter = self.counter.clone().map(Counter::Named);
        Rule { matches: Vec::new(), counter, then: Then::Verdict(self.verdict.clone()) }
    }

    /// A verdict that carries it out by itself: where there is no room for a counter, a chain counts.
    pub(super) fn alone(&self, drawing: &mut Drawing<'_>) -> Verdict {
        if self.counter.is_none() {
            return self.verdict.clone();
        }
        let name = Drawing::name("count", self);
        drawing.draw(name, |_| self.counting(&[]))
    }

    /// The same, after these have counted the packet.
    pub(super) fn after(&self, counters: &[Name], drawing: &mut Drawing<'_>) -> Verdict {
        if counters.is_empty() {
            return self.alone(drawing);
        }
        let name = Drawing::name("count", &(counters, self));
        drawing.draw(name, |_| self.counting(counters))
    }

    fn counting(&self, before: &[Name]) -> Blueprint {
        let rules = before.iter().map(|counter| count(Vec::new(), counter.clone())).chain([self.rule()]).collect();
        let below = self.verdict.target().into_iter().chain(&self.counter).chain(before).cloned().collect();
        Blueprint { rules, below, ..Blueprint::of(Form::Count) }
    }
}

/// What is done with a packet that is settled so.
pub(super) fn outcome(settled: &Settled, direction: Direction, drawing: &mut Drawing<'_>) -> Outcome {
    if let Settled::After(rest) = settled {
        outcome(&Settled::Open, direction, drawing);
        return Outcome::at(list(rest, drawing));
    }
    if let Settled::Told(rule) = settled {
        outcome(&Settled::Open, direction, drawing);
        return Outcome::at(Verdict::Goto(telling(rule, direction, drawing)));
    }
    let name = name(settled, direction);
    let rules = rules(settled, direction, &name);
    let verdict = if rules.is_empty() { Verdict::Return } else { Verdict::Goto(name.clone()) };
    let counts = counted(settled, direction).map(Arc::new);
    drawing.draw(name.clone(), |_| Blueprint { rules, counts, ..Blueprint::of(Form::Outcome) });
    Outcome { counter: (*settled != Settled::Open).then_some(name), verdict }
}

/// The counter's name.
fn name(settled: &Settled, direction: Direction) -> Name {
    let kind = match counted(settled, direction) {
        None if *settled == Settled::Open => return Name::new(OPEN),
        None => "closed",
        Some(counted) if counted.is_staged => "staged",
        Some(counted) if matches!(counted.by, By::EndOfTier { .. }) => "end",
        Some(_) => "rule",
    };
    Drawing::name(kind, &(settled, direction))
}

/// What is to be counted; nothing where nothing settled.
fn counted(settled: &Settled, direction: Direction) -> Option<Counted> {
    let (by, effect) = match settled {
        Settled::Open | Settled::Closed | Settled::After(_) | Settled::Told(_) => return None,
        Settled::Rule { name, allowed: true, .. } => (By::Rule(RuleName::clone(name)), Effect::Allow),
        Settled::Rule { name, allowed: false, .. } => (By::Rule(RuleName::clone(name)), Effect::Deny),
        Settled::Passed(name) => (By::Rule(RuleName::clone(name)), Effect::Pass),
        Settled::EndOfTier { tier } => (By::EndOfTier { tier: tier.to_string() }, Effect::Deny),
        Settled::Untracked(inner) | Settled::Spared(inner) => return counted(inner, direction),
        Settled::Staged(inner) => {
            return counted(inner, direction).map(|counted| Counted { is_staged: true, ..counted });
        }
    };
    Some(Counted { direction, by, effect, is_staged: false })
}

/// What is to be done beyond letting it pass.
fn rules(settled: &Settled, direction: Direction, name: &Name) -> Vec<Rule> {
    let told = |place: Place| look_up(Vec::new(), Then::Log(place.log_by(name)));
    let drop = || look_up(Vec::new(), Then::Verdict(Verdict::Drop));
    match settled {
        Settled::Rule { allowed: true, log: true, .. } => {
            vec![told(Place::Logged(direction)), when(Vec::new(), Verdict::Return)]
        }
        Settled::Rule { allowed: true, log: false, .. }
        | Settled::Staged(_)
        | Settled::Open
        | Settled::After(_)
        | Settled::Told(_)
        | Settled::Passed(_) => Vec::new(),
        Settled::Rule { allowed: false, .. } | Settled::EndOfTier { .. } => {
            vec![told(Place::Denied(direction)), drop()]
        }
        Settled::Closed => vec![told(Place::NoPolicy(direction)), drop()],
        Settled::Untracked(inner) => if_passed(rules(inner, direction, name), Then::Notrack),
        Settled::Spared(inner) => if_passed(rules(inner, direction, name), lane::spare(true)),
    }
}

/// Rules that also do this, if they let the packet pass.
fn if_passed(mut rules: Vec<Rule>, then: Then) -> Vec<Rule> {
    let pass = when(Vec::new(), Verdict::Return);
    if rules.is_empty() {
        rules.push(pass.clone());
    }
    if rules.last() == Some(&pass) {
        rules.insert(rules.len() - 1, look_up(Vec::new(), then));
    }
    rules
}
