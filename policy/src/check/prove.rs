//! Proves or refutes cases.
//!
//! What the cases ask of ends is charted together with the world, so that every class of addresses is in an end as a whole or
//! not at all; and so is what rules for hosts ask, where a case meets a host endpoint.

use super::crossing::{Crossing, Passed};
use super::{Author, Because, Case, Expect, Finding, Party, Refutation};
use crate::gate::host_verdicts;
use crate::host::Failsafe;
use crate::model::{Action, Direction, Peers, Policy, PortMatch, Rule};
use crate::packet::Packet;
use crate::region::{
    Atlas, Bits, Book, Chart, Court, Extra, Names, Outcome, Places, Traffic, Word, demanded, demands, spoken,
};
use crate::verdict::verdict;
use crate::world::World;

/// What comes of each case, in their order. `failsafe` are the ports that stay open at host endpoints.
pub fn check(world: &World, failsafe: &Failsafe, cases: &[Case]) -> Vec<Finding> {
    let meets_hosts = cases.iter().any(|case| !case.stops(true).is_empty());
    let rules: Vec<&Rule> = spoken(world).filter(|_| meets_hosts).collect();
    let of_cases = cases.iter().flat_map(Case::demands);
    let peers: Vec<Peers> = of_cases.chain(rules.iter().flat_map(|rule| demands(rule)).cloned()).collect();
    let named = cases.iter().flat_map(|case| &case.ports).chain(rules.iter().flat_map(|rule| rule.all_ports()));
    let ports: Vec<PortMatch> = named.cloned().collect();
    let atlas = Atlas::asking(&[world], Extra { peers: &peers, ports: &ports });
    let places: Places<'_> = peers.iter().zip(0..).collect();
    let mut courts = [0, 1].map(|family| Court::of(&atlas.books, &atlas.charts[family], 0));
    let mut first = 0;
    let mut findings = Vec::new();
    for case in cases {
        let proof = Proof { atlas: &atlas, world, failsafe, places: &places, case, first };
        findings.push(proof.finding(&mut courts));
        first += case.demands().len();
    }
    findings
}

struct Proof<'a, 'w> {
    atlas: &'a Atlas<'w>,
    world: &'a World,
    failsafe: &'a Failsafe,
    places: &'a Places<'a>,
    case: &'a Case,
    /// Where the case's demands begin among those of all.
    first: usize,
}

/// What becomes of some traffic between two classes, and by whose words.
struct Verdict<'v> {
    traffic: Traffic,
    allowed: bool,
    ends: &'v Outcome,
    gates: Vec<Passed<'v>>,
}

