//! What an endpoint's packets meet in one direction, or a host endpoint's in one lane: its governing policies, tier by tier.
//!
//! In: an endpoint, or a lane, and the policies that govern it. Out: clauses in order, a name, and what asks them. A path is named by
//! the policies it asks and by how the endpoint answers what they ask of itself, not by their rules: endpoints of equal paths share
//! one, and an edited rule renames nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use super::clause::{Clause, Own};
use super::front::{Front, Start};
use super::list::{Act, Settled};
use super::node::Drawing;
use super::round::Round;
use super::traffic::{Cutter, Pieces};
use crate::gate::{Lane, Traveller};
use crate::matching::peers_fit;
use crate::model::{
    Action, DefaultAction, Direction, Endpoint, IpVersion, Mode, NamedPort, Order, Policy, PortMatch, PortSide,
    QualifiedName, Rule, Tier,
};
use crate::ruleset::Name;
use crate::verdict::RuleName;
use crate::world::World;

/// A tier and its governing policies, in order.
struct Stop<'w> {
    tier: Tier,
    policies: Vec<&'w Policy>,
}

/// The policies that are asked about an endpoint in a round, and the endpoint.
pub(super) struct Path<'w> {
    round: Round,
    stops: Vec<Stop<'w>>,
    /// How the endpoint answers the rules that ask something of itself.
    owns: BTreeMap<(QualifiedName, usize), Own>,
}

impl<'w> Path<'w> {
    /// Sorts governing policies into their tiers, for a workload.
    pub(super) fn new(
        world: &'w World,
        round: Round,
        endpoint: &Endpoint,
        governing: impl Iterator<Item = &'w Policy>,
    ) -> Self {
        let direction = round.direction();
        let stops = stops(world, round, governing);
        let mut owns = BTreeMap::new();
        for policy in stops.iter().flat_map(|stop| &stop.policies) {
            for (index, rule) in policy.rules(direction).unwrap_or_default().iter().enumerate() {
                if asks_of_itself(rule, direction) {
                    owns.insert((policy.name.clone(), index), own(world, rule, direction, endpoint));
                }
            }
        }
        Self { round, stops, owns }
    }

    /// The same for what passes a host's own interface. Nothing is known of its ends.
    pub(super) fn through_host(world: &'w World, round: Round, governing: impl Iterator<Item = &'w Policy>) -> Self {
        Self { round, stops: stops(world, round, governing), owns: BTreeMap::new() }
    }

    /// Whether a rule may allow something.
    pub(super) fn may_allow(&self) -> bool {
        let mut asked = self.stops.iter().flat_map(|stop| &stop.policies);
        let allows = |policy: &Policy| {
            let rules = self.round.traveller.rules(policy).unwrap_or_default();
            rules.iter().any(|rule| rule.action == Action::Allow)
        };
        asked.any(|policy| allows(policy))
    }

    /// Whether there is nothing to ask, and all may pass.
    pub(super) fn is_open(&self) -> bool {
        self.stops.is_empty() && !self.is_closed()
    }

    /// Whether what no rule allows is denied.
    fn is_closed(&self) -> bool {
        match self.round.traveller {
            Traveller::Workload(_) => false,
            Traveller::Host(lane) => lane.is_closed() && !self.round.is_staged,
        }
    }

    /// Its name, which no other path of its round has.
    pub(super) fn name(&self) -> Name {
        if self.stops.is_empty() {
            return self.round.name_of(if self.is_open() { "open" } else { "closed" });
        }
        let stops: Vec<_> = self
            .stops
            .iter()
            .map(|stop| (&stop.tier.name, stop.policies.iter().map(|policy| (&policy.name, policy.mode)).collect()))
            .collect::<Vec<(_, Vec<_>)>>();
        Drawing::name(&self.round.traveller.to_string(), &(stops, &self.owns))
    }

    /// The policies it asks.
    pub(super) fn policies(&self) -> BTreeSet<QualifiedName> {
        self.stops.iter().flat_map(|stop| &stop.policies).map(|policy| policy.name.clone()).collect()
    }

