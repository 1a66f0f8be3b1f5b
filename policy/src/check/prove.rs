//! Proves or refutes cases.
//!
//! What the cases ask of ends is charted together with the world, so that every class of addresses is in an end as a whole or
//! not at all.

use super::{Author, Because, Case, Expect, Finding, Party, Refutation};
use crate::model::{Action, Direction, Peers, PortMatch, Rule};
use crate::packet::Packet;
use crate::region::{Atlas, Bits, Book, Chart, Court, Extra, Names, Outcome, Traffic, Word, demanded};
use crate::verdict::verdict;
use crate::world::World;

/// What comes of each case, in their order.
pub fn check(world: &World, cases: &[Case]) -> Vec<Finding> {
    let peers: Vec<Peers> = cases.iter().flat_map(Case::demands).collect();
    let ports: Vec<PortMatch> = cases.iter().flat_map(|case| case.ports.clone()).collect();
    let atlas = Atlas::asking(&[world], Extra { peers: &peers, ports: &ports });
    let mut courts = [0, 1].map(|family| Court::of(&atlas.books, &atlas.charts[family], 0));
    let mut first = 0;
    let mut findings = Vec::new();
    for case in cases {
        findings.push(Proof { atlas: &atlas, world, case, first }.finding(&mut courts));
        first += case.demands().len();
    }
    findings
}

struct Proof<'a, 'w> {
    atlas: &'a Atlas<'w>,
    world: &'a World,
    case: &'a Case,
    /// Where the case's demands begin among those of all.
    first: usize,
}

impl Proof<'_, '_> {
    fn finding(&self, courts: &mut [Court<'_, '_>; 2]) -> Finding {
        let mut has_packet = false;
        for (chart, court) in self.atlas.charts.iter().zip(courts) {
            match self.in_family(chart, court) {
                Some(Finding::Holds) => has_packet = true,
                Some(refuted) => return refuted,
                None => {}
            }
        }
        let nobody = [&self.case.from, &self.case.to].into_iter().find(|party| self.is_nobody(party));
        match nobody {
            _ if has_packet || self.case.may_be_empty => Finding::Holds,
            Some(party) => Finding::Nobody { party: party.text.clone() },
            None => Finding::NoPacket,
        }
    }

    /// Nothing if no packet of the family is spoken of.
    fn in_family(&self, chart: &Chart<'_>, court: &mut Court<'_, '_>) -> Option<Finding> {
        let mut finding = None;
        for (source, destination) in chart.pairs() {
            let is_meant = self.has(&self.case.from, chart, source);
            if !self.has(&self.case.to, chart, destination) || !(is_meant || self.case.nobody_else) {
                continue;
            }
            let wanted = self.wanted(chart, source, destination);
            for outcome in court.pair(source, destination).iter().filter(|outcome| outcome.traffic.meets(&wanted)) {
                if let Some(because) = self.objection(outcome, is_meant) {
                    return self.refuted(chart, (source, destination), &outcome.traffic.and(&wanted), because);
                }
                finding = finding.or(is_meant.then_some(Finding::Holds));
            }
        }
        finding
    }

    /// Whether a class is in a party.
    fn has(&self, party: &Party, chart: &Chart<'_>, class: usize) -> bool {
        let satisfied = &chart.classes[class].sides[0].extra;
        let first = self.first_of(party);
        let any = |count: usize, first: usize, bits: &Bits| (first..first + count).any(|demand| bits.contains(demand));
        any(party.any.len(), first, satisfied) && !any(party.except.len(), first + party.any.len(), satisfied)
    }

    /// Where a party's demands begin.
    fn first_of(&self, party: &Party) -> usize {
        let from = &self.case.from;
        if std::ptr::eq(party, from) { self.first } else { self.first + from.any.len() + from.except.len() }
    }

    fn is_nobody(&self, party: &Party) -> bool {
        !self.atlas.charts.iter().any(|chart| (0..chart.classes.len()).any(|class| self.has(party, chart, class)))
    }

    /// What the case speaks of between two classes.
    fn wanted(&self, chart: &Chart<'_>, source: usize, destination: usize) -> Traffic {
        let [source, destination] = [source, destination].map(|class| &chart.classes[class].sides[0].ports);
        let rule = Rule { ports: self.case.ports.clone(), ..Rule::any("", Action::Allow) };
        demanded(&rule, chart.line.version(), Names { source, destination })
    }

    /// What is wrong with an outcome.
    fn objection(&self, outcome: &Outcome, is_meant: bool) -> Option<Because> {
        if !is_meant {
            return outcome.allowed.then_some(Because::SomebodyElse);
        }
        if outcome.allowed != (self.case.expect == Expect::Allow) {
            return Some(Because::Decision);
        }
        let author = self.case.by.as_ref()?;
        (!author.has_decided(&self.atlas.books[0], outcome)).then_some(Because::Decider)
    }

    fn refuted(
        &self,
        chart: &Chart<'_>,
        (source, destination): (usize, usize),
        traffic: &Traffic,
        because: Because,
    ) -> Option<Finding> {
        let (source, destination) = chart.sample(source, destination)?;
        let packet = Packet { source, destination, transport: traffic.sample()? };
        let decision = verdict(self.world, &packet);
        Some(Finding::Refuted(Box::new(Refutation { packet, decision, because })))
    }
}

impl Author {
    /// Whether one of its rules decided, at an end that says what the outcome is.
    fn has_decided(&self, book: &Book<'_>, outcome: &Outcome) -> bool {
        let ends = [(Direction::Egress, outcome.egress), (Direction::Ingress, outcome.ingress)];
        ends.into_iter().any(|(direction, word)| match word {
            Some(Word::Rule(place)) => {
                let entry = &book.entries(direction)[place];
                (entry.rule.action == Action::Allow) == outcome.allowed
                    && entry.policy.name.to_string() == self.policy
                    && self.rule.as_ref().is_none_or(|rule| *rule == entry.rule.name)
            }
            Some(Word::Ungoverned | Word::EndOfTier(_) | Word::EndOfTiers) | None => false,
        })
    }
}