impl<'a> Proof<'a, '_> {
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
        let crossings = [false, true].map(|is_meant| self.crossings(is_meant));
        for (source, destination) in self.pairs(chart) {
            let is_meant = self.has(&self.case.from, chart, source);
            if !self.has(&self.case.to, chart, destination) || !self.speaks_of(chart, (source, destination), is_meant) {
                continue;
            }
            let wanted = self.wanted(chart, source, destination);
            let outcomes = court.pair(source, destination);
            let crossings = &crossings[usize::from(is_meant)];
            for verdict in self.verdicts(chart, (source, destination), &outcomes, crossings) {
                if !verdict.traffic.meets(&wanted) {
                    continue;
                }
                if let Some(because) = self.objection(&verdict, is_meant) {
                    let traffic = verdict.traffic.and(&wanted);
                    return self.refuted(chart, (source, destination), &traffic, (because, is_meant));
                }
                finding = finding.or(is_meant.then_some(Finding::Holds));
            }
        }
        finding
    }

    /// Whether packets of `from`, or those of somebody else, are its matter: of two ends that are no endpoints only what
    /// meets a host endpoint is.
    fn speaks_of(&self, chart: &Chart<'_>, (source, destination): (usize, usize), is_meant: bool) -> bool {
        (is_meant || self.case.nobody_else)
            && (chart.is_pair(source, destination) || !self.case.stops(is_meant).is_empty())
    }

    /// Where a host endpoint is asked, no end need be an endpoint.
    fn pairs(&self, chart: &Chart<'_>) -> Vec<(usize, usize)> {
        match self.case.stops(true).is_empty() {
            true => chart.pairs().collect(),
            false => chart.all_pairs().collect(),
        }
    }

    fn crossings(&self, is_meant: bool) -> Vec<Crossing<'a>> {
        let stops = self.case.stops(is_meant).into_iter();
        stops.map(|stop| Crossing::of(self.world, self.failsafe, stop)).collect()
    }

    /// What the endpoints at both ends say, and then the host endpoints on the way.
    fn verdicts<'v>(
        &self,
        chart: &Chart<'_>,
        (source, destination): (usize, usize),
        outcomes: &'v [Outcome],
        crossings: &[Crossing<'a>],
    ) -> Vec<Verdict<'v>>
    where
        'a: 'v,
    {
        let sides = [source, destination].map(|class| &chart.classes[class].sides[0]);
        let of_ends = |ends: &'v Outcome| Verdict {
            traffic: ends.traffic.clone(),
            allowed: ends.allowed,
            ends,
            gates: Vec::new(),
        };
        let mut verdicts: Vec<Verdict<'v>> = outcomes.iter().map(of_ends).collect();
        for crossing in crossings {
            let shares = crossing.shares(sides, chart.line.version(), self.places);
            verdicts =
                verdicts.iter().flat_map(|verdict| shares.iter().filter_map(move |share| verdict.and(share))).collect();
        }
        verdicts
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

    /// What is wrong with a verdict.
    fn objection(&self, verdict: &Verdict<'_>, is_meant: bool) -> Option<Because> {
        if !is_meant {
            return verdict.allowed.then_some(Because::SomebodyElse);
        }
        if verdict.allowed != (self.case.expect == Expect::Allow) {
            return Some(Because::Decision);
        }
        let author = self.case.by.as_ref()?;
        (!author.has_decided(&self.atlas.books[0], verdict)).then_some(Because::Decider)
    }

    fn refuted(
        &self,
        chart: &Chart<'_>,
        (source, destination): (usize, usize),
        traffic: &Traffic,
        (because, is_meant): (Because, bool),
    ) -> Option<Finding> {
        let stops = self.case.stops(is_meant);
        let (source, destination) = match stops.is_empty() {
            true => chart.sample(source, destination)?,
            false => chart.any_sample(source, destination)?,
        };
        let packet = Packet { source, destination, transport: traffic.sample()? };
        let decision = verdict(self.world, &packet);
        let said =
            |stop: &super::Stop<'_>| host_verdicts(self.world, self.failsafe, stop.host_endpoint, stop.lanes, &packet);
        let gates: Vec<_> = stops.iter().flat_map(said).collect();
        let allowed = decision.allowed && gates.iter().all(|ruling| ruling.allowed);
        Some(Finding::Refuted(Box::new(Refutation { packet, allowed, decision, gates, because })))
    }
}

impl<'v> Verdict<'v> {
    /// That part of it to which a host endpoint says this.
    fn and(&self, share: &Passed<'v>) -> Option<Self> {
        let traffic = self.traffic.and(&share.traffic);
        let gates = self.gates.iter().chain([share]).cloned().collect();
        let allowed = self.allowed && share.allowed;
        (!traffic.is_empty()).then_some(Self { traffic, allowed, ends: self.ends, gates })
    }
}

impl Author {
    /// Whether one of its rules decided, at an end or a host endpoint that says what the verdict is.
    fn has_decided(&self, book: &Book<'_>, verdict: &Verdict<'_>) -> bool {
        let ends = [(Direction::Egress, verdict.ends.egress), (Direction::Ingress, verdict.ends.ingress)];
        let at_ends = ends.into_iter().any(|(direction, word)| match word {
            Some(Word::Rule(place)) => {
                let entry = &book.entries(direction)[place];
                (entry.rule.action == Action::Allow) == verdict.allowed && self.wrote(entry.policy, entry.rule)
            }
            Some(Word::Ungoverned | Word::EndOfTier(_) | Word::EndOfTiers) | None => false,
        });
        let mut gates = verdict.gates.iter().filter(|gate| gate.allowed == verdict.allowed);
        at_ends || gates.any(|gate| gate.is_by(|policy, rule| self.wrote(policy, rule)))
    }

    fn wrote(&self, policy: &Policy, rule: &Rule) -> bool {
        policy.name.to_string() == self.policy && self.rule.as_ref().is_none_or(|name| *name == rule.name)
    }
}