    /// Whether what others call their ports matters to it.
    pub(super) fn asks_for_names(&self) -> bool {
        let policies = self.stops.iter().flat_map(|stop| &stop.policies);
        let mut rules = policies.flat_map(|policy| self.round.traveller.rules(policy).unwrap_or_default());
        rules.any(|rule| {
            let of_others = |side| match self.round.traveller {
                Traveller::Workload(direction) => (side == PortSide::Source) == (direction == Direction::Ingress),
                Traveller::Host(_) => true,
            };
            let mut sides = [PortSide::Source, PortSide::Destination].into_iter().filter(|side| of_others(*side));
            let is_named = |port: &PortMatch| matches!(port, PortMatch::Named { .. });
            sides.any(|side| {
                let (wanted, excluded) = rule.ports_on(side);
                wanted.iter().chain(excluded).any(is_named)
            })
        })
    }

    /// Draws where it begins and all it leads to.
    pub(super) fn draw(&self, name: &Name, known: &[NamedPort], drawing: &mut Drawing<'_>) -> Start {
        Front::new(self.round, &self.families(&self.clauses(), known), drawing).start(name, drawing)
    }

    fn families(&self, clauses: &[Clause<'_>], known: &[NamedPort]) -> [Pieces; 2] {
        let cutter = Cutter { direction: self.round.direction(), clauses, known };
        IpVersion::BOTH.map(|family| cutter.cut(family))
    }

    /// What is asked, in order; in a staged round only staged policies settle anything.
    fn clauses(&self) -> Vec<Clause<'w>> {
        let mut clauses = Vec::new();
        for (number, stop) in self.stops.iter().enumerate() {
            for policy in &stop.policies {
                let rules = self.round.traveller.rules(policy).unwrap_or_default().iter().enumerate();
                clauses.extend(rules.filter_map(|(index, rule)| self.clause(policy, index, rule, number)));
            }
            if self.has_tier_ends() && stop.tier.default_action == DefaultAction::Deny {
                clauses.push(Clause::certain(self.round.direction(), Act::Settle(self.end_of(stop)), number));
            }
        }
        if self.is_closed() {
            clauses.push(Clause::certain(self.round.direction(), Act::Settle(Settled::Closed), self.stops.len()));
        }
        clauses
    }

    fn has_tier_ends(&self) -> bool {
        match self.round.traveller {
            Traveller::Workload(_) => true,
            Traveller::Host(lane) => lane.has_tier_ends(),
        }
    }

    /// What the end of a tier settles.
    fn end_of(&self, stop: &Stop<'_>) -> Settled {
        let end = Settled::EndOfTier { tier: stop.tier.name.as_str().into() };
        let is_enforced = stop.policies.iter().any(|policy| policy.mode == Mode::Enforce);
        match (self.round.is_staged, is_enforced) {
            (false, _) => end,
            (true, true) => Settled::Open,
            (true, false) => Settled::Staged(Box::new(end)),
        }
    }

    fn clause(&self, policy: &'w Policy, index: usize, rule: &'w Rule, tier: usize) -> Option<Clause<'w>> {
        let is_staged = self.round.is_staged;
        let name = Arc::new(RuleName::of(policy, &rule.name));
        let settle = |allowed| {
            let settled = Settled::Rule { name: name.clone(), allowed, log: rule.log && !is_staged };
            let settled = if is_staged { settled } else { self.beyond_lane(settled) };
            Act::Settle(match (is_staged, policy.mode) {
                (false, _) => settled,
                (true, Mode::Stage) => Settled::Staged(Box::new(settled)),
                (true, Mode::Enforce | Mode::Off) => Settled::Open,
            })
        };
        let act = match rule.action {
            Action::Allow => settle(true),
            Action::Deny => settle(false),
            Action::Pass => Act::Pass(passed(is_staged, policy.mode, &name)),
            Action::Log if is_staged => return None,
            Action::Log => Act::Log(name.clone()),
        };
        let own = match self.round.traveller {
            Traveller::Workload(_) => {
                let always = Own { fits: [true; 2], ports: Vec::new() };
                Some(self.owns.get(&(policy.name.clone(), index)).cloned().unwrap_or(always))
            }
            Traveller::Host(_) => None,
        };
        Some(Clause::of(rule, self.round.direction(), own, act, tier))
    }

    /// What a rule's word means beyond its lane.
    fn beyond_lane(&self, settled: Settled) -> Settled {
        match self.round.traveller {
            Traveller::Host(Lane::UntrackedIn | Lane::UntrackedOut) => Settled::Untracked(Box::new(settled)),
            Traveller::Host(Lane::PreDnat) => Settled::Spared(Box::new(settled)),
            Traveller::Host(Lane::Input | Lane::Output | Lane::ForwardIn | Lane::ForwardOut)
            | Traveller::Workload(_) => settled,
        }
    }
}

