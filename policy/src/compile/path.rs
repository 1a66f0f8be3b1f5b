//! The policies that govern an endpoint in one direction, and the chains that ask them.
//!
//! A path is a list of tiers, each with its governing policies in order. Each tier has a chain that ends in a goto to the
//! next tier's. A chain is named by the policies it asks and those it may lead to, not by their rules: endpoints with
//! equal paths share chains, paths with an equal end share that end, and an edited rule renames nothing.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::condition::Condition;
use super::name::Essence;
use super::rule::{compiled, when};
use super::sets::Sets;
use super::{Local, Paths};
use crate::model::{DefaultAction, Direction, Endpoint, Policy, Selection, Tier};
use crate::ruleset::{Chain, Name, Rule, Verdict};
use crate::world::World;

/// Most tiers that may govern one endpoint in one direction. The kernel follows at most 16 chains in a row, gotos too
/// (`NFT_JUMP_STACK_SIZE`), and the base chain and the one that dispatches are two of them; whoever declares tiers should
/// refuse more. Where there are more all the same, what the last one followed passes on is dropped.
pub const MAX_TIERS: usize = 14;

/// The whole order of policies, and each distinct subject once.
pub(super) struct Roster<'w> {
    ranks: Vec<(Cow<'w, Tier>, Vec<Candidate<'w>>)>,
    subjects: Vec<&'w Selection>,
    world: &'w World,
}

/// A policy, and where in the roster its subject stands.
struct Candidate<'w> {
    policy: &'w Policy,
    subject: usize,
}

impl<'w> Roster<'w> {
    pub(super) fn of(world: &'w World) -> Self {
        let distinct: BTreeSet<&Selection> = world.policies.values().map(|policy| &policy.subject).collect();
        let subjects = Vec::from_iter(distinct);
        let candidate = |policy: &'w Policy| {
            let subject =
                subjects.binary_search(&&policy.subject).expect("every policy's subject is among the distinct ones");
            Candidate { policy, subject }
        };
        let ranks = world.ranks().into_iter();
        let ranks = ranks.map(|rank| (rank.tier, rank.policies.into_iter().map(candidate).collect())).collect();
        Self { ranks, subjects, world }
    }

    /// The path of each local interface; endpoints with equal labels are asked about once.
    pub(super) fn paths<'r>(&'r self, direction: Direction, locals: Vec<Local<'r>>) -> Paths<'r> {
        let mut known: BTreeMap<_, Path<'r>> = BTreeMap::new();
        let path_of = |local: Local<'r>| {
            let path = known
                .entry((&local.endpoint.labels, &local.endpoint.namespace))
                .or_insert_with(|| self.path(direction, local.endpoint));
            (local.interface, path.clone())
        };
        locals.into_iter().map(path_of).collect()
    }

    fn path(&self, direction: Direction, endpoint: &Endpoint) -> Path<'_> {
        let admitted: Vec<bool> =
            self.subjects.iter().map(|subject| self.world.selects_endpoint(subject, endpoint)).collect();
        let governs =
            |candidate: &&Candidate<'_>| admitted[candidate.subject] && candidate.policy.rules(direction).is_some();
        let stops = self.ranks.iter().map(|(tier, candidates)| Stop {
            tier,
            policies: candidates.iter().filter(governs).map(|candidate| candidate.policy).collect(),
        });
        let mut stops: Vec<_> = stops.filter(|stop| !stop.policies.is_empty()).collect();
        let is_cut = stops.len() > MAX_TIERS;
        stops.truncate(MAX_TIERS);
        Path { direction, stops, is_cut }
    }
}

/// The tiers that govern, in order; none = everything is allowed.
#[derive(Clone)]
pub(super) struct Path<'w> {
    direction: Direction,
    stops: Vec<Stop<'w>>,
    /// Whether tiers beyond [`MAX_TIERS`] were left out.
    is_cut: bool,
}

/// One tier of a path, with at least one policy.
#[derive(Clone)]
struct Stop<'w> {
    tier: &'w Tier,
    policies: Vec<&'w Policy>,
}

impl Path<'_> {
    /// The first chain's name.
    pub(super) fn name(&self) -> Name {
        self.name_from(0)
    }

    /// Adds the chains of all its tiers that are not there yet.
    pub(super) fn add_chains(&self, sets: &mut Sets<'_>, chains: &mut BTreeMap<Name, Chain>) {
        if self.stops.is_empty() {
            chains.entry(self.name()).or_insert_with(|| chain(vec![when(Condition::default(), Verdict::Return)]));
        }
        for (index, stop) in self.stops.iter().enumerate() {
            let next = self.after(index);
            let rules = || chain(stop.rules(self.direction, &next, sets));
            chains.entry(self.name_from(index)).or_insert_with(rules);
        }
    }

    /// What becomes of a packet that a tier passes on.
    fn after(&self, index: usize) -> Verdict {
        match index + 1 == self.stops.len() {
            false => Verdict::Goto(self.name_from(index + 1)),
            true if self.is_cut => Verdict::Drop,
            true => Verdict::Return,
        }
    }

    fn name_from(&self, index: usize) -> Name {
        if self.stops.is_empty() {
            return Name::new("allow-all");
        }
        let mut essence = Essence::new();
        for stop in &self.stops[index..] {
            essence = essence.with("tier").with(&stop.tier.name);
            essence = stop
                .policies
                .iter()
                .fold(essence, |essence, policy| essence.with("policy").with(&policy.name.to_string()));
        }
        let essence = if self.is_cut { essence.with("cut") } else { essence };
        essence.name(&self.direction.to_string())
    }
}

impl Stop<'_> {
    fn rules(&self, direction: Direction, next: &Verdict, sets: &mut Sets<'_>) -> Vec<Rule> {
        let of_policies = self.policies.iter().flat_map(|policy| policy.rules(direction).unwrap_or_default());
        let mut rules: Vec<Rule> = of_policies.flat_map(|rule| compiled(rule, direction, next, sets)).collect();
        rules.push(match self.tier.default_action {
            DefaultAction::Deny => when(Condition::default(), Verdict::Drop),
            DefaultAction::Pass => when(Condition::default(), next.clone()),
        });
        rules
    }
}

fn chain(rules: Vec<Rule>) -> Chain {
    Chain { hook: None, rules }
}