/// Sorts governing policies into their tiers. Those without a say are left out; in a staged round all, if none of them is staged.
fn stops<'w>(world: &World, round: Round, governing: impl Iterator<Item = &'w Policy>) -> Vec<Stop<'w>> {
    let governing: Vec<&Policy> = governing.filter(|policy| round.asks(policy)).collect();
    if round.is_staged && governing.iter().all(|policy| policy.mode != Mode::Stage) {
        return Vec::new();
    }
    let mut tiers: BTreeMap<&str, Vec<&Policy>> = BTreeMap::new();
    for policy in governing {
        tiers.entry(&policy.tier).or_default().push(policy);
    }
    let stops = tiers.into_iter().map(|(tier, policies)| Stop { tier: world.tier(tier).into_owned(), policies });
    let mut stops: Vec<Stop<'_>> = stops.collect();
    stops.sort_by(|left, right| left.tier.standing().cmp(&right.tier.standing()));
    for stop in &mut stops {
        stop.policies.sort_by_key(|policy| Order::standing(policy.order, &policy.name));
    }
    stops
}

/// What counts whom a rule passes on; in a staged round only those of staged policies count.
fn passed(is_staged: bool, mode: Mode, name: &Arc<RuleName>) -> Option<Settled> {
    let passed = Settled::Passed(name.clone());
    match (is_staged, mode) {
        (false, _) => Some(passed),
        (true, Mode::Stage) => Some(Settled::Staged(Box::new(passed))),
        (true, Mode::Enforce | Mode::Off) => None,
    }
}

fn asks_of_itself(rule: &Rule, direction: Direction) -> bool {
    !rule.own(direction).is_anybody() || own_ports(rule, direction).next().is_some()
}

/// The names a rule uses for ports of the governed endpoint.
fn own_ports(rule: &Rule, direction: Direction) -> impl Iterator<Item = (&String, crate::model::PortProtocol)> {
    let (wanted, excluded) = rule.ports_on(match direction {
        Direction::Ingress => PortSide::Destination,
        Direction::Egress => PortSide::Source,
    });
    wanted.iter().chain(excluded).filter_map(|port| match port {
        PortMatch::Named { protocol, name } => Some((name, *protocol)),
        PortMatch::Ports { .. } | PortMatch::Icmp { .. } | PortMatch::Protocol(_) => None,
    })
}

fn own(world: &World, rule: &Rule, direction: Direction, endpoint: &Endpoint) -> Own {
    let own = rule.own(direction);
    let fits = |family| {
        let mut addresses = endpoint.addresses.iter().filter(|address| IpVersion::of(**address) == family);
        let fits = |address: &IpAddr| peers_fit(world, own, world.end_of(*address, Some(("", endpoint))));
        own.is_anybody() || addresses.any(fits)
    };
    let is_asked = |port: &&NamedPort| own_ports(rule, direction).any(|asked| asked == (&port.name, port.protocol));
    Own { fits: IpVersion::BOTH.map(fits), ports: endpoint.ports.iter().filter(is_asked).cloned().collect() }
}
